"""Training an adapter of the encoder, so that passages in their contexts come near to the texts of their labels.

As ``training``, of passages in place of whole texts: of one passage the mean of its tokens as the last layer sees them,
of several pieces (the two ends of a relation, and what is between) the mean of theirs (Soares et al. 2019 compare such
vectors of relations). One of the labels says that a passage has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from labelloop.engines import Tokens, Vectors
from labelloop.engines.batching import batches
from labelloop.engines.encoder import Encoder, Window
from labelloop.engines.training import Course, Pupil, Recipe

Pieces = tuple[tuple[int, int], ...]
"""Characters of a text, start and end of each."""


class Place(NamedTuple):
    """What is told apart: ``pieces`` of the text with the number ``text``."""

    text: int
    pieces: Pieces


class SpanCourse(Course):
    """A ``Course`` whose rows are places in texts. A long text is cut into windows; a place lies in the one that holds
    most of it, and as far from its edges as can be.

    Args:
        labels: (n_labels, d) as of ``Course``.

    Raises:
        ModelError: the encoder has no layers to adapt, or its tokenizer does not tell where tokens stand.
    """

    def __init__(
        self, encoder: Encoder, texts: Sequence[str], places: Sequence[Place], labels: Vectors, recipe: Recipe
    ) -> None:
        windows: list[Window] = []
        own: list[range] = []
        for its in encoder.token_windows(texts, recipe.longest):
            own.append(range(len(windows), len(windows) + len(its)))
            windows += its
        self._place = [_where(windows, own[place.text], place.pieces) for place in places]
        self._prepare(encoder, [window.ids for window in windows], labels, False, recipe)

    def steps(self, rows: Sequence[int]) -> int:
        """How many steps the recipe makes of the windows of these places."""
        return self.recipe.steps(len({self._place[row][0] for row in rows}))

    def read(self, pupil: Pupil, rows: Sequence[int]) -> Vectors:
        """(n_rows, d) vectors of length 1 of places by the adapter as it is."""
        of_window = self._by_window(rows)
        windows = list(of_window)
        found = np.zeros((len(rows), self._labels.shape[1]), np.float32)
        with torch.no_grad():
            for batch in batches([len(self._ids[window]) for window in windows], self._budget):
                its = [place for one in batch for place in of_window[windows[one]]]
                found[its] = self._vectors(pupil, [rows[place] for place in its]).cpu().numpy()
        return found

    def _batches(self, rows: Sequence[int], right: NDArray[np.bool_], steps: int, seed: int) -> Iterator[list[int]]:
        """The places of so many windows as the batch is large; in half of the steps each label is drawn as often as any
        other, so that rare ones are not drowned."""
        rng = np.random.default_rng([seed, 17])
        of_window = self._by_window(rows)
        of_label = [places for places in (np.flatnonzero(column) for column in right.T) if len(places)]
        turn: list[int] = []
        for step in range(steps):
            drawn: list[int] = []
            for _ in range(self.recipe.batch):
                if step % 2:
                    place = int(rng.choice(of_label[rng.integers(len(of_label))]))
                    drawn.append(self._place[rows[place]][0])
                else:
                    turn = turn or rng.permutation(list(of_window)).tolist()
                    drawn.append(turn.pop())
            yield [place for window in dict.fromkeys(drawn) for place in of_window[window]]

    def _by_window(self, rows: Sequence[int]) -> dict[int, list[int]]:
        """The places in ``rows`` of each window."""
        found: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            found.setdefault(self._place[row][0], []).append(place)
        return found

    def _vectors(self, pupil: Pupil, rows: Sequence[int]) -> torch.Tensor:
        windows = {window: number for number, window in enumerate(dict.fromkeys(self._place[row][0] for row in rows))}
        ids = [self._ids[window] for window in windows]
        contexts = pupil.upper.tokens(ids, [self._states[window] for window in windows])
        width = contexts.shape[1]
        pool = torch.zeros(len(rows), len(ids) * width)
        for number, row in enumerate(rows):
            window, shares = self._place[row]
            first = windows[window] * width
            for start, end, share in shares:
                pool[number, first + start : first + end] += share
        vectors = pool.to(contexts.device) @ contexts.reshape(-1, contexts.shape[2])
        return nn.functional.normalize(vectors, dim=1)


Shares = list[tuple[int, int, float]]
"""First and last token, end exclusive, and how much each of them counts."""


def _where(windows: Sequence[Window], own: range, pieces: Pieces) -> tuple[int, Shares]:
    """The window of a place, and how much each of its tokens counts."""
    best: tuple[int, Shares] = (own[0], [])
    most = (0, 0)
    start, end = pieces[0][0], pieces[-1][1]
    for number in own:
        offsets = windows[number].offsets
        inside = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > start))
        margin = min(int(inside[0]), len(offsets) - 1 - int(inside[-1])) if len(inside) else 0
        if (len(inside), margin) > most:
            best, most = (number, _shares(offsets, pieces)), (len(inside), margin)
    return best


def _shares(offsets: NDArray[np.int32], pieces: Pieces) -> Shares:
    ranges = []
    for start, end in pieces:
        inside = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > start))
        if len(inside):
            ranges.append((int(inside[0]), int(inside[-1]) + 1))
    return [(first, last, 1 / (len(ranges) * (last - first))) for first, last in ranges]


def vectors_of(tokens: Sequence[Tokens], places: Sequence[Place]) -> Vectors:
    """(n_places, d) of length 1: what ``SpanCourse`` trains, of texts that an adapted encoder has read
    (``Encoder.tokens``). Where no token stands, all are 0."""
    found = np.zeros((len(places), tokens[0].vectors.shape[1] if tokens else 0), np.float32)
    for row, place in enumerate(places):
        its = tokens[place.text]
        for first, last, share in _shares(its.offsets, place.pieces):
            found[row] += share * its.vectors[first:last].sum(axis=0)
    unit: Vectors = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-12))
    return unit

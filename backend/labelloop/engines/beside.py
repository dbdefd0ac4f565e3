"""Reading texts beside something short that must stay whole: a hypothesis, or a sentence with a mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelloop.engines import Vectors
from labelloop.engines.batching import LONGEST_WINDOW, OVERLAP, pair_batches, window_starts
from labelloop.engines.offsets import whole
from labelloop.engines.recent import Recent
from labelloop.errors import ModelError

RESERVED = 64  # tokens kept free beside a text, so that its windows are the same for all that is short
Ids = list[int]
Forward = Callable[[list[tuple[Ids, int]]], Iterable[Vectors]]


class Beside:
    """The texts of a model that reads them in pairs. It cuts them, batches the pairs, and merges what windows say.

    A text that does not fit beside its companion is cut into windows of tokens that overlap by an eighth, each read
    with the whole companion. What they say is averaged, weighted by their tokens, as the encoder's vectors are: the
    answer is about the text as a whole. The best window alone (as Dai and Callan 2019 and Laban et al. 2022 take for
    search and for fact checking, where one passage is enough) would grow with the length of a text by chance, which a
    prior that was taken on short texts could not remove.
    """

    def __init__(self, tokenizer: Any, config: Any, frame: int, budget: int) -> None:
        """``frame``: special tokens around a pair. ``budget``: padded tokens of one forward pass."""
        # RoBERTa's positions start at 2, and not every tokenizer knows the model's length: so two less are safe.
        positions = getattr(config, "max_position_embeddings", None) or LONGEST_WINDOW
        self._room = min(LONGEST_WINDOW, tokenizer.model_max_length, positions - 2) - frame
        self._reserved = min(RESERVED, self._room // 2)
        self._frame, self._budget = frame, budget
        self._tokenizer = tokenizer
        self._tokens: Recent[str, NDArray[np.int32]] = Recent(128)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, with those that frame it."""
        return [len(ids) + self._frame for ids in self._tokenize(texts)]

    def windows(self, texts: Sequence[str]) -> list[int]:
        """Into how many windows each text is cut beside something short."""
        return [len(self._starts(len(ids), self._reserved)) for ids in self._tokenize(texts)]

    def read(
        self, texts: Sequence[str], companions: Sequence[int], columns: Sequence[Sequence[int]], forward: Forward
    ) -> Vectors:
        """(n_texts, n_columns) what the model says of every text beside every companion.

        Args:
            companions: tokens of each.
            columns: of each companion, where its values go; all of them make 0 to n_columns - 1.
            forward: from (a window's tokens, index of a companion) pairs to the values of each.

        Raises:
            ModelError: a companion leaves too little room for a text.
        """
        tokens = self._tokenize(texts)
        merged = np.zeros((len(texts), sum(map(len, columns))), np.float32)
        for reserved in sorted({max(length, self._reserved) for length in companions}):
            its = [index for index, length in enumerate(companions) if max(length, self._reserved) == reserved]
            self._read_beside(tokens, reserved, its, companions, columns, forward, merged)
        return merged

    def _read_beside(
        self,
        tokens: Sequence[NDArray[np.int32]],
        reserved: int,
        its: Sequence[int],
        companions: Sequence[int],
        columns: Sequence[Sequence[int]],
        forward: Forward,
        merged: Vectors,
    ) -> None:
        """Adds to ``merged`` what is said beside the companions ``its``, which get ``reserved`` tokens."""
        size = self._room - reserved
        windows = [(owner, at) for owner, ids in enumerate(tokens) for at in self._starts(len(ids), reserved)]
        lengths = [min(size, len(tokens[owner]) - at) for owner, at in windows]
        totals = np.zeros(len(tokens), np.float32)
        np.add.at(totals, [owner for owner, _ in windows], np.array(lengths, np.float32))
        for batch in pair_batches(lengths, [companions[index] + self._frame for index in its], self._budget):
            pairs = []
            for window, beside in batch:
                owner, at = windows[window]
                pairs.append((tokens[owner][at : at + size].tolist(), its[beside]))
            for (window, _), (_, companion), values in zip(batch, pairs, forward(pairs), strict=True):
                owner = windows[window][0]
                share = lengths[window] / totals[owner] if totals[owner] else 1.0
                merged[owner, columns[companion]] += share * values

    def _starts(self, n_tokens: int, reserved: int) -> list[int]:
        size = self._room - reserved
        if size < self._room // 8 or size < 1:
            raise ModelError(
                f"A label is told in {reserved} tokens, but beside a text the model reads {self._room} in all.",
                "Shorten the label's hint or the field's question, or choose a model that reads more at once.",
            )
        return window_starts(n_tokens, size, size // OVERLAP)

    def _tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        return self._tokens.get(texts, self._tokenize_new) if texts else []

    def _tokenize_new(self, texts: list[str]) -> list[NDArray[np.int32]]:
        read = [whole(text) for text in texts]
        # verbose=False: the tokenizer would warn of texts over the model's length, which are cut into windows.
        encoded = self._tokenizer(read, add_special_tokens=False, truncation=False, verbose=False)
        return [np.asarray(ids, np.int32) for ids in encoded["input_ids"]]


def label_means(scores: Vectors, columns: Sequence[Sequence[int]]) -> Vectors:
    """(n_texts, n_labels) of each label the mean over its columns of ``scores``."""
    if not columns:
        return np.zeros((len(scores), 0), np.float32)
    return np.stack([scores[:, list(its)].mean(axis=1) for its in columns], axis=1)

"""Few-shot memory of a field that marks entities: texts that people marked, or left, are marked or left again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from labelloop.tasks import memory, precision
from labelloop.tasks.calibration import Array
from labelloop.tasks.entities import Candidate, Draft, placed
from labelloop.tasks.mentions import words_of
from labelloop.words import Field, Passage, Span

_OWN = 1.0  # how many votes count as much as all else that is known of a candidate ...
_UNFOUND = 0.5  # ... and how many as that models found nothing there
_LEFT = 0.5  # a text that people left may be one that they overlooked
_MOST_WORDS = 8


Rows = dict[tuple[int, int, int], Array]
"""By index of the passage, start and end: (1 + n_labels,) the chances that it has none, then each label."""


class Marked(NamedTuple):
    """A passage that people have been through. ``spans``: what they marked in it. ``candidates``: what models found."""

    passage: Passage
    spans: tuple[Span, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class SpanMemory:
    """``epoch``, ``examples``: as of ``chances.Recollection``; an example is a passage. ``votes``: by text,
    (1 + n_labels,) how often it was left, and had each label. ``needs``: where a precision is wished for, the least
    score of each label (``precision``)."""

    epoch: int
    examples: int
    votes: Mapping[str, Array] = field(repr=False)
    needs: precision.Needs = field(default_factory=dict, repr=False)

    def drafts(self, passages: Sequence[Passage], candidates: Sequence[Candidate]) -> list[Draft]:
        """Spans that are rather right than wrong, the surest first: candidates, and texts that models overlook."""
        return decided(self.rows(passages, candidates))

    def rows(self, passages: Sequence[Passage], candidates: Sequence[Candidate]) -> Rows:
        """The chances of candidates, and of texts that models overlook, with what people said of the same texts."""
        rows = chances_of(candidates)
        for (owner, start, end), chances in rows.items():
            text = passages[owner].text[start:end]
            if text in self.votes:
                rows[owner, start, end] = _voted(_OWN * chances, self.votes[text])
        for owner, passage in enumerate(passages):
            for start, end, text in runs(passage.text):
                if text in self.votes and (owner, start, end) not in rows:
                    nothing = np.zeros(len(self.votes[text]))
                    nothing[0] = _UNFOUND
                    rows[owner, start, end] = _voted(nothing, self.votes[text])
        return rows


def chances_of(candidates: Sequence[Candidate]) -> Rows:
    return {(one.owner, one.start, one.end): one.chances for one in candidates}


def decided(rows: Rows) -> list[Draft]:
    """Spans that are rather right than wrong, the surest first."""
    found = [(*place, int(row[1:].argmax()), float(row[1:].max())) for place, row in rows.items() if row[0] < 0.5]
    return sorted(found, key=lambda draft: (-draft[4], draft[0], draft[1] - draft[2], draft[1]))


def learn(its_field: Field, marked: Sequence[Marked], epoch: int, wished: float | None = None) -> SpanMemory | None:
    """The memory of passages that people have been through; None of none.

    Spans of a text vote for their labels wherever the same text stands, and places where it was left for none; what
    models say of a candidate counts as one vote more (Dirichlet smoothing). So names come back, and what people leave
    does not. A head over what candidates are in their contexts, as memory of labels has, was measured too: it gained
    less, and made scores surer than they should be.

    Args:
        wished: the precision that is wished for, where one is; then passages are also left out to find ``needs``.
    """
    if not marked:
        return None
    made = _count(its_field, marked, epoch)
    if wished is None:
        return made
    return replace(made, needs=precision.needs(its_field, list(_held_out(its_field, marked)), wished))


def _held_out(its_field: Field, marked: Sequence[Marked]) -> Iterator[precision.Suggestion]:
    """What is suggested in passages by memories that have not seen them."""
    column = its_field.columns
    fold = memory.folds(len(marked))
    for one in range(fold.max() + 1 if len(marked) > 1 else 0):
        out = [its for its, where in zip(marked, fold, strict=True) if where == one]
        others = _count(its_field, [its for its, where in zip(marked, fold, strict=True) if where != one], 0)
        passages = [its.passage for its in out]
        found = [candidate._replace(owner=owner) for owner, its in enumerate(out) for candidate in its.candidates]
        for its, spans in zip(out, placed(its_field, passages, others.drafts(passages, found)), strict=True):
            exact = {(span.start, span.end, span.label) for span in its.spans}
            for span in spans:
                right = (span.start, span.end, span.label) in exact
                yield precision.Suggestion(column[span.label], span.score, right)


def _count(its_field: Field, marked: Sequence[Marked], epoch: int) -> SpanMemory:
    column = {label.path: 1 + place for place, label in enumerate(its_field.labels)}
    votes: dict[str, Array] = {}
    for one in marked:
        taken = [(span.start, span.end) for span in one.spans]
        for span in one.spans:
            if span.label in column:
                text = one.passage.text[span.start : span.end]
                votes.setdefault(text, np.zeros(1 + len(column)))[column[span.label]] += 1
        for its in one.candidates:
            if not _overlaps(its.start, its.end, taken):
                votes.setdefault(one.passage.text[its.start : its.end], np.zeros(1 + len(column)))
    for one in marked:
        taken = [(span.start, span.end) for span in one.spans]
        for start, end, text in runs(one.passage.text):
            if text in votes and not _overlaps(start, end, taken):
                votes[text][0] += _LEFT
    return SpanMemory(epoch, len(marked), votes)


def _overlaps(start: int, end: int, taken: Sequence[tuple[int, int]]) -> bool:
    return any(start < last and first < end for first, last in taken)


def _voted(chances: Array, votes: Array) -> Array:
    made: Array = (chances + votes) / (chances + votes).sum()
    return made


def runs(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and text of each run of up to eight words."""
    words = words_of(text)
    for first in range(len(words)):
        for last in range(first, min(first + _MOST_WORDS, len(words))):
            start, end = int(words[first, 0]), int(words[last, 1])
            yield start, end, text[start:end]

"""Few-shot memory of a field that marks entities: candidates are judged by what people marked, and left, before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from labelloop.tasks import memory, precision
from labelloop.tasks.calibration import Array
from labelloop.tasks.entities import Candidate, Draft, placed
from labelloop.tasks.mentions import words_of
from labelloop.words import Field, Passage, Path, Span

_SCALE = 20.0  # vectors of candidates are about 6.4 long, and few texts tell less of types than of topics
_OWN = 1.0  # how many accepted spans of the same text count as much as all else that is known of a candidate ...
_UNFOUND = 1.0  # ... and as that models found none there, so that one accepted span is not enough
_MOST_WORDS = 8


class Marked(NamedTuple):
    """A passage that people have been through. ``spans``: what they marked in it. ``candidates``: what models found in
    it, and what was marked."""

    passage: Passage
    spans: tuple[Span, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class SpanMemory:
    """``epoch``, ``examples``: as of ``chances.Recollection``; an example is a passage. ``surfaces``: by text,
    (1 + n_labels,) how often it was left and had each label. ``head``: None where no candidate was seen. ``needs``:
    where a precision is wished for, the least score of each label (``precision``)."""

    epoch: int
    examples: int
    head: memory.Head | None
    surfaces: Mapping[str, Array] = field(repr=False)
    needs: precision.Needs = field(default_factory=dict, repr=False)

    def drafts(self, passages: Sequence[Passage], candidates: Sequence[Candidate]) -> list[Draft]:
        """Spans that are rather right than wrong; accepted spans of the very same text vote beside the chances."""
        judged = list(zip(candidates, self._judged(passages, candidates), strict=True))
        rows = {(one.owner, one.start, one.end): row for one, row in judged}
        for owner, passage in enumerate(passages):
            for start, end, text in runs(passage.text):
                if text in self.surfaces and (owner, start, end) not in rows:
                    unfound = np.zeros(len(self.surfaces[text]))
                    unfound[0] = _UNFOUND
                    rows[owner, start, end] = _voted(unfound, self.surfaces[text])
        found = [(*place, int(row[1:].argmax()), float(row[1:].max())) for place, row in rows.items() if row[0] < 0.5]
        return sorted(found, key=lambda draft: (-draft[4], draft[0], draft[1] - draft[2], draft[1]))

    def _judged(self, passages: Sequence[Passage], candidates: Sequence[Candidate]) -> Iterator[Array]:
        if not candidates:
            return
        chances = np.stack([one.chances for one in candidates])
        if self.head is not None:
            vectors = np.stack([one.vector for one in candidates]) / _SCALE
            chances = memory.recall(self.head, vectors, chances, several=False)
        for one, row in zip(candidates, chances, strict=True):
            text = passages[one.owner].text[one.start : one.end]
            yield _voted(_OWN * row, self.surfaces[text]) if text in self.surfaces else row


def learn(its_field: Field, marked: Sequence[Marked], epoch: int, wished: float | None = None) -> SpanMemory | None:
    """The memory of passages that people have been through, in the order in which they were; None of none.

    A head as of classification, over what each candidate is in its context, with "none" as one more label: what models
    found and people left is an example of that. Candidates of one passage are left out together. Spans of the very same
    text count by their votes (Dirichlet smoothing), also where the models find nothing: names come back.

    Args:
        wished: the precision that is wished for, where one is; then passages are also left out to find ``needs``.
    """
    if not marked:
        return None
    made = _fit(its_field, marked, epoch)
    if wished is None:
        return made
    said = list(_held_out(its_field, marked, made.head.shares if made.head else ()))
    return replace(made, needs=precision.needs(its_field, said, wished))


def _held_out(its_field: Field, marked: Sequence[Marked], shares: Sequence[float]) -> Iterator[precision.Suggestion]:
    """What is suggested in passages by memories that have not seen them."""
    column = {label.path: place for place, label in enumerate(its_field.labels)}
    fold = memory.folds(np.arange(len(marked)))
    for one in range(fold.max() + 1 if len(marked) > 1 else 0):
        out = [its for its, where in zip(marked, fold, strict=True) if where == one]
        others = _fit(its_field, [its for its, where in zip(marked, fold, strict=True) if where != one], 0, shares)
        passages = [its.passage for its in out]
        found = [
            candidate._replace(owner=owner)
            for owner, its in enumerate(out)
            for candidate in its.candidates
            if candidate.label is not None
        ]
        for its, spans in zip(out, placed(its_field, passages, others.drafts(passages, found)), strict=True):
            exact = {(span.start, span.end, span.label) for span in its.spans}
            for span in spans:
                right = (span.start, span.end, span.label) in exact
                yield precision.Suggestion(column[span.label], span.score, right)


def _fit(its_field: Field, marked: Sequence[Marked], epoch: int, shares: Sequence[float] = ()) -> SpanMemory:
    column = {label.path: 1 + place for place, label in enumerate(its_field.labels)}
    surfaces = _surfaces(marked, column)
    vectors, chances, right, groups = [], [], [], []
    for group, one in enumerate(marked):
        exact = {(span.start, span.end): column[span.label] for span in one.spans if span.label in column}
        for its in one.candidates:
            over = [label for place, label in exact.items() if its.start < place[1] and place[0] < its.end]
            vectors.append(its.vector / _SCALE)
            chances.append(its.chances)
            right.append(exact.get((its.start, its.end), over[0] if over else 0))  # other ends, but the same thing
            groups.append(group)
    if not vectors:
        return SpanMemory(epoch, len(marked), None, surfaces)
    head = memory.fit(
        np.stack(vectors),
        np.eye(1 + len(column), dtype=bool)[right],
        np.stack(chances),
        several=False,
        shares=shares,
        groups=np.array(groups),
    )
    return SpanMemory(epoch, len(marked), head, surfaces)


def _surfaces(marked: Sequence[Marked], column: Mapping[Path, int]) -> dict[str, Array]:
    """(1 + n_labels,) votes by text of a span: for none at all, and for each label."""
    votes: dict[str, Array] = {}
    for one in marked:
        for span in one.spans:
            if span.label in column:
                text = one.passage.text[span.start : span.end]
                votes.setdefault(text, np.zeros(1 + len(column)))[column[span.label]] += 1
    for one in marked:
        taken = [(span.start, span.end) for span in one.spans]
        for start, end, text in runs(one.passage.text):
            if text in votes and not any(start < last and first < end for first, last in taken):
                votes[text][0] += 1
    return votes


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

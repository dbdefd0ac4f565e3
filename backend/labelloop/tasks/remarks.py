"""Remarks: what a control of single regions (perRegion) says of each, from its words and the clause around them."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from labelloop.engines import Engine
from labelloop.prompting import Prompt
from labelloop.tasks import classification, rank
from labelloop.tasks.calibration import rounded
from labelloop.words import Answer, FieldPlan, Reading, Remark

PROMPT = "classification/v1"  # labels mean the same of a region as of a text

_IDLE = frozenset(
    {"the", "a", "an", "this", "that", "these", "those", "my", "our", "his", "her", "their", "its", "and", "or"}
    | {"in"}
)
_SENTENCES = re.compile(r"[.!?][\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])|[。！？]|\n")
_TURNS = re.compile(rf"{_SENTENCES.pattern}|[;–—]|\b(?i:but|while|whereas|although|though|yet|except|unlike|despite)\b")
_CLAUSES = re.compile(rf"{_TURNS.pattern}|,|\s(?i:and|or|because|so|with)\s")
_WORD = re.compile(r"\w+")
_REACH = 1000  # characters on each side of a region that may speak of it, of a text without full stops, say


def answer(plan: FieldPlan, readings: Sequence[Reading], engine: Engine, prompt: Prompt) -> list[Answer]:
    """One Answer per reading, with a remark on each of its regions that there is something to say of.

    A region is classified like a text: by the mean of how similar its own words and the clause that it stands in are to
    the labels. So two regions of one sentence may be told apart ("The food was great but the service was slow").
    ``Remark.score`` counts the region's own score; ``Answer.score`` is the probability that all remarks are right.
    """
    asked = [
        (index, span, passage.text)
        for index, reading in enumerate(readings)
        for passage in reading.passages
        for span in reading.given
        if span.source == passage.name and passage.text[span.start : span.end].strip()
    ]
    clauses = {text: Clauses(text) for _, _, text in asked}
    told = [(text[span.start : span.end], clauses[text].around(span.start, span.end)) for _, span, text in asked]
    texts = list(dict.fromkeys(text for both in told for text in both))
    row = {text: index for index, text in enumerate(texts)}
    (ranked,) = rank.rank(engine, [plan], [prompt], texts)
    similarities = ranked.similarities[[[row[one], row[other]] for one, other in told]].mean(axis=1) if told else None
    decided = (
        []
        if similarities is None
        else classification.decide(plan, similarities, ranked.prior, engine.windows([around for _, around in told]))
    )
    remarks: list[list[Remark]] = [[] for _ in readings]
    scores: list[list[float]] = [[] for _ in readings]
    for (index, span, _), its in zip(asked, decided, strict=True):
        scores[index].append(its.score)
        if its.labels:
            remarks[index].append(Remark(span=span, labels=its.labels, score=rounded(its.score * span.score)))
    return [
        Answer(field=plan.field.name, labels=(), score=rounded(math.prod(chances)), remarks=tuple(its))
        for its, chances in zip(remarks, scores, strict=True)
    ]


def warm(plan: FieldPlan, engine: Engine, prompt: Prompt) -> None:
    """Computes the labels and their priors."""
    rank.warm(engine, [plan], [prompt])


class Clauses:
    """The clauses of a text. It is searched for their ends once, however many regions it has."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._breaks: dict[re.Pattern[str], tuple[list[int], list[int]]] = {}

    def around(self, start: int, end: int) -> str:
        """The words around a region that speak of it: its clause, the sentence's half that it is in where its clause
        has hardly another word, else its sentence; at most ``_REACH`` characters on each side.

        >>> Clauses("The food was great but the service was slow.").around(4, 8)
        'The food was great'
        >>> Clauses("Food and service were excellent.").around(0, 4)
        'Food and service were excellent.'
        """
        text = self._text
        for pattern in (_CLAUSES, _TURNS, _SENTENCES):
            starts, ends = self._find(pattern)
            before, after = bisect_right(ends, start), bisect_left(starts, end)
            low = max(ends[before - 1] if before else 0, start - _REACH)
            high = min(starts[after] if after < len(starts) else len(text), end + _REACH)
            around = text[low:high].strip()
            if set(_WORD.findall(f"{text[low:start]} {text[end:high]}".lower())) - _IDLE:
                break
        return around

    def _find(self, pattern: re.Pattern[str]) -> tuple[list[int], list[int]]:
        if pattern not in self._breaks:
            found = [match.span() for match in pattern.finditer(self._text)]
            self._breaks[pattern] = [start for start, _ in found], [end for _, end in found]
        return self._breaks[pattern]

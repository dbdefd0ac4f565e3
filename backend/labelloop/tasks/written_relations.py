"""Relations by a writer: passages get numbers, and it says as JSON which of them are related and how."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from labelloop.engines import Writer
from labelloop.tasks import structured_replies as replies
from labelloop.tasks.asking import measure
from labelloop.tasks.calibration import rounded
from labelloop.tasks.structure_prompt import RelatingPrompt
from labelloop.tasks.structured_replies import Entry, Facts, Piece
from labelloop.templating import Value
from labelloop.words import Answer, FieldPlan, Label, Link, Passage, Reading, Span

PROMPT = "relating/v1"
MOST_SPANS = 24
"""Passages of one window that are related; more are related in overlapping groups of neighbours."""
_NAME = "relations"
_DIRECTED = re.compile(r"\(e[12],e[12]\)\s*$")


def answer(plan: FieldPlan, readings: Sequence[Reading], writer: Writer, prompt: RelatingPrompt) -> list[Answer]:
    """One Answer per reading, with the links between the passages that it is given.

    Passages are related within one window of one object. The schema knows the numbers of the passages and the field's
    labels, and no others. A label that tells by itself which passage is the head ("Cause-Effect(e2,e1)") links the
    first to the second in the text, as Label Studio stores it; every other from the head that the reply names. A
    link's score is its reply's, times those of its passages; ``Answer.score`` is the least of the replies'.
    """
    names = replies.offered(plan.field.labels, prompt.nothing)
    facts = [Facts() for _ in readings]
    pieces = [
        piece
        for index, reading in enumerate(readings)
        for passage in reading.passages
        for piece in _pieces(index, passage, reading.given, plan, names, writer, prompt, facts[index])
    ]
    replies.write(pieces, writer)
    links: list[dict[tuple[Span, Span, str], Link]] = [{} for _ in readings]
    scores = [1.0] * len(readings)
    for piece in pieces:
        its = facts[piece.owner]
        for head, tail, label in _read(replies.read(piece, _NAME, its), piece.about, names, its):
            sure = prompt.constants.of(piece.written.logprob) if piece.written else 0.0
            score = rounded(sure * head.score * tail.score)
            links[piece.owner].setdefault((head, tail, label), Link(head=head, tail=tail, label=label, score=score))
        if piece.written:
            scores[piece.owner] = min(scores[piece.owner], prompt.constants.of(piece.written.logprob))
    answers = []
    for index, its in enumerate(facts):
        replies.settle(its)
        answers.append(
            Answer(
                field=plan.field.name,
                labels=(),
                score=0.0 if its.reason else rounded(scores[index]),
                links=tuple(links[index].values()),
                reason=its.reason or None,
                provenance=its.provenance,
            )
        )
    return answers


def _read(
    entries: Sequence[Entry], spans: Sequence[Span], names: Mapping[str, Label], facts: Facts
) -> list[tuple[Span, Span, str]]:
    """Head, tail and stored label of the entries that name two of the passages and a label."""
    found = []
    for one in entries:
        head, tail, name = one.get("head"), one.get("tail"), str(one.get("label", ""))
        if not (_is_number(head, spans) and _is_number(tail, spans)) or head == tail or (names and name not in names):
            facts.counts["lost"] += 1
            continue
        label = names[name].path[-1] if names else ""
        first, second = spans[int(str(head)) - 1], spans[int(str(tail)) - 1]
        if _DIRECTED.search(label) and second.start < first.start:
            first, second = second, first
        found.append((first, second, label))
    return found


def _is_number(value: object, spans: Sequence[Span]) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= len(spans)


def _pieces(
    owner: int,
    passage: Passage,
    given: Sequence[Span],
    plan: FieldPlan,
    names: Mapping[str, Label],
    writer: Writer,
    prompt: RelatingPrompt,
    facts: Facts,
) -> list[Piece]:
    spans = sorted((one for one in given if one.source == passage.name), key=lambda one: (one.start, one.end))
    if len(spans) < 2 or (plan.field.labels and not names):
        return []

    def values(text: str, some: Sequence[Span]) -> dict[str, Value]:
        told = [f"{n}. {one.text}{f' ({one.label[-1]})' if one.label else ''}" for n, one in enumerate(some, 1)]
        return {
            "text": text,
            "labels": replies.lines(names),
            "question": plan.field.question.strip(),
            "passages": told,
        }

    longest = max(_groups(spans), key=lambda some: sum(len(one.text) for one in some))
    places = replies.cut(passage.text, writer, prompt, prompt.ask(values("", longest)))
    if not places:
        facts.reason = replies.NO_ROOM
    pieces = []
    for start, end in places:
        window = passage.text[start:end]
        for some in _groups([one for one in spans if start <= one.start and one.end <= end]):
            most = prompt.length.of(measure(writer, [window])[0])
            ask = prompt.ask(values(window.strip(), some))
            pieces.append(Piece(owner, window, start, ask, _schema(len(some), names), most, some))
    return pieces


def _groups(spans: Sequence[Span]) -> list[Sequence[Span]]:
    """Neighbours together, half of each group in the next one too; none where fewer than two are there."""
    if len(spans) <= MOST_SPANS:
        return [spans] if len(spans) > 1 else []
    step = MOST_SPANS // 2
    return [spans[first : first + MOST_SPANS] for first in range(0, len(spans) - step, step)]


def _schema(count: int, names: Mapping[str, Label]) -> str:
    number = {"type": "integer", "enum": list(range(1, count + 1))}
    label = {"label": {"type": "string", "enum": [*names]}} if names else {}
    return replies.schema(_NAME, {"head": number, **label, "tail": number})

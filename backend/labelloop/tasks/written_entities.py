"""Entities by a writer: it quotes passages with their labels, as JSON; each quote is found in the text, or dropped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelloop.engines import Ask, Writer
from labelloop.tasks import structured_replies as replies
from labelloop.tasks.asking import measure
from labelloop.tasks.calibration import rounded
from labelloop.tasks.entities import placed
from labelloop.tasks.quotes import locate
from labelloop.tasks.structure_prompt import TaggingPrompt
from labelloop.tasks.structured_replies import Facts, Piece
from labelloop.words import Answer, Field, FieldPlan, Label, Passage, Reading

PROMPT = "tagging/v1"
_NAME = "passages"


@dataclass(frozen=True)
class _Desk:
    """What all passages of a field share."""

    field: Field
    names: Mapping[str, Label]
    writer: Writer
    prompt: TaggingPrompt

    def ask(self, text: str) -> Ask:
        values = {"labels": replies.lines(self.names), "question": self.field.question.strip()}
        shown = [
            ({**values, "text": one.text}, json.dumps({_NAME: [its.model_dump() for its in one.passages]}))
            for one in self.prompt.examples
            if {its.label for its in one.passages} <= self.names.keys()
        ]
        return self.prompt.ask({**values, "text": text}, shown)

    @property
    def schema(self) -> str:
        properties = {"text": {"type": "string", "minLength": 1}, "label": {"type": "string", "enum": [*self.names]}}
        return replies.schema(_NAME, properties)


def answer(plan: FieldPlan, readings: Sequence[Reading], writer: Writer, prompt: TaggingPrompt) -> list[Answer]:
    """One Answer per reading, its spans in the order of the text, none overlapping another in one object.

    A reply is asked for each window of each object, under a schema that knows the field's labels and no others, and is
    checked against them again: nothing that a text says adds a label. ``quotes.locate`` says where a quote stands; what
    stands nowhere is dropped, and counted in the provenance ("lost"), as are replies that broke off ("truncated", their
    complete entries count) and those that are no JSON ("unread"). A span's score is that of the reply that it came in.
    """
    desk = _Desk(plan.field, replies.offered(plan.field.labels, prompt.nothing), writer, prompt)
    sources = [source.name for source in plan.field.sources]
    passages: list[tuple[int, Passage]] = [
        (index, one)
        for index, reading in enumerate(readings)
        for one in reading.passages
        if one.name in sources and one.text.strip()
    ]
    facts = [Facts() for _ in readings]
    pieces = _pieces(desk, [passage.text for _, passage in passages], [facts[index] for index, _ in passages])
    replies.write(pieces, writer)
    numbers = {label.path: index for index, label in enumerate(plan.field.labels)}
    drafts = []
    surest = [1.0] * len(readings)
    for piece in pieces:
        index, _ = passages[piece.owner]
        entries = replies.read(piece, _NAME, facts[index])
        if piece.written is None:
            continue
        score = prompt.constants.of(piece.written.logprob)
        surest[index] = min(surest[index], score)
        quotes = [(str(one.get("text", "")), str(one.get("label", ""))) for one in entries]
        known = [(quote, label) for quote, label in quotes if label in desk.names]
        found, lost = locate(known, piece.text)
        facts[index].counts["lost"] += lost + len(quotes) - len(known)
        for start, end, label in found:
            number = numbers[desk.names[label].path]
            drafts.append((piece.owner, piece.start + start, piece.start + end, number, score))
    spans = placed(plan.field, [passage for _, passage in passages], drafts)
    answers = []
    for index, its in enumerate(facts):
        replies.settle(its)
        mine = tuple(span for (owner, _), some in zip(passages, spans, strict=True) if owner == index for span in some)
        least = min((span.score for span in mine), default=surest[index])
        answers.append(
            Answer(
                field=plan.field.name,
                labels=(),
                score=0.0 if its.reason else rounded(least),
                spans=mine,
                reason=its.reason or None,
                provenance=its.provenance,
            )
        )
    return answers


def _pieces(desk: _Desk, texts: Sequence[str], facts: Sequence[Facts]) -> list[Piece]:
    pieces: list[Piece] = []
    if not desk.names:
        return pieces
    without, wanted = desk.ask(""), desk.schema
    for owner, text in enumerate(texts):
        places = replies.cut(text, desk.writer, desk.prompt, without)
        if not places:
            facts[owner].reason = replies.NO_ROOM
        for start, end in places:
            window = text[start:end]
            if window.strip():
                most = desk.prompt.length.of(measure(desk.writer, [window])[0])
                pieces.append(Piece(owner, window, start, desk.ask(window.strip()), wanted, most))
    return pieces

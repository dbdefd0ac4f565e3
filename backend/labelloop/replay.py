"""What models say of texts, asked once and kept, so that memory can be learned and answer again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from labelloop.errors import RequestError
from labelloop.settings import Settings
from labelloop.tasks import chances, classification, entities, precision, recollection, span_memory, structured
from labelloop.tasks.chances import Chances
from labelloop.tasks.recollection import Example, LabelMemory, Seen
from labelloop.tasks.span_memory import Marked, SpanMemory
from labelloop.words import Answer, FieldPlan, Reading

Memory: TypeAlias = LabelMemory | SpanMemory


class Replay(Protocol):
    """The code that serves one field, after what models say is known. ``plan``: how the field is served."""

    plan: FieldPlan

    def read(self, examples: Sequence[Example]) -> None:
        """Asks the models of these texts; of spans also what was marked, which memory learns from."""
        ...

    def learn(self, revealed: Sequence[Example]) -> Memory | None:
        """The memory of these examples, whose texts were read; None of none."""
        ...

    def answers(self, texts: Sequence[str], memory: Any, every: bool = False) -> list[Answer]:
        """One Answer per text that was read; "" is answered with the reason. ``every``: with what is not suggested, as
        it is less sure than the field's precision needs."""
        ...


def replay_of(plan: FieldPlan, settings: Settings) -> Replay:
    """Raises RequestError: the field's spans are marked by an engine beside which there is no memory."""
    if not plan.field.structured:
        return Labels(plan, settings)
    if not structured.remembers(plan):
        raise RequestError(
            f"'{plan.field.name}' is served by {plan.engine}, beside which there is no memory of spans.",
            "Serve it by the encoder.",
        )
    return Spans(plan, settings)


class Labels:
    """Of a field that chooses labels: ``recollection.remember`` and ``chances.decide``."""

    def __init__(self, plan: FieldPlan, settings: Settings) -> None:
        self.plan, self._settings = plan, settings
        self._encoder = recollection.encoder_of(plan, settings)
        self._said: dict[str, list[Chances]] = {}

    def read(self, examples: Sequence[Example]) -> None:
        each = chances.opinions(self.plan, [one.text for one in examples], self._encoder, self._settings)
        for place, one in enumerate(examples):
            self._said[one.text] = [_row(its, place) for its in each]

    def learn(self, revealed: Sequence[Example]) -> LabelMemory | None:
        usable = recollection.usable_of(self.plan.field, revealed)
        if not usable:
            return None
        each = self._together([one.text for one in usable[-recollection.MOST_EXAMPLES :]])
        seen = Seen(_vectors(each), chances.together(self.plan, each)[0].labels)
        return recollection.remember(self.plan, usable, seen, len(revealed), self._encoder)

    def answers(self, texts: Sequence[str], memory: LabelMemory | None, every: bool = False) -> list[Answer]:
        known = list(dict.fromkeys(text for text in texts if text))
        plan = self.plan.model_copy(update={"precision": None}) if every else self.plan
        decided = chances.decide(plan, known, self._together(known), memory) if known else []
        found = dict(zip(known, decided, strict=True))
        return [found[text] if text else classification.empty(self.plan.field) for text in texts]

    def vectors(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(n_texts, d) of the encoder, of texts that were read."""
        return _vectors(self._together(texts))

    def _together(self, texts: Sequence[str]) -> list[Chances]:
        each = [self._said[text] for text in texts]
        return [_stack([one[number] for one in each]) for number in range(len(self.plan.alone))]


class Spans:
    """Of a field that marks entities: ``span_memory.learn`` and ``entities.answers_of``."""

    def __init__(self, plan: FieldPlan, settings: Settings) -> None:
        self.plan, self._settings = plan, settings
        self._read: dict[str, list[Marked]] = {}

    def read(self, examples: Sequence[Example]) -> None:
        for one, its in zip(
            examples,
            recollection.go_through(self.plan, [(one.text, one.spans) for one in examples], self._settings),
            strict=True,
        ):
            self._read[one.text] = list(its)

    def learn(self, revealed: Sequence[Example]) -> SpanMemory | None:
        marked = []
        for one in {one.text: one for one in revealed}.values():
            for its in self._read[one.text]:
                spans = tuple(span for span in one.spans if span.source == its.passage.name)
                places = {(span.start, span.end) for span in spans}
                kept = tuple(its for its in its.candidates if its.label is not None or (its.start, its.end) in places)
                marked.append(its._replace(spans=spans, candidates=kept))
        return span_memory.learn(self.plan.field, marked, len(revealed), self.plan.precision)

    def answers(self, texts: Sequence[str], memory: SpanMemory | None, every: bool = False) -> list[Answer]:
        known = list(dict.fromkeys(text for text in texts if text))
        passages = [entities.read_by(self.plan.field, Reading.model_validate_json(text)) for text in known]
        candidates = self._candidates(known)
        if memory is None:
            drafts = [
                (one.owner, one.start, one.end, one.label, one.score) for one in candidates if one.label is not None
            ]
        else:
            drafts = memory.drafts([passage for some in passages for passage in some], candidates)
        made = entities.answers_of(self.plan.field, passages, drafts, memory=memory)
        if self.plan.precision is not None and not every:
            needs = {} if memory is None else memory.needs
            made = [precision.of_spans(self.plan, one, needs) for one in made]
        found = dict(zip(known, made, strict=True))
        nothing = Answer(field=self.plan.field.name, labels=(), score=0.0, reason=classification.EMPTY)
        return [found[text] if text else nothing for text in texts]

    def _candidates(self, texts: Sequence[str]) -> list[entities.Candidate]:
        """What models found, the owners counted over the passages of all texts."""
        found, owner = [], 0
        for text in texts:
            for one in self._read[text]:
                found += [its._replace(owner=owner) for its in one.candidates if its.label is not None]
                owner += 1
        return found


def _row(one: Chances, place: int) -> Chances:
    rows = slice(place, place + 1)
    vectors = None if one.vectors is None else one.vectors[rows]
    return replace(one, labels=one.labels[rows], windows=one.windows[rows], vectors=vectors)


def _stack(rows: Sequence[Chances]) -> Chances:
    return Chances(
        np.concatenate([one.labels for one in rows]),
        [count for one in rows for count in one.windows],
        np.concatenate([one.vectors for one in rows if one.vectors is not None]),
    )


def _vectors(each: Sequence[Chances]) -> np.ndarray[Any, np.dtype[np.float32]]:
    vectors = each[0].vectors
    assert vectors is not None
    return vectors

"""What models say of texts, asked once and kept, so that memory can be learned and answer again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from labelloop.replay_relations import Relations
from labelloop.replay_whole import Whole
from labelloop.settings import Settings
from labelloop.tasks import (
    chances,
    classification,
    entities,
    precision,
    recollection,
    showing,
    span_memory,
    structured,
    trained,
)
from labelloop.tasks.chances import Chances
from labelloop.tasks.recollection import Example, LabelMemory
from labelloop.tasks.relation_memory import RelationMemory
from labelloop.tasks.roll import Roll
from labelloop.tasks.span_memory import Marked, SpanMemory
from labelloop.tasks.text_memory import TextMemory
from labelloop.words import Answer, FieldPlan, Reading

Memory: TypeAlias = LabelMemory | SpanMemory | RelationMemory | TextMemory
_READ_AT_ONCE = 32


class Replay(Protocol):
    """The code that serves one field, after what models say is known. ``plan``: how the field is served. ``ahead``:
    whether that is all that models are asked for; else ``learn`` needs no text read before, and ``answers`` with a
    memory ask them again. ``at_once``: how many texts they should be asked for together."""

    plan: FieldPlan
    ahead: bool
    at_once: int

    def read(self, texts: Sequence[str]) -> None:
        """Asks the models of these texts, none of which is empty."""
        ...

    def learn(self, revealed: Sequence[Example]) -> Memory | None:
        """The memory of these examples, whose texts were read; None of none."""
        ...

    def answers(self, texts: Sequence[str], memory: Any, every: bool = False) -> list[Answer]:
        """One Answer per text that was read; "" is answered with the reason. ``every``: with what is not suggested, as
        it is less sure than the field's precision needs."""
        ...


def replay_of(plan: FieldPlan, settings: Settings) -> Replay:
    if not plan.field.structured and not plan.field.dynamic:
        return Labels(plan, settings)
    if structured.relates(plan):
        return Relations(plan, settings)
    return Spans(plan, settings) if structured.remembers(plan) else Whole(plan, settings)


class Labels:
    """Of a field that chooses labels: ``recollection.remember`` and ``chances.decide``."""

    ahead, at_once = True, _READ_AT_ONCE

    def __init__(self, plan: FieldPlan, settings: Settings) -> None:
        self.plan, self._settings = plan, settings
        self._encoder = recollection.encoder_of(plan, settings)
        self._said: dict[str, list[Chances]] = {}

    def read(self, texts: Sequence[str]) -> None:
        each = chances.opinions(self.plan, texts, self._encoder, self._settings)
        for place, text in enumerate(texts):
            self._said[text] = [one.row(place) for one in each]

    def learn(self, revealed: Sequence[Example]) -> LabelMemory | None:
        roll = Roll.of(self.plan.field, revealed)
        return recollection.remember(self.plan, roll, self._together, len(revealed), self._encoder, self._settings)

    def answers(self, texts: Sequence[str], memory: LabelMemory | None, every: bool = False) -> list[Answer]:
        known = list(dict.fromkeys(text for text in texts if text))
        plan = self.plan.suggesting_all if every else self.plan
        each = self._together(known) if known else []
        if memory is not None and memory.shown and known:
            each = showing.behind(self.plan, known, each, memory.shown, self._settings)
        decided = chances.decide(plan, known, each, memory, trained.ready(plan, self._settings)) if known else []
        found = dict(zip(known, decided, strict=True))
        return [found[text] if text else classification.empty(self.plan.field) for text in texts]

    def vectors(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(n_texts, d) of the encoder, of texts that were read."""
        return _vectors(self._together(texts))

    def _together(self, texts: Sequence[str]) -> list[Chances]:
        each = [self._said[text] for text in texts]
        return [Chances.stacked([one[number] for one in each]) for number in range(len(self.plan.alone))]


class Spans:
    """Of a field that marks entities: ``span_memory.learn`` and ``entities.answers_of``."""

    ahead, at_once = True, _READ_AT_ONCE

    def __init__(self, plan: FieldPlan, settings: Settings) -> None:
        self.plan, self._settings = plan, settings
        self._found: dict[str, tuple[Marked, ...]] = {}

    def read(self, texts: Sequence[str]) -> None:
        self._found.update(zip(texts, recollection.go_through(self.plan, texts, self._settings), strict=True))

    def learn(self, revealed: Sequence[Example]) -> SpanMemory | None:
        latest = {one.text: one for one in revealed}.values()
        marked = [its for one in latest for its in recollection.with_spans(self._found[one.text], one.spans)]
        return span_memory.learn(self.plan.field, marked, len(revealed), self.plan.precision)

    def answers(self, texts: Sequence[str], memory: SpanMemory | None, every: bool = False) -> list[Answer]:
        known = list(dict.fromkeys(text for text in texts if text))
        passages = [entities.read_by(self.plan.field, Reading.model_validate_json(text)) for text in known]
        flat = [passage for some in passages for passage in some]
        its = [some for text in known for some in self._found[text]]
        candidates = [one._replace(owner=owner) for owner, some in enumerate(its) for one in some.candidates]
        adapter = trained.ready(self.plan, self._settings)
        if adapter is not None:
            drafts = adapter.drafts(flat, candidates, memory)
        else:
            drafts = [one[:5] for one in candidates] if memory is None else memory.drafts(flat, candidates)
        made = entities.answers_of(self.plan.field, passages, drafts, memory=memory)
        if self.plan.precision is not None and not every:
            needs = {} if memory is None else memory.needs
            made = [precision.of_spans(self.plan, one, needs) for one in made]
        found = dict(zip(known, made, strict=True))
        return [found[text] if text else classification.empty(self.plan.field) for text in texts]


def _vectors(each: Sequence[Chances]) -> np.ndarray[Any, np.dtype[np.float32]]:
    vectors = each[0].vectors
    assert vectors is not None
    return vectors

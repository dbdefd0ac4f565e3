"""A field replayed by asking the code that serves it: once what no label changes, and again what labels change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from labelloop.settings import Settings
from labelloop.tasks import answer, at_once, classification, recollection
from labelloop.tasks.recollection import Example
from labelloop.tasks.text_memory import TextMemory
from labelloop.words import Answer, Bundle, FieldPlan

_WRITES = frozenset({"causal", "remote"})  # seconds for each text, together no faster, so progress is told one by one
_READ_AT_ONCE = 32


class Whole:
    """A ``replay.Replay`` of any field, by ``tasks.answer`` and ``recollection.learn``. What is answered without a
    memory is kept, so a field that has none is asked once, whatever is labelled."""

    ahead = False

    def __init__(self, plan: FieldPlan, settings: Settings) -> None:
        self.plan, self._settings = plan, settings
        self.at_once = at_once(Bundle(plans=(plan,)), settings) if plan.engine in _WRITES else _READ_AT_ONCE
        self._kept: dict[float | None, dict[str, Answer]] = {}  # by the precision that is wished

    def read(self, texts: Sequence[str]) -> None:
        self.answers(texts, None, every=True)
        if self.plan.precision is not None:
            self.answers(texts, None)

    def learn(self, revealed: Sequence[Example]) -> TextMemory | None:
        return cast(TextMemory | None, recollection.learn(self.plan, revealed, len(revealed), self._settings))

    def answers(self, texts: Sequence[str], memory: TextMemory | None, every: bool = False) -> list[Answer]:
        plan = self.plan.suggesting_all if every else self.plan
        known: dict[str, Answer] = self._kept.setdefault(plan.precision, {}) if memory is None else {}
        new = list(dict.fromkeys(text for text in texts if text and text not in known))
        if new:
            name = plan.field.name
            memories = {} if memory is None else {name: memory}
            asked = answer(Bundle(plans=(plan,)), [{name: text} for text in new], self._settings, memories)
            known.update((text, its) for text, (its,) in zip(new, asked, strict=True))
        return [known[text] if text else classification.empty(plan.field) for text in texts]

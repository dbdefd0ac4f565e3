"""Examples as the engines read them: the item rendered for its field, with what was accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from labelloop.settings import Settings
from labelloop.studio.render import render_all
from labelloop.words import Example, FieldPlan

if TYPE_CHECKING:
    from labelloop.tasks.roll import Example as Read
    from labelloop.tasks.roll import Roll


def take_in(roll: Roll, plan: FieldPlan, examples: Iterable[Example], settings: Settings) -> Roll:
    """The roll with these examples in it, the latest last; an item that cannot be read is in it no more."""
    for one in sorted(examples, key=lambda one: (one.epoch, one.item)):
        roll.put(one.item, as_read(plan, one, settings))
    return roll


def as_read(plan: FieldPlan, one: Example, settings: Settings) -> Read | None:
    """None where there is no text, or only behind an address."""
    from labelloop.tasks.roll import Example as Read

    given = {plan.field.name: one.given}
    texts: Mapping[str, str] = render_all([plan.field], one.data, limit=settings.max_text_chars, given=given)[0]
    text = texts.get(plan.field.name, "")
    if not text.strip():
        return None
    its = one.answer
    return Read(text, tuple(its.labels), tuple(its.spans), tuple(its.texts), tuple(its.links))

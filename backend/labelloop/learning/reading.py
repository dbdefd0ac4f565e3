"""Examples as the engines read them: the item rendered for its field, with what was accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from labelloop.settings import Settings
from labelloop.studio.render import render_all
from labelloop.words import Example, FieldPlan

if TYPE_CHECKING:
    from labelloop.tasks.roll import Example as Read


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

"""Fields whose input is a Reading: spans first, then what relates or describes them; one registered kind each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelloop.engines import load
from labelloop.errors import SettingsError
from labelloop.prompting import PromptFile, load_file
from labelloop.settings import EngineName, Settings
from labelloop.tasks import entities
from labelloop.tasks.classification import EMPTY
from labelloop.tasks.entity_prompt import EntityPrompt
from labelloop.words import Answer, Bundle, FieldPlan, Reading, Span


@dataclass(frozen=True)
class Kind:
    """A task kind. ``prompt``: what new plans use; ``file``: what its file must be like.

    ``answer(plan, readings, engine, prompt)``: one Answer per reading, none of which is empty; no answer depends on the
    other readings. ``on_spans``: it needs the regions of ``field.regions_of``, which then are in ``reading.given``.
    ``warm(plan, engine, prompt)``: computes what the first answer would wait for. ``engines``: those that serve it.
    """

    prompt: str
    file: type[Any]
    answer: Callable[[FieldPlan, Sequence[Reading], Any, Any], list[Answer]]
    on_spans: bool = False
    warm: Callable[[FieldPlan, Any, Any], None] = lambda plan, engine, prompt: None
    engines: tuple[EngineName, ...] = ("encoder",)


KINDS: dict[str, Kind] = {
    "entities": Kind(entities.PROMPT, EntityPrompt, entities.answer, warm=entities.warm, engines=("encoder", "gliner")),
}


def prompt_of(kind: str, settings: Settings) -> PromptFile:
    """The prompt that new plans of a kind use. Raises SettingsError as ``load_file``."""
    model: type[PromptFile] = KINDS[kind].file
    return load_file(KINDS[kind].prompt, settings.prompts_dir, model)


def answer(
    bundle: Bundle, rendered: Sequence[Mapping[str, str]], answers: Sequence[dict[str, Answer]], settings: Settings
) -> None:
    """Adds the answers of the structured fields to ``answers``, per item by field name.

    A field on spans finds them in its reading, where they are given; else in the answers of the span fields, which are
    computed for it where the item does not ask for them.
    """
    plans = {one.field.name: one for one in bundle.plans if one.field.structured}
    needed: list[dict[str, Answer]] = [{} for _ in rendered]
    for on_spans in (False, True):
        for name, plan in plans.items():
            if KINDS[plan.field.kind].on_spans != on_spans:
                continue
            asked: list[tuple[int, Reading]] = []
            for index, item in enumerate(rendered):
                source = name if name in item else _asking(name, plans, item)
                if not source:
                    continue
                reading = Reading.model_validate_json(item[source])
                if on_spans and not reading.given:
                    given = _found(plan, needed[index])
                    reading = reading.model_copy(update={"given": given})
                asked.append((index, reading))
            for (index, _), one in zip(asked, _answers(plan, [r for _, r in asked], settings), strict=True):
                needed[index][name] = one
                if name in rendered[index]:
                    answers[index][name] = one


def _asking(name: str, plans: Mapping[str, FieldPlan], item: Mapping[str, str]) -> str:
    """A field of the item whose reading has no regions yet and needs those of ``name``; "" where there is none."""
    for other, plan in plans.items():
        if other in item and name in plan.field.regions_of:
            return other
    return ""


def _found(plan: FieldPlan, known: Mapping[str, Answer]) -> tuple[Span, ...]:
    spans = (span for name in plan.field.regions_of if name in known for span in known[name].spans)
    return tuple(span for span in spans if not plan.field.region_labels or span.label[-1] in plan.field.region_labels)


def _answers(plan: FieldPlan, readings: Sequence[Reading], settings: Settings) -> list[Answer]:
    read = [reading for reading in readings if not reading.empty]
    nothing = Answer(field=plan.field.name, labels=(), score=0.0, reason=EMPTY)
    if not read:
        return [nothing for _ in readings]
    engine = load(plan.engine, plan.model, plan.revision, settings)
    found = iter(KINDS[plan.field.kind].answer(plan, read, engine, _prompt(plan, settings)))
    return [nothing if reading.empty else next(found) for reading in readings]


def warm(bundle: Bundle, settings: Settings) -> None:
    """Computes what the first answers would wait for. Raises as ``answer``."""
    for plan in bundle.plans:
        if plan.field.structured:
            engine = load(plan.engine, plan.model, plan.revision, settings)
            KINDS[plan.field.kind].warm(plan, engine, _prompt(plan, settings))


def _prompt(plan: FieldPlan, settings: Settings) -> PromptFile:
    model: type[PromptFile] = KINDS[plan.field.kind].file
    prompt = load_file(plan.prompt, settings.prompts_dir, model)
    if prompt.digest != plan.prompt_hash:
        raise SettingsError(
            f"The prompt {plan.prompt} has changed since this version was made.",
            "Bring the old file back, or run `labelloop connect` again: it makes a version with the new one.",
        )
    return prompt

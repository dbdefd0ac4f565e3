"""Task kinds: from fields and texts to answers. Making a plan needs no torch; answering loads the plan's engine.

Which engine serves a field is decided by ``serving.engine_of``: ``fields.<name>``, else ``kinds.<kind>``, else
``fields."*"``, else "auto": the encoder chooses labels, marks, relates, compares and ranks; texts are written by the
remote engine where a server is set, else by the causal one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from labelloop.engines.identity import identify
from labelloop.errors import ConfigError, SettingsError
from labelloop.prompting import Prompt, PromptFile, load_prompt
from labelloop.settings import EngineName, Settings
from labelloop.tasks import chances, own_labels, structured
from labelloop.tasks.relation_memory import RelationMemory
from labelloop.tasks.serving import engine_of, precision_of, usual_model
from labelloop.tasks.span_memory import SpanMemory
from labelloop.tasks.text_memory import TextMemory
from labelloop.words import Answer, Bundle, Field, FieldPlan, Second

KINDS: dict[tuple[str, EngineName], str] = {
    ("classification", "encoder"): "classification/v1",
    ("classification", "crossencoder"): "entailment/v1",
    ("classification", "cloze"): "cloze/v1",
    ("classification", "remote"): "choice/v1",
    ("classification", "causal"): "continuation/v1",
    **{key: kind.prompt for key, kind in structured.KINDS.items()},
}
"""(Task kind, engine that serves it) -> the prompt that new plans use."""

Recollection = chances.Recollection | SpanMemory | RelationMemory | TextMemory
"""What the labels of one field say: of a field that chooses labels, marks entities, relates, or writes."""

_CAUSAL_RANKS, _CAUSAL_WRITES = 12, 100
"""A causal model reads a text once and then only the labels, but a token costs it ten times what it costs a small
encoder; to write a reply costs it as much again for each token of it."""


def plan(field: Field, settings: Settings) -> FieldPlan:
    """How the field will be served with today's settings: starts from neutral calibration, imports no torch.

    Raises:
        ConfigError: there is no task kind for the field, or it has no labels.
        ModelError: the configured model is not there.
        SettingsError: the prompt is missing or wrong, or the setting ``fields`` names an engine that cannot serve it,
            or wishes a precision that its kind cannot have.
    """
    if field.kind not in {kind for kind, _ in KINDS}:
        served = ", ".join(dict.fromkeys(kind for kind, _ in KINDS))
        raise ConfigError(f"The field {field.name!r} is of kind {field.kind!r}.", f"Served kinds: {served}.")
    if not field.labels and not field.dynamic and not field.structured:
        raise ConfigError(f"The field {field.name!r} has no labels.", "Give it labels, or remove it.")
    chosen = engine_of(field, settings, [engine for kind, engine in KINDS if kind == field.kind])
    its = _served(field, cast(EngineName, chosen.engine), chosen.model, chosen.revision, chosen.prompt, settings)
    wished = precision_of(field, settings)
    if chosen.beside is None:
        return FieldPlan(field=field, **its, precision=wished)
    second = chosen.beside
    model, revision = (second.model, second.revision) if second.model else usual_model(second.engine, settings)
    beside = _served(field, second.engine, model, revision, second.prompt, settings)
    return FieldPlan(field=field, **its, beside=Second(**beside, weight=second.weight), precision=wished)


def _served(
    field: Field, engine: EngineName, model: str, revision: str, prompt: str, settings: Settings
) -> dict[str, Any]:
    """What a plan holds of one engine."""
    usual = KINDS[field.kind, engine]
    if prompt and prompt.split("/")[0] != usual.split("/")[0]:
        raise SettingsError(
            f"The field {field.name!r} is of kind {field.kind}, served by the engine {engine}, and cannot use the "
            f"prompt {prompt}.",
            f"Name one of its own, such as {usual}.",
        )
    told: PromptFile
    if field.structured:
        told = structured.prompt_of(field.kind, engine, settings, prompt)
    else:
        told = load_prompt(prompt or usual, settings.prompts_dir)
        if told.lead and engine != "causal":
            raise SettingsError(
                f"The prompt {told.name} has a lead, which the engine {engine} has no use for.",
                "Remove the lead, or give the field the engine causal.",
            )
    return {
        "engine": engine,
        "model": model,
        "revision": identify(model, revision, engine, settings),
        "prompt": told.name,
        "prompt_hash": told.digest,
        "calibration": {"constants": told.constants.model_dump()} if isinstance(told, Prompt) else {},
    }


def make_bundle(fields: Sequence[Field], settings: Settings) -> Bundle:
    """A plan for each field. Raises what ``plan`` raises."""
    return Bundle(plans=tuple(plan(field, settings) for field in fields))


def answer(
    bundle: Bundle,
    rendered: Sequence[Mapping[str, str]],
    settings: Settings,
    memories: Mapping[str, Recollection] | None = None,
) -> list[list[Answer]]:
    """Per item, one Answer per plan whose field's name is among the item's texts, in the order of the plans.

    A text that several fields read is embedded once. No answer depends on the other items.

    Args:
        rendered: per item, the text of each field by the field's name; of a dynamic one, ``words.pose`` of it.
        memories: what labels say beside the engines, by field name (``recollection.learn``); fields without one are
            answered as ever. Answers depend on their epochs, so caches must too.

    Raises:
        ModelError: a model cannot be loaded, or changed since the bundle was made.
        SettingsError: a prompt changed since the bundle was made.
    """
    if any(one.field.dynamic for one in bundle.plans):
        return own_labels.answer_each(bundle, rendered, lambda part, texts: answer(part, texts, settings, memories))
    answers: list[dict[str, Answer]] = [{} for _ in rendered]
    chances.answer(
        [one for one in bundle.plans if not one.field.structured],
        rendered,
        answers,
        settings,
        cast(chances.Recollections, memories or {}),
    )
    structured.answer(bundle, rendered, answers, settings, memories)
    return [[found[p.field.name] for p in bundle.plans if p.field.name in found] for found in answers]


def calibrate(bundle: Bundle, sample: Sequence[Mapping[str, str]], settings: Settings) -> Bundle:
    """The bundle as it will serve, its models, labels and priors computed and warm in this process.

    The prior of a label comes from general texts in the prompt file, not from ``sample``: removing a prior that was
    estimated on the project's own texts gains little more on balanced projects, loses on unbalanced ones and on samples
    that are not random (``benchmarks/zero_shot.py`` shows both), and would give every connection its own version. So a
    bundle is calibrated by its prompt hash and its model revision alone, and comes back as it was.

    Args:
        sample: rendered texts by field name, as for ``answer``; the place for calibration that does need them.

    Raises:
        ModelError, SettingsError: as ``answer``.
    """
    chances.warm([one for one in bundle.plans if not one.field.structured], settings)
    structured.warm(bundle, settings)
    return bundle


def readings(bundle: Bundle) -> float:
    """About how often the bundle's engines read each of an item's texts, for who plans how many to ask at once."""
    each = [sum(map(_readings, one.alone)) for one in bundle.plans]
    return sum(each) / max(1, len(each))


def at_once(bundle: Bundle, settings: Settings) -> int:
    """How many items should at least be asked together: as many as a server, where one is asked, works on at once. Its
    answers take longer than a micro-batch should, however few there are, so time alone would ask for one by one."""
    asked = any(its.engine == "remote" for one in bundle.plans for its in one.alone)
    return settings.remote_concurrency if asked else 1


def _readings(one: FieldPlan) -> float:
    labels = max(1, len(one.field.labels))
    if one.engine in chances.READS_ONCE | {"remote"}:  # a server does, for as many labels as there are letters
        return 1
    if one.engine == "causal":
        return _CAUSAL_WRITES if one.field.structured else _CAUSAL_RANKS + labels
    return labels

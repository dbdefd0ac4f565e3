"""Task kinds: from fields and texts to answers. Making a plan needs no torch; answering loads the plan's engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from labelloop.engines import Ranker, load
from labelloop.engines.identity import identify
from labelloop.errors import ConfigError, SettingsError
from labelloop.prompting import Prompt, PromptFile, load_prompt, unchanged
from labelloop.settings import EngineName, FieldSetting, Settings
from labelloop.tasks import classification, own_labels, rank, structured
from labelloop.words import Answer, Bundle, Field, FieldPlan

KINDS: dict[tuple[str, EngineName], str] = {
    ("classification", "encoder"): "classification/v1",
    ("classification", "crossencoder"): "entailment/v1",
    ("classification", "cloze"): "cloze/v1",
    ("classification", "causal"): "continuation/v1",
    **{key: kind.prompt for key, kind in structured.KINDS.items()},
}
"""(Task kind, engine that serves it) -> the prompt that new plans use."""

_READS_ONCE = frozenset({"encoder", "gliner"})
"""Engines that read a text once for all labels of all fields; of the others, all but ``causal`` with each label."""
_CAUSAL_RANKS, _CAUSAL_WRITES = 12, 100
"""A causal model reads a text once and then only the labels, but a token costs it ten times what it costs a small
encoder; to write a reply costs it as much again for each token of it."""


def plan(field: Field, settings: Settings) -> FieldPlan:
    """How the field will be served with today's settings: starts from neutral calibration, imports no torch.

    Raises:
        ConfigError: there is no task kind for the field, or it has no labels.
        ModelError: the configured model is not there.
        SettingsError: the prompt is missing or wrong, or the setting ``fields`` names an engine that cannot serve it.
    """
    if field.kind not in {kind for kind, _ in KINDS}:
        served = ", ".join(dict.fromkeys(kind for kind, _ in KINDS))
        raise ConfigError(f"The field {field.name!r} is of kind {field.kind!r}.", f"Served kinds: {served}.")
    if not field.labels and not field.dynamic and not field.structured:
        raise ConfigError(f"The field {field.name!r} has no labels.", "Give it labels, or remove it.")
    chosen = _engine_of(field, settings)
    engine = cast(EngineName, chosen.engine)
    if chosen.prompt and chosen.prompt.split("/")[0] != KINDS[field.kind, engine].split("/")[0]:
        raise SettingsError(
            f"The field {field.name!r} is of kind {field.kind} and cannot use the prompt {chosen.prompt}.",
            f"Name one of its own, such as {KINDS[field.kind, engine]}.",
        )
    told: PromptFile
    if field.structured:
        told = structured.prompt_of(field.kind, engine, settings, chosen.prompt)
    else:
        told = load_prompt(chosen.prompt or KINDS[field.kind, engine], settings.prompts_dir)
        if told.lead and engine != "causal":
            raise SettingsError(
                f"The prompt {told.name} has a lead, which the engine {engine} has no use for.",
                "Remove the lead, or give the field the engine causal.",
            )
    return FieldPlan(
        field=field,
        engine=engine,
        model=chosen.model,
        revision=identify(chosen.model, chosen.revision, engine, settings),
        prompt=told.name,
        prompt_hash=told.digest,
        calibration={"constants": told.constants.model_dump()} if isinstance(told, Prompt) else {},
    )


def _engine_of(field: Field, settings: Settings) -> FieldSetting:
    """What the setting ``fields`` says of the field by its name, or by "*" where that engine serves its kind; else what
    "auto" is: the first engine in ``KINDS`` that serves it. Always with an engine and a model."""
    serving = [engine for kind, engine in KINDS if kind == field.kind]
    own = settings.fields.get(field.name) or FieldSetting()
    if own.engine not in {"auto", *serving}:
        raise SettingsError(
            f"The setting fields gives the field {field.name!r} the engine {own.engine}, which cannot serve a field of "
            f"kind {field.kind}.",
            f"In LABELLOOP_FIELDS or labelloop.toml, choose one of: {', '.join(serving)}.",
        )
    chosen = own
    if own.engine == "auto" and not own.model:
        general = settings.fields.get("*") or FieldSetting()
        engine = "encoder" if general.engine == "auto" and general.model else general.engine
        if engine in serving:
            its = {"engine": engine, "model": general.model, "revision": general.revision}
            chosen = own.model_copy(update=its)
    if chosen.engine == "auto":
        chosen = chosen.model_copy(update={"engine": serving[0]})
    if chosen.model:
        return chosen
    models = {
        "encoder": (settings.encoder, settings.encoder_revision),
        "causal": (settings.writer, settings.writer_revision),
        "remote": (settings.remote_model or "default", ""),
    }
    model, revision = models[chosen.engine]
    return chosen.model_copy(update={"model": model, "revision": revision})


def make_bundle(fields: Sequence[Field], settings: Settings) -> Bundle:
    """A plan for each field. Raises what ``plan`` raises."""
    return Bundle(plans=tuple(plan(field, settings) for field in fields))


def answer(bundle: Bundle, rendered: Sequence[Mapping[str, str]], settings: Settings) -> list[list[Answer]]:
    """Per item, one Answer per plan whose field's name is among the item's texts, in the order of the plans.

    A text that several fields read is embedded once. No answer depends on the other items.

    Args:
        rendered: per item, the text of each field by the field's name; of a dynamic one, ``words.pose`` of it.

    Raises:
        ModelError: a model cannot be loaded, or changed since the bundle was made.
        SettingsError: a prompt changed since the bundle was made.
    """
    if any(one.field.dynamic for one in bundle.plans):
        return own_labels.answer_each(bundle, rendered, lambda part, texts: answer(part, texts, settings))
    answers: list[dict[str, Answer]] = [{} for _ in rendered]
    for plans in _by_engine(bundle):
        if ranked := [one for one in plans if not one.field.structured]:
            _answer_with(ranked, rendered, answers, settings)
    structured.answer(bundle, rendered, answers, settings)
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
    for plans in _by_engine(bundle):
        engine = load(plans[0].engine, plans[0].model, plans[0].revision, settings)
        # dynamic ones have no labels before an item brings some
        fixed = [one for one in plans if not one.field.dynamic and not one.field.structured]
        if fixed:
            rank.warm(engine, fixed, [_prompt(one, settings) for one in fixed])
    structured.warm(bundle, settings)
    return bundle


def readings(bundle: Bundle) -> float:
    """About how often the bundle's engines read each of an item's texts, for who plans how many to ask at once."""
    each = [_readings(one) for one in bundle.plans]
    return sum(each) / max(1, len(each))


def _readings(one: FieldPlan) -> float:
    labels = max(1, len(one.field.labels))
    if one.engine in _READS_ONCE:
        return 1
    if one.engine == "causal":
        return _CAUSAL_WRITES if one.field.structured else _CAUSAL_RANKS + labels
    return labels


def _by_engine(bundle: Bundle) -> list[list[FieldPlan]]:
    """The plans in groups, each of which is answered in one call of its engine."""
    groups: dict[tuple[str, ...], list[FieldPlan]] = {}
    for one in bundle.plans:
        alone = "" if one.engine in _READS_ONCE else one.prompt if one.engine == "causal" else one.field.name
        groups.setdefault((one.engine, one.model, one.revision, alone), []).append(one)
    return list(groups.values())


def _answer_with(
    plans: Sequence[FieldPlan],
    rendered: Sequence[Mapping[str, str]],
    answers: Sequence[dict[str, Answer]],
    settings: Settings,
) -> None:
    """Answers the plans of one engine: every text of every plan in one call, against the labels of all plans."""
    engine: Ranker = load(plans[0].engine, plans[0].model, plans[0].revision, settings)
    prompts = [_prompt(one, settings) for one in plans]
    names = {one.field.name for one in plans}
    texts = list(dict.fromkeys(t for item in rendered for name, t in item.items() if name in names and t.strip()))
    row = {text: index for index, text in enumerate(texts)}
    windows = engine.windows(texts)
    for one, ranked in zip(plans, rank.rank(engine, plans, prompts, texts), strict=True):
        name = one.field.name
        asked = []
        for found, item in zip(answers, rendered, strict=True):
            if item.get(name, "").strip():
                asked.append((found, row[item[name]]))
            elif name in item:
                found[name] = classification.empty(one.field)
        rows = [index for _, index in asked]
        its_windows = [windows[index] for index in rows]
        decided = classification.decide(one, ranked.similarities[rows], ranked.prior, its_windows)
        for (found, _), its_answer in zip(asked, decided, strict=True):
            found[name] = its_answer


def _prompt(one: FieldPlan, settings: Settings) -> Prompt:
    return unchanged(load_prompt(one.prompt, settings.prompts_dir), one.prompt_hash)

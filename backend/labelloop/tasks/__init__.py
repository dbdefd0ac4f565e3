"""Task kinds: from fields and texts to answers. Making a plan needs no torch; answering loads the plan's engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labelloop.engines import Ranker, load
from labelloop.engines.identity import identify
from labelloop.errors import ConfigError, SettingsError
from labelloop.prompting import Prompt, load_prompt, unchanged
from labelloop.settings import FieldEngine, Settings
from labelloop.tasks import classification, own_labels, rank, structured
from labelloop.words import Answer, Bundle, Field, FieldPlan

KINDS: dict[tuple[str, str], str] = {
    ("classification", "encoder"): "classification/v1",
    ("classification", "crossencoder"): "entailment/v1",
    ("classification", "cloze"): "cloze/v1",
} | {(name, engine): kind.prompt for name, kind in structured.KINDS.items() for engine in kind.engines}
"""(Task kind, engine that serves it) -> the prompt that new plans use."""

_READS_ONCE = frozenset({"encoder", "gliner"})
"""Engines that read a text once for all labels of all fields; the others read it with each label."""


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
    structure = structured.prompt_of(field.kind, settings) if field.structured else None
    told = structure or load_prompt(KINDS[field.kind, chosen.engine], settings.prompts_dir)
    return FieldPlan(
        field=field,
        engine=chosen.engine,
        model=chosen.model,
        revision=identify(chosen.model, chosen.revision),
        prompt=told.name,
        prompt_hash=told.digest,
        calibration={"constants": told.constants.model_dump()} if isinstance(told, Prompt) else {},
    )


def _engine_of(field: Field, settings: Settings) -> FieldEngine:
    """What the setting ``fields`` says of the field by its name, or by "*" where that engine serves its kind; else the
    encoder. Always with a model."""
    serving = [engine for kind, engine in KINDS if kind == field.kind]
    own = settings.fields.get(field.name)
    if own and own.engine not in serving:
        raise SettingsError(
            f"The setting fields gives the field {field.name!r} the engine {own.engine}, which cannot serve a field of "
            f"kind {field.kind}.",
            f"In LABELLOOP_FIELDS or labelloop.toml, choose one of: {', '.join(serving)}.",
        )
    general = settings.fields.get("*")
    chosen = own or (general if general and general.engine in serving else None)
    if chosen and chosen.model:
        return chosen
    return FieldEngine(model=settings.encoder, revision=settings.encoder_revision)


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
    each = [1 if one.engine in _READS_ONCE else max(1, len(one.field.labels)) for one in bundle.plans]
    return sum(each) / max(1, len(each))


def _by_engine(bundle: Bundle) -> list[list[FieldPlan]]:
    """The plans in groups, each of which is answered in one call of its engine."""
    groups: dict[tuple[str, ...], list[FieldPlan]] = {}
    for one in bundle.plans:
        alone = "" if one.engine in _READS_ONCE else one.field.name
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

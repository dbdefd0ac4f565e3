"""Task kinds: from fields and texts to answers. Making a plan needs no torch; answering loads the plan's engine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from labelloop.engines import Engine, load
from labelloop.engines.identity import identify
from labelloop.errors import ConfigError, SettingsError
from labelloop.prompting import Prompt, load_prompt
from labelloop.settings import Settings
from labelloop.tasks import classification
from labelloop.words import Answer, Bundle, Field, FieldPlan

KINDS = {"classification": "classification/v1"}
"""Task kind -> the prompt that new plans use."""

_neutral: OrderedDict[tuple[object, ...], NDArray[np.float64]] = OrderedDict()
_neutral_lock = Lock()


def plan(field: Field, settings: Settings) -> FieldPlan:
    """How the field will be served with today's settings: starts from neutral calibration, imports no torch.

    Raises:
        ConfigError: there is no task kind for the field, or it has no labels.
        ModelError: the configured model is not there.
        SettingsError: the prompt is missing or wrong.
    """
    if field.kind not in KINDS:
        raise ConfigError(f"The field {field.name!r} is of kind {field.kind!r}.", f"Served kinds: {', '.join(KINDS)}.")
    if not field.labels:
        raise ConfigError(f"The field {field.name!r} has no labels.", "Give it labels, or remove it.")
    prompt = load_prompt(KINDS[field.kind], settings.prompts_dir)
    return FieldPlan(
        field=field,
        engine="encoder",
        model=settings.encoder,
        revision=identify(settings.encoder, settings.encoder_revision),
        prompt=prompt.name,
        prompt_hash=prompt.digest,
        calibration={"constants": prompt.constants.model_dump(), "prior": None},
    )


def make_bundle(fields: Sequence[Field], settings: Settings) -> Bundle:
    """A plan for each field. Raises what ``plan`` raises."""
    return Bundle(plans=tuple(plan(field, settings) for field in fields))


def answer(bundle: Bundle, rendered: Sequence[Mapping[str, str]], settings: Settings) -> list[list[Answer]]:
    """Per item, one Answer per plan whose field's name is among the item's texts, in the order of the plans.

    A text that several fields read is embedded once. No answer depends on the other items.

    Args:
        rendered: per item, the text of each field by the field's name.

    Raises:
        ModelError: a model cannot be loaded, or changed since the bundle was made.
        SettingsError: a prompt changed since the bundle was made.
    """
    answers: list[dict[str, Answer]] = [{} for _ in rendered]
    for plans in _by_engine(bundle):
        _answer_with(plans, rendered, answers, settings)
    return [[found[p.field.name] for p in bundle.plans if p.field.name in found] for found in answers]


def calibrate(bundle: Bundle, sample: Sequence[Mapping[str, str]], settings: Settings) -> Bundle:
    """The bundle with what a random sample of the project's texts tells about its labels, frozen.

    Args:
        sample: rendered texts by field name, as for ``answer``.

    Raises:
        ModelError, SettingsError: as ``answer``.
    """
    return bundle


def _by_engine(bundle: Bundle) -> list[list[FieldPlan]]:
    groups: dict[tuple[str, str, str], list[FieldPlan]] = {}
    for one in bundle.plans:
        groups.setdefault((one.engine, one.model, one.revision), []).append(one)
    return list(groups.values())


def _answer_with(
    plans: Sequence[FieldPlan],
    rendered: Sequence[Mapping[str, str]],
    answers: Sequence[dict[str, Answer]],
    settings: Settings,
) -> None:
    """Answers the plans of one engine: every text of every plan in one call, against the labels of all plans."""
    engine = load(plans[0].engine, plans[0].model, plans[0].revision, settings)
    prompts = [_prompt(one, settings) for one in plans]
    labels = [classification.verbalizations(one.field, prompt) for one, prompt in zip(plans, prompts, strict=True)]
    names = {one.field.name for one in plans}
    texts = list(dict.fromkeys(t for item in rendered for name, t in item.items() if name in names and t.strip()))
    row = {text: index for index, text in enumerate(texts)}
    windows = engine.windows(texts)
    similarities = engine.rank(texts, [label for of_plan in labels for label in of_plan]).astype(np.float64)
    column = 0
    for one, prompt, of_plan in zip(plans, prompts, labels, strict=True):
        columns = slice(column, column := column + len(of_plan))
        name = one.field.name
        for found, item in zip(answers, rendered, strict=True):
            if name in item and not item[name].strip():
                found[name] = Answer(field=name, labels=(), score=0.0, reason="The text is empty.")
        asked = [
            (found, row[item[name]])
            for found, item in zip(answers, rendered, strict=True)
            if item.get(name, "").strip()
        ]
        if not asked:
            continue
        rows = [index for _, index in asked]
        neutral = _neutral_similarities(engine, one, prompt, of_plan)
        decided = classification.decide(one, similarities[rows, columns], neutral, [windows[index] for index in rows])
        for (found, _), one_answer in zip(asked, decided, strict=True):
            found[name] = one_answer


def _prompt(one: FieldPlan, settings: Settings) -> Prompt:
    prompt = load_prompt(one.prompt, settings.prompts_dir)
    if prompt.digest != one.prompt_hash:
        raise SettingsError(
            f"The prompt {one.prompt} has changed since this version was made.",
            "Bring the old file back, or run `labelloop connect` again: it makes a version with the new one.",
        )
    return prompt


def _neutral_similarities(
    engine: Engine, one: FieldPlan, prompt: Prompt, labels: Sequence[tuple[str, ...]]
) -> NDArray[np.float64]:
    """(n_neutral, n_labels), computed once per process for a set of labels: it depends on nothing else."""
    key = (one.engine, one.model, one.revision, prompt.digest, tuple(labels))
    with _neutral_lock:
        if key not in _neutral:
            _neutral[key] = engine.rank(prompt.neutral, labels).astype(np.float64)
        _neutral.move_to_end(key)
        while len(_neutral) > 100:
            _neutral.popitem(last=False)
        return _neutral[key]

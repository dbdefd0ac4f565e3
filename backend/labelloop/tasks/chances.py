"""Choosing labels: the probabilities that engines give to a field's labels, alone or averaged, and the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelloop.engines import Ranker, load
from labelloop.prompting import Prompt, load_prompt, unchanged
from labelloop.settings import Settings
from labelloop.tasks import calibration, classification, rank
from labelloop.tasks.calibration import Array
from labelloop.words import Answer, FieldPlan

READS_ONCE = frozenset({"encoder", "gliner"})
"""Engines that read a text once for all labels of all fields; the others read it with each label."""


@dataclass(frozen=True)
class Chances:
    """What one engine, or two, say of texts. ``labels``: (n_texts, n_labels) probabilities, which sum to 1 in a row
    where one label is chosen. ``windows``: of each text."""

    labels: Array
    windows: Sequence[int]


def answer(
    plans: Sequence[FieldPlan],
    rendered: Sequence[Mapping[str, str]],
    answers: Sequence[dict[str, Answer]],
    settings: Settings,
) -> None:
    """Adds to ``answers``, per item by field name, the answers of plans that choose labels. Raises as ``of_texts``."""
    texts = {one.field.name: _texts(one, rendered) for one in plans}
    each = _each(plans, texts, settings)
    for place, one in enumerate(plans):
        name = one.field.name
        mixed, alone = together(one, [each[place, number] for number in range(len(one.alone))])
        decided = dict(zip(texts[name], classification.answers(one.field, mixed.labels, mixed.windows), strict=True))
        if one.beside:
            for row, text in enumerate(texts[name]):
                decided[text] = _told(decided[text], one, [its.labels[row] for its in alone])
        for found, item in zip(answers, rendered, strict=True):
            if item.get(name, "").strip():
                found[name] = decided[item[name]]
            elif name in item:
                found[name] = classification.empty(one.field)


def of_texts(plan: FieldPlan, texts: Sequence[str], settings: Settings) -> Chances:
    """What the plan's first engine says of texts, none of which is empty.

    Raises:
        ModelError: a model cannot be loaded, or changed since the plan was made.
        SettingsError: a prompt changed since the plan was made.
    """
    return _each([plan], {plan.field.name: list(texts)}, settings)[0, 0]


def warm(plans: Sequence[FieldPlan], settings: Settings) -> None:
    """Loads the engines, and computes the labels and the priors of plans that choose among fixed labels."""
    for group in _by_engine(plans):
        engine: Ranker = load(group[0][2].engine, group[0][2].model, group[0][2].revision, settings)
        fixed = [one for *_, one in group if not one.field.dynamic]  # others have no labels before an item brings some
        if fixed:
            rank.warm(engine, fixed, [_prompt(one, settings) for one in fixed])


def together(plan: FieldPlan, each: Sequence[Chances]) -> tuple[Chances, Sequence[Chances]]:
    """The chances of the plan's engines as one, and each by itself."""
    if plan.beside is None:
        return each[0], each
    first, second = (its.labels for its in each)
    mixed = calibration.mix(first, second, plan.beside.weight, several=plan.field.multiple)
    return Chances(mixed, each[0].windows), each


def _told(one: Answer, plan: FieldPlan, rows: Sequence[Array]) -> Answer:
    """The answer with what each engine thinks of the label that was chosen."""
    if len(one.labels) != 1:
        return one
    column = next(index for index, label in enumerate(plan.field.labels) if label.path == one.labels[0])
    names = [its.engine for its in plan.alone]
    if names[0] == names[1]:
        names = [f"{its.engine} {its.model} {its.prompt}" for its in plan.alone]
    said = {name: calibration.rounded(row[column]) for name, row in zip(names, rows, strict=True)}
    return one.model_copy(update={"provenance": {**one.provenance, "engines": said}})


def _texts(plan: FieldPlan, rendered: Sequence[Mapping[str, str]]) -> list[str]:
    name = plan.field.name
    return list(dict.fromkeys(item[name] for item in rendered if item.get(name, "").strip()))


_Opinion = tuple[int, int, FieldPlan]  # index of the plan, which of its engines, the plan of that engine alone


def _by_engine(plans: Sequence[FieldPlan]) -> Iterator[list[_Opinion]]:
    """In groups, each of which is answered in one call of its engine."""
    groups: dict[tuple[str, ...], list[_Opinion]] = {}
    for place, plan in enumerate(plans):
        for number, one in enumerate(plan.alone):
            # a causal model reads a text once for all labels, behind the lead of one prompt
            alone = "" if one.engine in READS_ONCE else one.prompt if one.engine == "causal" else f"{place} {number}"
            groups.setdefault((one.engine, one.model, one.revision, alone), []).append((place, number, one))
    yield from groups.values()


def _each(
    plans: Sequence[FieldPlan], wanted: Mapping[str, Sequence[str]], settings: Settings
) -> dict[tuple[int, int], Chances]:
    """What each engine of each plan says of the field's texts: every text of all plans of an engine in one call,
    against the labels of all of them."""
    found = {}
    for group in _by_engine(plans):
        its = [one for *_, one in group]
        engine: Ranker = load(its[0].engine, its[0].model, its[0].revision, settings)
        texts = list(dict.fromkeys(text for one in its for text in wanted[one.field.name]))
        row = {text: index for index, text in enumerate(texts)}
        windows = engine.windows(texts)
        ranked = rank.rank(engine, its, [_prompt(one, settings) for one in its], texts)
        for (place, number, one), what in zip(group, ranked, strict=True):
            rows = np.array([row[text] for text in wanted[one.field.name]], np.intp)
            labels = classification.chances(one, what.similarities[rows], what.prior)
            found[place, number] = Chances(labels, [windows[index] for index in rows])
    return found


def _prompt(one: FieldPlan, settings: Settings) -> Prompt:
    return unchanged(load_prompt(one.prompt, settings.prompts_dir), one.prompt_hash)

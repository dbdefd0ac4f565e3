"""Classification: choosing among given labels (one, several, or a step of a scale) by similarity to what they mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labelloop.engines import Engine
from labelloop.prompting import Constants, Prompt
from labelloop.tasks import calibration
from labelloop.tasks.verbalizers import verbalize
from labelloop.words import Answer, Field, FieldPlan

ALTERNATIVES = 10


def verbalizations(field: Field, prompt: Prompt) -> list[tuple[str, ...]]:
    """For each label of the field, in order, the texts that stand for it."""
    return verbalize(field, prompt)


def decide(
    plan: FieldPlan,
    similarities: calibration.Array,
    neutral: calibration.Array,
    windows: Sequence[int],
) -> list[Answer]:
    """Answers from similarities.

    Args:
        plan: its calibration holds the constants and, where a sample was seen, the project's prior.
        similarities: (n_texts, n_labels).
        neutral: (n_neutral, n_labels) similarities of the prompt's neutral texts.
        windows: of each text.
    """
    constants = Constants(**plan.calibration["constants"])
    prior, spread = calibration.neutral_statistics(neutral)
    if plan.calibration.get("prior") is not None:
        prior = np.asarray(plan.calibration["prior"], np.float64)
    evidence = calibration.standardise(similarities, prior, spread, constants.prior)
    choose = _several if plan.field.multiple else _one
    return [choose(plan.field, row, constants, count) for row, count in zip(evidence, windows, strict=True)]


def _one(field: Field, evidence: calibration.Array, constants: Constants, windows: int) -> Answer:
    chances = calibration.probabilities(evidence[None], constants)[0]
    order = np.argsort(-chances, kind="stable")
    return Answer(
        field=field.name,
        labels=(field.labels[order[0]].path,),
        score=_round(chances[order[0]]),
        alternatives=_alternatives(field, chances, order),
        provenance={"windows": windows},
    )


def _several(field: Field, evidence: calibration.Array, constants: Constants, windows: int) -> Answer:
    chances = calibration.independent(evidence[None], constants)[0]
    order = np.argsort(-chances, kind="stable")
    chosen = [index for index in order if chances[index] >= 0.5]
    return Answer(
        field=field.name,
        labels=tuple(field.labels[index].path for index in chosen),
        score=_round(np.prod(np.maximum(chances, 1 - chances))),
        alternatives=_alternatives(field, chances, order),
        provenance={"windows": windows},
    )


def _alternatives(
    field: Field, chances: calibration.Array, order: calibration.Array
) -> tuple[tuple[tuple[str, ...], float], ...]:
    return tuple((field.labels[index].path, _round(chances[index])) for index in order[:ALTERNATIVES])


def _round(chance: float) -> float:
    return round(min(max(float(chance), 0.0), 1.0), 4)

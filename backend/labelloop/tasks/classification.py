"""Classification: choosing among given labels (one, several, or a step of a scale) by similarity to what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelloop.prompting import Constants
from labelloop.tasks import calibration
from labelloop.tasks.calibration import Array, Prior, rounded
from labelloop.words import Answer, Field, FieldPlan

ALTERNATIVES = 10
EMPTY = "The text is empty."


def chances(plan: FieldPlan, similarities: Array, prior: Prior) -> Array:
    """(n_texts, n_labels) probabilities: of each label to be the right one, or, where several may be, to be right.

    Args:
        plan: its calibration holds the constants.
        similarities: (n_texts, n_labels) from the plan's engine.
        prior: of the field's labels.
    """
    constants = Constants(**plan.calibration["constants"])
    against = calibration.evidence(similarities, prior, constants)
    if plan.field.multiple:
        return calibration.choose_several(against, similarities, prior, constants)
    return calibration.choose_one(against, constants)


def answers(field: Field, chances: Array, windows: Sequence[int]) -> list[Answer]:
    """One answer per text, from (n_texts, n_labels) ``chances`` and how many windows each text was read in."""
    decide = _several if field.multiple else _one
    return [decide(field, row, count) for row, count in zip(chances, windows, strict=True)]


def decide(plan: FieldPlan, similarities: Array, prior: Prior, windows: Sequence[int]) -> list[Answer]:
    """One answer per text; arguments as ``chances`` and ``answers``."""
    return answers(plan.field, chances(plan, similarities, prior), windows)


def empty(field: Field) -> Answer:
    """What there is to say about a text without words."""
    return Answer(field=field.name, labels=(), score=0.0, reason=EMPTY)


def _one(field: Field, chances: Array, windows: int) -> Answer:
    order = np.argsort(-chances, kind="stable")
    return _answer(field, [order[0]], chances[order[0]], chances, order, windows)


def _several(field: Field, chances: Array, windows: int) -> Answer:
    """Every label that is rather right than wrong; the score is that of all these decisions being right together."""
    order = np.argsort(-chances, kind="stable")
    chosen = [index for index in order if chances[index] >= 0.5]
    return _answer(field, chosen, np.prod(np.maximum(chances, 1 - chances)), chances, order, windows)


def _answer(
    field: Field, chosen: Sequence[int], score: Any, chances: Array, order: NDArray[np.intp], windows: int
) -> Answer:
    return Answer(
        field=field.name,
        labels=tuple(field.labels[index].path for index in chosen),
        score=rounded(score),
        alternatives=tuple((field.labels[index].path, rounded(chances[index])) for index in order[:ALTERNATIVES]),
        provenance={"windows": windows},
    )

"""Nothing rather than something wrong: from which score on a label is suggested, where a precision is wished for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelloop.tasks import memory
from labelloop.tasks.calibration import Array, rounded
from labelloop.words import Answer, Field, FieldPlan, Path

FEWEST = 8
"""Held-out suggestions of a label below which its score alone is believed: that many, all of them right, are the first
that tell of a precision of 0.9."""
NEVER = math.inf
LEVEL = 0.2
"""How likely a bound may be too high. Mild, since a label's suggestions come by the ten: at 0.05 a precision of 0.9
would need 19 of them, all right."""
_WHY = "below the precision of {wished:g} that is wished: "

Needs = Mapping[Path, float]
"""By label the least score with which it is suggested; ``NEVER``: with none. Of others it is the wished precision."""


class Suggestion(NamedTuple):
    """Of an example, by a memory that has not seen it. ``label``: its column. ``score``: in [0, 1], as answers round
    it. ``right``: whether people said the same."""

    label: int
    score: float
    right: bool


def bound(right: NDArray[np.integer], of: NDArray[np.integer]) -> Array:
    """Lower ends of the precision of so many suggestions, so many of which are right: the ``LEVEL`` quantile of
    Jeffreys' posterior. It comes out right on average over precisions, where Clopper and Pearson's interval, right for
    each, would need twice the examples (Brown, Cai and DasGupta 2001 compare them)."""
    from scipy.special import betaincinv  # here, as the web process, which learns nothing, has no scipy

    made: Array = betaincinv(right + 0.5, of - right + 0.5, LEVEL)
    return made


def needed(said: Iterable[Suggestion], wished: float) -> float:
    """The least score from which on one label's suggestions are as often right as wished, by ``bound``.

    It never falls when more is wished. Where suggestions tell nothing, scores are believed, as they are probabilities,
    and it is what is wished: of fewer than ``FEWEST`` suggestions; of as many as cannot tell so high a precision though
    they are faultless; and below the least of their scores, where all of them together are right often enough.

    Args:
        wished: in (0, 1].
    """
    ordered = sorted(said, key=lambda one: -one.score)
    if len(ordered) < FEWEST:
        return wished
    scores = np.array([one.score for one in ordered])
    of = np.arange(1, len(ordered) + 1)
    bounds = bound(np.cumsum([one.right for one in ordered]), of)
    if all(one.right for one in ordered) and bounds[-1] < wished:
        return wished
    last = np.append(scores[1:] < scores[:-1], True)  # equal scores go together
    enough = last & (bounds >= wished)
    if not enough.any():
        return NEVER
    least = float(scores[enough].min())
    return min(least, wished) if enough[-1] else least


def needs(field: Field, said: Sequence[Suggestion], wished: float) -> dict[Path, float]:
    """``needed`` of each of the field's labels."""
    return {
        label.path: needed([one for one in said if one.label == column], wished)
        for column, label in enumerate(field.labels)
    }


def held_out(
    vectors: NDArray[np.floating], right: memory.Right, zero_shot: Array, several: bool, shares: Sequence[float]
) -> list[Suggestion]:
    """What is suggested for examples by heads that have not seen them; arguments as of ``memory.fit``."""
    if len(vectors) < FEWEST:
        return []
    chances = np.empty(zero_shot.shape)
    fold = memory.folds(len(vectors))
    for one in range(fold.max() + 1):
        out = fold == one
        head = memory.fit(vectors[~out], right[~out], zero_shot[~out], several, shares)
        chances[out] = memory.recall(head, vectors[out], zero_shot[out], several)
    chosen = chances >= 0.5 if several else np.eye(right.shape[1], dtype=bool)[chances.argmax(axis=1)]
    return [
        Suggestion(int(column), rounded(chances[row, column]), bool(right[row, column]))
        for row, column in np.argwhere(chosen)
    ]


def of_labels(plan: FieldPlan, answer: Answer, chances: Array, its_needs: Needs) -> Answer:
    """The answer without labels whose score is too low; its own score, which orders the tasks, stays.

    Args:
        chances: (n_labels,) of this text.
    """
    column = plan.field.columns
    scores = [(path, rounded(chances[column[path]])) for path in answer.labels]
    kept = tuple(path for path, score in scores if score >= _need(plan, its_needs, path))
    return _told(plan, answer.model_copy(update={"labels": kept}), scores, its_needs)


def of_spans(plan: FieldPlan, answer: Answer, its_needs: Needs) -> Answer:
    """As ``of_labels``, span by span."""
    kept = tuple(span for span in answer.spans if span.score >= _need(plan, its_needs, span.label))
    scores = [(span.label, span.score) for span in answer.spans]
    return _told(plan, answer.model_copy(update={"spans": kept}), scores, its_needs)


def withheld(answers: Iterable[Answer]) -> bool:
    """Whether something of them is not suggested because it is not sure enough."""
    return any("withheld" in one.provenance for one in answers)


def _need(plan: FieldPlan, its_needs: Needs, path: Path) -> float:
    assert plan.precision is not None
    return its_needs.get(path, plan.precision)


def _told(plan: FieldPlan, answer: Answer, scores: Sequence[tuple[Path, float]], its_needs: Needs) -> Answer:
    """The answer with why something of it is held back, by label."""
    why = {
        " > ".join(path): _WHY.format(wished=plan.precision)
        + (f"needs {need:g}" if need <= 1 else "with no score it was right so often")
        for path, score in scores
        if score < (need := _need(plan, its_needs, path))
    }
    return answer.model_copy(update={"provenance": {**answer.provenance, "withheld": why}}) if why else answer

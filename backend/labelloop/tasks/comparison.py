"""Comparison: which of two passages is the better by what the field's words ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from labelloop.engines import Engine
from labelloop.tasks.qualities import Prompt, criterion, evidence
from labelloop.words import Answer, FieldPlan, Reading

SIDES = (("left",), ("right",))
NOT_TWO = "A comparison needs two texts."
_SURE = 3.0  # logits: a comparison by similarity is never surer than 95 %


def answer(plan: FieldPlan, readings: Sequence[Reading], engine: Engine, prompt: Prompt) -> list[Answer]:
    """One answer per reading: the label of its first or its second passage, with the probability that a person agrees.

    Swapping the passages swaps the answer; texts that are alike get 0.5 and the first.
    """
    criteria = [criterion(plan.field.question, reading.query.strip(), prompt) for reading in readings]
    texts = [[passage.text for passage in reading.passages[:2]] for reading in readings]
    weighed = evidence(criteria, texts, engine, prompt)
    return [_decide(plan, list(logits)) for logits in weighed]


def _decide(plan: FieldPlan, logits: Sequence[float]) -> Answer:
    field = plan.field
    if len(logits) < 2:
        return Answer(field=field.name, labels=(), score=0.0, reason=NOT_TWO)
    sides = tuple(label.path for label in field.labels[:2]) if len(field.labels) >= 2 else SIDES
    difference = min(max(logits[0] - logits[1], -_SURE), _SURE)
    chance = round(1 / (1 + math.exp(-abs(difference))), 4)
    better, worse = sides if difference >= 0 else sides[::-1]
    return Answer(
        field=field.name,
        labels=(better,),
        score=chance,
        alternatives=((better, chance), (worse, round(1 - chance, 4))),
    )

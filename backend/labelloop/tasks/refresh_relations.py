"""Training for a field that relates: how two passages of an item are related, in which direction, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from labelloop.engines import Vectors
from labelloop.settings import Settings
from labelloop.tasks import recollection, refresh_places, relation_memory, structured
from labelloop.tasks.calibration import Array
from labelloop.tasks.pairs import Pair
from labelloop.tasks.refresh_labels import Part
from labelloop.tasks.refresh_places import PlaceLesson, Places, shared
from labelloop.tasks.relation_memory import Accepted
from labelloop.tasks.relations import Column, Judged, relation_f1
from labelloop.tasks.roll import Example, Roll
from labelloop.tasks.trained_places import Name
from labelloop.words import Answer, FieldPlan, Reading

if TYPE_CHECKING:
    from labelloop.engines.span_training import Place

_APART = ("X and Y", "X, Y")  # as in ``relation_model``
_RELATED = "is related to"  # where relations have no names


@dataclass(frozen=True)
class RelationLesson(PlaceLesson):
    """A row is a pair of regions of an example; the last column is that of no relation. ``judged``: what models say of
    it without memory; its owner counts the examples, as ``accepted`` does."""

    plan: FieldPlan
    columns: Sequence[Column]
    judged: Sequence[Judged]
    accepted: Sequence[Accepted]
    settings: Settings

    def value(self, chances: Array) -> float:
        known = {label.path[-1] for label in self.plan.field.labels} or {""}
        gold = [[link for link in one.links if link.label in known] for one in self.accepted]
        return relation_f1(gold, [one.links for one in self.answers(chances)])["f1"]

    def remembered(self, parts: Sequence[Part]) -> Array:
        found = self.zero_shot.copy()
        judge = partial(recollection.judged, self.plan, self.settings)
        for out, _ in parts:
            left = {self.texts[row] for row in out}
            known = [one for one, text in zip(self.accepted, self.learned, strict=True) if text not in left]
            mark = recollection.mark_of(self.plan)
            others = relation_memory.learn(self.columns, known, 0, mark, judge) if len(out) else None
            if others is not None:
                found[out] = others.chances([self.judged[row] for row in out])
        return found

    def answers(self, chances: Array) -> tuple[Answer, ...]:
        its = [one._replace(chances=row) for one, row in zip(self.judged, chances, strict=True)]
        return tuple(structured.related(self.plan, len(self.learned), [its] if its else [], self.settings, None))


def lesson(plan: FieldPlan, examples: Sequence[Example], settings: Settings) -> RelationLesson:
    """What examples teach about a field; each is read by the plan's models.

    Args, raises: as ``refresh_spans.lesson``.
    """
    if not structured.relates(plan):
        raise refresh_places.untrainable(plan)
    used = Roll.of(plan.field, examples).latest(settings.replay)
    columns = structured.relation_columns(plan, settings)
    accepted = [Accepted(Reading.model_validate_json(one.text), one.links) for one in used]
    told = relation_memory.told_of(columns, accepted)
    said = recollection.judged(plan, settings, [(one.text, one.pair) for one in told])
    judged = [one._replace(owner=of.item) for one, of in zip(said, told, strict=True)]
    names = meanings(plan, settings)
    n_columns = 1 + len(columns)
    places = Places(*shared([one.text for one in judged], pieces([one.pair for one in judged])), names_of(columns))
    return RelationLesson(
        texts=[used[one.owner].text for one in judged],
        vectors=np.zeros((len(judged), 0), np.float32),
        right=np.eye(n_columns, dtype=bool)[[one.column for one in told]],
        zero_shot=np.array([one.chances for one in judged]).reshape(len(judged), n_columns),
        several=False,
        meanings=names,
        scale=refresh_places.scale(plan, places.texts, places.each, names, settings),
        learned=[one.text for one in used],
        places=places,
        plan=plan,
        columns=columns,
        judged=judged,
        accepted=accepted,
        settings=settings,
    )


def pieces(pairs: Sequence[Pair]) -> list[Place]:
    """Each pair as an adapter reads it: both passages, and what is between. Texts count the pairs."""
    from labelloop.engines.span_training import Place

    ends = [(pair.first, pair.second) for pair in pairs]
    return [
        Place(text, ((first.start, first.end), (first.end, second.start), (second.start, second.end)))
        for text, (first, second) in enumerate(ends)
    ]


def names_of(columns: Sequence[Column]) -> list[Name]:
    """Of the columns, and of no relation."""
    return [*((one.label, "first" if one.forward else "second") for one in columns), ()]


def meanings(plan: FieldPlan, settings: Settings) -> Vectors:
    """(n_columns + 1, d) of what the columns say of a pair, and of no relation, by the base encoder."""
    said = structured.relation_statements(plan, settings, _RELATED)
    return refresh_places.meanings(plan, [*said, _APART], settings)

"""Training for a field that marks entities: which of the passages that it may mark have which label, or none.

Learned from are the passages that models and memory propose in the examples, and those that people marked. What is left
out is judged as it would be proposed without it, so the voice of the adapter is that of one who has not seen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labelloop.engines import Vectors
from labelloop.settings import Settings
from labelloop.tasks import entities, recollection, refresh_places, span_memory, structured
from labelloop.tasks.calibration import Array
from labelloop.tasks.entities import placed, span_f1
from labelloop.tasks.entity_labels import told
from labelloop.tasks.refresh_labels import Part
from labelloop.tasks.refresh_places import PlaceLesson, Places
from labelloop.tasks.roll import Example, Roll
from labelloop.tasks.span_memory import Marked
from labelloop.tasks.trained_places import Name
from labelloop.words import Answer, Field, FieldPlan

if TYPE_CHECKING:
    from labelloop.engines.span_training import Place

_NOTHING = ("nothing in particular", "no name")


@dataclass(frozen=True)
class SpanLesson(PlaceLesson):
    """A row is a passage of ``marked[owner]`` that may be marked, from ``start`` to ``end``: ``where`` (owner, start,
    end). The first column is that of no label. ``groups``: of each example how many of ``marked`` are its."""

    field: Field
    marked: Sequence[Marked]
    where: Sequence[tuple[int, int, int]]
    groups: Sequence[int]

    def value(self, chances: Array) -> float:
        found = placed(self.field, [its.passage for its in self.marked], self._drafts(chances))
        return span_f1([its.spans for its in self.marked], found)["f1"]

    def remembered(self, parts: Sequence[Part]) -> Array:
        """What is said of passages of examples that memory has not seen; NaN where they are not proposed."""
        found = np.full(self.right.shape, np.nan)
        for out, _ in parts:
            left = {self.texts[row] for row in out}
            of = [text for text, count in zip(self.learned, self.groups, strict=True) for _ in range(count)]
            known = [its for its, text in zip(self.marked, of, strict=True) if text not in left]
            others = span_memory.learn(self.field, known, 0)
            rows: dict[int, span_memory.Rows] = {}
            for row in out:
                owner, start, end = self.where[row]
                if owner not in rows:
                    rows[owner] = proposed([self.marked[owner]], others)
                found[row] = rows[owner].get((0, start, end), np.nan)
        return found

    def answers(self, chances: Array) -> tuple[Answer, ...]:
        its = iter(self.marked)
        passages = [[next(its).passage for _ in range(count)] for count in self.groups]
        return tuple(entities.answers_of(self.field, passages, self._drafts(chances)))

    def _drafts(self, chances: Array) -> list[entities.Draft]:
        asked = np.flatnonzero(~np.isnan(chances).any(axis=1))
        return span_memory.decided({self.where[row]: chances[row] for row in asked})


def proposed(marked: Sequence[Marked], known: span_memory.SpanMemory | None) -> span_memory.Rows:
    """The chances of all passages that may be marked; owners count ``marked``."""
    candidates = [one._replace(owner=owner) for owner, its in enumerate(marked) for one in its.candidates]
    if known is None:
        return span_memory.chances_of(candidates)
    return known.rows([its.passage for its in marked], candidates)


def lesson(plan: FieldPlan, examples: Sequence[Example], settings: Settings) -> SpanLesson:
    """What examples teach about a field; each is read by the plan's models.

    Args:
        examples: as of ``recollection.learn``; held-out ones must not be among them.

    Raises:
        SettingsError: no encoder marks the field's spans, so there is nothing to train.
        ModelError: as ``tasks.answer``.
    """
    if not structured.remembers(plan):
        raise refresh_places.untrainable(plan)
    used = Roll.of(plan.field, examples).latest(settings.replay)
    each = recollection.marked_each(plan, used, settings)
    marked = [one for its in each for one in its]
    whole = span_memory.learn(plan.field, marked, 0)
    column = {label.path: 1 + place for place, label in enumerate(plan.field.labels)}
    rows = proposed(marked, whole)
    candidates = (one._replace(owner=owner) for owner, its in enumerate(marked) for one in its.candidates)
    zero_shot = span_memory.chances_of(list(candidates))
    said = {
        (owner, span.start, span.end): column.get(span.label, -1)
        for owner, its in enumerate(marked)
        for span in its.spans
    }
    where = [place for place in dict.fromkeys([*rows, *said]) if said.get(place, 0) >= 0]  # -1: of a lost label
    of = [one.text for one, its in zip(used, each, strict=True) for _ in its]
    nothing = np.eye(1 + len(column))[0]
    names = meanings(plan, settings)
    texts = [its.passage.text for its in marked]
    return SpanLesson(
        texts=[of[owner] for owner, _, _ in where],
        vectors=np.zeros((len(where), 0), np.float32),
        right=np.eye(1 + len(column), dtype=bool)[[said.get(place, 0) for place in where]],
        zero_shot=np.array([zero_shot.get(place, nothing) for place in where]).reshape(len(where), 1 + len(column)),
        several=False,
        meanings=names,
        scale=refresh_places.scale(plan, texts, pieces(where), names, settings),
        learned=[one.text for one in used],
        places=Places(texts, pieces(where), names_of(plan.field)),
        field=plan.field,
        marked=marked,
        where=where,
        groups=[len(its) for its in each],
    )


def pieces(where: Sequence[tuple[int, int, int]]) -> list[Place]:
    """Passages (owner, start, end) as an adapter reads them."""
    from labelloop.engines.span_training import Place

    return [Place(owner, ((start, end),)) for owner, start, end in where]


def names_of(field: Field) -> list[Name]:
    """Of the columns."""
    return [(), *(label.path for label in field.labels)]


def meanings(plan: FieldPlan, settings: Settings) -> Vectors:
    """(1 + n_labels, d) of no label and of the field's labels, by the base encoder."""
    return refresh_places.meanings(plan, [_NOTHING, *((told(label),) for label in plan.field.labels)], settings)

"""What trainings of spans and of relations share: how places in texts are compared with labels, and learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from labelloop.engines import Vectors, load
from labelloop.engines.scale import Scale
from labelloop.errors import SettingsError
from labelloop.settings import Settings
from labelloop.tasks import refresh_labels, trained, trained_places
from labelloop.tasks.calibration import Array
from labelloop.tasks.refresh_labels import Lesson, Refreshed, Watch
from labelloop.tasks.trained_places import Name
from labelloop.words import Answer, FieldPlan

if TYPE_CHECKING:
    from labelloop.engines.encoder import Encoder
    from labelloop.engines.span_training import Place
    from labelloop.engines.training import Recipe

_SLOPE = 20.0
"""From a cosine to log-odds."""
_USUAL = 64  # texts that tell which similarity is usual


class Places(NamedTuple):
    """``each``: in ``texts``, one for each row of a lesson. ``names``: of its columns."""

    texts: Sequence[str]
    each: Sequence[Place]
    names: Sequence[Name]


@dataclass(frozen=True)
class PlaceLesson(Lesson):
    """A ``Lesson`` whose rows are places in examples. ``texts``: of each row that of its example. ``learned``: those of
    all examples, also of such as have no place."""

    learned: Sequence[str]
    places: Places

    @property
    def examples(self) -> int:
        return len(self.learned)

    @property
    def measure(self) -> str:
        return "f1"

    def worthy(self, known: Array, both: Array) -> bool:
        return self.value(both) >= self.value(known)

    def answers(self, chances: Array) -> tuple[Answer, ...]:
        """Of each example, from the chances of all rows, NaN where nothing would be said."""
        raise NotImplementedError


def shared(texts: Sequence[str], places: Sequence[Place]) -> tuple[list[str], list[Place]]:
    """Each text once, and the places in them."""
    number = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return list(number), [place._replace(text=number[texts[place.text]]) for place in places]


def untrainable(plan: FieldPlan) -> SettingsError:
    return SettingsError(
        f"The field {plan.field.name!r} cannot be trained: it is served by {plan.engine}.",
        "What is trained of this kind are fields that the encoder serves.",
    )


def encoder_of(plan: FieldPlan, settings: Settings) -> Encoder:
    return cast("Encoder", load("encoder", plan.model, plan.revision, settings))


def meanings(plan: FieldPlan, texts: Sequence[Sequence[str]], settings: Settings) -> Vectors:
    """(n_columns, d) of what columns mean, in one or more texts each, by the base encoder."""
    return encoder_of(plan, settings).meanings(texts)


def scale(
    plan: FieldPlan, texts: Sequence[str], places: Sequence[Place], its_meanings: Vectors, settings: Settings
) -> Scale:
    """How places are compared with meanings: by how much they are nearer than places are without training."""
    from labelloop.engines.span_training import vectors_of

    usual = [place for place in places if place.text < _USUAL]
    shift = np.zeros(len(its_meanings))
    if usual:
        tokens = encoder_of(plan, settings).tokens(texts[:_USUAL])
        shift = (vectors_of(tokens, usual).astype(np.float64) @ its_meanings.T).mean(axis=0)
    return Scale(_SLOPE, shift, np.full(len(its_meanings), np.nan))


def recipe(settings: Settings) -> Recipe:
    """How adapters of places are trained."""
    from labelloop.engines.training import Recipe

    return Recipe(method=settings.peft, rate=1e-3, epochs=6, batch=8)


def train(
    plan: FieldPlan,
    lesson: PlaceLesson,
    settings: Settings,
    watch: Watch = lambda share: None,
    seconds: float = math.inf,
    alike: Callable[[str], str] = str,
    how: Recipe | None = None,
) -> tuple[Path | None, Refreshed]:
    """``refresh_labels.train`` of a lesson on places, and where the adapter that comes of it lies: in a folder that its
    sha256 names, of ``trained.folder``; None where training helped nothing.

    Args:
        alike: equal for texts of examples that are copies of each other. how: other
            than ``recipe``.

    Raises:
        ModelError: the method does not fit the encoder.
    """
    from labelloop.engines.span_training import SpanCourse

    how = how or recipe(settings)
    course = SpanCourse(encoder_of(plan, settings), lesson.places.texts, lesson.places.each, lesson.meanings, how)
    copies = [alike(text) for text in lesson.texts]
    unfinished = refresh_labels.unfinished_of(plan, how, lesson, copies, settings)
    made = refresh_labels.train(lesson, course, watch, seconds, copies=copies, unfinished=unfinished)
    unfinished.drop()
    return trained_places.keep(plan, lesson.places.names, lesson.scale, made, how, trained.folder(settings)), made

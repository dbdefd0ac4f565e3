"""One training of a field from its examples: what to learn, the adapter that comes of it, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelloop.engines import load
from labelloop.settings import Settings
from labelloop.tasks import (
    classification,
    refresh_labels,
    refresh_places,
    refresh_relations,
    refresh_spans,
    trained,
    trained_labels,
)
from labelloop.tasks.refresh_labels import Watch
from labelloop.tasks.refresh_places import PlaceLesson
from labelloop.tasks.roll import Example
from labelloop.words import WRITTEN, Answer, FieldPlan

Alike = Callable[[str], str]
"""Equal for texts that are copies of each other, which are left out of a training together."""


@dataclass(frozen=True)
class Trained:
    """``adapter``: its sha, under which it lies in ``trained.folder``; None where training was worth nothing.
    ``learned``: the texts that it learned from. ``texts``: those of the examples that were left out in turn, or at
    all; ``before``, ``after``: what the plan as it is, and what it with the new adapter, answers to each of these
    texts, by models that have not seen its example; but what ``before`` says by an adapter that serves already, it may
    have been trained on. All three are empty where nothing was trained. ``told``: figures."""

    adapter: str | None
    learned: tuple[str, ...]
    texts: tuple[str, ...]
    before: tuple[Answer, ...]
    after: tuple[Answer, ...]
    told: dict[str, Any]


def train(
    plan: FieldPlan,
    examples: Sequence[Example],
    settings: Settings,
    watch: Watch = lambda share: None,
    seconds: float = float("inf"),
    alike: Alike = str,
) -> Trained:
    """Trains by the method of the settings.

    Args:
        examples: in the order in which they were accepted; held-out ones must not be among them.
        watch: as ``refresh_labels.Watch``. seconds: that all of it may take; in fewer steps where they are few, and
            not at all where they are too few.
        alike: which texts are left out together.

    Raises:
        SettingsError: the plan is not ``trainable``.
        ModelError: the method does not fit the engine, or a model is missing.
    """
    kinds = {"entities": spans, "relations": relations, **dict.fromkeys(WRITTEN, texts)}
    return kinds.get(plan.field.kind, labels)(plan, examples, settings, watch, seconds, alike)


def labels(
    plan: FieldPlan, examples: Sequence[Example], settings: Settings, watch: Watch, seconds: float, alike: Alike
) -> Trained:
    """Of a field that chooses labels."""
    from labelloop.engines.training import Course, Recipe

    lesson = refresh_labels.lesson(plan, examples, settings)
    base = refresh_labels.encoder_plan(plan)
    encoder = load("encoder", base.model, base.revision, settings)
    recipe = Recipe(method=settings.peft)
    course = Course(encoder, lesson.texts, lesson.meanings, lesson.several, recipe, lesson.vectors)
    copies = [alike(text) for text in lesson.texts]
    unfinished = refresh_labels.unfinished_of(plan, recipe, lesson, copies, settings)
    done = refresh_labels.train(lesson, course, watch, seconds, copies=copies, unfinished=unfinished)
    unfinished.drop()
    place = trained_labels.keep(plan, done, recipe, trained.folder(settings))
    texts = tuple(lesson.texts)
    if done.before is None or done.after is None:
        return Trained(None, texts, (), (), (), dict(done.told))
    former = trained.ready(plan, settings)
    before = done.before if former is None else former.chances(texts, done.before)
    windows = [1] * len(texts)
    old, new = (tuple(classification.answers(plan.field, chances, windows)) for chances in (before, done.after))
    return Trained(place.name if place else None, texts, texts, old, new, dict(done.told))


def texts(
    plan: FieldPlan, examples: Sequence[Example], settings: Settings, watch: Watch, seconds: float, alike: Alike
) -> Trained:
    """Of a field that writes."""
    from labelloop.engines.causal_training import Recipe
    from labelloop.tasks import refresh_texts, trained_texts

    recipe = Recipe(method=settings.peft)
    done = refresh_texts.train(plan, examples, settings, recipe, watch, seconds, alike)
    if done.its is None:
        return Trained(None, done.learned, (), (), (), done.told)
    place = trained_texts.keep(plan, done.its, done.weights, recipe, done.told, trained.folder(settings))
    return Trained(place.name, done.learned, done.texts, done.before, done.after, done.told)


def spans(
    plan: FieldPlan, examples: Sequence[Example], settings: Settings, watch: Watch, seconds: float, alike: Alike
) -> Trained:
    """Of a field that marks entities."""
    return _places(plan, refresh_spans.lesson(plan, examples, settings), settings, watch, seconds, alike)


def relations(
    plan: FieldPlan, examples: Sequence[Example], settings: Settings, watch: Watch, seconds: float, alike: Alike
) -> Trained:
    """Of a field that relates."""
    return _places(plan, refresh_relations.lesson(plan, examples, settings), settings, watch, seconds, alike)


def _places(
    plan: FieldPlan, lesson: PlaceLesson, settings: Settings, watch: Watch, seconds: float, alike: Alike
) -> Trained:
    folder, done = refresh_places.train(plan, lesson, settings, watch, seconds, alike)
    texts = tuple(lesson.learned)
    if done.before is None or done.after is None:
        return Trained(None, texts, (), (), (), dict(done.told))
    before = done.before
    if (former := trained.ready(plan, settings)) is not None:
        asked = np.flatnonzero(~np.isnan(before).any(axis=1))
        places = [lesson.places.each[row] for row in asked]
        before[asked] = former.places.chances(lesson.places.texts, places, before[asked])
    old, new = lesson.answers(before), lesson.answers(done.after)
    return Trained(folder.name if folder else None, texts, texts, old, new, dict(done.told))

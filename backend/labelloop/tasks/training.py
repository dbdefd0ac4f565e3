"""One training of a field from its examples: what to learn, the adapter that comes of it, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labelloop.engines import load
from labelloop.settings import Settings
from labelloop.tasks import refresh_labels, trained, trained_labels
from labelloop.tasks.calibration import Array
from labelloop.tasks.refresh_labels import Watch
from labelloop.tasks.roll import Example
from labelloop.words import FieldPlan


@dataclass(frozen=True)
class Trained:
    """``adapter``: its sha, under which it lies in ``trained.folder``; None where training was worth nothing.
    ``texts``: of the examples that were learned from. ``before``, ``after``: (n_examples, n_labels) what zero-shot and
    memory, and what these and an adapter, say of examples that they have not seen; None where nothing was trained.
    ``told``: figures."""

    adapter: str | None
    texts: tuple[str, ...]
    before: Array | None
    after: Array | None
    told: dict[str, Any]


def train(
    plan: FieldPlan,
    examples: Sequence[Example],
    settings: Settings,
    watch: Watch = lambda share: None,
    seconds: float = float("inf"),
    alike: Callable[[str], str] = str,
) -> Trained:
    """Trains by the method of the settings.

    Args:
        examples: in the order in which they were accepted; held-out ones must not be among them.
        watch: as ``refresh_labels.Watch``. seconds: as of ``refresh_labels.train``.
        alike: equal for texts that are copies of each other, which are left out of a training together.

    Raises:
        SettingsError: the plan is not ``trainable``.
        ModelError: the method does not fit the encoder, or a model is missing.
    """
    from labelloop.engines.training import Course, Recipe

    lesson = refresh_labels.lesson(plan, examples, settings)
    base = refresh_labels.encoder_plan(plan)
    encoder = load("encoder", base.model, base.revision, settings)
    recipe = Recipe(method=settings.peft)
    course = Course(encoder, lesson.texts, lesson.meanings, lesson.several, recipe)
    done = refresh_labels.train(lesson, course, watch, seconds, copies=[alike(text) for text in lesson.texts])
    place = trained_labels.keep(plan, done, recipe, trained.folder(settings))
    return Trained(place.name if place else None, tuple(lesson.texts), done.before, done.after, dict(done.told))

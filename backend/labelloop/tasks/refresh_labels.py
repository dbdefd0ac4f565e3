"""Training for a field that chooses labels: an adapter of its encoder, and how far it is to be believed.

The adapter does not take the place of zero-shot and memory: it is one voice more. K-fold predictions, by adapters that
have not seen the example, tell when to stop and how loud it may be, so that where training does not help it changes
nothing and the training on all examples is left out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelloop.engines import Vectors, load
from labelloop.engines.scale import Scale
from labelloop.errors import SettingsError
from labelloop.prompting import load_prompt, unchanged
from labelloop.settings import Settings
from labelloop.tasks import calibration, chances, memory, rank, recollection, verbalizers, voices
from labelloop.tasks.calibration import Array
from labelloop.tasks.roll import Example, Roll
from labelloop.tasks.unfinished import Unfinished
from labelloop.tasks.voices import Voices
from labelloop.words import FieldPlan

if TYPE_CHECKING:
    from labelloop.engines.training import Course, Pupil, Recipe

FEWEST = 32
"""Examples below which nothing is trained: what is left out of so few tells nothing, and what is trained forgets more
than it learns."""
FOLDS = 3
MARKS = (0.25, 0.5, 1.0)
"""Shares of the steps after which the left-out examples are read: at the best of them the final training ends."""
SEED = 29
_EARLY = 0.5  # nats by which it must be better to end the training early
_READ_AT_ONCE = 64
_TRIAL = 3  # steps that are timed where time is limited
_MARGIN = 0.8  # of the time that is left, what the steps are planned for
_HURRY, _PART = "hurry", "part "  # names of what is kept of a training
_HURRIED = 0.25  # the least share of the steps that is worth a training

Part = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows that are left out, and those that are learned from."""

Watch = Callable[[float], None]
"""Hears which share of the work is done, between any two steps. To stop the training it raises, and nothing is kept."""


@dataclass(frozen=True)
class Lesson:
    """What there is to learn. ``vectors``: (n, d) of the base encoder. ``right``: (n, n_labels). ``zero_shot``: (n,
    n_labels) chances without memory. ``meanings``: (n_labels, d) of the labels, by the base encoder."""

    texts: Sequence[str]
    vectors: Vectors
    right: memory.Right
    zero_shot: Array
    several: bool
    meanings: Vectors
    scale: Scale

    @property
    def examples(self) -> int:
        """How many items it was made of."""
        return len(self.texts)

    @property
    def measure(self) -> str:
        """What ``value`` is."""
        return "accuracy"

    def value(self, chances: Array) -> float:
        """How good answers by these chances are, (n, n_labels) in all."""
        return accuracy(chances, self.right, self.several)

    def worthy(self, known: Array, both: Array) -> bool:
        """Whether an adapter that is not silent is worth to be kept; the chances are without and with it."""
        return True

    def remembered(self, parts: Sequence[Part]) -> Array:
        """(n, n_labels) chances with memory, of each part by a head on the rest; NaN where nothing would be said."""
        vectors, right, zero_shot = self.vectors, self.right, self.zero_shot
        shares = memory.weigh(vectors, right, zero_shot, self.several)
        found = np.zeros(zero_shot.shape)
        for out, rest in parts:
            head = memory.fit(vectors[rest], right[rest], zero_shot[rest], self.several, shares)
            found[out] = memory.recall(head, vectors[out], zero_shot[out], self.several)
        return found


@dataclass(frozen=True)
class Refreshed:
    """What training made. ``weights``: of the adapter, by name; none where it has no voice. ``slope``: of its scale.
    ``taught``: (n_labels,) which labels it has seen. ``told``: figures of what models said of examples that they have
    not seen, and of the work; ``why_not``: where nothing was trained. ``before``, ``after``: (n, n_labels) what was
    said: by memory, and by it and the adapter; None where nothing was trained."""

    voices: Voices
    slope: float
    taught: NDArray[np.bool_]
    weights: dict[str, Any]
    told: dict[str, str | int | float | bool]
    before: Array | None = None
    after: Array | None = None


def lesson(plan: FieldPlan, examples: Sequence[Example], settings: Settings) -> Lesson:
    """What examples teach about a field; each is read by the plan's engines. Of more than ``Settings.replay`` those
    that came last, and of each label at least half its even share, so that none is forgotten.

    Args:
        examples: as of ``recollection.learn``; held-out ones must not be among them.

    Raises:
        SettingsError: the field does not choose among labels of its own by an encoder, so there is nothing to train.
        ModelError: as ``tasks.answer``.
    """
    meaning = reading(plan, settings)
    used = Roll.of(plan.field, examples).latest(settings.replay)
    texts = [one.text for one in used]
    encoder = recollection.encoder_of(plan, settings)
    vectors, known = [], []
    for first in range(0, len(texts), _READ_AT_ONCE):
        each = chances.opinions(plan, texts[first : first + _READ_AT_ONCE], encoder, settings)
        vectors.append(each[0].vectors)
        known.append(chances.together(plan, each)[0].labels)
    return Lesson(
        texts,
        np.concatenate([one for one in vectors if one is not None] or [meaning.meanings[:0]]),
        recollection.rights(plan.field, used),
        np.concatenate(known) if known else np.zeros((0, len(plan.field.labels))),
        plan.field.multiple,
        meaning.meanings,
        meaning.scale,
    )


class Reading(NamedTuple):
    """What a field's labels mean to its base encoder: ``Lesson`` says more."""

    meanings: Vectors
    scale: Scale


def encoder_plan(plan: FieldPlan) -> FieldPlan:
    """The plan of the encoder alone, if the field can be trained. Raises SettingsError as ``lesson``."""
    its = next((one for one in plan.alone if one.engine == "encoder"), None)
    if its is None or plan.field.structured or plan.field.dynamic:
        raise SettingsError(
            f"The field {plan.field.name!r} cannot be trained: it is served by {plan.engine}, or its labels are not "
            "its own.",
            "What is trained are fields that choose among labels of the config, served by the encoder.",
        )
    return its


def reading(plan: FieldPlan, settings: Settings) -> Reading:
    """Raises as ``lesson``."""
    its = encoder_plan(plan)
    prompt = unchanged(load_prompt(its.prompt, settings.prompts_dir), its.prompt_hash)
    encoder = load("encoder", its.model, its.revision, settings)
    prior = rank.rank(encoder, [its], [prompt], ())[0].prior
    constants, n_labels = prompt.constants, len(plan.field.labels)
    constant = np.full(n_labels, np.nan)
    if plan.field.multiple:
        constant[sorted(prior.residual)] = constants.several_offset
        slope, behind = constants.several_own / prior.chance, constants.several_best / prior.chance
        scale = Scale(slope, prior.means, constant, constants.several_offset, behind)
    else:
        usual = constants.slope * calibration.evidence(np.zeros((1, n_labels)), prior, constants)[0]
        constant[sorted(prior.residual)] = usual[sorted(prior.residual)]
        scale = Scale(constants.slope / prior.chance, constants.prior * prior.means, constant)
    return Reading(encoder.meanings(verbalizers.verbalize(its.field, prompt).texts), scale)


def train(
    lesson: Lesson,
    course: Course,
    watch: Watch = lambda share: None,
    seconds: float = math.inf,
    seed: int = SEED,
    copies: Sequence[str] = (),
    unfinished: Unfinished | None = None,
) -> Refreshed:
    """Trains on parts, finds the voices, and where the adapter has one trains it on all.

    The same lesson, recipe and seed give the same adapter on one machine, unless time runs short.

    Args:
        course: over the lesson's texts, in their order.
        copies: equal for texts that are left out together; the texts themselves where none are given.
        unfinished: where what the left-out parts tell is kept; parts that are there are not trained again.
        seconds: for all of it. What would take longer is done in fewer steps; where these are too few, not at all.

    Raises:
        ModelError: the method of the recipe does not fit the encoder.
    """
    told: dict[str, str | int | float | bool] = {"examples": lesson.examples}
    seen = np.asarray(lesson.right.any(axis=0), np.bool_)

    def nothing(why: str) -> Refreshed:
        return Refreshed(Voices(), lesson.scale.slope, seen, {}, told | {"why_not": why})

    if lesson.examples < FEWEST:
        return nothing(f"{lesson.examples} examples are too few to train on; {FEWEST} are needed")
    if seen.sum() < (1 if lesson.several else 2):
        return nothing("all examples have the same label")
    everything = np.arange(len(lesson.texts))
    fold = folds(lesson.right, copies or lesson.texts)
    parts = [(everything[fold == part], everything[fold != part]) for part in range(FOLDS)]
    run = _Run(lesson, course, watch, seed, [*(rest for _, rest in parts), everything])
    done = unfinished.read() if unfinished else {}
    if not run.fit_into(seconds, float(done.get(_HURRY, 0))):
        return nothing(f"{seconds:g} seconds are too few for this machine")
    known = lesson.remembered(parts)
    asked = ~np.isnan(known).any(axis=1)
    learnt = {mark: np.zeros(lesson.zero_shot.shape) for mark in MARKS}
    for part, (out, rest) in enumerate(parts):
        if (told_before := done.get(f"{_PART}{part}")) is not None:
            for mark, its in zip(MARKS, told_before, strict=True):
                learnt[mark][out] = its
            run.skip(rest)
            continue
        taught = lesson.right[rest].any(axis=0)
        for mark, pupil in run.steps(rest):
            if run.late:
                return nothing(f"it was not done after {seconds:g} seconds")
            if mark:
                learnt[mark][out] = voices.within(said(lesson, course, pupil, out), known[out], taught, lesson.several)
        if unfinished:
            unfinished.keep(_HURRY, np.array(run.hurry))
            unfinished.keep(f"{_PART}{part}", np.stack([learnt[mark][out] for mark in MARKS]))
    right = lesson.right[asked]
    heard = {mark: voices.weigh(known[asked], learnt[mark][asked], right, lesson.several) for mark in MARKS}
    best = min(MARKS, key=lambda mark: heard[mark][1] + (_EARLY if mark < 1 else 0))
    its = heard[best][0]
    both = voices.mix(its, known, learnt[best], lesson.several)
    for name, what in {"zero_shot": lesson.zero_shot, "memory": known, "adapter": learnt[best], "both": both}.items():
        told[f"{lesson.measure}_{name}"] = round(lesson.value(what), 4)
    told |= {"stopped_at": best}
    if not its.adapter or not lesson.worthy(known, both):
        return nothing("it does not help")
    made = Refreshed(its, lesson.scale.slope, seen, {}, told, known, both)
    for mark, pupil in run.steps(everything):
        if run.late:
            return nothing(f"it was not done after {seconds:g} seconds")
        if mark == best:
            told["seconds"] = round(run.seconds, 1)
            made = Refreshed(its, pupil.slope, seen, dict(pupil.weights), told, known, both)
            break
    watch(1.0)
    return made


def unfinished_of(
    plan: FieldPlan, recipe: Recipe, lesson: Lesson, copies: Sequence[str], settings: Settings
) -> Unfinished:
    """What was done of the very same training before, if it was not done to its end."""
    about = [plan.model_dump_json(), recipe.model_dump_json(), repr(lesson.right.tolist()), *lesson.texts, *copies]
    return Unfinished.of(settings.data_dir / "unfinished", about)


class _Run:
    """The steps of all adapters of one training: their number, their time, who watches them. ``hurry``: the share of
    them for which there is time."""

    def __init__(
        self, lesson: Lesson, course: Course, watch: Watch, seed: int, each: Sequence[NDArray[np.intp]]
    ) -> None:
        self._lesson, self._course, self._watch, self._seed = lesson, course, watch, seed
        self.hurry, self._done = 1.0, 0
        self._planned = sum(course.steps(rows.tolist()) for rows in each)
        self._began, self._limit = time.monotonic(), math.inf
        self._trial = each[0]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def late(self) -> bool:
        return self.seconds > self._limit

    def fit_into(self, seconds: float, before: float = 0) -> bool:
        """Makes fewer steps of all, where time is limited; whether enough of them are left. ``before``: the ``hurry``
        of the same training when it was begun; 0: it begins now."""
        self._limit = seconds
        if seconds == math.inf or before:
            self.hurry = before or 1.0
            return True
        for _ in zip(range(_TRIAL), self._pupils(self._trial, self._planned), strict=False):
            pass
        each = self.seconds / _TRIAL
        self.hurry = min(1.0, _MARGIN * (seconds - self.seconds) / (each * self._planned))
        return self.hurry >= _HURRIED

    def steps(self, rows: NDArray[np.intp]) -> Iterator[tuple[float, Pupil]]:
        """Each step on some of the examples, with the mark that it reaches, or 0."""
        count = self._count(rows)
        marks = {math.ceil(mark * count): mark for mark in MARKS}
        for pupil in self._pupils(rows, count):
            self._done += 1
            self._watch(min(1.0, self._done / max(1.0, self.hurry * self._planned)))
            yield marks.get(pupil.done, 0.0), pupil

    def skip(self, rows: NDArray[np.intp]) -> None:
        """The steps on some of the examples were made before."""
        self._done += self._count(rows)

    def _count(self, rows: NDArray[np.intp]) -> int:
        return max(len(MARKS), round(self.hurry * self._course.steps(rows.tolist())))

    def _pupils(self, rows: NDArray[np.intp], count: int) -> Iterator[Pupil]:
        return self._course.train(rows.tolist(), self._lesson.right[rows], self._lesson.scale, count, self._seed)


def said(lesson: Lesson, course: Course, pupil: Pupil, rows: NDArray[np.intp]) -> Array:
    """(n_rows, n_labels) chances of some of the texts by an adapter alone."""
    similarities = course.read(pupil, rows.tolist()).astype(np.float64) @ lesson.meanings.T
    return voices.chances(lesson.scale._replace(slope=pupil.slope).odds(similarities), lesson.several)


def folds(right: memory.Right, copies: Sequence[str]) -> NDArray[np.intp]:
    """(n,) the part in which each example is left out; examples with the same labels are spread over all parts, those
    whose ``copies`` are equal share one."""
    _, firsts, group = np.unique(np.array(copies, object).astype(str), return_index=True, return_inverse=True)
    order = np.random.default_rng(SEED).permutation(len(firsts))
    _, kind = np.unique(right[firsts[order]], axis=0, return_inverse=True)
    made: NDArray[np.intp] = np.empty(len(firsts), np.intp)
    made[order[np.argsort(kind.ravel(), kind="stable")]] = np.arange(len(firsts)) % FOLDS
    spread: NDArray[np.intp] = made[group.ravel()]
    return spread


def accuracy(chances: Array, right: memory.Right, several: bool) -> float:
    """Share of the examples, or with ``several`` of their decisions on single labels, that come out right."""
    if several:
        return float(((chances >= 0.5) == right).mean())
    return float(right[np.arange(len(right)), chances.argmax(axis=1)].mean())

"""Training for a field that writes: an adapter of its causal model, and whether it writes better than before.

It learns to write behind an item's bare ask what people accepted there; demonstrations, which memory shows, are then
told by its weights. Some examples are left out: by a few the epoch is chosen and how answers come about, by others the
adapter is judged against the plan as it is, memory included. Where it is no better, nothing is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from labelloop.engines import Ask, Manner, Written, load
from labelloop.errors import SettingsError
from labelloop.settings import Settings
from labelloop.tasks import recollection, structured, text_metrics, windows
from labelloop.tasks.refresh_labels import FEWEST, SEED, Watch
from labelloop.tasks.roll import Example, Roll
from labelloop.tasks.trained_texts import TrainedTexts, Way, bare
from labelloop.tasks.writing import Desk, chance, parts_of
from labelloop.tasks.writing_prompt import Job, behind
from labelloop.words import Answer, Bundle, FieldPlan, Reading

if TYPE_CHECKING:
    from labelloop.engines.causal import Causal
    from labelloop.engines.causal_training import Lesson, Recipe, Taught

MOST = 1000
"""The latest, from which it learns."""
_JUDGED, _CHECKED = (0.2, 8, 48), (0.1, 4, 32)  # share of the examples, at least, at most
_TRAINING = 0.65  # of the time and the work; the rest is for the answers to what is left out
_AT_ONCE = 8
_LONG = 0.95  # of the accepted replies, which are no longer than what may be written


@dataclass(frozen=True)
class Parts:
    """Places of examples: those that are learned, those by which epoch and way are chosen, and those that judge."""

    learned: list[int]
    checked: list[int]
    judged: list[int]


@dataclass(frozen=True)
class Refreshed:
    """What training made. ``its``, ``weights``: the adapter; None where it is worth nothing. ``learned``: texts of the
    examples that it has seen. ``texts``, ``before``, ``after``: of the examples that judge, and what was answered to
    them by the plan as it is and by it with the adapter. ``told``: figures; "why_not" where nothing is kept."""

    its: TrainedTexts | None
    weights: dict[str, Any]
    learned: tuple[str, ...]
    told: dict[str, Any]
    texts: tuple[str, ...] = ()
    before: tuple[Answer, ...] = ()
    after: tuple[Answer, ...] = ()


def train(
    plan: FieldPlan,
    examples: Sequence[Example],
    settings: Settings,
    recipe: Recipe,
    watch: Watch = lambda share: None,
    seconds: float = math.inf,
    alike: Callable[[str], str] = str,
    seed: int = SEED,
) -> Refreshed:
    """Trains an adapter and judges it.

    Args:
        examples: in the order in which they were accepted. alike: equal for texts that are left out together.
        seconds: for all of it; with few it reads the examples less often, or fewer of them, and judges by fewer.

    Raises:
        SettingsError: the field is not written by a causal model.
        ModelError: the method of the recipe does not fit the model, or as ``tasks.answer``.
    """
    from labelloop.engines.adapted import with_weights
    from labelloop.engines.causal_training import Course

    began = time.monotonic()
    taught = teachable(plan, examples, settings)
    course = Course(_causal(plan, settings), [lesson for _, its in taught for lesson in its], recipe)
    owners = [place for place, (_, its) in enumerate(taught) for _ in its]
    short = {owner for owner, fits in zip(owners, course.fits, strict=True) if fits}
    used = [place for place in range(len(taught)) if place in short]
    known = [taught[place][0] for place in used]
    told: dict[str, Any] = {"examples": len(known), "left_out": len(examples) - len(known)}
    if len(known) < FEWEST:
        why = f"{len(known)} texts that fit into the model are too few to train on; {FEWEST} are needed"
        return Refreshed(None, {}, (), told | {"why_not": why})
    young = len(known) * 2 // 3 if plan.adapter else 0  # what serves has learned from the older ones
    parts = divide([alike(one.text) for one in known], seed, young)
    told |= {"learned": len(parts.learned), "checked": len(parts.checked), "judged": len(parts.judged)}

    def rows(places: Sequence[int]) -> list[int]:
        its = {used[place] for place in places}
        return [row for row, owner in enumerate(owners) if owner in its and course.fits[row]]

    done = course.train(
        rows(parts.learned),
        rows(parts.checked),
        lambda share: watch(_TRAINING * share),
        _TRAINING * (seconds - (time.monotonic() - began)),
        seed,
    )
    learned = tuple(known[place].text for place in sorted((*parts.learned, *parts.checked)))
    told |= {"lessons": done.lessons, "losses": [round(loss, 4) for loss in done.losses], "epoch": done.epoch}
    told["seconds"] = round(time.monotonic() - began, 1)
    if not done.weights:
        return Refreshed(None, {}, learned, told | {"why_not": _why(done, seconds)})
    writer = with_weights(_causal(plan, settings), recipe.method, recipe.sizes, done.weights, "in training")
    remembering = Remembering(writer)
    its = TrainedTexts("", lambda: remembering, "alone", _longest(taught, _causal(plan, settings)))
    its = _choose_way(plan, its, [known[place] for place in parts.checked], settings, told)
    judged, rest = ([known[place] for place in some] for some in (parts.judged, sorted(parts.learned + parts.checked)))
    later: Watch = lambda share: watch(_TRAINING + (1 - _TRAINING) * share)  # noqa: E731
    before, after = _judge(plan, its, rest, judged, settings, later, began + seconds)
    judged = judged[: len(after)]
    if len(judged) < _JUDGED[1]:
        return Refreshed(None, {}, learned, told | {"why_not": f"it was not done after {seconds:g} seconds"})
    old, new = _metric(plan, before, judged), _metric(plan, after, judged)
    told |= {"way": its.way, "before": round(float(np.mean(old)), 4), "after": round(float(np.mean(new)), 4)}
    told["metric"] = text_metrics.NAMES.get(plan.field.kind, "F1")
    if not sum(new) > sum(old):
        return Refreshed(None, {}, learned, told | {"why_not": "it does not help"})
    its = replace(its, intercept=_intercept(plan, after, new, settings))
    texts = tuple(one.text for one in judged)
    told["seconds"] = round(time.monotonic() - began, 1)
    return Refreshed(its, done.weights, learned, told, texts, tuple(before), tuple(after))


def teachable(plan: FieldPlan, examples: Sequence[Example], settings: Settings) -> list[tuple[Example, list[Lesson]]]:
    """The latest examples that have something to teach, with what each teaches: its text as serving asks for it, and
    its first accepted text. A text that is read in windows teaches one lesson for each where its windows and those of
    the accepted text are equally many, and what stands in a window that holds it; else nothing.

    Raises:
        SettingsError: the field is not written by a causal model.
    """
    from labelloop.engines.causal_training import Lesson

    craft, prompt = structured.craft_of(_causal_plan(plan), settings)
    desk = Desk(craft, _causal(plan, settings), bare(prompt))
    found = []
    for one in Roll.of(plan.field, examples).latest(min(MOST, settings.replay)):
        reading = Reading.model_validate_json(one.text)
        reply = next((text.strip() for text in one.texts if text.strip()), "")
        if not reply or reading.empty:
            continue
        jobs = parts_of(desk, plan.field, reading)
        asks = [(_ask(desk, job), text) for job, text in _pairs(desk, jobs, reply)]
        lessons = [Lesson(ask, _from_beginning(desk, ask, text)) for ask, text in asks if ask]
        if lessons := [lesson for lesson in lessons if lesson.reply]:
            found.append((one, lessons))
    return found


def _pairs(desk: Desk, jobs: Sequence[Job], reply: str) -> list[tuple[Job, str]]:
    """Jobs with what is accepted for each."""
    if len(jobs) == 1:
        return [(jobs[0], reply)]
    if desk.craft.merge == "best":
        return [(job, reply) for job in jobs if reply in job.text]
    if desk.prompt.by == "text":
        return []
    places = windows.cut(reply, desk.writer.room, desk.measure, desk.prompt.by)
    lines = [line for start, end in places if (line := reply[start:end].strip())]
    return list(zip(jobs, lines, strict=True)) if len(lines) == len(jobs) else []


def _ask(desk: Desk, job: Job) -> Ask | None:
    try:
        return desk.ask(job, ())
    except ValueError:  # the prompt cannot be filled with this job
        return None


def _from_beginning(desk: Desk, ask: Ask, reply: str) -> str:
    """What is written behind the ask's beginning; "" where a reply that keeps its beginning has another one."""
    if not desk.prompt.keep_begin:
        return behind(ask.begun, reply)
    return reply[len(ask.begun) :] if reply.startswith(ask.begun) else ""


def divide(copies: Sequence[str], seed: int = SEED, young: int = 0) -> Parts:
    """Which examples are learned and which are left out: drawn by the seed, those whose ``copies`` are equal together;
    to judge only such as came at ``young`` or later.

    >>> [len(one) for one in (lambda its: (its.learned, its.checked, its.judged))(divide([str(n) for n in range(100)]))]
    [70, 10, 20]
    """
    groups: dict[str, list[int]] = {}
    for place, one in enumerate(copies):
        groups.setdefault(one, []).append(place)
    each = list(groups.values())
    order = [each[one] for one in np.random.default_rng(seed).permutation(len(each))]
    taken: list[list[int]] = []
    for since, (share, least, most) in ((young, _JUDGED), (0, _CHECKED)):
        wanted, some = min(most, max(least, int(share * len(copies)))), list[int]()
        for its in [its for its in order if its[0] >= since]:
            if len(some) < wanted:
                some += its
                order.remove(its)
        taken.append(sorted(some))
    return Parts(sorted(place for its in order for place in its), taken[1], taken[0])


class Remembering:
    """A writer that writes each reply once: two ways of choosing among the same ones cost one."""

    def __init__(self, writer: Causal) -> None:
        self._writer, self._known = writer, dict[tuple[Ask, Manner], list[Written]]()
        self.sizes, self.judge, self.room = writer.sizes, writer.judge, writer.room

    def write(self, asks: Sequence[Ask], manner: Manner) -> list[list[Written]]:
        """As of ``engines.Writer``."""
        new = [one for one in dict.fromkeys(asks) if (one, manner) not in self._known]
        for ask, written in zip(new, self._writer.write(new, manner), strict=True):
            self._known[ask, manner] = written
        return [self._known[ask, manner] for ask in asks]


def _answers(plan: FieldPlan, its: TrainedTexts, examples: Sequence[Example], settings: Settings) -> list[Answer]:
    craft, prompt = structured.craft_of(plan, settings)
    return its.answer(plan, [Reading.model_validate_json(one.text) for one in examples], craft, prompt)


def _metric(plan: FieldPlan, answers: Sequence[Answer], examples: Sequence[Example]) -> list[float]:
    texts = [next(iter(one.texts), "") for one in answers]
    return text_metrics.each(plan.field.kind, texts, [one.texts for one in examples])


def _choose_way(
    plan: FieldPlan, its: TrainedTexts, checked: Sequence[Example], settings: Settings, told: dict[str, Any]
) -> TrainedTexts:
    """The way that is better for the examples that were left out to choose by; what the adapter writes, where both are
    as good."""
    best, found = its, -1.0
    for way in get_args(Way):
        one = replace(its, way=way)
        worth = float(np.mean(_metric(plan, _answers(plan, one, checked, settings), checked)))
        told[f"worth_{way}"] = round(worth, 4)
        if worth > found:
            best, found = one, worth
    return best


def _judge(
    plan: FieldPlan,
    its: TrainedTexts,
    rest: Sequence[Example],
    judged: Sequence[Example],
    settings: Settings,
    watch: Watch,
    until: float,
) -> tuple[list[Answer], list[Answer]]:
    """What the plan as it is, with a memory of the ``rest``, and the adapter answer to the judging examples, or to as
    many of them as there is time for."""
    memory = recollection.learn(plan, rest, 0, settings)
    memories = {} if memory is None else {plan.field.name: memory}
    bundle = Bundle(plans=(plan.suggesting_all,))
    before: list[Answer] = []
    after: list[Answer] = []
    for first in range(0, len(judged), _AT_ONCE):
        some = judged[first : first + _AT_ONCE]
        found: list[dict[str, Answer]] = [{} for _ in some]
        structured.answer(bundle, [{plan.field.name: one.text} for one in some], found, settings, memories)
        before += [one[plan.field.name] for one in found]
        after += _answers(plan, its, some, settings)
        watch(len(after) / len(judged))
        if time.monotonic() > until:
            break
    return before, after


def _intercept(plan: FieldPlan, answers: Sequence[Answer], worth: Sequence[float], settings: Settings) -> float | None:
    """With which the mean chance of texts that the adapter wrote is the share of those that are of use; None of none
    whose likelihood is known."""
    _, prompt = structured.craft_of(plan, settings)
    useful = text_metrics.USEFUL.get(plan.field.kind, 0.5)
    known = [
        (float(one.provenance["logprob"]), value >= useful)
        for one, value in zip(answers, worth, strict=True)
        if one.provenance.get("origin") == "written" and one.provenance.get("logprob") is not None
    ]
    if not known:
        return None
    wanted = (sum(hit for _, hit in known) + 1) / (len(known) + 2)
    low, high = -20.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        its = prompt.model_copy(update={"constants": prompt.constants.model_copy(update={"intercept": middle})})
        mean = float(np.mean([chance(logprob, its) for logprob, _ in known]))
        low, high = (middle, high) if mean < wanted else (low, middle)
    return round((low + high) / 2, 3)


def _why(done: Taught, seconds: float) -> str:
    if done.late:
        return f"{seconds:g} seconds are too few for this machine"
    return "accepted texts that it has not seen do not become likelier"


def _longest(taught: Sequence[tuple[Example, Sequence[Lesson]]], causal: Causal) -> int:
    """Tokens that nearly all accepted replies need."""
    sizes = [len(reply) for _, reply in causal.told(*zip(*(one for _, its in taught for one in its), strict=True))]
    return int(np.quantile(sizes, _LONG, method="higher"))


def _causal_plan(plan: FieldPlan) -> FieldPlan:
    if not plan.trainable or plan.engine != "causal":
        raise SettingsError(
            f"The field {plan.field.name!r} cannot be trained: it is served by {plan.engine}.",
            "Of fields that are written, those that a causal model serves are trained (engine causal).",
        )
    return plan


def _causal(plan: FieldPlan, settings: Settings) -> Causal:
    return cast("Causal", load(plan.engine, plan.model, plan.revision, settings))

"""One challenger: trained on the labels that it may learn from, and judged by the gate on those that it has not seen.

Which those are is ``held_out``'s to say: with few labels all are trained on and each is judged by models that have not
seen it; with more a fifth is kept for the gate, which reads both (``pooling``) until the fifth is enough. What serves
uses all labels in its memory; memory without the held-out ones is made for the gate only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelloop import tallies
from labelloop.learning import gate, gate_report, held_out, pooling
from labelloop.learning.gate import Decision, Evaluated, Evidence
from labelloop.learning.gate_checks import Outcome
from labelloop.settings import Settings
from labelloop.words import WRITTEN, Answer, Bundle, Field, FieldPlan

if TYPE_CHECKING:
    from labelloop.tasks.roll import Example
    from labelloop.tasks.training import Trained

Watch = Callable[[float], None]
_TRAINING = 0.95  # of the work
_ALL_SEEN = "Undecided: the version that serves has learned from every label there is to judge by."


@dataclass(frozen=True)
class Labelled:
    """The examples of a field, one a text, in the order in which they were accepted. ``agreed``: whether the answer is
    surer than one person's."""

    items: tuple[int, ...]
    examples: tuple[Example, ...]
    agreed: tuple[bool, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(one.text for one in self.examples)

    def part(self, rows: Sequence[int]) -> Labelled:
        each = (tuple(one[row] for row in rows) for one in (self.items, self.examples, self.agreed))
        return Labelled(*each)  # type: ignore[arg-type]


class Stopped(Exception):
    """Raised by who watches a training, to end it: nothing of it is kept."""


@dataclass(frozen=True)
class Past:
    """What came before. ``salt``: of the connection. ``held_out``: whether labels were kept for the gate before.
    ``seen``: items that the adapter which serves was trained on. ``attempts``: challengers of this champion so far."""

    salt: str
    held_out: bool = False
    seen: frozenset[int] = frozenset()
    attempts: int = 0


@dataclass(frozen=True)
class Judged:
    """``plan``: with the new adapter; None where none was made. ``items``: that were trained on. ``held_out``: whether
    others were kept for the gate. ``stored``: the verdict and figures, as JSON."""

    state: Decision
    words: str
    plan: FieldPlan | None
    items: tuple[int, ...]
    held_out: bool
    stored: dict[str, Any]


def judge(
    plan: FieldPlan, known: Labelled, past: Past, settings: Settings, watch: Watch = lambda share: None
) -> Judged:
    """Trains a challenger of a plan, within ``refresh_budget``, and asks the gate. Its adapter lies on this machine
    (``tasks.trained.folder``).

    Args:
        watch: hears which share is done; what it raises (``Stopped``) ends the training.

    Raises:
        ModelError, SettingsError: as ``tasks.training.train``.
    """
    from labelloop.tasks import training

    held = held_out.held_out(known.texts, past.salt, past.held_out)
    kept = known.part(np.flatnonzero(~held).tolist())
    seconds = 60 * settings.refresh_budget
    done = training.train(
        plan, kept.examples, settings, lambda share: watch(_TRAINING * share), seconds, held_out.normalised
    )
    item = dict(zip(kept.texts, kept.items, strict=True))
    items = tuple(item[text] for text in done.learned)

    def judged(state: Decision, words: str, new: FieldPlan | None, **more: Any) -> Judged:
        watch(1.0)
        return Judged(state, words, new, items, bool(held.any()), {"words": words, "told": done.told, **more})

    if done.adapter is None:
        why = done.told.get("why_not", "it does not help")
        return judged("undecided", f"Undecided: nothing is trained: {why}. Zero-shot and memory go on.", None)
    new = plan.model_copy(update={"adapter": done.adapter})
    rows = [row for row in np.flatnonzero(held).tolist() if known.items[row] not in past.seen]
    unseen = _held_out(plan, new, known.part(rows), kept.examples, past.attempts + 1, settings)
    its = pooling.pooled(unseen, _out_of_fold(plan, done, known, past.seen, past.attempts + 1))
    if its is None:
        return judged("undecided", _ALL_SEEN, new)
    verdict = gate.decide(its)
    return judged(verdict.decision, gate_report.words(verdict), new, gate=verdict.model_dump(mode="json"))


def _held_out(
    plan: FieldPlan, new: FieldPlan, held: Labelled, examples: Sequence[Example], attempts: int, settings: Settings
) -> Evidence | None:
    """Both versions on the held-out items, with memories that have not seen them."""
    from labelloop import tasks
    from labelloop.tasks import recollection

    if not held.texts:
        return None

    def answers(one: FieldPlan) -> list[Answer]:
        memory = recollection.learn(one, examples, 1, settings)
        memories = {} if memory is None else {one.field.name: memory}
        rendered = [{one.field.name: text} for text in held.texts]
        return [its for (its,) in tasks.answer(Bundle(plans=(one.suggesting_all,)), rendered, settings, memories)]

    return evidence(plan.field, held, answers(plan), answers(new), "held-out", attempts)


def _out_of_fold(
    plan: FieldPlan, done: Trained, known: Labelled, seen: frozenset[int], attempts: int
) -> Evidence | None:
    """Both recipes on the examples, each by models that have not seen it. An adapter that serves already has seen those
    that it was trained on, so it is judged on the others."""
    place = {text: row for row, text in enumerate(known.texts)}
    its = known.part([place[text] for text in done.texts])
    rows = [row for row, item in enumerate(its.items) if item not in seen]
    if not rows:
        return None
    before, after = ([answers[row] for row in rows] for answers in (done.before, done.after))
    return evidence(plan.field, its.part(rows), before, after, "out-of-fold", attempts)


def evidence(
    field: Field,
    its: Labelled,
    before: Sequence[Answer],
    after: Sequence[Answer],
    evaluated: Evaluated,
    attempt: int = 1,
) -> Evidence:
    """What the gate reads, of the champion's and the challenger's answers to the same items."""
    right = [right_of(field, one) for one in its.examples]

    def outcome(name: str, answers: Sequence[Answer]) -> Outcome:
        tally, hits = tallies.tally(field, right, answers), tallies.hits(field, right, answers)
        return Outcome(name, tally, [one.score for one in answers], hits, tallies.names(field, right, answers))

    old, new = outcome("champion", before), outcome("challenger", after)
    return Evidence(old, new, tallies.gold(field, right), evaluated, _slices(its), attempt=attempt)


def right_of(field: Field, one: Example) -> Sequence[Any]:
    """What was accepted, as ``tallies`` takes it."""
    if field.kind in WRITTEN:
        return one.texts
    return {"entities": one.spans, "relations": one.links}.get(field.kind, one.labels)


def _slices(its: Labelled) -> dict[str, Any]:
    return {"agreed": np.array(its.agreed, np.bool_)} if any(its.agreed) else {}

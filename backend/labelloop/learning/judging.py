"""One challenger: trained on the labels that it may learn from, and judged by the gate on those that it has not seen.

Which those are is ``held_out``'s to say: with few labels all are trained on and each is judged by models that have not
seen it; with more a fifth is kept for the gate, which reads both (``pooling``) until the fifth is enough. What serves
uses all labels in its memory; memory without the held-out ones is made for the gate only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelloop import tallies
from labelloop.learning import gate, gate_report, held_out, pooling
from labelloop.learning.gate import Decision, Evaluated, Evidence
from labelloop.learning.gate_checks import Outcome
from labelloop.settings import Settings
from labelloop.words import WRITTEN, Answer, Bundle, Field, FieldPlan

if TYPE_CHECKING:
    from labelloop.tasks.roll import Example

Watch = Callable[[float], None]
_TRAINING = 0.95  # of the work
_ALL_SEEN = "Undecided: the version that serves has learned from every label there is to judge by."


@dataclass(frozen=True)
class Labelled:
    """The examples of a field, one a text, in the order in which they were accepted. ``agreed``: whether the answer is
    surer than one person's. ``blind``: whether it was given without a suggestion, by ``learning.blind``."""

    items: tuple[int, ...]
    examples: tuple[Example, ...]
    agreed: tuple[bool, ...]
    blind: tuple[bool, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(one.text for one in self.examples)

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """``held_out.mark`` of each text."""
        return tuple(map(held_out.mark, self.texts))

    def part(self, rows: Sequence[int]) -> Labelled:
        each = (tuple(one[row] for row in rows) for one in (self.items, self.examples, self.agreed, self.blind))
        return Labelled(*each)  # type: ignore[arg-type]


class Stopped(Exception):
    """Raised by who watches a training, to end it: nothing of it is kept."""


@dataclass(frozen=True)
class Best:
    """The best version of a field there ever was. ``name``: of the version. ``plan``: its own; the adapter lies on this
    machine. ``learned``: as ``Judged.learned``, of its adapter."""

    name: str
    plan: FieldPlan
    learned: frozenset[str]


@dataclass(frozen=True)
class Past:
    """What came before. ``salt``: of the connection. ``held_out``: whether labels were kept for the gate before.
    ``seen``: marks of texts that the adapter which serves was trained on; ``older``: of those that it was judged by
    when it was promoted. ``best``: where it is not the one that serves. ``attempts``: challengers of this champion so
    far."""

    salt: str
    held_out: bool = False
    seen: frozenset[str] = frozenset()
    older: frozenset[str] = frozenset()
    best: Best | None = None
    attempts: int = 0


@dataclass(frozen=True)
class Judged:
    """``plan``: with the new adapter; None where none was made. ``items``: that were trained on. ``learned``: marks of
    their texts; ``judged``: of those that the gate judged by. ``held_out``: whether labels were kept for it.
    ``stored``: the verdict and figures, as JSON."""

    state: Decision
    words: str
    plan: FieldPlan | None
    items: tuple[int, ...]
    learned: frozenset[str]
    judged: frozenset[str]
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
    place = {text: row for row, text in enumerate(known.texts)}
    learned = known.part([place[text] for text in done.learned])
    apart = [row for row in np.flatnonzero(held).tolist() if known.marks[row] not in past.seen]
    rows = [place[text] for text in done.texts]
    folded = [at for at, row in enumerate(rows) if known.marks[row] not in past.seen]
    its = known.part(apart), known.part([rows[at] for at in folded])

    def judged(state: Decision, words: str, new: FieldPlan | None, **more: Any) -> Judged:
        watch(1.0)
        by = frozenset((*its[0].marks, *its[1].marks) if "gate" in more else ())
        stored = {"words": words, "told": done.told, **more}
        return Judged(state, words, new, learned.items, frozenset(learned.marks), by, bool(held.any()), stored)

    if done.adapter is None:
        why = done.told.get("why_not", "it does not help")
        return judged("undecided", f"Undecided: nothing is trained: {why}. Zero-shot and memory go on.", None)
    new = plan.model_copy(update={"adapter": done.adapter})
    held_out_part = _held_out(plan, new, its[0], kept.examples, past, settings) if its[0].items else None
    before, after = ([answers[at] for at in folded] for answers in (done.before, done.after))
    out_of_fold = evidence(plan.field, its[1], before, after, "out-of-fold", past) if folded else None
    found = pooling.pooled(held_out_part, out_of_fold)
    if found is None:
        return judged("undecided", _ALL_SEEN, new)
    verdict = gate.decide(found)
    return judged(verdict.decision, gate_report.words(verdict), new, gate=verdict.model_dump(mode="json"))


def _held_out(
    plan: FieldPlan, new: FieldPlan, held: Labelled, examples: Sequence[Example], past: Past, settings: Settings
) -> Evidence:
    """The versions on the held-out items, with memories that have not seen them."""
    from labelloop import tasks
    from labelloop.tasks import recollection

    def answers(one: FieldPlan) -> list[Answer]:
        memory = recollection.learn(one, examples, 1, settings)
        memories = {} if memory is None else {one.field.name: memory}
        rendered = [{one.field.name: text} for text in held.texts]
        return [its for (its,) in tasks.answer(Bundle(plans=(one.suggesting_all,)), rendered, settings, memories)]

    best = past.best
    third = best is not None and best.plan.adapter != new.adapter and best.learned.isdisjoint(held.marks)
    known = answers(best.plan) if best is not None and third else None
    return evidence(plan.field, held, answers(plan), answers(new), "held-out", past, known)


def evidence(
    field: Field,
    its: Labelled,
    before: Sequence[Answer],
    after: Sequence[Answer],
    evaluated: Evaluated,
    past: Past,
    best: Sequence[Answer] | None = None,
) -> Evidence:
    """What the gate reads, of the champion's and the challenger's answers to the same items, none of which the champion
    learned from: an adapter that serves already has seen those that it was trained on, and their copies. ``best``: of
    ``past.best``."""
    right = [right_of(field, one) for one in its.examples]

    def outcome(name: str, answers: Sequence[Answer]) -> Outcome:
        tally, hits = tallies.tally(field, right, answers), tallies.hits(field, right, answers)
        return Outcome(name, tally, [one.score for one in answers], hits, tallies.names(field, right, answers))

    return Evidence(
        outcome("champion", before),
        outcome("challenger", after),
        tallies.gold(field, right),
        evaluated,
        _slices(its, past.older),
        outcome(past.best.name, best) if best is not None and past.best is not None else None,
        past.attempts + 1,
    )


def right_of(field: Field, one: Example) -> Sequence[Any]:
    """What was accepted, as ``tallies`` takes it."""
    if field.kind in WRITTEN:
        return one.texts
    return {"entities": one.spans, "relations": one.links}.get(field.kind, one.labels)


def _slices(its: Labelled, older: frozenset[str]) -> dict[str, NDArray[np.bool_]]:
    masks = {"older": [mark in older for mark in its.marks], "agreed": its.agreed, "blind": its.blind}
    return {name: np.array(mask, np.bool_) for name, mask in masks.items() if any(mask)}

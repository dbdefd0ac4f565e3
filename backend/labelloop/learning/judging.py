"""One challenger: trained on the labels that it may learn from, and judged by the gate on those that it has not seen.

Which those are is ``held_out``'s to say: with few labels all are trained on and each is judged by models that have not
seen it; with many a fifth is kept for the gate alone. What serves uses all labels in its memory; memory without the
held-out ones is made for the gate only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelloop.evaluation import of_labels
from labelloop.learning import gate, gate_report, held_out
from labelloop.learning.gate import Decision, Evidence
from labelloop.learning.gate_checks import Outcome
from labelloop.settings import Settings
from labelloop.words import Answer, Bundle, FieldPlan, Path

Watch = Callable[[float], None]
_TRAINING = 0.95  # of the work
_ALL_SEEN = "Undecided: the version that serves has learned from every label there is to judge by."


@dataclass(frozen=True)
class Labelled:
    """The examples of a field, one a text, in the order in which they were accepted."""

    items: tuple[int, ...]
    texts: tuple[str, ...]
    right: tuple[tuple[Path, ...], ...]
    agreed: tuple[bool, ...]

    def part(self, rows: Sequence[int]) -> Labelled:
        each = (tuple(one[row] for row in rows) for one in (self.items, self.texts, self.right, self.agreed))
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
    from labelloop.tasks import roll, training

    held = held_out.held_out(known.texts, past.salt, past.held_out)
    kept = known.part(np.flatnonzero(~held).tolist())
    examples = [roll.Example(text, right) for text, right in zip(kept.texts, kept.right, strict=True)]
    seconds = 60 * settings.refresh_budget
    done = training.train(
        plan, examples, settings, lambda share: watch(_TRAINING * share), seconds, held_out.normalised
    )
    item = dict(zip(kept.texts, kept.items, strict=True))
    items = tuple(item[text] for text in done.texts)

    def judged(state: Decision, words: str, new: FieldPlan | None, **more: Any) -> Judged:
        watch(1.0)
        return Judged(state, words, new, items, bool(held.any()), {"words": words, "told": done.told, **more})

    if done.adapter is None:
        why = done.told.get("why_not", "it does not help")
        return judged("undecided", f"Undecided: nothing is trained: {why}. Zero-shot and memory go on.", None)
    new = plan.model_copy(update={"adapter": done.adapter})
    if held.any():
        rows = [row for row in np.flatnonzero(held).tolist() if known.items[row] not in past.seen]
        evidence = _held_out(plan, new, known.part(rows), examples, past.attempts + 1, settings)
    else:
        evidence = _out_of_fold(plan, done, known, past.seen, past.attempts + 1, settings)
    if evidence is None:
        return judged("undecided", _ALL_SEEN, new)
    verdict = gate.decide(evidence)
    return judged(verdict.decision, gate_report.words(verdict), new, gate=verdict.model_dump(mode="json"))


def _held_out(
    plan: FieldPlan, new: FieldPlan, held: Labelled, examples: Sequence[Any], attempts: int, settings: Settings
) -> Evidence | None:
    """Both versions on the held-out items, with memories that have not seen them."""
    from labelloop import tasks
    from labelloop.tasks import recollection

    if not held.texts:
        return None

    def outcome(name: str, one: FieldPlan) -> Outcome:
        memory = recollection.learn(one, examples, 1, settings)
        memories = {} if memory is None else {one.field.name: memory}
        rendered = [{one.field.name: text} for text in held.texts]
        answers = [its for (its,) in tasks.answer(Bundle(plans=(one.suggesting_all,)), rendered, settings, memories)]
        return _outcome(name, one, held.right, answers)

    old, better = outcome("champion", plan), outcome("challenger", new)
    return Evidence(old, better, _gold(held), slices=_slices(held), attempt=attempts)


def _out_of_fold(
    plan: FieldPlan, done: Any, known: Labelled, seen: frozenset[int], attempts: int, settings: Settings
) -> Evidence | None:
    """Both recipes on the examples, each by models that have not seen it. An adapter that serves already has seen those
    that it was trained on, so it is judged on the others."""
    from labelloop.tasks import classification, trained

    place = {text: row for row, text in enumerate(known.texts)}
    its = known.part([place[text] for text in done.texts])
    rows = [row for row, item in enumerate(its.items) if item not in seen]
    if not rows:
        return None
    its, before, after = its.part(rows), done.before[rows], done.after[rows]
    if (former := trained.ready(plan, settings)) is not None:
        before = former.chances(its.texts, before)

    def outcome(name: str, chances: Any) -> Outcome:
        return _outcome(name, plan, its.right, classification.answers(plan.field, chances, [1] * len(rows)))

    old, better = outcome("champion", before), outcome("challenger", after)
    return Evidence(old, better, _gold(its), "out-of-fold", _slices(its), attempt=attempts)


def _outcome(name: str, plan: FieldPlan, right: Sequence[tuple[Path, ...]], answers: Sequence[Answer]) -> Outcome:
    hits = [set(one.labels) == set(its) for one, its in zip(answers, right, strict=True)]
    said = [tuple(" > ".join(path) for path in one.labels) for one in answers]
    return Outcome(name, of_labels(plan.field, right, answers), [one.score for one in answers], hits, said)


def _gold(its: Labelled) -> list[tuple[str, ...]]:
    return [tuple(" > ".join(path) for path in paths) for paths in its.right]


def _slices(its: Labelled) -> dict[str, Any]:
    return {"agreed": np.array(its.agreed, np.bool_)} if any(its.agreed) else {}

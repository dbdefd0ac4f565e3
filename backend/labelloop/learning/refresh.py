"""A refresh: a field is trained on its labels, and what comes of it serves if the gate says that it is better.

Which examples may be trained on, and by which the gate judges, is ``held_out``'s: with few labels all are trained on
and each is judged by models that have not seen it; with many a fifth is kept for the gate alone. What serves uses all
labels in its memory; memory without the held-out ones is made for the gate only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from labelloop.errors import LabelLoopError, RequestError
from labelloop.evaluation import of_labels
from labelloop.learning import adapters, gate, gate_report, held_out, refreshes
from labelloop.learning.gate import Evidence, Verdict
from labelloop.learning.gate_checks import Outcome
from labelloop.learning.reading import as_read
from labelloop.learning.refreshes import State, Trigger
from labelloop.learning.store import Store, Version
from labelloop.settings import Settings
from labelloop.words import Answer, Bundle, Example, FieldPlan, Path

Watch = Callable[[float], None]
_GATE_SHARE = 0.95  # of the work is the training


@dataclass(frozen=True)
class Done:
    """What came of an attempt. ``words``: for people."""

    state: State
    words: str


@dataclass(frozen=True)
class _Labelled:
    """The examples of a field, one a text, in the order in which they were accepted."""

    items: tuple[int, ...]
    texts: tuple[str, ...]
    right: tuple[tuple[Path, ...], ...]
    agreed: tuple[bool, ...]

    def part(self, rows: Sequence[int]) -> _Labelled:
        each = (tuple(one[row] for row in rows) for one in (self.items, self.texts, self.right, self.agreed))
        return _Labelled(*each)  # type: ignore[arg-type]


def due_fields(store: Store, connection_id: int, settings: Settings) -> list[str]:
    """Names of the fields of a connection that have labels enough for another attempt."""
    from labelloop.learning.versions import settings_for

    version = store.champion(connection_id)
    if version is None:
        return []
    settings = settings_for(settings, store.connection(connection_id).directions)
    found = []
    for plan in version.bundle.plans:
        if plan.trainable:
            count = len(_labelled(store, connection_id, plan, version.bundle, settings).texts)
            if refreshes.due(count, refreshes.listed(store, connection_id, plan.field.name)):
                found.append(plan.field.name)
    return found


def attempt(
    store: Store,
    connection_id: int,
    field: str,
    trigger: Trigger,
    settings: Settings,
    watch: Watch = lambda share: None,
) -> Done:
    """Trains a field of a connection and lets what comes of it serve, if it is better.

    Args:
        watch: hears which share is done; what it raises ends the attempt as "stopped".

    Raises:
        RequestError: there is no such field, nothing of it can be trained, or it has too few labels.
        ModelError, SettingsError: of the models; the attempt is written down as "failed".
    """
    from labelloop.learning.versions import settings_for

    version = store.champion(connection_id)
    plan = next((one for one in version.bundle.plans if one.field.name == field), None) if version else None
    if version is None or plan is None:
        raise RequestError(f"No control '{field}' is filled.", "`labelloop status` shows those there are.")
    if not plan.trainable:
        raise RequestError(
            f"'{field}' is not trained: that needs labels of the config to choose from, and the encoder.",
            "It learns by its memory all the same.",
        )
    settings = settings_for(settings, store.connection(connection_id).directions)
    known = _labelled(store, connection_id, plan, version.bundle, settings)
    if len(known.texts) < refreshes.FEWEST:
        raise RequestError(
            f"'{field}' has {len(known.texts)} labelled texts; training begins with {refreshes.FEWEST}.",
            "Label some more; memory learns from each at once.",
        )
    number = refreshes.begin(store, connection_id, field, trigger, len(known.texts), version.bundle.digest)
    try:
        return _attempt(store, version, plan, known, number, settings, watch)
    except LabelLoopError as error:
        refreshes.end(store, number, "failed", error=str(error))
        raise
    except BaseException as error:
        refreshes.end(store, number, "stopped", error=f"{type(error).__name__}: {error}".rstrip(": "))
        raise


def _attempt(
    store: Store, version: Version, plan: FieldPlan, known: _Labelled, number: int, settings: Settings, watch: Watch
) -> Done:
    from labelloop.tasks import roll, trained, training

    former = refreshes.listed(store, version.connection_id, plan.field.name)
    already = any(one.held_out for one in former)
    held = held_out.held_out(known.texts, str(version.connection_id), already)
    kept = known.part(np.flatnonzero(~held).tolist())
    examples = [roll.Example(text, right) for text, right in zip(kept.texts, kept.right, strict=True)]
    done = training.train(
        plan, examples, settings, lambda share: watch(_GATE_SHARE * share), 60 * settings.refresh_budget
    )
    item = dict(zip(kept.texts, kept.items, strict=True))
    end = partial(refreshes.end, store, number, items=[item[text] for text in done.texts], held_out=bool(held.any()))
    if done.adapter is None:
        words = "Undecided: what training would add is not worth its cost yet; zero-shot and memory go on."
        end("undecided", verdict={"words": words, "told": done.told})
        return Done("undecided", words)
    adapters.keep(store, trained.folder(settings) / done.adapter)
    new = plan.model_copy(update={"adapter": done.adapter})
    attempts, seen = _attempts(former, version.bundle.digest), _trained_on(former, plan.adapter)
    if held.any():
        rows = [row for row in np.flatnonzero(held).tolist() if known.items[row] not in seen]
        evidence = _held_out(plan, new, known.part(rows), examples, attempts, settings)
    else:
        evidence = _out_of_fold(plan, done, known, seen, attempts, settings)
    watch(1.0)
    if evidence is None:
        words = "Undecided: the version that serves has learned from every label there is to judge by."
        end("undecided", verdict={"words": words, "told": done.told})
        return Done("undecided", words)
    verdict = gate.decide(evidence)
    made = None
    if verdict.promoted:
        plans = tuple(new if one.field.name == plan.field.name else one for one in version.bundle.plans)
        made = _promote(store, version, Bundle(plans=plans))
    state: State = verdict.decision
    if verdict.promoted and made is None:
        state = "undecided"
    words = gate_report.words(verdict)
    version_id = made.id if made else None
    end(state, adapter=done.adapter, version_id=version_id, verdict=_stored(verdict, words, done.told))
    return Done(state, words)


def _promote(store: Store, version: Version, bundle: Bundle) -> Version | None:
    """The new version, serving; None where another one has begun to serve meanwhile, which the gate did not see."""
    champion = store.champion(version.connection_id)
    if champion is None or champion.id != version.id:
        return None
    return store.serve(version.connection_id, bundle, version.skipped)


def _stored(verdict: Verdict, words: str, told: Mapping[str, Any]) -> dict[str, Any]:
    return {"words": words, "told": dict(told), "gate": verdict.model_dump(mode="json")}


def _labelled(store: Store, connection_id: int, plan: FieldPlan, bundle: Bundle, settings: Settings) -> _Labelled:
    from labelloop.tasks.roll import Roll

    found = store.examples(connection_id, plan.field, bundle.fields, several=settings.several).found
    roll, by_item = Roll(plan.field), dict[int, Example]()
    for one in sorted(found, key=lambda one: (one.epoch, one.item)):
        by_item[one.item] = one
        roll.put(one.item, as_read(plan, one, settings))
    its = roll.items()
    examples = [by_item[item] for item, _ in its]
    return _Labelled(
        tuple(item for item, _ in its),
        tuple(one.text for _, one in its),
        tuple(one.labels for _, one in its),
        tuple(one.ground_truth for one in examples),
    )


def _attempts(former: Sequence[refreshes.Refresh], digest: str) -> int:
    """The how-manieth challenger of this champion comes now."""
    return 1 + sum(one.parent == digest and one.state in ("refused", "undecided") for one in former)


def _trained_on(former: Sequence[refreshes.Refresh], adapter: str | None) -> frozenset[int]:
    return frozenset(item for one in former if adapter and one.adapter == adapter for item in one.items)


def _held_out(
    plan: FieldPlan, new: FieldPlan, held: _Labelled, examples: Sequence[Any], attempts: int, settings: Settings
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
        answers = [its for (its,) in tasks.answer(Bundle(plans=(_open(one),)), rendered, settings, memories)]
        return _outcome(name, one, held.right, answers)

    old, better = outcome("champion", plan), outcome("challenger", new)
    return Evidence(old, better, _gold(held), slices=_slices(held), attempt=attempts)


def _out_of_fold(
    plan: FieldPlan, done: Any, known: _Labelled, seen: frozenset[int], attempts: int, settings: Settings
) -> Evidence | None:
    """Both recipes on the examples, each by models that have not seen it. An adapter that serves already has seen those
    that it was trained on, so it is judged on the others."""
    from labelloop.tasks import classification, trained, voices

    place = {text: row for row, text in enumerate(known.texts)}
    its = known.part([place[text] for text in done.texts])
    rows = [row for row, item in enumerate(its.items) if item not in seen]
    if not rows:
        return None
    its, before, after = its.part(rows), done.before[rows], done.after[rows]
    if plan.adapter is not None:
        former = trained.learnt(plan, its.texts, settings)
        assert former is not None
        before = voices.mix(former.voices, before, former.chances, plan.field.multiple)

    def outcome(name: str, chances: Any) -> Outcome:
        return _outcome(name, plan, its.right, classification.answers(plan.field, chances, [1] * len(rows)))

    old, better = outcome("champion", before), outcome("challenger", after)
    return Evidence(old, better, _gold(its), "out-of-fold", _slices(its), attempt=attempts)


def _open(plan: FieldPlan) -> FieldPlan:
    """The plan without a wished precision: what would be held back is judged, too."""
    return plan.model_copy(update={"precision": None})


def _outcome(name: str, plan: FieldPlan, right: Sequence[tuple[Path, ...]], answers: Sequence[Answer]) -> Outcome:
    hits = [set(one.labels) == set(its) for one, its in zip(answers, right, strict=True)]
    said = [tuple(" > ".join(path) for path in one.labels) for one in answers]
    return Outcome(name, of_labels(plan.field, right, answers), [one.score for one in answers], hits, said)


def _gold(its: _Labelled) -> list[tuple[str, ...]]:
    return [tuple(" > ".join(path) for path in paths) for paths in its.right]


def _slices(its: _Labelled) -> dict[str, Any]:
    return {"agreed": np.array(its.agreed, np.bool_)} if any(its.agreed) else {}

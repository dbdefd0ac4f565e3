"""A refresh: a connection's field is trained on its labels, and what comes of it serves if the gate finds it better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labelloop.errors import LabelLoopError, ModelError, RequestError
from labelloop.learning import adapters, blind, refreshes, watching
from labelloop.learning.judging import Best, Labelled, Past, Stopped, Watch, judge
from labelloop.learning.reading import take_in
from labelloop.learning.refreshes import Refresh, State, Trigger
from labelloop.learning.store import Store, Version
from labelloop.learning.versions import serve_plan, settings_for
from labelloop.settings import Settings
from labelloop.words import Bundle, FieldPlan


@dataclass(frozen=True)
class Done:
    """What came of an attempt. ``words``: for people."""

    state: State
    words: str


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
        watch: hears which share is done, first when the attempt is in the store; to stop, it raises
            ``judging.Stopped``.

    Raises:
        RequestError: there is no such field, nothing of it can be trained, or it has too few labels.
        ModelError, SettingsError: of the models; the attempt is written down as "failed".
    """
    version = store.champion(connection_id)
    plan = next((one for one in version.bundle.plans if one.field.name == field), None) if version else None
    if version is None or plan is None:
        raise RequestError(f"No control '{field}' is filled.", "`labelloop status` shows those there are.")
    if not plan.trainable:
        raise RequestError(
            f"'{field}' is not trained: that needs the encoder, and labels to choose from, to mark or to relate; or a "
            "text box that the engine causal fills.",
            "It learns by its memory all the same.",
        )
    settings = settings_for(settings, store.connection(connection_id).directions)
    known = labelled(store, connection_id, plan, version.bundle, settings)
    if len(known.texts) < refreshes.FEWEST:
        raise RequestError(
            f"'{field}' has {len(known.texts)} labelled texts; training begins with {refreshes.FEWEST}.",
            "Label some more; memory learns from each at once.",
        )
    number = refreshes.begin(store, connection_id, field, trigger, len(known.texts), version.bundle.digest)
    try:
        watch(0.0)
        return _attempt(store, version, plan, known, number, settings, watch)
    except LabelLoopError as error:
        refreshes.end(store, number, "failed", error=str(error))
        raise
    except (Stopped, KeyboardInterrupt, SystemExit):
        refreshes.end(store, number, "stopped", error="The training was stopped.")
        raise
    except Exception as error:
        refreshes.end(store, number, "failed", error=f"{type(error).__name__}: {error}".rstrip(": "))
        raise


def _attempt(
    store: Store, version: Version, plan: FieldPlan, known: Labelled, number: int, settings: Settings, watch: Watch
) -> Done:
    from labelloop.tasks import trained

    former = refreshes.listed(store, version.connection_id, plan.field.name)
    same = {one.bundle.digest for one in store.versions(version.connection_id) if plan in one.bundle.plans}
    past = Past(
        salt=str(version.connection_id),
        held_out=any(one.held_out for one in former),
        seen=_trained_on(former, plan.adapter, known),
        older=frozenset(mark for one in former if _promoted(one, plan.adapter) for mark in one.judged),
        best=_best(store, version.connection_id, plan, former, settings),
        attempts=sum(one.parent in same and "gate" in one.verdict for one in former),
    )
    since = watching.Since(store.memory_epoch(version.connection_id))
    judged = judge(plan, known, past, settings, watch)
    if judged.plan is not None:
        adapters.keep(store, trained.folder(settings) / str(judged.plan.adapter))
    made, state, words = None, judged.state, judged.words
    if state == "promoted" and judged.plan is not None:
        made = serve_plan(store, version.connection_id, plan, judged.plan)
        if made is None:
            state, words = "undecided", f"Undecided: '{plan.field.name}' is served otherwise by now. {words}"
    refreshes.end(
        store,
        number,
        state,
        items=judged.items,
        learned=judged.learned,
        judged=judged.judged,
        held_out=judged.held_out,
        adapter=judged.plan.adapter if judged.plan else None,
        version_id=made.id if made else None,
        verdict={**judged.stored, "words": words, **({"since": since.stored} if made else {})},
    )
    return Done(state, words)


def labelled(store: Store, connection_id: int, plan: FieldPlan, bundle: Bundle, settings: Settings) -> Labelled:
    """The examples of a field as models read them."""
    from labelloop.tasks.roll import Roll

    found = store.examples(connection_id, plan.field, bundle.fields, several=settings.several).found
    its = take_in(Roll(plan.field), plan, found, settings).items()
    by_item = {one.item: one for one in found}
    unseen = blind.slice_of(store.connection(connection_id), settings)
    return Labelled(
        tuple(item for item, _ in its),
        tuple(one for _, one in its),
        tuple(by_item[item].agreed for item, _ in its),
        tuple(unseen.example(bundle.fields, by_item[item]) for item, _ in its),
    )


def _trained_on(former: Sequence[Refresh], adapter: str | None, known: Labelled) -> frozenset[str]:
    """Marks of the texts that an adapter learned from, and of what its items say now."""
    its = [one for one in former if adapter and one.adapter == adapter]
    items = {item for one in its for item in one.items}
    now = {mark for item, mark in zip(known.items, known.marks, strict=True) if item in items}
    return frozenset(now.union(*(one.learned for one in its)))


def _promoted(one: Refresh, adapter: str | None) -> bool:
    return one.state == "promoted" and one.adapter is not None and one.adapter == adapter


def _best(
    store: Store, connection_id: int, plan: FieldPlan, former: Sequence[Refresh], settings: Settings
) -> Best | None:
    """Of the versions that the gate promoted for this very field, and that were not withdrawn since, the one with the
    greatest metric in its verdict; None where it is the one that serves. One whose adapter is lost is passed over."""
    from labelloop.tasks import trained

    its_versions = {one.id: one for one in store.versions(connection_id)}
    found = []
    for one in former:
        version = its_versions.get(one.version_id or 0)
        plans = version.bundle.plans if version is not None and one.state == "promoted" else ()
        its = next((known for known in plans if known.adapter == one.adapter and known.field == plan.field), None)
        if version is not None and its is not None and "gate" in one.verdict and "withdrawn" not in one.verdict:
            found.append((float(one.verdict["gate"]["challenger"]), one.id, Best(version.name, its, one.learned)))
    for _, _, best in sorted(found, key=lambda one: one[:2], reverse=True):
        if best.plan.adapter == plan.adapter:
            return None
        try:
            adapters.fetch(store, Bundle(plans=(best.plan,)), trained.folder(settings), trained.check)
        except ModelError:
            continue
        if best.learned:  # else it is not known what it learned from
            return best
    return None

"""A refresh: a connection's field is trained on its labels, and what comes of it serves if the gate finds it better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labelloop.errors import LabelLoopError, RequestError
from labelloop.learning import adapters, refreshes, watching
from labelloop.learning.judging import Labelled, Past, Stopped, Watch, judge
from labelloop.learning.reading import take_in
from labelloop.learning.refreshes import State, Trigger
from labelloop.learning.store import Store, Version
from labelloop.learning.versions import serve_plan, settings_for
from labelloop.settings import Settings
from labelloop.words import Bundle, FieldPlan


@dataclass(frozen=True)
class Done:
    """What came of an attempt. ``words``: for people."""

    state: State
    words: str


def due_fields(store: Store, connection_id: int, settings: Settings) -> list[str]:
    """Names of the fields of a connection that have labels enough for another attempt."""
    version = store.champion(connection_id)
    if version is None:
        return []
    settings = settings_for(settings, store.connection(connection_id).directions)
    how = store.count_labels(connection_id).how
    most = sum(how.values()) - how["skipped"]  # of any field: to count its own, all labels are read
    found = []
    for plan in version.bundle.plans:
        former = refreshes.listed(store, connection_id, plan.field.name)
        if plan.trainable and refreshes.due(most, former):
            known = _labelled(store, connection_id, plan, version.bundle, settings)
            if refreshes.due(len(known.texts), former):
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
        watch: hears which share is done; to stop, it raises ``judging.Stopped``.

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
            f"'{field}' is not trained: that needs the encoder, and labels to choose from, to mark or to relate.",
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
        seen=_trained_on(former, plan.adapter),
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
        held_out=judged.held_out,
        adapter=judged.plan.adapter if judged.plan else None,
        version_id=made.id if made else None,
        verdict={**judged.stored, "words": words, **({"since": since.stored} if made else {})},
    )
    return Done(state, words)


def _labelled(store: Store, connection_id: int, plan: FieldPlan, bundle: Bundle, settings: Settings) -> Labelled:
    from labelloop.tasks.roll import Roll

    found = store.examples(connection_id, plan.field, bundle.fields, several=settings.several).found
    its = take_in(Roll(plan.field), plan, found, settings).items()
    by_item = {one.item: one for one in found}
    return Labelled(
        tuple(item for item, _ in its),
        tuple(one for _, one in its),
        tuple(by_item[item].ground_truth for item, _ in its),
    )


def _trained_on(former: Sequence[refreshes.Refresh], adapter: str | None) -> frozenset[int]:
    return frozenset(item for one in former if adapter and one.adapter == adapter for item in one.items)

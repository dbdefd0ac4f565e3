"""What starts a training by itself: labels that have grown, a config with new labels, a schedule, falling agreement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from labelloop.learning import agreement, refreshes
from labelloop.learning.judging import Labelled
from labelloop.learning.refresh import labelled
from labelloop.learning.refreshes import Refresh, Trigger
from labelloop.learning.store import Store, Version
from labelloop.learning.tables import now
from labelloop.learning.versions import goes_on, settings_for
from labelloop.settings import Settings
from labelloop.words import Bundle, FieldPlan, Path

if TYPE_CHECKING:
    from labelloop.tasks.roll import Example


def due_fields(store: Store, connection_id: int, settings: Settings) -> dict[str, Trigger]:
    """Names of the fields of a connection that are to be trained now, and why.

    - "labels": there are enough for another attempt (``refreshes.due``). Attempts count while what they made would go
      on serving, and until as many labels as a first attempt takes are of such names as the config did not have then:
      a field whose labels have changed need not wait for half as many again.
    - "agreement": people agree less with suggestions than they did (``agreement``), and have labelled since the last
      attempt.
    - "schedule": the last attempt was ``refresh_every`` hours ago, and people have labelled since.
    """
    version = store.champion(connection_id)
    if version is None:
        return {}
    settings = settings_for(settings, store.connection(connection_id).directions)
    how = store.count_labels(connection_id).how
    most = sum(how.values()) - how["skipped"]  # of any field: to count its own, all labels are read
    bundles = {one.bundle.digest: one.bundle for one in store.versions(connection_id)}
    found: dict[str, Trigger] = {}
    for plan in (one for one in version.bundle.plans if one.trainable):
        all_of_it = refreshes.listed(store, connection_id, plan.field.name)
        former = [(one, came) for one in all_of_it if (came := _came_since(bundles.get(one.parent), plan)) is not None]
        grown = refreshes.due(most, [one for one, came in former if not came])
        other = _other(store, version, all_of_it, settings) if most > _last(all_of_it) else None
        if not grown and other is None:
            continue
        known = labelled(store, connection_id, plan, version.bundle, settings)
        if refreshes.due(len(known.texts), [one for one, came in former if _of(known, came) < refreshes.FEWEST]):
            found[plan.field.name] = "labels"
        elif other is not None and len(known.texts) > max(_last(all_of_it), refreshes.FEWEST - 1):
            found[plan.field.name] = other
    return found


def _came_since(then: Bundle | None, plan: FieldPlan) -> frozenset[Path] | None:
    """Labels that a field has and had not under a former bundle; None where what was trained then would not serve."""
    if then is None:
        return frozenset()
    its = next((one for one in then.plans if goes_on(one, plan)), None)
    if its is None:
        return None
    return frozenset(plan.field.columns) - {plan.field.today(label.path) for label in its.field.labels}


def _of(known: Labelled, labels: frozenset[Path]) -> int:
    """How many of the examples have one of these labels."""

    def its(one: Example) -> set[Path]:
        return {*one.labels, *(span.label for span in one.spans), *((link.label,) for link in one.links)}

    return sum(not labels.isdisjoint(its(one)) for one in known.examples)


def _last(former: Sequence[Refresh]) -> int:
    """Labels of the last attempt."""
    return former[0].labels if former else 0


def _other(store: Store, version: Version, former: Sequence[Refresh], settings: Settings) -> Trigger | None:
    """Why a field that was trained before is trained again, though its labels have not grown enough."""
    if not former or former[0].state == "running":
        return None
    judged = [one.ended_at for one in former if one.state in ("promoted", "refused", "undecided") and one.ended_at]
    moments: list[datetime] = [*judged, *([version.served_at] if version.served_at else [])]
    if moments and agreement.fallen(store, version.connection_id, max(moments)) is not None:
        return "agreement"
    every = timedelta(hours=settings.refresh_every)
    if every and now() - (former[0].ended_at or former[0].begun_at) >= every:
        return "schedule"
    return None

"""Attempts to train something better: what was tried for a field, what came of it, and when the next is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select, update

from labelloop.errors import RequestError
from labelloop.learning.store import Store
from labelloop.learning.tables import RefreshRow, now

Trigger = Literal["labels", "agreement", "schedule", "label_studio", "command", "api", "resumed"]
WHY: Mapping[str, str] = {
    "labels": "labels have grown",
    "agreement": "agreement has fallen",
    "schedule": "by schedule",
    "label_studio": "asked for in Label Studio",
    "command": "asked for",
    "api": "asked for by the API",
    "resumed": "once more after a stop",
}
"""A ``Trigger`` in words."""
State = Literal["running", "promoted", "refused", "undecided", "failed", "stopped"]

FEWEST = 32
"""Labels under which nothing is trained: memory does better (``tasks.refresh_labels.FEWEST``)."""
_UNFINISHED = ("running", "stopped")
_DIED = "The process that trained ended before it was done."
GROWTH = 1.5
"""How many times the labels of the last attempt there must be for the next: so the attempts for n labels are about
log n, and all of them together take about three times the last one's time."""


@dataclass(frozen=True)
class Refresh:
    """As the columns of ``RefreshRow``."""

    id: int
    connection_id: int
    field: str
    trigger: str
    state: str
    labels: int
    items: tuple[int, ...]
    held_out: bool
    parent: str
    adapter: str | None
    version_id: int | None
    verdict: dict[str, Any]
    error: str
    begun_at: datetime
    ended_at: datetime | None
    learned: frozenset[str] = frozenset()
    judged: frozenset[str] = frozenset()


def begin(store: Store, connection_id: int, field: str, trigger: Trigger, labels: int, parent: str) -> int:
    """Writes down that an attempt begins; returns its number. One that was left running, by a process that died, ends
    as "stopped": who begins holds the field's lease."""
    with store.session() as session:
        left = select(RefreshRow).where(
            RefreshRow.connection_id == connection_id, RefreshRow.field == field, RefreshRow.state == "running"
        )
        for row in session.scalars(left):
            row.state, row.ended_at, row.error = "stopped", now(), _DIED
        made = RefreshRow(connection_id=connection_id, field=field, trigger=trigger, labels=labels, parent=parent)
        session.add(made)
        session.flush()
        return made.id


def end(
    store: Store,
    number: int,
    state: State,
    *,
    items: Sequence[int] = (),
    learned: Iterable[str] = (),
    judged: Iterable[str] = (),
    held_out: bool = False,
    adapter: str | None = None,
    version_id: int | None = None,
    verdict: Mapping[str, Any] | None = None,
    error: str = "",
) -> None:
    """Writes down what came of an attempt."""
    with store.session() as session:
        row = session.get(RefreshRow, number)
        if row is None:
            raise RequestError(f"There is no refresh {number}.")
        row.state, row.ended_at, row.items, row.adapter = state, now(), list(items), adapter
        row.learned, row.judged = sorted(set(learned)), sorted(set(judged))
        row.version_id, row.verdict, row.error, row.held_out = version_id, dict(verdict or {}), error, held_out


def died(store: Store, number: int) -> None:
    """Writes down that the process ended which made an attempt, unless it has ended otherwise."""
    with store.session() as session:
        mine = update(RefreshRow).where(RefreshRow.id == number, RefreshRow.state == "running")
        session.execute(mine.values(state="stopped", ended_at=now(), error=_DIED))


def note(store: Store, number: int, verdict: Mapping[str, Any]) -> None:
    """Writes down what is known of an attempt's outcome by now."""
    with store.session() as session:
        row = session.get(RefreshRow, number)
        if row is not None:
            row.verdict = dict(verdict)


def listed(store: Store, connection_id: int, field: str = "", most: int = 100) -> list[Refresh]:
    """The attempts of a connection, the latest first."""
    wanted = select(RefreshRow).where(RefreshRow.connection_id == connection_id)
    if field:
        wanted = wanted.where(RefreshRow.field == field)
    with store.session() as session:
        return [_refresh(row) for row in session.scalars(wanted.order_by(RefreshRow.id.desc()).limit(most))]


def unfinished(store: Store) -> list[Refresh]:
    """Attempts that are running, or were when their process ended, and were not made anew since; none of a field whose
    last three all ended so: what stops them would stop the next one, too."""
    newest = select(func.max(RefreshRow.id)).group_by(RefreshRow.connection_id, RefreshRow.field)
    wanted = select(RefreshRow).where(RefreshRow.id.in_(newest), RefreshRow.state.in_(_UNFINISHED))
    with store.session() as session:
        found = [_refresh(row) for row in session.scalars(wanted.order_by(RefreshRow.id))]
    return [
        one
        for one in found
        if len([1 for its in listed(store, one.connection_id, one.field, 3) if its.state in _UNFINISHED]) < 3
    ]


def due(labels: int, former: Sequence[Refresh]) -> bool:
    """Whether so many labels are enough for another attempt, after those that were made; the latest first.

    An attempt that failed or was stopped has shown nothing, and counts as none; but three in a row count as one.
    """
    failed = 0
    for one in former:
        if one.state in ("failed", "stopped") and failed < 2:
            failed += 1
            continue
        return labels >= GROWTH * one.labels
    return labels >= FEWEST


def _refresh(row: RefreshRow) -> Refresh:
    return Refresh(
        row.id,
        row.connection_id,
        row.field,
        row.trigger,
        row.state,
        row.labels,
        tuple(row.items),
        row.held_out,
        row.parent,
        row.adapter,
        row.version_id,
        row.verdict,
        row.error,
        row.begun_at,
        row.ended_at,
        frozenset(row.learned),
        frozenset(row.judged),
    )

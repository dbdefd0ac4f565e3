"""Reading back: Label Studio is the source of truth for labels, and its webhooks get lost; this brings what was missed.

A **whole** sync reads every task that has annotations, in pages by id: first those with labels, then those that were
skipped. Tasks of which we hold such, and which are not on the page where they belong, are read once more by id: so
deletions are found, and become tombstones. After each page the place is stored, and an interrupted sync goes on from
there. A **brief** one reads only what was changed since the last; where the counts then differ, a deletion was missed,
and a whole one follows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from labelloop.errors import RequestError
from labelloop.learning import intake
from labelloop.learning.labels import Changes, apply
from labelloop.learning.store import Connection, Store
from labelloop.learning.tables import AnnotationRow, ConnectionRow
from labelloop.studio.client import LABELLED, SKIPPED, StudioClient, changed_since

log = logging.getLogger(__name__)

_MARGIN = timedelta(seconds=60)  # what is committed late carries an earlier time
_BEYOND = 2**62
_PHASES = (("labelled", LABELLED, False), ("skipped", SKIPPED, True))

Json = dict[str, Any]


@dataclass(frozen=True)
class _Place:
    """How far a sync is. ``phase``: "labelled", "skipped", or "" while none is under way. ``after``: the last task id
    read. ``since``: of the tasks that are read; "" for all. ``upto``: the newest change when it began. ``done``: what
    the next brief sync reads on from. ``differ``: by how much the counts differed after the last whole one: Label
    Studio's own counters may be wrong."""

    phase: str = ""
    after: int = 0
    since: str = ""
    upto: str = ""
    done: str = ""
    differ: str = ""


@dataclass
class Synced:
    """What a sync did. ``tasks``: read. ``changed``: rows of the store. ``finished``: False where it was told to stop;
    the next one goes on. ``whole``: whether all annotated tasks were read."""

    tasks: int = 0
    changed: int = 0
    finished: bool = False
    whole: bool = False


@dataclass(frozen=True)
class _Reader:
    """One sync. ``go_on``: is asked before every page."""

    store: Store
    connection: Connection
    studio: StudioClient
    page_size: int
    progress: Callable[[int, int], None]
    go_on: Callable[[], bool]

    @property
    def project(self) -> int:
        assert self.connection.project_id is not None
        return self.connection.project_id


def sync(
    store: Store,
    connection: Connection,
    studio: StudioClient,
    *,
    brief: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    go_on: Callable[[], bool] = lambda: True,
    page_size: int = 100,
) -> Synced:
    """Makes the store hold the labels that Label Studio holds; safe to interrupt and to repeat.

    Args:
        brief: only what was changed since the last sync, where there was one and nothing hints at a lost deletion.
        progress: is told how many tasks are read, and of how many.
        go_on: is asked before each page; False ends this call, and the next goes on from there.

    Raises:
        RequestError: the connection has no project, or another project has its id now.
        StudioError: Label Studio refuses or does not answer.
    """
    if connection.project_id is None:
        raise RequestError("This connection has no project yet.", "Run `labelloop connect` for it.")
    found = studio.project(connection.project_id)
    if connection.created_at and found.created_at != connection.created_at:
        raise RequestError(
            f"Project {connection.project_id} of {connection.server_url} is another one than was connected.",
            "Run `labelloop connect` for it.",
        )
    intake.catch_up(store, connection.id)
    reader = _Reader(store, connection, studio, page_size, progress, go_on)
    place = _read_place(store, connection.id)
    if place.phase and (brief or not place.since):  # one was interrupted
        done = _run(reader, place)
    elif brief and place.done:
        done = _run(reader, _begin(reader, place, place.done))
        if done.finished and _difference(reader) not in {"", place.differ}:
            log.info("connection %d: labels differ in number, so all are read", connection.id)
            done = _run(reader, _begin(reader, _read_place(store, connection.id), ""))
    else:
        done = _run(reader, _begin(reader, place, ""))
    if done.finished and done.whole:
        stand = replace(_read_place(store, connection.id), differ=_difference(reader))
        with store.session() as session:
            _write_place(session, connection.id, stand)
    if done.changed:
        log.info("connection %d: reading back changed %d labels", connection.id, done.changed)
    return done


def _begin(reader: _Reader, place: _Place, since: str) -> _Place:
    newest = reader.studio.last_change(reader.project)
    upto = newest.isoformat() if newest else ""
    begun = replace(place, phase="labelled", after=0, since=since, upto=upto)
    with reader.store.session() as session:
        _write_place(session, reader.connection.id, begun)
    return begun


def _run(reader: _Reader, place: _Place) -> Synced:
    """Reads from ``place`` on, page by page."""
    done = Synced(whole=not place.since)
    since = [changed_since(datetime.fromisoformat(place.since) - _MARGIN)] if place.since else []
    total = sum(reader.studio.totals(reader.project, [only, *since])[0] for _, only, _ in _PHASES)
    while place.phase:
        if not reader.go_on():
            return done
        _, only, skipped = next(one for one in _PHASES if one[0] == place.phase)
        before = reader.store.memory_epoch(reader.connection.id)
        page = next(reader.studio.tasks(reader.project, reader.page_size, [only, *since], after=place.after), [])
        last = len(page) < reader.page_size
        lost = Changes()
        if not since:
            here = {task["id"] for task in page}
            known = _known(reader, skipped, place.after, _BEYOND if last else page[-1]["id"], before)
            lost = _confirmed(reader, [task for task in known if task not in here])
        place = _following(place) if last else replace(place, after=page[-1]["id"])
        with reader.store.session() as session:
            done.changed += apply(session, reader.connection.id, lost)
            done.changed += apply(session, reader.connection.id, _truth(page, before))
            _write_place(session, reader.connection.id, place)
        done.tasks += len(page)
        reader.progress(done.tasks, max(total, done.tasks))
    reader.progress(done.tasks, done.tasks)
    done.finished = True
    return done


def _following(place: _Place) -> _Place:
    """Where it goes on after the last page of a phase."""
    names = [name for name, _, _ in _PHASES]
    rest = names[names.index(place.phase) + 1 :]
    if rest:
        return replace(place, phase=rest[0], after=0)
    return _Place(done=place.upto or place.done, differ=place.differ)


def _truth(tasks: Sequence[Json], before: int) -> Changes:
    """Whole tasks as Label Studio has just answered them."""
    changes = Changes(before=before)
    for task in tasks:
        predictions = {one["id"]: one for one in task.get("predictions") or () if isinstance(one, Mapping)}
        annotations = [{"task": task["id"], **one} for one in task.get("annotations") or ()]
        changes.said += [said for one in annotations if (said := intake.read_said(one, predictions)) is not None]
        changes.complete.add(task["id"])
    changes.items = intake.read_items(list(tasks))
    return changes


def _confirmed(reader: _Reader, missing: Sequence[int]) -> Changes:
    """What became of tasks that are not where they should be."""
    if not missing:
        return Changes()
    before = reader.store.memory_epoch(reader.connection.id)
    found = reader.studio.tasks_by_ids(reader.project, missing)
    changes = _truth(found, before)
    changes.deleted_items = set(missing) - changes.complete
    return changes


def _known(reader: _Reader, skipped: bool, low: int, high: int, before: int) -> list[int]:
    """Tasks between two ids of which the store has held labels (or skips) since before an epoch."""
    rows = (
        select(AnnotationRow.item_id)
        .distinct()
        .where(
            AnnotationRow.connection_id == reader.connection.id,
            ~AnnotationRow.deleted,
            AnnotationRow.was_cancelled == skipped,
            AnnotationRow.item_id > low,
            AnnotationRow.item_id <= high,
            AnnotationRow.epoch <= before,
        )
        .order_by(AnnotationRow.item_id)
    )
    with reader.store.session() as session:
        return [one for one in session.scalars(rows) if one is not None]


def _difference(reader: _Reader) -> str:
    """By how much the numbers of labelled tasks, labels and skipped tasks differ from Label Studio's; "" where not."""
    alive = (AnnotationRow.connection_id == reader.connection.id, ~AnnotationRow.deleted, AnnotationRow.item_id > 0)
    columns = (func.count(AnnotationRow.item_id.distinct()), func.count())
    with reader.store.session() as session:
        tasks, labels = session.execute(select(*columns).where(*alive, ~AnnotationRow.was_cancelled)).one()
        skipped, _ = session.execute(select(*columns).where(*alive, AnnotationRow.was_cancelled)).one()
    their_tasks, their_labels = reader.studio.totals(reader.project, [LABELLED])
    their_skipped, _ = reader.studio.totals(reader.project, [SKIPPED])
    found = (tasks - their_tasks, labels - their_labels, skipped - their_skipped)
    return " ".join(map(str, found)) if any(found) else ""


def _read_place(store: Store, connection_id: int) -> _Place:
    with store.session() as session:
        state = session.scalar(select(ConnectionRow.sync_state).where(ConnectionRow.id == connection_id))
    return _Place(**(state or {}))


def _write_place(session: Session, connection_id: int, place: _Place) -> None:
    row = session.get(ConnectionRow, connection_id)
    if row is not None:
        row.sync_state = asdict(place)

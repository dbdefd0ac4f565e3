"""Intake: webhooks, as they were stored, become labels.

A webhook is stored and, where it holds few labels, applied in the same transaction: that is one commit, so one wait for
the disk, and the next prediction sees the label. A webhook with many (a bulk action may bring thousands) is stored as
pending, which takes no longer than before, and applied after the answer. So is one that cannot be applied: what is
wrong with it is in the log, and reading back (``learning.sync``) brings what it meant.

Each event has a mark of its own in place of one cursor per connection: PostgreSQL hands out numbers before it commits,
so a cursor could pass an event that is not to be seen yet. Since late, doubled and reordered events end in the same
labels (``learning.labels``), it does not matter in which order the marked ones are done.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeGuard

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from labelloop.errors import RequestError
from labelloop.learning.labels import LONG_AGO, Changes, Said, apply
from labelloop.learning.tables import EventRow
from labelloop.studio.acceptance import came_about

if TYPE_CHECKING:
    from labelloop.learning.store import Store

log = logging.getLogger(__name__)

AT_ONCE = 100  # annotations and tasks of one event that are applied before it is answered
_MOST = 2**63
_FAULTS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RequestError, IntegrityError)


def receive(store: Store, connection_id: int, action: str, body: Mapping[str, Any]) -> tuple[bool, bool]:
    """Stores one webhook (``events.reduce_event`` has reduced it) and applies it where it is small.

    Returns:
        Whether it was new, and whether it waits for ``catch_up``.
    """

    def then(session: Session) -> None:
        apply(session, connection_id, changes)

    try:
        changes = changes_of(action, body)
        if changes.size > AT_ONCE:
            return store.add_event(connection_id, action, body), True
        return store.add_event(connection_id, action, body, then), False
    except _FAULTS as error:
        log.error("an event of connection %d cannot be applied yet", connection_id, exc_info=error)
        return store.add_event(connection_id, action, body), False


def catch_up(store: Store, connection_id: int) -> int:
    """Applies what is pending, each event in a transaction of its own; returns how many there were."""
    done = 0
    while True:
        with store.session() as session:
            found = select(EventRow.id).where(EventRow.connection_id == connection_id, EventRow.pending)
            ids = list(session.scalars(found.order_by(EventRow.id).limit(500)))
        if not ids:
            return done
        for event_id in ids:
            done += _apply_pending(store, connection_id, event_id)


def _apply_pending(store: Store, connection_id: int, event_id: int) -> bool:
    """False: another process has done it. One that cannot be applied is put aside."""
    ours = update(EventRow).where(EventRow.id == event_id, EventRow.pending).values(pending=False)
    ours = ours.execution_options(synchronize_session=False).returning(EventRow.action, EventRow.body)
    try:
        with store.session() as session:
            row = session.execute(ours).first()
            if row is not None:
                apply(session, connection_id, changes_of(row.action, row.body))
            return row is not None
    except _FAULTS as error:
        log.error("event %d cannot be applied; `labelloop sync` brings what it meant", event_id, exc_info=error)
        with store.session() as session:
            session.execute(ours)
        return True


def changes_of(action: str, body: Mapping[str, Any]) -> Changes:
    """What a reduced webhook tells of labels; nothing where it tells of something else.

    TASKS_CREATED brings nothing: annotations inside an imported task come by reading back.
    """
    changes = Changes()
    annotations = [one for one in body.get("annotations") or () if isinstance(one, Mapping)]
    tasks = [one for one in body.get("tasks") or () if isinstance(one, Mapping)]
    if action == "TASKS_DELETED":
        changes.deleted_items = {one["id"] for one in tasks if _is_id(one.get("id"))}
    elif action == "ANNOTATIONS_DELETED":
        changes.deleted = {one["id"] for one in annotations if _is_id(one.get("id"))}
    elif action in {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_UPDATED"}:
        changes.said = [said for one in annotations if (said := read_said(one)) is not None]
        changes.items = read_items(tasks)
    return changes


def read_items(tasks: list[Mapping[str, Any]]) -> dict[int, tuple[datetime, dict[str, Any]]]:
    """(updated_at, data) by id of Label Studio's tasks; those without data are left out."""
    return {
        one["id"]: (read_time(one.get("updated_at")), dict(one["data"]))
        for one in tasks
        if _is_id(one.get("id")) and isinstance(one.get("data"), Mapping)
    }


def read_said(annotation: Mapping[str, Any], predictions: Mapping[int, Mapping[str, Any]] | None = None) -> Said | None:
    """One of Label Studio's annotations; None where it has no id or task.

    Args:
        predictions: of its task, by id, where they are known. One that was changed after the annotation was made is
            not the one that was shown.
    """
    if not _is_id(annotation.get("id")) or not _is_id(annotation.get("task")):
        return None
    parent = annotation.get("parent_prediction")
    shown = (predictions or {}).get(parent) if _is_id(parent) else None
    if shown is not None and read_time(shown.get("updated_at")) > read_time(annotation.get("created_at")):
        shown = None
    result, who = annotation.get("result"), annotation.get("completed_by")
    if isinstance(who, Mapping):  # some of Label Studio's answers hold the person
        who = who.get("id")
    return Said(
        annotation_id=annotation["id"],
        item_id=annotation["task"],
        updated_at=read_time(annotation.get("updated_at")),
        result=list(result) if isinstance(result, list) else [],
        how=came_about(annotation, None if shown is None else shown.get("result")),
        who=who if _is_id(who) else None,
        ground_truth=annotation.get("ground_truth") is True,
        was_cancelled=annotation.get("was_cancelled") is True,
        parent_prediction=parent if _is_id(parent) else None,
    )


def read_time(value: Any) -> datetime:
    """A time as Label Studio writes it, in UTC; the beginning of 1970 where there is none."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else LONG_AGO
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return LONG_AGO


def _is_id(thing: Any) -> TypeGuard[int]:
    return isinstance(thing, int) and not isinstance(thing, bool) and 0 < thing < _MOST

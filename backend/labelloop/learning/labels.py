"""The labels of a connection: what events and Label Studio tell, folded into one state in whatever order it comes.

Of an annotation the newest telling counts (``updated_at``; of two with the same, the greater content, so that order
never matters); a tombstone beats every event, for Label Studio gives no id twice. What Label Studio itself answers when
it is read (``Changes.complete``) beats what is stored with the same time, and brings a tombstone back to life.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from labelloop.learning.tables import AnnotationRow, ConnectionRow, ItemRow
from labelloop.studio.datapath import MissingKey, lookup
from labelloop.studio.values import text_of
from labelloop.words import Field, How

Thing = TypeVar("Thing")

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_IDS = 400  # in one statement; SQLite takes 999 at least


@dataclass(frozen=True)
class Said:
    """One annotation, as an event or Label Studio's API tells it; as the columns of ``AnnotationRow``."""

    annotation_id: int
    item_id: int
    updated_at: datetime
    result: list[Any]
    how: How
    who: int | None = None
    ground_truth: bool = False
    was_cancelled: bool = False
    parent_prediction: int | None = None
    field: str = ""

    @property
    def content(self) -> tuple[Any, ...]:
        """What must differ for a change: all but how it came to be."""
        return _content(self)


@dataclass
class Changes:
    """What is told in one go.

    ``items``: (updated_at, data) by task id. ``deleted``, ``deleted_items``: ids of annotations and tasks.
    ``complete``: tasks of which ``said`` holds every annotation, as Label Studio answered when it was read; what was
    there ``before`` that epoch and is not among them is gone. ``trusted``: what is said beats what is stored with the
    same time, as it does for complete tasks.
    """

    said: list[Said] = field(default_factory=list)
    items: dict[int, tuple[datetime, dict[str, Any]]] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    deleted_items: set[int] = field(default_factory=set)
    complete: set[int] = field(default_factory=set)
    before: int = 0
    trusted: bool = False

    @property
    def size(self) -> int:
        return len(self.said) + len(self.items) + len(self.deleted) + len(self.deleted_items)


def apply(session: Session, connection_id: int, changes: Changes) -> int:
    """Folds ``changes`` in; returns how many rows changed. The memory epoch rises by one if any did.

    The connection's row is locked until the transaction ends, so epochs are committed in their order: who has read
    everything up to an epoch misses nothing that comes later with a smaller one.
    """
    if not changes.size and not changes.complete:
        return 0
    whose = ConnectionRow.id == connection_id
    lock = update(ConnectionRow).where(whose).values(memory_epoch=ConnectionRow.memory_epoch)
    session.execute(lock.execution_options(synchronize_session=False))
    epoch = session.scalar(select(ConnectionRow.memory_epoch).where(whose))
    if epoch is None:  # the connection was removed meanwhile
        return 0
    fold = _Fold(session, connection_id, epoch + 1, changes)
    fold.run()
    if fold.changed:
        raised = update(ConnectionRow).where(whose).values(memory_epoch=epoch + 1)
        session.execute(raised.execution_options(synchronize_session=False))
    session.flush()
    return fold.changed


class _Fold:
    """One application of changes under the lock."""

    def __init__(self, session: Session, connection_id: int, epoch: int, changes: Changes) -> None:
        self._session, self._connection, self._epoch, self._told = session, connection_id, epoch, changes
        self.changed = 0
        said = changes.said
        ids = {one.item_id for one in said} | changes.items.keys() | changes.deleted_items | changes.complete
        self._items = {row.item_id: row for row in self._rows(ItemRow, ItemRow.item_id, ids)}
        wanted = {one.annotation_id for one in said} | changes.deleted
        rows = [*self._rows(AnnotationRow, AnnotationRow.annotation_id, wanted)]
        rows += self._rows(AnnotationRow, AnnotationRow.item_id, changes.deleted_items | changes.complete)
        self._rows_by_id = {row.annotation_id: row for row in rows}

    def _rows(self, table: type[Thing], column: Any, ids: Iterable[int]) -> Iterator[Thing]:
        mine: ColumnElement[bool] = table.connection_id == self._connection  # type: ignore[attr-defined]
        for part in parts(sorted(ids)):
            yield from self._session.scalars(select(table).where(mine, column.in_(part)))

    def run(self) -> None:
        for item_id in sorted(self._told.deleted_items):
            self._bury_item(item_id)
        for said in self._told.said:
            self._say(said)
        annotated = {one.item_id for one in self._told.said} | self._items.keys()
        for item_id, (updated_at, data) in self._told.items.items():
            if item_id in annotated:
                self._keep_item(item_id, updated_at, data)
        for annotation_id in sorted(self._told.deleted):
            self._bury(annotation_id)
        listed = {one.annotation_id for one in self._told.said}
        for row in list(self._rows_by_id.values()):
            if row.item_id in self._told.complete and row.annotation_id not in listed and self._was_there(row):
                self._bury(row.annotation_id)

    def _was_there(self, row: AnnotationRow | ItemRow) -> bool:
        """Whether it stood like this before Label Studio was read, which is then to be believed."""
        return row.epoch <= self._told.before

    def _touch(self, row: AnnotationRow | ItemRow) -> None:
        row.epoch = self._epoch
        self.changed += 1

    def _say(self, said: Said) -> None:
        row = self._rows_by_id.get(said.annotation_id)
        read = self._told.trusted or said.item_id in self._told.complete
        item = self._items.get(said.item_id)
        if item is not None and item.deleted:
            if not (read and self._was_there(item)):
                self._late(said, row)
                return
            item.deleted = False
            self._touch(item)
        if row is None:
            self._add(AnnotationRow(**vars(said), connection_id=self._connection, epoch=self._epoch, deleted=False))
            return
        if row.deleted and not (read and self._was_there(row)):
            return
        newer = said.updated_at > row.updated_at or row.deleted
        if said.updated_at == row.updated_at:
            newer = newer or read or _canonical(said.content) > _canonical(_content(row))
        if not newer:
            return
        if row.deleted or said.content != _content(row):
            parent = said.parent_prediction if said.parent_prediction is not None else row.parent_prediction
            for name, value in vars(said).items():
                setattr(row, name, value)
            row.parent_prediction, row.deleted = parent, False
            self._touch(row)
        elif read:
            row.how = said.how  # Label Studio also tells which prediction was shown

    def _late(self, said: Said, row: AnnotationRow | None) -> None:
        """An annotation of a task that is deleted."""
        if row is None:
            self._add(_tombstone(self._connection, said.annotation_id, said.item_id, self._epoch))
        elif not row.deleted:
            self._bury(said.annotation_id)

    def _add(self, row: AnnotationRow) -> None:
        self._session.add(row)
        self._rows_by_id[row.annotation_id] = row
        self.changed += 1

    def _bury(self, annotation_id: int) -> None:
        row = self._rows_by_id.get(annotation_id)
        if row is None:
            self._add(_tombstone(self._connection, annotation_id, None, self._epoch))
        elif not row.deleted:
            row.deleted, row.result, row.how, row.updated_at = True, [], "skipped", LONG_AGO
            row.who, row.ground_truth, row.was_cancelled, row.parent_prediction = None, False, False, None
            self._touch(row)

    def _bury_item(self, item_id: int) -> None:
        row = self._items.get(item_id)
        if row is None:
            row = ItemRow(connection_id=self._connection, item_id=item_id, data={}, updated_at=LONG_AGO)
            self._session.add(row)
            self._items[item_id] = row
        elif row.deleted:
            return
        row.deleted, row.data, row.updated_at = True, {}, LONG_AGO
        self._touch(row)
        for one in list(self._rows_by_id.values()):
            if one.item_id == item_id:
                self._bury(one.annotation_id)

    def _keep_item(self, item_id: int, updated_at: datetime, data: dict[str, Any]) -> None:
        row = self._items.get(item_id)
        if row is None:
            row = ItemRow(connection_id=self._connection, item_id=item_id, deleted=False)
            row.updated_at, row.data = updated_at, data
            self._session.add(row)
            self._items[item_id] = row
            self._touch(row)
        elif not row.deleted:
            at_once = item_id in self._told.complete or _canonical(data) > _canonical(row.data)
            if updated_at > row.updated_at or (updated_at == row.updated_at and at_once):
                row.updated_at = updated_at
                if data != row.data:
                    row.data = data
                    self._touch(row)


def _content(one: Said | AnnotationRow) -> tuple[Any, ...]:
    return one.updated_at, one.item_id, one.result, one.who, one.ground_truth, one.was_cancelled


def _tombstone(connection_id: int, annotation_id: int, item_id: int | None, epoch: int) -> AnnotationRow:
    return AnnotationRow(
        connection_id=connection_id,
        annotation_id=annotation_id,
        item_id=item_id,
        updated_at=LONG_AGO,
        deleted=True,
        how="skipped",
        result=[],
        epoch=epoch,
    )


def hash_read(fields: Sequence[Field], data: Mapping[str, Any]) -> str:
    """Equal for items of which these fields read the same: columns that none of them reads make no difference."""
    read = {source.key: text_of([source], data) for one in fields for source in (*one.sources, *one.query)}
    for key in {one.dynamic for one in fields if one.dynamic}:
        with suppress(MissingKey):
            read[f"labels {key}"] = lookup(data, key)
    return hashlib.sha256(_canonical(read).encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(thing: Any) -> str:
    return json.dumps(thing, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)


def parts(ids: Iterable[Thing]) -> Iterator[list[Thing]]:
    """The ids in lists that one statement can take."""
    rest = iter(ids)
    while part := list(islice(rest, _IDS)):
        yield part

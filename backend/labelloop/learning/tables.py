"""The store's tables, as SQLAlchemy maps them. Their history is in ``migrations/``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time on every database (SQLite stores none)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


_NOWHERE = re.compile("[\0\ud800-\udfff]")


class Line(TypeDecorator[str]):
    """A short text from outside, of so many characters at most. What not every database holds, NUL and halves of
    characters, becomes a question mark in a diamond."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is None else storable(value)


class Prose(Line):
    """As ``Line``, of any length."""

    impl = Text
    cache_ok = True


def storable(value: str) -> str:
    """As ``Line`` and ``Prose`` keep it."""
    return _NOWHERE.sub("\N{REPLACEMENT CHARACTER}", value)


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}


class ConnectionRow(Base):
    """One Label Studio project on one server. ``project_id`` is null until a key is used for the first time.

    ``directions``: what its owner says single fields are for, by field name (``settings.Direction``).
    ``memory_epoch``: rises with each change of the labels. ``sync_state``: how far ``learning.sync`` is.
    ``blind_since``: when its blind slice began (``learning.blind``)."""

    __tablename__ = "connections"

    id: Mapped[int] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    server_url: Mapped[str] = mapped_column(Line(500), default="")
    project_id: Mapped[int | None]
    created_at: Mapped[int | None] = mapped_column(BigInteger)
    title: Mapped[str] = mapped_column(Line(500), default="")
    token: Mapped[str] = mapped_column(Prose, default="")
    backend_id: Mapped[int | None]
    label_config: Mapped[str] = mapped_column(Prose, default="")
    directions: Mapped[dict[str, Any]] = mapped_column(default=dict)
    champion_id: Mapped[int | None]
    memory_epoch: Mapped[int] = mapped_column(BigInteger, default=0)
    sync_state: Mapped[dict[str, Any]] = mapped_column(default=dict)
    blind_since: Mapped[datetime | None]
    bound_at: Mapped[datetime | None]
    added_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("ix_connections_project", "project_id", "created_at"),)


class VersionRow(Base):
    """One bundle that serves or served a connection. ``parent_id``: the version that served when it was made.
    ``served_at``: when it became the champion, the last time."""

    __tablename__ = "versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(60))
    digest: Mapped[str] = mapped_column(String(64))
    bundle: Mapped[dict[str, Any]]
    skipped: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    parent_id: Mapped[int | None]
    served_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("connection_id", "number"), UniqueConstraint("connection_id", "digest"))


class EventRow(Base):
    """One webhook, reduced to what learning needs. ``fingerprint`` tells a repeated delivery apart from a new event.

    ``pending``: it has not been applied to the labels yet (``learning.intake``)."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id", ondelete="CASCADE"))
    action: Mapped[str] = mapped_column(String(60))
    fingerprint: Mapped[str] = mapped_column(String(64))
    body: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = mapped_column(default=now)
    pending: Mapped[bool] = mapped_column(Boolean, default=True)

    __table_args__ = (
        UniqueConstraint("connection_id", "fingerprint"),
        Index("ix_events_received", "received_at"),
        Index("ix_events_pending", "connection_id", "pending"),
    )


class ItemRow(Base):
    """A task that somebody has annotated. ``item_id``: the task's id, negative where it came from a file.

    ``updated_at``: Label Studio's. ``deleted``: a tombstone, whose data is gone and whose late labels are none.
    ``epoch``: the memory epoch of its last change.
    """

    __tablename__ = "items"

    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True)
    item_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    updated_at: Mapped[datetime]
    deleted: Mapped[bool] = mapped_column(Boolean, default=False)
    data: Mapped[dict[str, Any]]
    epoch: Mapped[int] = mapped_column(BigInteger)


class AnnotationRow(Base):
    """What one person said of one item: an annotation of Label Studio's, or one read from a file (negative id).

    ``item_id``: null in the tombstone of an annotation that was never seen. ``who``: the id of whoever completed it.
    ``was_cancelled``: the task was skipped; ``result`` holds the prediction then, and is no label. ``how``: of
    ``words.How``. ``deleted``: a tombstone, without result. ``field``: the only
    one that it speaks of, where it comes from a column of a file; "": it speaks of all. ``epoch``: the memory epoch of
    its last change.
    """

    __tablename__ = "annotations"

    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True)
    annotation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    item_id: Mapped[int | None] = mapped_column(BigInteger)
    updated_at: Mapped[datetime]
    deleted: Mapped[bool] = mapped_column(Boolean, default=False)
    who: Mapped[int | None] = mapped_column(BigInteger)
    ground_truth: Mapped[bool] = mapped_column(Boolean, default=False)
    was_cancelled: Mapped[bool] = mapped_column(Boolean, default=False)
    how: Mapped[str] = mapped_column(String(10))
    parent_prediction: Mapped[int | None] = mapped_column(BigInteger)
    result: Mapped[list[Any]]
    field: Mapped[str] = mapped_column(String(500), default="")
    epoch: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        Index("ix_annotations_item", "connection_id", "item_id"),
        Index("ix_annotations_epoch", "connection_id", "epoch"),
    )


class AdapterRow(Base):
    """Trained weights. ``sha``: of ``about``, which is JSON, and ``content`` (``engines.adapter_files`` says how)."""

    __tablename__ = "adapters"

    sha: Mapped[str] = mapped_column(String(64), primary_key=True)
    about: Mapped[str] = mapped_column(Text)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=now)


class RefreshRow(Base):
    """One attempt to train something better for a field.

    ``trigger``: what asked for it. ``state``: "running", "promoted", "refused", "undecided", "failed" or "stopped".
    ``labels``: how many examples there were; ``items``: the ids of those that were trained on. ``learned``,
    ``judged``: of the texts that were trained on, and of those that the gate judged by, ``held_out.mark``.
    ``held_out``: whether others were kept for the gate. ``parent``: digest of
    the bundle that served. ``adapter``: sha of what was trained. ``version_id``: of the version that serves it.
    ``verdict``: of the gate, as JSON. ``error``: why it failed, or "".
    """

    __tablename__ = "refreshes"

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id", ondelete="CASCADE"))
    field: Mapped[str] = mapped_column(String(500))
    trigger: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), default="running")
    labels: Mapped[int] = mapped_column(Integer)
    items: Mapped[list[Any]] = mapped_column(default=list)
    learned: Mapped[list[Any]] = mapped_column(default=list)
    judged: Mapped[list[Any]] = mapped_column(default=list)
    held_out: Mapped[bool] = mapped_column(Boolean, default=False)
    parent: Mapped[str] = mapped_column(String(64))
    adapter: Mapped[str | None] = mapped_column(String(64))
    version_id: Mapped[int | None]
    verdict: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str] = mapped_column(Prose, default="")
    begun_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_refreshes_field", "connection_id", "field"),)

"""The store's tables, as SQLAlchemy maps them. Their history is in ``migrations/``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
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
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON}


class ConnectionRow(Base):
    """One Label Studio project on one server. ``project_id`` is null until a key is used for the first time.

    ``directions``: what its owner says single fields are for, by field name (``settings.Direction``)."""

    __tablename__ = "connections"

    id: Mapped[int] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    server_url: Mapped[str] = mapped_column(String(500), default="")
    project_id: Mapped[int | None]
    created_at: Mapped[int | None] = mapped_column(BigInteger)
    title: Mapped[str] = mapped_column(String(500), default="")
    token: Mapped[str] = mapped_column(Text, default="")
    backend_id: Mapped[int | None]
    label_config: Mapped[str] = mapped_column(Text, default="")
    directions: Mapped[dict[str, Any]] = mapped_column(default=dict)
    champion_id: Mapped[int | None]
    bound_at: Mapped[datetime | None]
    added_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("ix_connections_project", "project_id", "created_at"),)


class VersionRow(Base):
    """One bundle that serves or served a connection."""

    __tablename__ = "versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(60))
    digest: Mapped[str] = mapped_column(String(64))
    bundle: Mapped[dict[str, Any]]
    skipped: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (UniqueConstraint("connection_id", "number"), UniqueConstraint("connection_id", "digest"))


class EventRow(Base):
    """One webhook, reduced to what learning needs. ``fingerprint`` tells a repeated delivery apart from a new event."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id", ondelete="CASCADE"))
    action: Mapped[str] = mapped_column(String(60))
    fingerprint: Mapped[str] = mapped_column(String(64))
    body: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (UniqueConstraint("connection_id", "fingerprint"), Index("ix_events_received", "received_at"))

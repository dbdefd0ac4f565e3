"""The SQL store: connections and their keys, versions, and webhooks. SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from dataclasses import field as default
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, delete, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from labelloop.errors import KeyRefusedError, RequestError
from labelloop.learning.database import alone, database_errors, is_sqlite, open_engine
from labelloop.learning.tables import AnnotationRow, ConnectionRow, EventRow, ItemRow, VersionRow, now
from labelloop.settings import Several
from labelloop.words import Bundle, Field

if TYPE_CHECKING:
    from labelloop.learning.examples import Blindly, Counts, Examples


@dataclass(frozen=True)
class Connection:
    """One Label Studio project on one server. ``created_at`` is the project's, in Unix seconds. ``directions``: what
    its owner says single fields are for, by field name, as ``settings.Direction`` writes it. ``blind_since``: when its
    blind slice began; None where it has none."""

    id: int
    server_url: str
    project_id: int | None
    created_at: int | None
    title: str
    token: str
    backend_id: int | None
    label_config: str
    directions: dict[str, Any] = default(default_factory=dict)
    blind_since: datetime | None = None

    def __repr__(self) -> str:  # a token must not reach a log by way of a traceback
        return f"Connection(id={self.id}, server_url={self.server_url!r}, project_id={self.project_id})"


@dataclass(frozen=True)
class Version:
    """One bundle under the name that predictions carry. ``parent_id``: the version that served when it was made; None
    of the first. ``served_at``: when it became the champion, the last time."""

    id: int
    connection_id: int
    number: int
    name: str
    bundle: Bundle
    skipped: dict[str, str]
    created_at: datetime
    parent_id: int | None = None
    served_at: datetime | None = None


def hash_key(key: str) -> str:
    """The form in which a key is stored. Keys are 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _connection(row: ConnectionRow) -> Connection:
    return Connection(
        row.id,
        row.server_url,
        row.project_id,
        row.created_at,
        row.title,
        row.token,
        row.backend_id,
        row.label_config,
        dict(row.directions),
        row.blind_since,
    )


def _version(row: VersionRow) -> Version:
    bundle = Bundle.model_validate_json(json.dumps(row.bundle))
    return Version(
        row.id,
        row.connection_id,
        row.number,
        row.name,
        bundle,
        dict(row.skipped),
        row.created_at,
        row.parent_id,
        row.served_at,
    )


def _new_connection(
    key: str, server_url: str, project_id: int | None, created_at: int | None, title: str, token: str
) -> ConnectionRow:
    return ConnectionRow(
        key_hash=hash_key(key),
        server_url=server_url.rstrip("/"),
        project_id=project_id,
        created_at=created_at,
        title=title,
        token=token,
        bound_at=now() if project_id is not None else None,
    )


def _of_project(project_id: int, created_at: int) -> Select[Any]:
    whose = (ConnectionRow.project_id == project_id, ConnectionRow.created_at == created_at)
    return select(ConnectionRow).where(*whose).order_by(ConnectionRow.id.desc()).limit(1)


def _put_in_service(connection: ConnectionRow, version: VersionRow) -> None:
    if connection.champion_id != version.id or version.served_at is None:
        version.served_at = now()
    connection.champion_id = version.id


class Store:
    """All that must survive. One object per process; methods are safe to call from many threads.

    Every method raises StoreDownError while the database cannot be reached or stays locked, and RequestError where it
    cannot hold a value.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        self._sqlite = is_sqlite(self.engine.url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        # writers of SQLite that meet wait for each other in sleeps of up to 0.1 s; threads of one process need not
        self._turn: AbstractContextManager[Any] = threading.Lock() if self._sqlite else nullcontext()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, undone where it raises."""
        with database_errors(), self._sessions() as session, session.begin():
            yield session

    def migrate(self) -> None:
        """Brings the tables to the newest schema; does nothing where they are.

        Raises:
            SettingsError: a newer LabelLoop has made them.
        """
        from labelloop.learning.migrate import upgrade

        with database_errors():
            upgrade(self.engine)
        if self._sqlite and self.engine.url.database:
            Path(self.engine.url.database).chmod(0o600)  # it holds access tokens

    def ping(self) -> None:
        """Raises StoreDownError unless a query succeeds."""
        with self.session() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()

    # Connections and keys

    def new_key(self) -> str:
        """Makes a connection that no project is bound to yet. Returns its key, in clear only here."""
        return self.create_connection("", None, None, "", "")[1]

    def create_connection(
        self, server_url: str, project_id: int | None, created_at: int | None, title: str, token: str
    ) -> tuple[Connection, str]:
        """Adds a connection; returns it with its key, in clear only here."""
        key = secrets.token_urlsafe(32)
        with self.session() as session:
            row = _new_connection(key, server_url, project_id, created_at, title, token)
            session.add(row)
            session.flush()
            return _connection(row), key

    def connection_of_key(self, key: str) -> Connection | None:
        with self.session() as session:
            row = session.scalar(select(ConnectionRow).where(ConnectionRow.key_hash == hash_key(key)))
            return _connection(row) if row else None

    def connection_of_project(self, project_id: int, created_at: int) -> Connection | None:
        """The newest connection of a project, for servers that run without keys."""
        with self.session() as session:
            row = session.scalar(_of_project(project_id, created_at))
            return _connection(row) if row else None

    def connection_for_project(self, project_id: int, created_at: int) -> Connection:
        """As ``connection_of_project``; makes one where there is none, and never two where two ask at once."""
        if (found := self.connection_of_project(project_id, created_at)) is not None:
            return found
        with self._turn, self.session() as session:
            alone(session.connection())
            row = session.scalar(_of_project(project_id, created_at))
            if row is None:
                row = _new_connection(secrets.token_urlsafe(32), "", project_id, created_at, "", "")
                session.add(row)
                session.flush()
            return _connection(row)

    def bind(self, connection_id: int, project_id: int, created_at: int) -> Connection:
        """Ties a key to the project that uses it first.

        Raises:
            KeyRefusedError: the key belongs to another project already.
        """
        with self.session() as session:
            row = session.get(ConnectionRow, connection_id, with_for_update=not self._sqlite)
            if row is None:
                raise KeyRefusedError("This key has been removed.", "Make a new one with `labelloop key`.")
            if row.project_id is None:
                row.project_id, row.created_at, row.bound_at = project_id, created_at, now()
            elif (row.project_id, row.created_at) != (project_id, created_at):
                raise KeyRefusedError(
                    "This address belongs to another project.",
                    "Each project needs an address of its own: `labelloop connect` or `labelloop key` makes one.",
                )
            return _connection(row)

    def connection(self, connection_id: int) -> Connection:
        with self.session() as session:
            row = session.get(ConnectionRow, connection_id)
            if row is None:
                raise RequestError(f"There is no connection {connection_id}.", "`labelloop status` lists them.")
            return _connection(row)

    def connections(self) -> list[Connection]:
        """Every connection that a project is bound to, oldest first."""
        with self.session() as session:
            rows = session.scalars(
                select(ConnectionRow).where(ConnectionRow.project_id.is_not(None)).order_by(ConnectionRow.id)
            )
            return [_connection(row) for row in rows]

    def find_connection(self, project: str, server_url: str = "") -> Connection | None:
        """The newest connection whose project has this id or title (on this server, where one is named).

        Raises:
            RequestError: several servers have such a project and none is named.
        """
        found = [
            c
            for c in self.connections()
            if (str(c.project_id) == project or c.title == project)
            and (not server_url or c.server_url == server_url.rstrip("/"))
        ]
        if len({(c.server_url, c.project_id) for c in found}) > 1:
            where = ", ".join(sorted({f"{c.project_id} on {c.server_url or 'an unnamed server'}" for c in found}))
            raise RequestError(
                f"'{project}' means several projects: {where}.", "Name the server with --url, or use the id."
            )
        return found[-1] if found else None

    def update_connection(self, connection_id: int, **columns: Any) -> Connection:
        """Sets columns of ConnectionRow by name."""
        with self.session() as session:
            row = session.get(ConnectionRow, connection_id)
            if row is None:
                raise RequestError(f"There is no connection {connection_id}.")
            for name, value in columns.items():
                if name not in ConnectionRow.__table__.columns:
                    raise TypeError(f"connections has no column {name!r}")
                setattr(row, name, value)
            return _connection(row)

    def remove_connection(self, connection_id: int) -> None:
        """Forgets a connection with its key, versions, webhooks and labels: one that Label Studio refused to finish."""
        with self.session() as session:
            for table in (AnnotationRow, ItemRow, EventRow, VersionRow):
                session.execute(delete(table).where(table.connection_id == connection_id))
            session.execute(delete(ConnectionRow).where(ConnectionRow.id == connection_id))

    # Versions

    def serve(self, connection_id: int, bundle: Bundle, skipped: Mapping[str, str]) -> Version:
        """Makes a bundle the champion: a bundle known already keeps its version, another gets the next number."""
        try:
            return self._serve(connection_id, bundle, skipped)
        except IntegrityError:  # on SQLite, which locks no row: another process numbered a version in the same moment
            return self._serve(connection_id, bundle, skipped, again=True)

    def _serve(self, connection_id: int, bundle: Bundle, skipped: Mapping[str, str], again: bool = False) -> Version:
        with self.session() as session:
            if again:
                alone(session.connection())
            lock = None if self._sqlite else {"key_share": True}  # webhooks of the connection need not wait for it
            connection = session.get(ConnectionRow, connection_id, with_for_update=lock)
            if connection is None:
                raise RequestError(f"There is no connection {connection_id}.")
            row = session.scalar(
                select(VersionRow).where(VersionRow.connection_id == connection_id, VersionRow.digest == bundle.digest)
            )
            if row is None:
                last = session.scalar(
                    select(func.max(VersionRow.number)).where(VersionRow.connection_id == connection_id)
                )
                number = (last or 0) + 1
                row = VersionRow(
                    connection_id=connection_id,
                    number=number,
                    name=bundle.version_name(number),
                    digest=bundle.digest,
                    bundle=bundle.model_dump(mode="json"),
                    skipped=dict(skipped),
                    parent_id=connection.champion_id,
                )
                session.add(row)
                session.flush()
            row.skipped = dict(skipped)
            _put_in_service(connection, row)
            return _version(row)

    def serve_again(self, version_id: int) -> Version:
        """Makes a version of a connection its champion."""
        with self.session() as session:
            row = session.get(VersionRow, version_id)
            connection = session.get(ConnectionRow, row.connection_id) if row else None
            if row is None or connection is None:
                raise RequestError(f"There is no version {version_id}.")
            _put_in_service(connection, row)
            return _version(row)

    def champion(self, connection_id: int) -> Version | None:
        """The version that serves, None before the first /setup."""
        with self.session() as session:
            row = session.scalar(
                select(VersionRow)
                .join(ConnectionRow, ConnectionRow.champion_id == VersionRow.id)
                .where(ConnectionRow.id == connection_id)
            )
            return _version(row) if row else None

    def versions(self, connection_id: int) -> list[Version]:
        """All versions of a connection, oldest first."""
        with self.session() as session:
            rows = session.scalars(
                select(VersionRow).where(VersionRow.connection_id == connection_id).order_by(VersionRow.number)
            )
            return [_version(row) for row in rows]

    def memory_epoch(self, connection_id: int) -> int:
        """How often the labels of a connection have changed; 0 where there are none yet."""
        with self.session() as session:
            found = session.scalar(select(ConnectionRow.memory_epoch).where(ConnectionRow.id == connection_id))
            return found or 0

    def examples(
        self,
        connection_id: int,
        field: Field,
        fields: Sequence[Field],
        *,
        after_epoch: int = 0,
        several: Several = "majority",
    ) -> Examples:
        """The items with an accepted human answer for ``field``, after all webhooks that have arrived.

        Args:
            fields: all of the config: relations and conditions reach from one to another.
            after_epoch: only items whose labels or data changed after this memory epoch, and which of them have no
                answer any more; 0 for all.
            several: whose answer counts (``Settings.several``); ground truth goes before both.
        """
        from labelloop.learning import intake
        from labelloop.learning.examples import examples

        intake.catch_up(self, connection_id)
        with self.session() as session:
            return examples(session, connection_id, field, fields, after_epoch, several)

    def count_labels(
        self,
        connection_id: int,
        fields: Sequence[Field] | None = None,
        blind: Blindly = lambda data, how: False,
    ) -> Counts:
        """The labels in figures; by field and those that were given ``blind``, too, where ``fields`` are given: that
        reads all of them."""
        from labelloop.learning import intake
        from labelloop.learning.examples import count, count_annotations

        intake.catch_up(self, connection_id)
        with self.session() as session:
            if fields is None:
                return count_annotations(session, connection_id)
            return count(session, connection_id, fields, blind)

    # Webhooks

    def add_event(
        self,
        connection_id: int,
        action: str,
        body: Mapping[str, Any],
        then: Callable[[Session], None] | None = None,
    ) -> bool:
        """Stores one webhook; it is on disk when this returns. False: the same event was stored before.

        ``then``: applies it, in the same transaction; without, it is pending.

        Raises:
            KeyRefusedError: the connection has been removed.
        """
        canonical = f"{action}:{_canonical(body)}"
        fingerprint = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
        row = EventRow(connection_id=connection_id, action=action, fingerprint=fingerprint, body=dict(body))
        row.pending = then is None
        try:
            with self._turn, self.session() as session:
                session.add(row)
                session.flush()
                if then is not None:
                    then(session)
        except IntegrityError:
            if self._has_event(connection_id, fingerprint):
                return False
            raise
        return True

    def _has_event(self, connection_id: int, fingerprint: str) -> bool:
        with self.session() as session:
            if session.get(ConnectionRow, connection_id) is None:
                raise KeyRefusedError("This key has been removed.", "Make a new one with `labelloop key`.")
            whose = (EventRow.connection_id == connection_id, EventRow.fingerprint == fingerprint)
            return session.scalar(select(EventRow.id).where(*whose)) is not None

    def events(self, connection_id: int, after_id: int = 0, limit: int = 1000) -> list[tuple[int, str, dict[str, Any]]]:
        """(id, action, body) of the webhooks of a connection, in order of arrival."""
        with self.session() as session:
            rows = session.scalars(
                select(EventRow)
                .where(EventRow.connection_id == connection_id, EventRow.id > after_id)
                .order_by(EventRow.id)
                .limit(limit)
            )
            return [(row.id, row.action, dict(row.body)) for row in rows]


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, ensure_ascii=True, separators=(",", ":"))

"""Backup and restore: all of the store in one file, taken while everything runs, for SQLite and PostgreSQL alike."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import Column, Connection, String, Table, delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from labelloop import __version__
from labelloop.errors import RequestError
from labelloop.learning import archive
from labelloop.learning.adapters import sha_of
from labelloop.learning.archive import Manifest, Row
from labelloop.learning.database import alone, database_errors
from labelloop.learning.migrate import move, revision_of, revisions, schema_at
from labelloop.learning.store import Store
from labelloop.learning.tables import UtcDateTime, storable

ADAPTERS = "adapters"
APART = {"about", "content"}  # of an adapter: files of their own
_ROWS = 500

Progress = Callable[[str, int, int], None]
"""What is under way, how much of it is done, and of how much."""


class _Steps:
    """Counts what is done, and tells it now and then."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress, self._what, self._total, self._done = progress, what, total, 0
        self(0)

    def __call__(self, more: int) -> None:
        self._done += more
        if more == 0 or self._done % 100 == 0 or self._done >= self._total:
            self._progress(self._what, self._done, self._total)


def backup(store: Store, path: Path, *, force: bool = False, progress: Progress = lambda *_: None) -> Manifest:
    """Writes the store, as it is at one moment, to a file; whoever uses it meanwhile is not held up.

    What it holds is as secret as the store: texts, labels, and access tokens of Label Studio in clear; of the keys in
    addresses their hashes alone. The file is made for this user's eyes only.

    Raises:
        RequestError: the file is there already and ``force`` is not set, or there is no store yet.
        SettingsError: the store was made by a newer LabelLoop.
        StoreDownError: it does not answer.
    """
    moment = datetime.now(UTC)
    writing = archive.writing(path, force, lambda part: inspect(part, progress))
    with writing as writer, database_errors(), _frozen(store) as connection:
        revision = revision_of(connection)
        if not revision:
            raise RequestError("There is no store yet, so there is nothing to back up.", "See LABELLOOP_DATABASE_URL.")
        tables = schema_at(revision).sorted_tables
        total = sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
        steps = _Steps(progress, "writing", total)
        left_out: list[str] = []
        for table in tables:
            if table.name == ADAPTERS:
                left_out = _write_adapters(connection, table, writer)
            writer.add_table(table.name, _read(connection, table, set(left_out), steps))
        manifest = Manifest(
            labelloop=__version__,
            made_at=moment,
            revision=revision,
            tables=writer.tables,
            adapters=writer.adapters,
            left_out=left_out,
        )
        writer.add_manifest(manifest)
    return manifest


def inspect(path: Path, progress: Progress = lambda *_: None) -> Manifest:
    """Reads a backup from end to end, and changes nothing.

    Raises:
        RequestError: it is none, is damaged, or was made by a newer LabelLoop.
    """
    manifest = archive.read(path)
    if manifest.revision not in revisions():
        raise RequestError(
            f"{path} was made by a newer LabelLoop ({manifest.labelloop}): its schema is {manifest.revision}, this one "
            f"knows up to {revisions()[-1]}.",
            "Restore it with that version.",
        )
    columns = {table.name: _columns(table) for table in schema_at(manifest.revision).sorted_tables}
    archive.check(path, manifest, columns, _Steps(progress, "checking", manifest.size))
    return manifest


def restore(store: Store, path: Path, *, force: bool = False, progress: Progress = lambda *_: None) -> Manifest:
    """Makes the store hold what a backup holds, all of it or, where anything is wrong, nothing.

    A backup of an older LabelLoop is brought to today's schema.

    Args:
        force: what the store holds now is forgotten.

    Raises:
        RequestError: the backup is damaged or too new, or the store is not empty and ``force`` is not set.
    """
    manifest = inspect(path, progress)
    schema = schema_at(manifest.revision)
    steps = _Steps(progress, "restoring", manifest.size)
    try:
        with database_errors(), store.engine.begin() as connection, archive.opened(path) as opened:
            alone(connection)
            move(connection, command.upgrade, "head")
            _empty(connection, force)
            move(connection, command.downgrade, manifest.revision)
            for table in schema.sorted_tables:
                _fill(connection, table, opened, steps)
                found = connection.scalar(select(func.count()).select_from(table))
                if found != manifest.tables[table.name].rows:
                    raise RequestError(f"Of {table.name} {found} rows would be there.", "Nothing was changed.")
            move(connection, command.upgrade, "head")
    except IntegrityError as error:
        raise RequestError(f"The rows of {path} do not fit together: {error.orig}.", "Nothing was changed.") from error
    store.migrate()
    return manifest


@contextmanager
def _frozen(store: Store) -> Iterator[Connection]:
    """A connection that sees the store as it is at one moment."""
    with store.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            connection.execution_options(**options)
        else:
            connection.exec_driver_sql("BEGIN")
        yield connection


def _columns(table: Table) -> set[str]:
    return {column.name for column in table.columns} - (APART if table.name == ADAPTERS else set())


def _read(connection: Connection, table: Table, left_out: set[str], steps: _Steps) -> Iterator[Row]:
    columns = [column for column in table.columns if column.name in _columns(table)]
    rows = connection.execute(
        select(*columns).order_by(*table.primary_key.columns), execution_options={"yield_per": _ROWS}
    )
    for row in rows.mappings():
        steps(1)
        if table.name != ADAPTERS or row["sha"] not in left_out:
            yield {column.name: _told(row[column.name], column) for column in columns}


def _told(value: Any, column: Column[Any]) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return storable(value) if isinstance(value, str) and isinstance(column.type, String) else value


def _write_adapters(connection: Connection, table: Table, writer: archive.Writer) -> list[str]:
    """Those that are damaged, which are left out."""
    damaged = []
    for sha in list(connection.scalars(select(table.c.sha).order_by(table.c.sha))):
        about, content = connection.execute(select(table.c.about, table.c.content).where(table.c.sha == sha)).one()
        if sha_of(about.encode(), content) == sha:
            writer.add_adapter(sha, about, content)
        else:
            damaged.append(sha)
    return damaged


def _empty(connection: Connection, force: bool) -> None:
    """Deletes all rows, where that is wanted."""
    tables = schema_at("head").sorted_tables
    filled = {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}
    if any(filled.values()) and not force:
        held = ", ".join(f"{number} {name}" for name, number in filled.items() if number)
        raise RequestError(
            f"The store is not empty: it holds {held}.", "Name another (LABELLOOP_DATABASE_URL), or give --force."
        )
    for table in reversed(tables):
        if filled[table.name]:
            connection.execute(delete(table))


def _fill(connection: Connection, table: Table, opened: zipfile.ZipFile, steps: _Steps) -> None:
    rows = (_taken(row, table) for row in archive.rows(opened, table.name))
    if table.name == ADAPTERS:
        for row in rows:
            about, content = archive.adapter(opened, row["sha"])
            connection.execute(insert(table), {**row, "about": about.decode(), "content": content})
            steps(2)
    else:
        while part := list(islice(rows, _ROWS)):
            connection.execute(insert(table), part)
            steps(len(part))
    if connection.dialect.name == "postgresql" and "id" in table.c:  # the numbers that it hands out next
        counted = f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), max(id)) FROM {table.name}"
        connection.execute(text(f"{counted} HAVING max(id) IS NOT NULL"))


def _taken(row: Row, table: Table) -> Row:
    times = [column.name for column in table.columns if isinstance(column.type, UtcDateTime)]
    return row | {name: datetime.fromisoformat(row[name]) for name in times if row[name] is not None}

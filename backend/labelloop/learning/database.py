"""How a database is opened, and what its refusals mean: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
    TimeoutError,
)

from labelloop.errors import RequestError, SettingsError, StoreDownError

_LOCK = 0x1ABE110  # any constant will do: PostgreSQL's advisory lock that nobody else takes
_REMEDY = "Check LABELLOOP_DATABASE_URL and the disk; `labelloop doctor` tests it."
# Label Studio waits one second for the answer to a webhook, so no thread may hang for minutes where a server is gone:
# in seconds, but for the last, which is in milliseconds.
_PATIENCE = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_UNANSWERED = {"tcp_user_timeout": 15_000}


def open_engine(address: str) -> Engine:
    """The database at an address; connects to nothing yet.

    Raises:
        SettingsError: it is no address, or the folder of the file cannot be made.
    """
    try:
        url = make_url(address)
        if url.drivername in {"postgresql", "postgres"}:
            url = url.set(drivername="postgresql+psycopg")
        if is_sqlite(url):
            return _open_sqlite(url)
        given = {**_PATIENCE, **_UNANSWERED}
        engine = create_engine(
            url,
            pool_pre_ping=True,
            pool_timeout=5,
            max_overflow=20,  # threads of the web process, and those that work on after an answer
            json_serializer=to_json,
            connect_args={name: value for name, value in given.items() if name not in url.query},
        )
    except (ArgumentError, NoSuchModuleError) as error:
        raise SettingsError(
            f"LABELLOOP_DATABASE_URL is not a database address: {error}.",
            "Use sqlite:////folder/file.db or postgresql://user:password@host/database.",
        ) from None
    except OSError as error:
        raise SettingsError(f"The store's folder cannot be made: {error}.", "Set LABELLOOP_DATA_DIR.") from None
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def is_sqlite(url: URL) -> bool:
    return url.drivername.startswith("sqlite")


def _open_sqlite(url: URL) -> Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(url, json_serializer=to_json)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL lets readers go on during a write; FULL has a commit on disk before it returns."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=2000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    """Times come in UTC whatever the server's time zone is, and the oldest ones come at all."""
    connection.autocommit = True
    connection.execute("SET TIME ZONE 'UTC'")
    connection.autocommit = False


@contextmanager
def database_errors() -> Iterator[None]:
    """Tells a value that no database takes from a database that is not there.

    Raises:
        RequestError: the value: a number beyond the column's range, a text that is too long or no Unicode.
        StoreDownError: the database cannot be reached, stays locked, or refuses us.
    """
    try:
        yield
    except IntegrityError:
        raise
    except DataError as error:
        told = str(error.orig).splitlines()
        raise RequestError(f"The store cannot hold this: {told[0] if told else type(error.orig).__name__}.") from error
    except (OverflowError, UnicodeEncodeError) as error:  # SQLite's driver, and PostgreSQL's of halves of characters
        raise RequestError(f"The store cannot hold this: {error}.") from error
    except TimeoutError as error:
        raise StoreDownError("All connections to the store are busy.", _REMEDY) from error
    except ProgrammingError as error:
        told = str(error.orig).splitlines()
        raise StoreDownError(
            f"The store refuses: {told[0] if told else type(error.orig).__name__}.",
            "Give its user the rights to make and change tables; `labelloop doctor` tests it.",
        ) from error
    except DBAPIError as error:
        raise StoreDownError(
            f"The store does not answer: {type(error.orig).__name__}: {error.orig}.", _REMEDY
        ) from error


def alone(connection: Connection) -> None:
    """Until this transaction ends, no other one comes past its own call of this."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    elif connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def to_json(thing: Any) -> str:
    """JSON as every database takes it: what is no number, which PostgreSQL refuses, becomes null."""
    try:
        return json.dumps(thing, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(thing), allow_nan=False)


def _finite(thing: Any) -> Any:
    if isinstance(thing, Mapping):
        return {name: _finite(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [_finite(value) for value in thing]
    return None if isinstance(thing, float) and not math.isfinite(thing) else thing

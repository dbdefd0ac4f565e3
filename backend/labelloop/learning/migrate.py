"""Runs Alembic on a store: programmatically, so that no alembic.ini is needed and the wheel carries all of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, DateTime, Engine, MetaData, create_engine, event

from labelloop.errors import SettingsError
from labelloop.learning.database import alone
from labelloop.learning.tables import UtcDateTime


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Moves the schema up to ``revision``; several processes may try at once, one does it.

    Raises:
        SettingsError: a newer LabelLoop has made it.
    """
    with engine.begin() as connection:
        alone(connection)
        move(connection, command.upgrade, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Moves the schema down to ``revision``; "base" removes every table. Raises as ``upgrade``."""
    with engine.begin() as connection:
        alone(connection)
        move(connection, command.downgrade, revision)


def move(connection: Connection, how: Callable[[Config, str], None], revision: str) -> None:
    """``upgrade`` or ``downgrade`` (``alembic.command``) inside a transaction."""
    revision_of(connection)
    config = _config()
    config.attributes["connection"] = connection
    how(config, revision)


def revision_of(connection: Connection) -> str:
    """The schema of a store; "" where there is none yet.

    Raises:
        SettingsError: it is of a newer LabelLoop.
    """
    found = MigrationContext.configure(connection).get_current_revision() or ""
    if found and found not in revisions():
        raise SettingsError(
            f"The store was made by a newer LabelLoop: its schema is {found}, this one knows up to {revisions()[-1]}.",
            "Install that LabelLoop again, or use another store (LABELLOOP_DATABASE_URL).",
        )
    return found


@cache
def revisions() -> tuple[str, ...]:
    """Every schema there was, oldest first."""
    return tuple(one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions())[::-1]


@cache
def schema_at(revision: str) -> MetaData:
    """The tables of a schema as every database takes them: their names, columns and keys."""
    found, scratch = MetaData(), create_engine("sqlite://")
    event.listen(found, "column_reflect", _neutral)
    try:
        with scratch.connect() as connection:
            move(connection, command.upgrade, revision)
            found.reflect(connection)
    finally:
        scratch.dispose()
    found.remove(found.tables["alembic_version"])
    return found


def _neutral(_inspector: object, _table: object, column: dict[str, object]) -> None:
    generic = column["type"].as_generic()  # type: ignore[attr-defined]
    column["type"] = UtcDateTime() if isinstance(generic, DateTime) else generic


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config

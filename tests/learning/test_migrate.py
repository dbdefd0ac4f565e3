"""Schemas with labels in them go up and down and lose nothing that both know: every one there ever was, both ways."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from labelloop.errors import SettingsError
from labelloop.learning.migrate import downgrade, revision_of, revisions, schema_at, upgrade
from labelloop.learning.store import Store

pytestmark = pytest.mark.databases

TIME = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
ODD = "Ünïcödé 中文 \U0001f600 'quotes\" \\ and\nlines"
# What a column holds in the rows of a test, where its type alone does not say enough.
TOLD: dict[str, Any] = {
    "connection_id": 1,
    "champion_id": 1,
    "parent_id": 1,
    "version_id": 1,
    "how": "edited",
    "trigger": "labels",
    "state": "promoted",
    "pending": False,
    "result": [{"value": {"choices": [ODD]}, "score": 0.1 + 0.2}],
    "adapter": "a" * 64,
}


def value(column: sa.Column[Any], number: int) -> Any:
    """Something of the column's type; of the second row of a table another than of the first."""
    if column.name in TOLD and not (column.primary_key and column.name != "connection_id"):
        return TOLD[column.name]
    kind = column.type
    if isinstance(kind, sa.JSON):
        return {"text": ODD, "nul": "\0", "half": "\ud83d", "number": number + 0.1, "none": None, "big": 2**70}
    if isinstance(kind, sa.Boolean):
        return number == 2
    if isinstance(kind, sa.BigInteger):
        return 2**62 + number
    if isinstance(kind, sa.Integer):
        return number
    if isinstance(kind, sa.LargeBinary):
        return bytes(range(256)) * number
    if isinstance(kind, sa.String):
        return f"{ODD} {number}" if kind.length is None or kind.length >= 500 else f"{number}"[: kind.length]
    return TIME.replace(day=number)


def fill(store: Store, revision: str) -> None:
    """Two rows in every table, with something in every column."""
    with store.engine.begin() as connection:
        for table in schema_at(revision).sorted_tables:
            for number in (1, 2):
                row = {column.name: value(column, number) for column in table.columns}
                connection.execute(sa.insert(table), row)


def rows(store: Store, revision: str) -> dict[str, list[dict[str, Any]]]:
    with store.engine.connect() as connection:
        return {
            table.name: [
                dict(row)
                for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns)).mappings()
            ]
            for table in schema_at(revision).sorted_tables
        }


@pytest.mark.parametrize("revision", revisions())
def test_every_schema_goes_up_and_comes_back_with_all_its_rows(store: Store, revision: str) -> None:
    downgrade(store.engine, revision)
    fill(store, revision)
    before = rows(store, revision)
    assert all(len(found) == 2 for found in before.values())
    store.migrate()
    now = rows(store, revisions()[-1])
    for table, kept in before.items():
        for old, new in zip(kept, now[table], strict=True):
            assert {name: new[name] for name in old} == old
    with store.session() as session:  # and what reads them understands them
        assert session.scalar(sa.text("SELECT count(*) FROM connections")) == 2
    downgrade(store.engine, revision)
    assert rows(store, revision) == before
    downgrade(store.engine, "base")
    with store.engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version"}


def test_a_schema_above_loses_only_what_the_one_below_does_not_know(store: Store) -> None:
    fill(store, revisions()[-1])
    full = rows(store, revisions()[-1])
    for revision in revisions()[-2::-1]:
        downgrade(store.engine, revision)
        for table, kept in rows(store, revision).items():
            for old, new in zip(full[table], kept, strict=True):
                assert {name: old[name] for name in new} == new


def test_a_store_of_a_newer_labelloop_is_left_alone(store: Store, database_url: str) -> None:
    store.new_key()
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0999'"))
    for action in (store.migrate, lambda: upgrade(store.engine), lambda: downgrade(store.engine, "base")):
        with pytest.raises(SettingsError, match=f"newer LabelLoop: its schema is 0999.*up to {revisions()[-1]}"):
            action()
    with store.engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM connections")) == 1
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :last"), {"last": revisions()[-1]})
        assert revision_of(connection) == revisions()[-1]
    store.migrate()


def test_rows_of_a_test_have_something_of_every_type() -> None:
    table = schema_at(revisions()[-1]).tables["annotations"]
    row = {column.name: value(column, 1) for column in table.columns}
    assert json.dumps(row["result"]) and row["annotation_id"] == 2**62 + 1 and row["updated_at"].tzinfo is UTC

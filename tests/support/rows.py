"""A store with something in every column of every table, and all that a store holds."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from labelloop.learning.adapters import sha_of
from labelloop.learning.migrate import revisions, schema_at
from labelloop.learning.store import Store

HEAD = revisions()[-1]
TIME = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
ODD = "Ünïcödé 中文 \U0001f600 'quotes\" \\ and\nlines"
# What a column holds where its type alone does not say enough.
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
}

Rows = dict[str, list[dict[str, Any]]]


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


def fill(store: Store, revision: str = HEAD) -> None:
    """Two rows in every table of a schema."""
    with store.engine.begin() as connection:
        for table in schema_at(revision).sorted_tables:
            for number in (1, 2):
                row = {column.name: value(column, number) for column in table.columns}
                if "data_hash" in row:
                    row["data_hash"] = "" if row["deleted"] else _hash(row["data"])
                if table.name == "adapters":
                    row["sha"] = sha_of(row["about"].encode(), row["content"])
                connection.execute(sa.insert(table), row)


def _hash(data: object) -> str:
    """As the schemas before 0006 kept it."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def rows(store: Store, revision: str = HEAD) -> Rows:
    """All that a store of a schema holds, by table."""
    with store.engine.connect() as connection:
        return {
            table.name: [
                dict(row)
                for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns)).mappings()
            ]
            for table in schema_at(revision).sorted_tables
        }

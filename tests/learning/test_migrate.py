"""Schemas with labels in them go up and down and lose nothing that both know: every one there ever was, both ways."""

import pytest
import sqlalchemy as sa

from labelloop.errors import SettingsError
from labelloop.learning.migrate import downgrade, revision_of, revisions, upgrade
from labelloop.learning.store import Store
from support.rows import HEAD, fill, rows

pytestmark = pytest.mark.databases

DROPPED = {"data_hash"}
"""Columns that a later schema has no more, because they follow from others; who goes down gets them back."""


@pytest.mark.parametrize("revision", revisions())
def test_every_schema_goes_up_and_comes_back_with_all_its_rows(store: Store, revision: str) -> None:
    downgrade(store.engine, revision)
    fill(store, revision)
    before = rows(store, revision)
    assert all(len(found) == 2 for found in before.values())
    store.migrate()
    now = rows(store, HEAD)
    for table, kept in before.items():
        for old, new in zip(kept, now[table], strict=True):
            lasting = {name: value for name, value in old.items() if name not in DROPPED}
            assert {name: new[name] for name in lasting} == lasting
    with store.session() as session:  # and what reads them understands them
        assert session.scalar(sa.text("SELECT count(*) FROM connections")) == 2
    downgrade(store.engine, revision)
    assert rows(store, revision) == before
    downgrade(store.engine, "base")
    with store.engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version"}


def test_a_schema_above_loses_only_what_the_one_below_does_not_know(store: Store) -> None:
    fill(store, HEAD)
    full = rows(store, HEAD)
    for revision in revisions()[-2::-1]:
        downgrade(store.engine, revision)
        for table, kept in rows(store, revision).items():
            for old, new in zip(full[table], kept, strict=True):
                lasting = {name: value for name, value in new.items() if name not in DROPPED}
                assert {name: old[name] for name in lasting} == lasting


def test_a_store_of_a_newer_labelloop_is_left_alone(store: Store, database_url: str) -> None:
    store.new_key()
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0999'"))
    for action in (store.migrate, lambda: upgrade(store.engine), lambda: downgrade(store.engine, "base")):
        with pytest.raises(SettingsError, match=f"newer LabelLoop: its schema is 0999.*up to {HEAD}"):
            action()
    with store.engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM connections")) == 1
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :last"), {"last": HEAD})
        assert revision_of(connection) == HEAD
    store.migrate()

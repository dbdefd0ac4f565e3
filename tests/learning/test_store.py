"""The store on real databases: keys, versions, webhooks, and what happens when the database is gone."""

import sqlite3
import threading
from pathlib import Path

import pytest

from labelloop.errors import KeyRefusedError, RequestError, SettingsError, StoreDownError
from labelloop.learning import refreshes
from labelloop.learning.migrate import downgrade
from labelloop.learning.store import Store, hash_key
from labelloop.words import Bundle, Field, FieldPlan, Label, Source

pytestmark = pytest.mark.databases

SOURCE = Source(name="text", tag="Text", key="text")


def bundle(*labels: str, prior: float = 0.0) -> Bundle:
    field = Field(
        name="topic",
        tag="Choices",
        kind="classification",
        to_name="text",
        labels=tuple(Label(path=(name,), text=name) for name in labels),
        sources=(SOURCE,),
    )
    plan = FieldPlan(
        field=field,
        engine="encoder",
        model="starter",
        revision="r",
        prompt="classification/v1",
        prompt_hash="h",
        calibration={"prior": [prior, 1e-7]},
    )
    return Bundle(plans=(plan,))


def test_a_key_is_bound_to_its_first_project_and_to_no_other(store: Store) -> None:
    key = store.new_key()
    connection = store.connection_of_key(key)
    assert connection is not None and connection.project_id is None
    assert store.bind(connection.id, 7, 1795440943).project_id == 7
    assert store.bind(connection.id, 7, 1795440943).project_id == 7
    with pytest.raises(KeyRefusedError, match="another project"):
        store.bind(connection.id, 7, 1795440944)  # the same number after a reset is another project
    assert store.connection_of_key("x" * 43) is None


def test_keys_are_not_stored_in_the_clear(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    store.migrate()
    key = store.new_key()
    store.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.encode() not in content
    assert hash_key(key).encode() in content
    assert (tmp_path / "store.db").stat().st_mode & 0o077 == 0


def test_a_token_does_not_show_in_a_connections_repr(store: Store) -> None:
    connection, _ = store.create_connection("http://ls", 1, 2, "Title", "secret-token")
    assert "secret-token" not in repr(connection)
    assert connection.token == "secret-token"


def test_a_version_changes_when_the_bundle_changes_and_never_otherwise(store: Store) -> None:
    connection, _ = store.create_connection("http://ls", 1, 2, "Title", "")
    assert store.champion(connection.id) is None
    first = store.serve(connection.id, bundle("A", "B"), {"ner": "comes later"})
    again = store.serve(connection.id, bundle("A", "B"), {"ner": "comes later"})
    second = store.serve(connection.id, bundle("A", "B", "C"), {})
    back = store.serve(connection.id, bundle("A", "B"), {})
    assert first.name == again.name == back.name == f"v1-{bundle('A', 'B').digest[:8]}"
    assert second.name.startswith("v2-")
    champion = store.champion(connection.id)
    assert champion is not None
    assert champion.bundle == bundle("A", "B")
    assert champion.bundle.digest == bundle("A", "B").digest
    assert [version.number for version in store.versions(connection.id)] == [1, 2]


def test_a_calibration_survives_the_store_to_the_last_digit(store: Store) -> None:
    connection, _ = store.create_connection("http://ls", 1, 2, "Title", "")
    exact = bundle("A", "B", prior=0.1 + 0.2)
    store.serve(connection.id, exact, {})
    champion = store.champion(connection.id)
    assert champion is not None and champion.bundle.digest == exact.digest


def test_projects_are_found_by_id_and_title_and_ambiguity_is_an_error(store: Store) -> None:
    store.create_connection("http://one", 1, 10, "News", "")
    store.create_connection("http://two", 1, 20, "Mail", "")
    found = store.find_connection("Mail")
    assert found is not None and found.server_url == "http://two"
    found = store.find_connection("1", "http://one/")
    assert found is not None and found.title == "News"
    assert store.find_connection("Sport") is None
    with pytest.raises(RequestError, match="several projects"):
        store.find_connection("1")


def test_a_replayed_webhook_is_stored_once(store: Store) -> None:
    connection, _ = store.create_connection("http://ls", 1, 2, "Title", "")
    event = {"annotations": [{"id": 5, "updated_at": "2026-01-01T00:00:00Z"}]}
    assert store.add_event(connection.id, "ANNOTATION_CREATED", event) is True
    assert store.add_event(connection.id, "ANNOTATION_CREATED", event) is False
    assert store.add_event(connection.id, "ANNOTATION_UPDATED", event) is True
    assert [action for _, action, _ in store.events(connection.id)] == ["ANNOTATION_CREATED", "ANNOTATION_UPDATED"]


def test_many_threads_write_without_losing_an_event(store: Store) -> None:
    connection, _ = store.create_connection("http://ls", 1, 2, "Title", "")

    def write(start: int) -> None:
        for number in range(start, start + 10):
            store.add_event(connection.id, "ANNOTATION_CREATED", {"annotations": [{"id": number}]})

    threads = [threading.Thread(target=write, args=(10 * index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.events(connection.id)) == 60


def test_a_stored_event_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(f"sqlite:///{path}")
    store.migrate()
    connection, _ = store.create_connection("http://ls", 1, 2, "Title", "")
    store.add_event(connection.id, "ANNOTATION_CREATED", {"annotations": [{"id": 5}]})
    reader = sqlite3.connect(path)  # another reader sees it without our help
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()
    store.close()


def test_migrations_go_up_and_down_and_match_the_tables(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from labelloop.learning.tables import Base

    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    downgrade(store.engine, "base")
    store.migrate()
    assert store.connections() == []


def test_attempts_from_before_their_texts_were_kept_have_none(store: Store) -> None:
    made = store.create_connection("http://ls", 1, 2, "Title", "")[0]
    number = refreshes.begin(store, made.id, "topic", "command", 40, "digest")
    refreshes.end(store, number, "refused", items=[1, 2], learned=["b", "a", "b"], judged=["c"])
    (kept,) = refreshes.listed(store, made.id)
    assert (kept.learned, kept.judged) == (frozenset("ab"), frozenset("c"))
    downgrade(store.engine, "0004")
    store.migrate()
    (old,) = refreshes.listed(store, made.id)
    assert (old.state, old.items, old.learned, old.judged) == ("refused", (1, 2), frozenset(), frozenset())
    assert store.connection(made.id).blind_since is None
    store.add_event(made.id, "TASKS_CREATED", {"tasks": [{"id": 1}]})
    downgrade(store.engine, "0001")
    store.migrate()
    assert len(store.events(made.id)) == 1, "a connection keeps what refers to it"


def test_a_database_that_is_gone_says_so() -> None:
    store = Store("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreDownError, match="does not answer"):
        store.ping()
    store.close()
    with pytest.raises(SettingsError, match="LABELLOOP_DATABASE_URL"):
        Store("not a url")

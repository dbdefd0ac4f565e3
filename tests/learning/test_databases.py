"""What SQLite takes and PostgreSQL does not, and what happens where several processes write at once: on both."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from labelloop.errors import KeyRefusedError, RequestError, StoreDownError
from labelloop.learning import adapters, intake, refreshes
from labelloop.learning.adapters import sha_of
from labelloop.learning.database import to_json
from labelloop.learning.events import reduce_event
from labelloop.learning.labels import apply
from labelloop.learning.spool import Spool
from labelloop.learning.store import Store
from labelloop.learning.tables import AdapterRow, AnnotationRow
from support.labelling import Labelling, choice, state
from support.scoring import fake_bundle, field

pytestmark = pytest.mark.databases

ODD = "NUL \0, half \ud83d, whole \U0001f600, Ω, 中文, 'quotes\" \\ %s :name"


@pytest.fixture
def connection(store: Store) -> int:
    return store.create_connection("http://ls", 3, 4, "Title", "")[0].id


@pytest.fixture
def several(store: Store, database_url: str) -> Iterator[list[Store]]:
    """Stores of one database, as several processes have them."""
    made = [Store(database_url) for _ in range(6)]
    yield made
    for one in made:
        one.close()


def at_once(actions: list[Callable[[], Any]]) -> list[Any]:
    """What each returns, or raises, when all begin in the same moment."""
    gate, found = threading.Barrier(len(actions)), [None] * len(actions)

    def run(place: int) -> None:
        gate.wait()
        try:
            found[place] = actions[place]()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            found[place] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_whatever_a_text_holds_comes_back_as_it_was(store: Store, connection: int) -> None:
    studio = Labelling()
    studio.annotate(studio.add_task(ODD), ODD)
    long = studio.add_task("x" * 3_000_000)
    studio.annotate(long, "Sport")
    for action, body in studio.events:
        intake.receive(store, connection, action, body)
    kept = state(store, connection)
    assert kept == studio.state
    assert kept[1][5] == {"text": ODD}
    assert len(kept[2][5]["text"]) == 3_000_000


def test_titles_and_errors_keep_what_every_database_can_hold(store: Store) -> None:
    made = store.create_connection("http://ls", 3, 4, ODD, "")[0]
    assert store.connection(made.id).title == ODD.replace("\0", "\ufffd").replace("\ud83d", "\ufffd")
    number = refreshes.begin(store, made.id, "topic", "command", 40, "digest")
    refreshes.end(store, number, "failed", error=ODD, verdict={"gain": float("nan"), "why": ODD})
    (kept,) = refreshes.listed(store, made.id)
    assert "whole \U0001f600" in kept.error and "\0" not in kept.error
    assert kept.verdict == {"gain": None, "why": ODD}


def test_what_is_no_number_is_stored_as_none(store: Store, connection: int) -> None:
    studio = Labelling()
    annotation = studio.annotate(studio.add_task("one"), "Sport")
    studio.change(annotation, result=[choice("Art", score=float("nan"), other=[float("inf"), 1.5])])
    for action, body in studio.events:
        intake.receive(store, connection, action, body)
    assert state(store, connection)[annotation][1] == [choice("Art", score=None, other=[None, 1.5])]
    assert to_json({"a": (1e308, float("-inf"))}) == '{"a": [1e+308, null]}'


@pytest.mark.parametrize("body", [{"id": 2**31, "created_at": "x"}, {"id": 2**70}, {"id": 0}, {"id": -3}])
def test_a_number_that_no_project_has_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="project"):
        reduce_event({"action": "ANNOTATION_CREATED", "project": body})


def test_an_action_of_control_characters_is_refused() -> None:
    for action in ("A\0", "\ud800", "A\n"):
        with pytest.raises(RequestError, match="action"):
            reduce_event({"action": action})


@pytest.mark.parametrize("value", [{"backend_id": 2**64}, {"created_at": 2**80}, {"champion_id": -(2**63) - 1}])
def test_a_value_that_does_not_fit_is_no_store_that_is_down(store: Store, connection: int, value: Any) -> None:
    with pytest.raises(RequestError, match="cannot hold"):
        store.update_connection(connection, **value)
    store.ping()


def test_one_event_that_nobody_can_store_does_not_hold_up_the_others(
    store: Store, connection: int, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    for number in (2**80, 7):
        spool.save("key", {"number": number})
    assert spool.replay(lambda _, event: store.update_connection(connection, created_at=event["number"])) == 1
    assert store.connection(connection).created_at == 7
    assert not spool.waiting


def test_an_event_whose_labels_do_not_fit_is_kept(store: Store, connection: int) -> None:
    told = {"annotations": [{"id": 5, "task": 6, "result": [], "completed_by": 2**62}], "tasks": [{"id": 6}]}
    assert intake.receive(store, connection, "ANNOTATION_CREATED", told) == (True, False)
    with store.session() as session:
        assert session.scalar(sa.select(AnnotationRow.who)) == 2**62

    def refuse(*_: Any) -> Any:
        raise RequestError("does not fit")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(intake, "apply", refuse)
        assert intake.receive(store, connection, "ANNOTATION_UPDATED", told) == (True, False)
    assert len(store.events(connection)) == 2


def test_the_servers_time_zone_changes_no_time_and_no_label(database_url: str) -> None:
    """Of two tellings with the same time the same one wins, in whatever order they come."""
    address = sa.make_url(database_url)
    if address.query:
        options = f"{address.query['options']} -cTimeZone=America/New_York"
        address = address.update_query_dict({"options": options})
    store = Store(address.render_as_string(False))
    store.migrate()
    ends = []
    for number, order in enumerate((("Art", "Sport"), ("Sport", "Art"))):
        connection = store.create_connection("http://ls", 10 + number, 4, "Title", "")[0].id
        for place, time in ((1, "2026-11-23T12:00:00Z"), (2, "0001-01-01T00:00:00Z")):
            for label in order:
                told = {"id": place, "task": place, "result": [choice(label)], "updated_at": time}
                intake.receive(store, connection, "ANNOTATION_CREATED", {"annotations": [told], "tasks": []})
        with store.session() as session:
            rows = list(session.scalars(sa.select(AnnotationRow).where(AnnotationRow.connection_id == connection)))
            assert {row.updated_at.isoformat() for row in rows} == {
                "2026-11-23T12:00:00+00:00",
                "0001-01-01T00:00:00+00:00",
            }
            ends.append({row.annotation_id: row.result for row in rows})
    store.close()
    assert ends[0] == ends[1]


def test_processes_that_store_the_same_labels_at_once_lose_and_double_none(
    several: list[Store], store: Store, connection: int
) -> None:
    studio = Labelling()
    for number in range(12):
        studio.change(studio.annotate(studio.add_task(f"text {number}"), "Sport"), result=[choice("Art")])

    def send(one: Store) -> None:
        for action, body in studio.events:
            while True:
                try:
                    intake.receive(one, connection, action, body)
                    break
                except StoreDownError:  # SQLite stayed locked; whoever is called so keeps the event
                    continue

    assert at_once([lambda one=one: send(one) for one in several]) == [None] * len(several)  # type: ignore[misc]
    assert state(store, connection) == studio.state
    assert len(store.events(connection)) == len(studio.events)
    assert store.memory_epoch(connection) == 24  # each change counted once


def test_processes_that_apply_what_is_pending_at_once_do_it_once(
    several: list[Store], store: Store, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "AT_ONCE", 0)
    studio = Labelling()
    for number in range(20):
        studio.annotate(studio.add_task(f"text {number}"), "Sport")
    for action, body in studio.events:
        intake.receive(store, connection, action, body)
    done = at_once([lambda one=one: intake.catch_up(one, connection) for one in several[:3]])  # type: ignore[misc]
    assert all(isinstance(one, int | StoreDownError) for one in done), done
    intake.catch_up(store, connection)
    assert state(store, connection) == studio.state
    assert store.memory_epoch(connection) == 20


def test_processes_that_number_versions_at_once_give_each_its_own(
    several: list[Store], store: Store, connection: int
) -> None:
    bundles = [fake_bundle(field("topic", "A", "B", f"label {number % 4}")) for number in range(len(several))]
    made = at_once(
        [lambda one=one, its=its: one.serve(connection, its, {}) for one, its in zip(several, bundles, strict=True)]  # type: ignore[misc]
    )
    assert [one.bundle for one in made] == bundles, made
    assert [one.number for one in store.versions(connection)] == [1, 2, 3, 4]


def test_a_project_that_calls_several_processes_first_gets_one_connection(several: list[Store], store: Store) -> None:
    found = at_once([lambda one=one: one.connection_for_project(9, 0).id for one in several])  # type: ignore[misc]
    assert len(set(found)) == 1, found
    assert [one.id for one in store.connections()] == found[:1]
    assert store.connection_for_project(9, 0).id == found[0]


def test_one_adapter_that_two_processes_keep_is_there_once(several: list[Store], store: Store, tmp_path: Path) -> None:
    about, weights = b"{}\n", os.urandom(2000)
    folder = tmp_path / sha_of(about, weights)
    folder.mkdir()
    (folder / adapters.ABOUT).write_bytes(about)
    (folder / adapters.WEIGHTS).write_bytes(weights)
    found = at_once([lambda one=one: adapters.keep(one, folder) for one in several])  # type: ignore[misc]
    assert found == [None] * len(several)
    with store.session() as session:
        (kept,) = session.scalars(sa.select(AdapterRow))
        assert kept.content == weights


def test_a_webhook_of_a_removed_connection_is_not_taken_for_a_known_one(store: Store, connection: int) -> None:
    store.remove_connection(connection)
    with pytest.raises(KeyRefusedError):
        store.add_event(connection, "ANNOTATION_CREATED", {"annotations": [{"id": 5}]})


def test_a_store_whose_connections_are_all_busy_is_one_that_is_down(database_url: str) -> None:
    store = Store(database_url)
    store.migrate()
    store.engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    held = []
    with pytest.raises(StoreDownError, match="busy"):
        for _ in range(100):
            held.append(store.engine.connect())
            store.ping()
    for one in held:
        one.close()
    store.close()


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize(
    ("options", "why"),
    [("-csearch_path=nowhere", "refuses: no schema"), ("-cdefault_transaction_read_only=on", "read-only")],
)
def test_a_database_that_lets_us_make_no_tables_says_so(database_url: str, options: str, why: str) -> None:
    address = sa.make_url(database_url).update_query_dict({"options": options})
    store = Store(address.render_as_string(False))
    with pytest.raises(StoreDownError, match=why):
        store.migrate()
    store.close()


@pytest.mark.databases("postgresql")
def test_labels_of_two_connections_do_not_wait_for_each_other(store: Store) -> None:
    """The lock of ``apply`` is the connection's own; SQLite has one writer."""
    one, other = (store.create_connection("http://ls", number, 4, "T", "")[0].id for number in (5, 6))
    said = intake.changes_of("TASKS_DELETED", {"tasks": [{"id": 1}]})
    with store.session() as session:
        assert apply(session, one, said) == 1
        assert intake.receive(store, other, "TASKS_DELETED", {"tasks": [{"id": 1}]}) == (True, False)

"""Webhooks become labels: the same ones however they come, each change counted, nothing lost."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from labelloop.learning import intake, migrate
from labelloop.learning.events import reduce_event
from labelloop.learning.intake import catch_up, changes_of, receive
from labelloop.learning.store import Store
from labelloop.learning.tables import AnnotationRow, EventRow
from support.labelling import START, Labelling, choice, state

pytestmark = pytest.mark.databases

SHUFFLED = hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def connection(store: Store) -> int:
    return store.create_connection("http://ls", 3, 4, "Title", "")[0].id


def send(store: Store, connection: int, events: list[tuple[str, dict[str, Any]]]) -> None:
    for action, body in events:
        receive(store, connection, action, body)


def rows(store: Store, connection: int) -> dict[int, AnnotationRow]:
    with store.session() as session:
        found = session.scalars(select(AnnotationRow).where(AnnotationRow.connection_id == connection))
        return {row.annotation_id: row for row in found}


def pending(store: Store) -> int:
    with store.session() as session:
        return session.scalar(select(func.count()).select_from(EventRow).where(EventRow.pending)) or 0


def test_what_people_did_is_what_the_store_holds(store: Store, connection: int) -> None:
    studio = Labelling()
    one, two, three = (studio.add_task(text) for text in ("one", "two", "three"))
    first = studio.annotate(one, "Sport")
    studio.annotate(one, "Art", who=2, ground_truth=True)
    studio.change(first, result=[choice("Art")])
    skipped = studio.annotate(two, "Sport", was_cancelled=True)
    studio.delete(studio.annotate(two, "Art"))
    studio.annotate(three, "Art")
    studio.delete_task(three)
    send(store, connection, studio.events)
    assert state(store, connection) == studio.state
    assert set(studio.state) == {first, 2, skipped}
    assert rows(store, connection)[skipped].how == "skipped"
    assert not pending(store)


def test_a_bulk_action_tells_a_list_under_the_singular_key(store: Store, connection: int) -> None:
    made = [
        {"id": n, "task": n, "result": [choice("Art")], "updated_at": "2026-11-23T12:00:00Z", "parent_prediction": n}
        for n in range(1, 4)
    ]
    tasks = [{"id": n, "data": {"text": str(n)}, "updated_at": "2026-11-23T12:00:00Z"} for n in range(1, 4)]
    action, _, body = reduce_event({"action": "ANNOTATIONS_CREATED", "annotation": made, "task": tasks})
    receive(store, connection, action, body)
    assert {row.how for row in rows(store, connection).values()} == {"accepted"}
    assert state(store, connection)[2] == (2, [choice("Art")], None, False, False, {"text": "2"})


def test_the_epoch_rises_with_each_change_and_never_otherwise(store: Store, connection: int) -> None:
    studio = Labelling()
    assert store.memory_epoch(connection) == 0
    task = studio.add_task("one")
    annotation = studio.annotate(task, "Sport")
    studio.change(annotation, result=[choice("Art")])
    studio.delete(annotation)
    studio.tell("PROJECT_UPDATED")
    studio.tell("START_TRAINING")
    seen = []
    for action, body in [*studio.events, *studio.events]:
        receive(store, connection, action, body)
        seen.append(store.memory_epoch(connection))
    assert seen == [0, 1, 2, 3, 3, 3, *[3] * 6]


def test_a_late_creation_does_not_bring_back_what_is_deleted(store: Store, connection: int) -> None:
    studio = Labelling()
    task = studio.add_task("one")
    studio.delete(studio.annotate(task, "Sport"))
    studio.annotate(studio.add_task("two"), "Art")
    studio.delete_task(2)
    send(store, connection, studio.events[::-1])
    assert state(store, connection) == {}
    assert {row.deleted for row in rows(store, connection).values()} == {True}
    assert not any(row.result for row in rows(store, connection).values())


@st.composite
def days(draw: st.DrawFn) -> Labelling:
    """A day of labelling."""
    studio = Labelling()
    for number in range(draw(st.integers(1, 4))):
        studio.add_task(f"text {number}")
    for _ in range(draw(st.integers(1, 15))):
        what = draw(st.sampled_from(["annotate", "annotate", "annotate", "change", "skip", "truth", "delete", "task"]))
        if what == "annotate" and studio.tasks:
            task, label = draw(st.sampled_from(sorted(studio.tasks))), draw(st.sampled_from(["Art", "Sport"]))
            studio.annotate(task, label, who=draw(st.integers(1, 3)), was_cancelled=draw(st.integers(0, 5)) == 0)
        elif studio.annotations:
            annotation = draw(st.sampled_from(sorted(studio.annotations)))
            if what == "change":
                studio.change(annotation, result=[choice(draw(st.sampled_from(["Art", "Sport", "Food"])))])
            elif what == "skip":
                studio.change(annotation, was_cancelled=not studio.annotations[annotation]["was_cancelled"])
            elif what == "truth":
                studio.change(annotation, ground_truth=not studio.annotations[annotation]["ground_truth"])
            elif what == "delete":
                studio.delete(annotation)
            elif what == "task" and len(studio.tasks) > 1:
                studio.delete_task(draw(st.sampled_from(sorted(studio.tasks))))
    return studio


@SHUFFLED
@given(studio=days(), seed=st.integers(0, 2**32))
def test_shuffled_and_doubled_events_end_in_the_same_labels(store: Store, studio: Labelling, seed: int) -> None:
    connection = store.create_connection("http://ls", 3, 4, "Title", "")[0].id
    dice = random.Random(seed)
    events = studio.events + dice.choices(studio.events, k=len(studio.events) // 2)
    dice.shuffle(events)
    for action, body in events:  # the store takes no event twice, so a doubled one is applied by hand
        if not receive(store, connection, action, body)[0]:
            with store.session() as session:
                intake.apply(session, connection, changes_of(action, body))
    assert state(store, connection) == studio.state


def test_many_labels_in_one_event_wait_and_are_applied_once(
    store: Store, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "AT_ONCE", 1)
    studio = Labelling()
    studio.annotate(studio.add_task("one"), "Sport")
    waited = [receive(store, connection, action, body) for action, body in studio.events]
    assert waited == [(True, False), (True, True)]
    assert (pending(store), state(store, connection)) == (1, {})
    assert catch_up(store, connection) == 1
    assert state(store, connection) == studio.state
    assert (catch_up(store, connection), pending(store)) == (0, 0)


def test_events_stored_before_there_were_labels_become_labels(store: Store) -> None:
    studio = Labelling()
    studio.annotate(studio.add_task("one"), "Sport")
    migrate.downgrade(store.engine, "0002")
    with store.engine.begin() as database:
        values = {"server_url": "", "title": "", "token": "", "label_config": "", "added_at": START}
        names, marks = ", ".join(["key_hash", *values]), ", ".join(f":{name}" for name in ["key_hash", *values])
        database.execute(text(f"INSERT INTO connections ({names}) VALUES ({marks})"), {"key_hash": "k", **values})
        connection = database.scalar(text("SELECT id FROM connections")) or 0
        for number, (action, body) in enumerate(studio.events):
            told = {"c": connection, "a": action, "f": str(number), "b": json.dumps(body), "r": START}
            columns = "connection_id, action, fingerprint, body, received_at"
            database.execute(text(f"INSERT INTO events ({columns}) VALUES (:c, :a, :f, :b, :r)"), told)
    store.migrate()
    assert catch_up(store, connection) == 2
    assert state(store, connection) == studio.state
    assert store.memory_epoch(connection) == 1


def test_an_event_that_cannot_be_applied_is_stored_all_the_same(
    store: Store, connection: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    studio = Labelling()
    studio.annotate(studio.add_task("one"), "Sport")

    def broken(*_: Any) -> Any:
        raise KeyError("a fault of ours")

    with monkeypatch.context() as patched:
        patched.setattr(intake, "apply", broken)
        send(store, connection, studio.events)
    assert len(store.events(connection)) == 2
    assert pending(store) == 2
    assert catch_up(store, connection) == 2
    assert state(store, connection) == studio.state
    assert "cannot be applied yet" in caplog.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("id", "task", "result", "updated_at", "was_cancelled", "parent_prediction", "completed_by", "ground_truth")
ODD = st.dictionaries(st.sampled_from(NAMES), JSON | st.just(1), max_size=8)


@SHUFFLED
@given(
    action=st.sampled_from(["ANNOTATION_CREATED", "ANNOTATIONS_DELETED", "TASKS_DELETED", "TASKS_CREATED", "OTHER"]),
    annotations=JSON | ODD | st.lists(ODD, max_size=3),
    task=JSON | st.fixed_dictionaries({"id": JSON | st.just(1), "data": JSON, "updated_at": JSON}),
)
def test_whatever_an_event_holds_is_taken_in(store: Store, action: str, annotations: Any, task: Any) -> None:
    connection = store.create_connection("http://ls", 3, 4, "Title", "")[0].id
    _, _, body = reduce_event({"action": action, "annotation": annotations, "task": task})
    receive(store, connection, action, body)
    assert pending(store) == 0

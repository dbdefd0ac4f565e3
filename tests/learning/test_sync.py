"""Reading back from a Label Studio whose webhooks get lost: afterwards the store holds what it holds."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select

from labelloop.errors import RequestError
from labelloop.learning.intake import receive
from labelloop.learning.store import Store
from labelloop.learning.sync import Synced, sync
from labelloop.learning.tables import AnnotationRow
from learning.test_intake import days, send
from support.labelling import Api, Labelling, choice, state

pytestmark = pytest.mark.databases

PAGE = 2


@pytest.fixture
def connection(store: Store) -> int:
    return connect(store)


def connect(store: Store) -> int:
    return store.create_connection("http://ls", 3, 4, "Title", "")[0].id


def read_back(store: Store, connection: int, studio: Labelling, **options: Any) -> Synced:
    return sync(store, store.connection(connection), Api(studio), page_size=PAGE, **options)  # type: ignore[arg-type]


def hows(store: Store, connection: int) -> dict[int, str]:
    mine = (AnnotationRow.connection_id == connection, ~AnnotationRow.deleted)
    with store.session() as session:
        return {row.annotation_id: row.how for row in session.scalars(select(AnnotationRow).where(*mine))}


SHUFFLED = hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.databases("sqlite")  # hundreds of days: the others see to PostgreSQL
@SHUFFLED
@given(studio=days(), seed=st.integers(0, 2**32), share=st.sampled_from([0.1, 0.5, 1.0]))
def test_shuffled_doubled_and_dropped_events_end_right_once_read_back(
    store: Store, studio: Labelling, seed: int, share: float
) -> None:
    connection = connect(store)
    dice = random.Random(seed)
    events = [one for one in studio.events if dice.random() >= share]
    events += dice.choices(events, k=len(events) // 3) if events else []
    dice.shuffle(events)
    early, late = events[: len(events) // 2], events[len(events) // 2 :]
    send(store, connection, early)
    assert read_back(store, connection, studio).finished
    assert state(store, connection) == studio.state
    told = hows(store, connection)
    send(store, connection, late)  # such as the creation of what nobody has told us was deleted
    read_back(store, connection, studio)
    assert state(store, connection) == studio.state
    epoch = store.memory_epoch(connection)
    again = read_back(store, connection, studio)
    assert (again.changed, store.memory_epoch(connection)) == (0, epoch)
    assert hows(store, connection) == told


@pytest.mark.databases("sqlite")  # hundreds of days: the others see to PostgreSQL
@SHUFFLED
@given(studio=days(), seed=st.integers(0, 2**32))
def test_a_brief_sync_finds_deletions_too(store: Store, studio: Labelling, seed: int) -> None:
    connection = connect(store)
    read_back(store, connection, studio)
    dice = random.Random(seed)
    for _ in range(dice.randint(1, 5)):  # nobody hears of it
        what = dice.choice(["annotate", "delete", "task", "change"])
        studio.clock += 1000
        if what == "annotate" and studio.tasks:
            studio.annotate(dice.choice(sorted(studio.tasks)), "Food")
        elif what == "delete" and studio.annotations:
            studio.delete(dice.choice(sorted(studio.annotations)))
        elif what == "change" and studio.annotations:
            studio.change(dice.choice(sorted(studio.annotations)), result=[choice("Food")])
        elif what == "task" and studio.tasks:
            studio.delete_task(dice.choice(sorted(studio.tasks)))
    assert read_back(store, connection, studio, brief=True).finished
    assert state(store, connection) == studio.state


def test_a_brief_sync_reads_only_what_changed(store: Store, connection: int) -> None:
    studio = Labelling()
    for number in range(9):
        studio.annotate(studio.add_task(str(number)), "Art")
    studio.clock += 1000
    studio.add_task("nobody has labelled it")
    first = read_back(store, connection, studio, brief=True)
    assert (first.whole, first.tasks, first.finished) == (True, 9, True)
    studio.clock += 1000
    studio.change(4, result=[choice("Sport")])
    studio.pages = 0
    second = read_back(store, connection, studio, brief=True)
    assert (second.whole, second.tasks, second.changed, studio.pages) == (False, 1, 1, 2)
    assert state(store, connection) == studio.state
    studio.delete_task(2)
    assert read_back(store, connection, studio, brief=True).whole
    assert state(store, connection) == studio.state


def test_an_interrupted_sync_goes_on_where_it_was(store: Store, connection: int) -> None:
    studio = Labelling()
    for number in range(7):
        studio.annotate(studio.add_task(str(number)), "Art", was_cancelled=number == 3)
    allowed = iter([True, True, False])
    told: list[tuple[int, int]] = []
    stopped = read_back(store, connection, studio, go_on=lambda: next(allowed), progress=lambda *now: told.append(now))
    assert (stopped.finished, stopped.tasks, told) == (False, 4, [(2, 7), (4, 7)])
    studio.pages = 0
    rest = read_back(store, connection, studio)
    assert (rest.finished, rest.tasks) == (True, 3)
    assert studio.pages == 3
    assert state(store, connection) == studio.state


def test_what_arrives_while_a_page_is_read_is_not_taken_for_deleted(
    store: Store, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Labelling()
    task = studio.add_task("one")
    studio.annotate(task, "Art")
    old = studio.read

    def read(*arguments: Any, **options: Any) -> Any:
        pages = list(old(*arguments, **options))
        for action, body in studio.events[2:]:  # told by a webhook after the answer was made
            receive(store, connection, action, body)
        return iter(pages)

    api = Api(studio)
    api.tasks = read
    send(store, connection, studio.events)
    snapshot = Labelling(dict(studio.tasks), dict(studio.annotations))
    monkeypatch.setattr(studio, "_matching", snapshot._matching)
    second = studio.annotate(task, "Sport", who=2)
    studio.delete(1)
    sync(store, store.connection(connection), api, page_size=PAGE)  # type: ignore[arg-type]
    assert set(state(store, connection)) == {second}


def test_a_false_tombstone_is_brought_back_to_life(store: Store, connection: int) -> None:
    studio = Labelling()
    studio.annotate(studio.add_task("one"), "Art")
    send(store, connection, studio.events)
    receive(store, connection, "TASKS_DELETED", {"tasks": [{"id": 1}]})
    receive(store, connection, "ANNOTATIONS_DELETED", {"annotations": [{"id": 1}]})
    assert state(store, connection) == {}
    read_back(store, connection, studio)
    assert state(store, connection) == studio.state


def test_the_prediction_that_was_shown_tells_what_an_annotation_cannot(store: Store, connection: int) -> None:
    studio = Labelling()
    task = studio.add_task("one")
    kept = choice("Art", origin="prediction")
    studio.annotate(task, "Art", result=[kept], parent_prediction=5)
    send(store, connection, studio.events)
    assert hows(store, connection) == {1: "accepted"}
    other = choice("Sport", id="r2", from_name="other")
    shown = {"id": 5, "result": [choice("Art"), other], "updated_at": "2026-11-23T12:00:00Z"}
    studio.predictions[task] = [shown]
    read_back(store, connection, studio)
    assert hows(store, connection) == {1: "edited"}
    shown["updated_at"] = "2026-11-24T12:00:00Z"  # it was replaced since: nobody has been shown this one
    read_back(store, connection, studio)
    assert hows(store, connection) == {1: "accepted"}


def test_another_project_under_the_same_number_is_refused(store: Store) -> None:
    other = store.create_connection("http://ls", 3, 5, "Title", "")[0].id
    with pytest.raises(RequestError, match="another one than was connected"):
        read_back(store, other, Labelling())
    unbound = store.connection_of_key(store.new_key())
    assert unbound is not None
    with pytest.raises(RequestError, match="no project yet"):
        read_back(store, unbound.id, Labelling())

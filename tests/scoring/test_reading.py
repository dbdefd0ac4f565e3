"""The periodic reading back: due when it should be, one at a time, in turns, and past what is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from labelloop.learning.store import Store
from labelloop.scoring import reading, wire
from labelloop.scoring.beat import Beat
from labelloop.scoring.workplace import Workplace
from support.labelling import choice
from support.studio_double import CREATED_AT_S, TOKEN, StudioDouble


@pytest.fixture
def studio() -> Iterator[StudioDouble]:
    with StudioDouble() as double:
        yield double


def connect(store: Store, studio: StudioDouble, token: str = TOKEN) -> int:
    return store.create_connection(studio.url, 1, CREATED_AT_S, "Double", token)[0].id


def waiting(place: Workplace) -> int:
    return int(place.redis.llen(wire.rq_list("push")))


def work(place: Workplace) -> int:
    """Does what waits, as a worker would; returns how many jobs there were."""
    done = 0
    while (job_id := place.redis.lpop(wire.rq_list("push"))) is not None:
        Job.fetch(job_id.decode(), connection=place.redis, serializer=JSONSerializer).perform()
        done += 1
    return done


def test_a_worker_reads_labels_back_by_itself_every_so_often(
    place: Workplace, store: Store, studio: StudioDouble
) -> None:
    first, second = studio.add_tasks({"text": "one"}, {"text": "two"})
    studio.annotate(first, choice("Art"))
    studio.annotate(second, choice("Art"))
    connection = connect(store, studio)
    beat = Beat(place, wire.LANES)
    beat.now()
    assert waiting(place) == 1
    assert not reading.sweep(place.redis, 300)
    assert work(place) == 1
    assert store.count_labels(connection).how["by_hand"] == 2
    del studio.annotations[2]
    place.redis.delete(wire.SYNC_RECENT)
    assert reading.sweep(place.redis, 300)
    work(place)
    assert store.count_labels(connection).how["by_hand"] == 1
    place.redis.delete(wire.SYNC_RECENT)
    assert not reading.sweep(place.redis, 0)


def test_one_that_cannot_be_read_leaves_the_others_be(
    place: Workplace, store: Store, studio: StudioDouble, caplog: pytest.LogCaptureFixture
) -> None:
    studio.annotate(studio.add_tasks({"text": "one"})[0], choice("Art"))
    broken, without, good = connect(store, studio, "b" * 40), connect(store, studio, ""), connect(store, studio)
    store.add_event(without, "ANNOTATION_CREATED", {"annotations": [{"id": 1, "task": 1, "result": []}]})
    reading.read_all(place)
    assert [sum(store.count_labels(one).how.values()) for one in (broken, without, good)] == [0, 1, 1]
    assert f"connection {broken}" in caplog.text and TOKEN not in caplog.text


def test_a_long_reading_takes_turns(
    place: Workplace, store: Store, studio: StudioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in studio.add_tasks(*({"text": str(number)} for number in range(250))):
        studio.annotate(task, choice("Art"))
    connection = connect(store, studio)
    monkeypatch.setattr(reading, "_TURN_S", 0.0)
    wire.enqueue("push", place.redis, "read_back")
    assert work(place) > 2
    assert store.count_labels(connection).how["by_hand"] == 250


def test_readings_that_take_longer_than_their_interval_do_not_pile_up(
    place: Workplace, store: Store, studio: StudioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(store, studio)
    monkeypatch.setattr(place, "settings", place.settings.model_copy(update={"sync_s": 5}))
    issued: list[bool] = []
    usual = reading._read

    def read(*arguments: Any) -> bool:
        place.redis.delete(wire.SYNC_RECENT)  # by now the interval is over
        issued.append(reading.sweep(place.redis, 5))
        return usual(*arguments)

    monkeypatch.setattr(reading, "_read", read)
    assert reading.sweep(place.redis, 5)
    assert place.redis.ttl(wire.SYNC_RECENT) > 60, "it waits for its turn: no second one for a minute"
    assert work(place) == 1 and issued == [False]
    assert 0 < place.redis.ttl(wire.SYNC_RECENT) <= 5 and not reading.sweep(place.redis, 5)
    place.redis.delete(wire.SYNC_RECENT)
    assert reading.sweep(place.redis, 5)


def test_only_one_worker_reads_at_a_time(place: Workplace, store: Store, studio: StudioDouble) -> None:
    studio.annotate(studio.add_tasks({"text": "one"})[0], choice("Art"))
    connection = connect(store, studio)
    with place.lease(wire.SYNC_LEASE):
        reading.read_all(place)
    assert store.count_labels(connection).how["by_hand"] == 0

"""Asking for a refresh and what the trainer does: one at a time, told as it goes, taken up again after a stop."""

from __future__ import annotations

from typing import Any

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from labelloop.errors import NoWorkerError, QueueDownError, RequestError
from labelloop.learning import refresh as learning
from labelloop.learning import refreshes, triggers
from labelloop.learning.store import Store
from labelloop.scoring import push, refresh, refresh_job, wire
from labelloop.scoring.measured import REFRESH, totals
from labelloop.scoring.workplace import Workplace
from labelloop.words import Bundle


@pytest.fixture
def connection(store: Store) -> int:
    return store.create_connection("", 3, 4, "p", "")[0].id


@pytest.fixture
def trainer(place: Workplace) -> Workplace:
    place.redis.set(wire.ALIVE.format(lane="refresh"), "here")
    return place


def work(place: Workplace) -> int:
    """Does what waits, as the trainer would; returns how many jobs there were."""
    done = 0
    while (job_id := place.redis.lpop(wire.rq_list("refresh"))) is not None:
        Job.fetch(job_id.decode(), connection=place.redis, serializer=JSONSerializer).perform()
        done += 1
    return done


def told(place: Workplace, connection: int) -> list[tuple[str, str]]:
    return [(one.state, one.words) for one in refresh.progress(place.redis, connection)]


def test_what_is_asked_for_twice_is_trained_once_and_told_as_it_goes(
    trainer: Workplace, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []

    def attempt(store: Store, number: int, field: str, trigger: str, settings: object, watch: learning.Watch) -> object:
        seen.append((field, trigger))
        watch(0.5)
        seen.extend(told(trainer, number))
        refresh_job.serve(trainer, number, field, "api")  # another trainer, meanwhile: ours has the lease
        refresh.ask(trainer.redis, number, field, "command")
        assert trainer.redis.llen(wire.rq_list("refresh")) == 0, "what is trained is not asked for again"
        return learning.Done("refused", "Refused: not better.")

    monkeypatch.setattr(learning, "attempt", attempt)
    for _ in range(2):
        refresh.ask(trainer.redis, connection, "topic", "command")
    assert told(trainer, connection) == [("waiting", "")]
    assert work(trainer) == 1
    assert seen == [("topic", "command"), ("training", "")]
    assert told(trainer, connection) == [("refused", "Refused: not better.")]
    trainer.measured.hand_over(trainer.redis)
    assert totals(trainer.redis)[REFRESH.name]["refused",]["5"] == 1  # it took less than five seconds
    refresh.ask(trainer.redis, connection, "topic", "command")
    assert work(trainer) == 1


def test_a_trainer_that_must_stop_says_so_between_two_steps(
    trainer: Workplace, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt(*given: Any) -> object:
        trainer.stopping.set()
        given[-1](0.5)
        raise AssertionError("it went on")

    monkeypatch.setattr(learning, "attempt", attempt)
    refresh.ask(trainer.redis, connection, "topic", "command")
    work(trainer)
    assert [state for state, _ in told(trainer, connection)] == ["stopped"]


def test_a_failure_is_told_with_its_reason(
    trainer: Workplace, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt(*_: object) -> object:
        raise RequestError("'topic' has 3 labelled texts.", "Label some more.")

    monkeypatch.setattr(learning, "attempt", attempt)
    refresh.ask(trainer.redis, connection, "topic", "command")
    work(trainer)
    ((state, words),) = told(trainer, connection)
    assert state == "failed" and "3 labelled texts" in words


def test_without_a_trainer_nothing_is_asked_for(place: Workplace, connection: int) -> None:
    with pytest.raises(NoWorkerError, match="refresh"):
        refresh.ask(place.redis, connection, "topic", "command")
    refresh.look(place.redis, connection)
    assert place.redis.llen(wire.rq_list("refresh")) == 0


def test_new_labels_make_the_trainer_look_once_a_minute(
    trainer: Workplace, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(triggers, "due_fields", lambda *_: {"topic": "labels", "tone": "agreement"})
    monkeypatch.setattr(learning, "attempt", lambda *given: asked.append(given[2]) or learning.Done("refused", ""))
    for _ in range(3):
        refresh.look(trainer.redis, connection)
    assert work(trainer) == 1 and asked == ["topic", "tone"]
    trainer.settings.__dict__["refresh"] = False
    trainer.redis.delete(wire.REFRESH_LOOKED.format(connection=connection))
    refresh.look(trainer.redis, connection)
    assert work(trainer) == 1 and asked == ["topic", "tone"]


def test_what_a_trainer_left_unfinished_is_asked_for_again(
    trainer: Workplace, store: Store, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(
        learning, "attempt", lambda *its: asked.append((its[2], its[3])) or learning.Done("refused", "")
    )
    refreshes.begin(store, connection, "topic", "labels", 20, "p" * 64)
    refreshes.end(store, refreshes.begin(store, connection, "tone", "labels", 20, "p" * 64), "refused")
    refresh_job.resume(trainer)
    work(trainer)
    assert asked == [("topic", "resumed")]


def test_what_was_asked_for_survives_a_trainer_that_dies_before_it_begins(
    trainer: Workplace, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def attempt(*its: Any) -> object:
        asked.append((its[2], its[3]))
        return learning.Done("refused", "")

    monkeypatch.setattr(learning, "attempt", attempt)
    refresh.ask(trainer.redis, connection, "topic", "command")
    assert trainer.redis.lpop(wire.rq_list("refresh"))  # RQ hands the job out, and the process is killed
    refresh_job.resume(trainer)
    refresh_job.resume(trainer)
    assert trainer.redis.llen(wire.rq_list("refresh")) == 1, "it waits once"
    assert work(trainer) == 1 and asked == [("topic", "command")]
    refresh_job.resume(trainer)
    assert work(trainer) == 0, "what was done is not done again"

    refresh.ask(trainer.redis, connection, "topic", "api")
    assert trainer.redis.lpop(wire.rq_list("refresh"))
    refresh.ask(trainer.redis, connection, "topic", "command")  # somebody asks again, and nobody has started it anew
    assert work(trainer) == 1 and asked[1:] == [("topic", "command")]


def test_what_was_asked_for_survives_a_stop_and_a_death_at_any_moment(
    trainer: Workplace, store: Store, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """As a kill -9: nothing is tidied up."""

    begun: list[str] = []

    def attempt(*its: Any) -> object:
        begun.append(its[3])
        if len(begun) == 1:
            raise Killed  # before the store knows of it
        refreshes.begin(store, connection, "topic", its[3], 40, "p" * 64)
        its[-1](0.1)
        if len(begun) == 2:
            raise Killed
        return learning.Done("refused", "")

    monkeypatch.setattr(learning, "attempt", attempt)
    refresh.ask(trainer.redis, connection, "topic", "command")
    trainer.stopping.set()
    assert work(trainer) == 1 and begun == []  # SIGTERM came with the job
    trainer.stopping.clear()
    lease = refresh.lease(connection, "topic")
    trainer.redis.set(lease, "of the dead one")

    def expires(_seconds: float) -> bool:
        return not trainer.redis.delete(lease)

    monkeypatch.setattr(trainer.stopping, "wait", expires)
    for _ in range(2):
        refresh_job.resume(trainer)
        with pytest.raises(Killed):
            work(trainer)
    refresh_job.resume(trainer)
    assert work(trainer) == 1 and begun == ["command", "command", "resumed"]


def test_an_attempt_whose_trainer_died_does_not_seem_to_run_for_ever(
    trainer: Workplace, store: Store, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers, "due_fields", lambda *_: {})
    number = refreshes.begin(store, connection, "topic", "labels", 40, "p" * 64)
    with trainer.lease(refresh.lease(connection, "topic")):
        refresh_job.look(trainer, connection)
        assert [one.state for one in refreshes.listed(store, connection)] == ["running"]
    refresh_job.look(trainer, connection)
    (left,) = refreshes.listed(store, connection)
    assert left.state == "stopped" and "ended before it was done" in left.error and left.ended_at
    refreshes.end(store, number, "refused")
    refreshes.died(store, number)
    assert refreshes.listed(store, connection)[0].state == "refused"


@pytest.mark.parametrize("what", ["dies", "finds no Redis", "goes on"])
def test_what_was_promoted_is_pushed_also_where_the_trainer_dies_before(
    trainer: Workplace, store: Store, connection: int, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    store.update_connection(connection, server_url="http://studio", token="token")
    first = store.serve(connection, bundle, {})
    better = Bundle(plans=tuple(one.model_copy(update={"calibration": {"constants": {}}}) for one in bundle.plans))

    def attempt(*_: object) -> object:
        store.serve(connection, better, {})
        return learning.Done("promoted", "Promoted.")

    def fail(*_: object) -> object:
        raise QueueDownError("Redis does not answer.", "")

    def pushed() -> str:
        found = push.read(trainer.redis, connection)
        return found.version if found else ""

    monkeypatch.setattr(learning, "attempt", attempt)
    refresh.ask(trainer.redis, connection, "topic", "command")
    with monkeypatch.context() as killed:
        if what == "dies":
            killed.setattr(refresh_job, "_push_owed", lambda *_: None)
        elif what != "goes on":
            killed.setattr(push, "start", fail)
        work(trainer)
    champion = store.champion(connection)
    assert champion is not None and champion.name != first.name
    assert pushed() == (champion.name if what == "goes on" else "")
    refresh_job.resume(trainer)
    assert pushed() == champion.name
    trainer.redis.delete(wire.PUSH.format(connection=connection))
    refresh_job.resume(trainer)
    assert pushed() == "", "once is enough"


def test_a_bundle_whose_adapter_is_lost_gives_way_to_the_version_before(
    trainer: Workplace, store: Store, connection: int, bundle: Bundle
) -> None:
    first = store.serve(connection, bundle, {})
    lost = Bundle(plans=tuple(one.model_copy(update={"adapter": "0" * 64}) for one in bundle.plans))
    store.serve(connection, lost, {})
    trainer.fetch(lost)
    job = trainer.redis.lpop(wire.rq_list("push"))
    Job.fetch(job.decode(), connection=trainer.redis, serializer=JSONSerializer).perform()
    champion = store.champion(connection)
    assert champion is not None and champion.id == first.id

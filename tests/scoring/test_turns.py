"""Training and scoring at one GPU: whoever waits for an answer gets a turn between two steps. On the CPU, by force."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from labelloop.learning import refresh as learning
from labelloop.learning.store import Store
from labelloop.scoring import jobs, refresh_job, turns, wire
from labelloop.scoring.turns import Turns
from labelloop.scoring.workplace import Workplace
from labelloop.settings import Settings
from labelloop.words import Bundle
from support.scoring import FakeEngine
from support.waiting import until


def shared(place: Workplace) -> Turns:
    return Turns(place.redis, place.settings, "machine", shared=True)


@pytest.fixture
def trainer(settings: Settings, store: Store) -> Iterator[Workplace]:
    """Another process on the machine."""
    other = Workplace(settings.redis_url, settings, "trainer")
    other.turns = shared(other)
    yield other
    other.close()


def test_an_annotator_who_waits_gets_a_turn_between_two_steps(
    place: Workplace, trainer: Workplace, engine: FakeEngine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.turns = shared(place)
    monkeypatch.setattr(turns, "STEPS_S", 0.0)
    monkeypatch.setattr(turns, "PATIENCE_S", 60.0)
    stepping, answered, steps, seen = threading.Event(), threading.Event(), [0], []

    def attempt(*given: Any) -> object:
        while not answered.is_set():
            given[-1](0.5)
            stepping.set()
            steps[0] += 1
            time.sleep(0.01)  # a step
            stepping.clear()
        return learning.Done("refused", "")

    def answer(*given: Any) -> Any:
        before = steps[0]
        seen.append(stepping.is_set())
        time.sleep(0.05)  # several steps long
        seen.append(steps[0] != before)
        return engine(*given)

    monkeypatch.setattr(learning, "attempt", attempt)
    monkeypatch.setattr(jobs.tasks, "answer", answer)
    thread = threading.Thread(target=refresh_job.serve, args=(trainer, 1, "topic", "command"))
    thread.start()
    try:
        until(lambda: steps[0] > 3)
        texts = [{"topic": f"text {number}"} for number in range(3)]
        done = jobs.score_in_batches(place, bundle, bundle.digest, texts, "interactive", lambda *_: None)
        assert done == 3 and seen and not any(seen), "no step was under way, and none began"
        until(lambda before=steps[0]: steps[0] > before)
    finally:
        answered.set()
        thread.join()
    assert not place.redis.exists(wire.TURN.format(machine="machine")), "what was held is given back"


def test_nobody_waits_long_for_a_trainer_that_died(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 0.05)
    mine = shared(place)
    place.redis.set(wire.TURN.format(machine="machine"), "of the dead one")
    with mine.urgent() as ours:
        assert not ours
    assert place.redis.get(wire.TURN.format(machine="machine")) == b"of the dead one"
    place.redis.delete(wire.TURN.format(machine="machine"))
    with mine.urgent() as ours:
        assert ours
    elsewhere = Turns(place.redis, place.settings, "another machine", shared=True)
    with mine.urgent() as ours, elsewhere.urgent() as theirs:
        assert ours and theirs


def test_bulk_work_takes_no_turns(place: Workplace, engine: FakeEngine, bundle: Bundle) -> None:
    place.turns = shared(place)
    place.redis.set(wire.TURN.format(machine="machine"), "of the trainer")
    texts = [{"topic": "text"}]
    assert jobs.score_in_batches(place, bundle, bundle.digest, texts, "predict", lambda *_: None) == 1
    assert not place.redis.exists(wire.TURN_WANTED.format(machine="machine"))


def test_without_a_gpu_no_turns_are_taken(place: Workplace, engine: FakeEngine, bundle: Bundle) -> None:
    place.turns = Turns(place.redis, place.settings.model_copy(update={"device": "cpu"}), "machine")
    place.redis.set(wire.TURN.format(machine="machine"), "of the trainer")
    texts = [{"topic": "text"}]
    assert jobs.score_in_batches(place, bundle, bundle.digest, texts, "interactive", lambda *_: None) == 1
    assert not place.redis.exists(wire.TURN_WANTED.format(machine="machine"))

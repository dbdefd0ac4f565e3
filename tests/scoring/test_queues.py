"""Asking and answering over a real Redis: cache, order, lateness, faults, and what is refused when."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from labelloop import tasks
from labelloop.errors import ModelError, NoWorkerError, QueueDownError, UnavailableError
from labelloop.scoring import jobs, tickets, wire
from labelloop.scoring.queues import Scoring, workers_alive
from labelloop.scoring.wire import Epoch
from labelloop.scoring.workplace import Workplace
from labelloop.settings import Settings
from labelloop.words import Answer, Bundle
from support.scoring import FakeEngine, expected, fake_bundle, field


@pytest.fixture
def draining(place: Workplace) -> Iterator[None]:
    """A thread in this process that does what tickets say, as a worker would."""
    client = wire.connect(place.settings.redis_url)
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            taken = client.blpop([wire.rq_list(lane) for lane in wire.LANES], timeout=0.2)
            if taken is None:
                continue
            Job.fetch(taken[1].decode(), connection=client, serializer=JSONSerializer).perform()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    ended.set()
    thread.join()
    client.close()


def both(text: str) -> dict[str, str]:
    return {"topic": text, "tone": text + "!"}


def answers(bundle: Bundle, text: str) -> list[Answer]:
    topic, tone = bundle.fields
    return [expected(topic, text), expected(tone, text + "!")]


def test_answers_come_back_in_order_whatever_their_length(
    scoring: Scoring, bundle: Bundle, engine: FakeEngine, draining: None
) -> None:
    texts = ["word " * (7 * index % 40) + str(index) for index in range(40)]
    found = scoring.score(bundle, [both(text) for text in texts], "predict", 20)
    assert found == [answers(bundle, text) for text in texts]


def test_only_the_named_fields_are_answered_in_the_order_of_the_bundle(
    scoring: Scoring, bundle: Bundle, engine: FakeEngine, draining: None
) -> None:
    found = scoring.score(bundle, [{"tone": "a"}, {}, {"tone": "b", "topic": "c"}], "interactive", 20)
    assert [[one.field for one in some or ()] for some in found] == [["tone"], [], ["topic", "tone"]]


def test_equal_items_are_scored_once_and_known_ones_not_at_all(
    scoring: Scoring, bundle: Bundle, engine: FakeEngine, draining: None
) -> None:
    first = scoring.score(bundle, [both("same")] * 5 + [both("other")], "predict", 20)
    assert first == [answers(bundle, "same")] * 5 + [answers(bundle, "other")]
    assert sorted(engine.texts) == sorted(["same", "same!", "other", "other!"])
    assert scoring.score(bundle, [both("same")], "interactive", 0.0) == [answers(bundle, "same")]
    assert len(engine.texts) == 4


def test_the_cache_knows_fields_singly(scoring: Scoring, bundle: Bundle, engine: FakeEngine, draining: None) -> None:
    scoring.score(bundle, [{"topic": "x"}], "interactive", 20)
    assert scoring.score(bundle, [both("x")], "interactive", 20) == [answers(bundle, "x")]
    assert engine.texts == ["x", "x!"]


def test_another_bundle_or_epoch_is_another_answer(
    scoring: Scoring, bundle: Bundle, engine: FakeEngine, draining: None
) -> None:
    for one, epoch in ((bundle, 0), (bundle, 1), (fake_bundle(*bundle.fields, prompt_hash="2"), 0)):
        scoring.score(one, [{"topic": "x"}], "interactive", 20, Epoch(1, epoch))
    assert engine.texts == ["x"] * 3


def test_a_late_answer_is_none_and_lands_in_the_cache(
    scoring: Scoring, bundle: Bundle, engine: FakeEngine, place: Workplace
) -> None:
    assert scoring.score(bundle, [both("late")], "interactive", 0.05) == [None]
    jobs.drain("interactive", bundle.digest)
    assert scoring.score(bundle, [both("late")], "interactive", 0.0) == [answers(bundle, "late")]


def test_requests_are_batched_together(scoring: Scoring, bundle: Bundle, engine: FakeEngine, place: Workplace) -> None:
    for index in range(5):
        scoring.score(bundle, [{"topic": f"text {index}"}], "predict", 0.0)
    assert scoring.redis.llen(wire.rq_list("predict")) == 1  # one ticket for all
    jobs.drain("predict", bundle.digest)
    assert [len(batch) for batch in engine.batches] == [5]


def test_one_bad_item_is_answered_with_its_reason_and_spoils_no_other(
    scoring: Scoring, bundle: Bundle, engine: FakeEngine, draining: None
) -> None:
    good, bad, other = scoring.score(bundle, [both("good"), both("BOOM"), both("other")], "predict", 20)
    assert good == answers(bundle, "good") and other == answers(bundle, "other")
    assert bad is not None and [one.reason for one in bad] == ["RuntimeError: this text breaks the engine"] * 2
    assert all(one.score == 0 and not one.labels for one in bad)
    tried = len(engine.texts)
    scoring.score(bundle, [both("BOOM")], "predict", 20)
    assert len(engine.texts) > tried  # the failure was not kept


def test_a_model_that_fails_is_asked_once_per_batch(
    scoring: Scoring, bundle: Bundle, draining: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def broken(
        _bundle: Bundle, rendered: list[dict[str, str]], _settings: Settings, memories: object = None
    ) -> list[list[Answer]]:
        calls.append(len(rendered))
        raise ModelError("The model is gone.")

    monkeypatch.setattr(tasks, "answer", broken)
    found = scoring.score(bundle, [{"topic": str(index)} for index in range(9)], "predict", 20)
    assert {one.reason for some in found for one in some or ()} == {"The model is gone."}
    assert calls == [9]


def test_nothing_is_left_behind(scoring: Scoring, bundle: Bundle, engine: FakeEngine, draining: None) -> None:
    scoring.score(bundle, [both(f"text {index}") for index in range(20)], "predict", 20)
    stream = wire.STREAM.format(lane="predict", digest=bundle.digest)
    assert scoring.redis.xlen(stream) == 0
    assert scoring.redis.xpending(stream, wire.GROUP)["pending"] == 0
    assert all(scoring.redis.ttl(key) > 0 for key in scoring.redis.keys("labelloop:answer:*"))
    assert all(scoring.redis.ttl(key) > 0 for key in scoring.redis.keys("labelloop:reply:*"))


def test_many_threads_ask_at_once(scoring: Scoring, bundle: Bundle, engine: FakeEngine, draining: None) -> None:
    def ask(thread: int) -> bool:
        texts = [f"{thread} {index} " + "x" * index for index in range(30)]
        found = scoring.score(bundle, [both(text) for text in texts], "predict", 30)
        return found == [answers(bundle, text) for text in texts]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


def test_without_a_worker_only_the_cache_answers(
    scoring: Scoring, bundle: Bundle, engine: FakeEngine, place: Workplace
) -> None:
    scoring.score(bundle, [both("known")], "predict", 0.0)
    jobs.drain("predict", bundle.digest)
    place.redis.delete(wire.ALIVE.format(lane="predict"))
    assert scoring.score(bundle, [both("known")], "predict", 20) == [answers(bundle, "known")]
    with pytest.raises(NoWorkerError, match="labelloop worker"):
        scoring.score(bundle, [both("new")], "predict", 20)


def test_a_full_queue_refuses(
    scoring: Scoring, bundle: Bundle, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "QUEUE_LIMIT", 3)
    scoring.score(bundle, [{"topic": "a"}, {"topic": "b"}], "predict", 0.0)
    with pytest.raises(UnavailableError, match="2 items wait already") as refused:
        scoring.score(bundle, [{"topic": "c"}, {"topic": "d"}], "predict", 0.0)
    assert refused.value.retry_after > 0


def test_a_redis_that_is_away_is_named(settings: Settings, bundle: Bundle) -> None:
    scoring = Scoring("unix:///nowhere/redis.sock", settings)
    with pytest.raises(QueueDownError, match="LABELLOOP_REDIS_URL"):
        scoring.score(bundle, [{"topic": "a"}], "predict", 1.0)
    away = settings.model_copy(update={"redis_url": "unix:///nowhere/redis.sock"})
    assert workers_alive(away, "predict") == 0


def test_a_lost_bundle_is_said_and_published_again(
    scoring: Scoring, bundle: Bundle, engine: FakeEngine, place: Workplace
) -> None:
    scoring.score(bundle, [{"topic": "a"}], "predict", 0.0)
    place.redis.delete(wire.BUNDLE.format(digest=bundle.digest))
    jobs.drain("predict", bundle.digest)
    assert engine.batches == []
    assert place.redis.xlen(wire.STREAM.format(lane="predict", digest=bundle.digest)) == 0
    scoring.score(bundle, [{"topic": "a"}], "predict", 0.0)
    jobs.drain("predict", bundle.digest)
    assert engine.texts == ["a"]


def test_urgent_items_are_answered_between_the_micro_batches_of_others(
    scoring: Scoring, bundle: Bundle, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def watch(
        _bundle: Bundle, rendered: list[dict[str, str]], _settings: Settings, memories: object = None
    ) -> list[list[Answer]]:
        if not order:
            scoring.score(bundle, [{"topic": "urgent"}], "interactive", 0.0)
        order.extend(item["topic"][:6] for item in rendered)
        return [[expected(bundle.fields[0], item["topic"])] for item in rendered]

    monkeypatch.setattr(tasks, "answer", watch)
    monkeypatch.setattr(jobs, "_paces", {100.0: type("One", (jobs.Pace,), {"take": lambda *_: 1})(100.0)})
    scoring.score(bundle, [{"topic": f"bulk {index} "} for index in range(4)], "predict", 0.0)
    jobs.drain("predict", bundle.digest)
    assert order == ["bulk 0", "urgent", "bulk 1", "bulk 2", "bulk 3"]


def test_a_lost_ticket_is_issued_again(scoring: Scoring, bundle: Bundle, engine: FakeEngine, place: Workplace) -> None:
    scoring.score(bundle, [{"topic": "a"}], "predict", 0.0)
    assert tickets.sweep(place.redis) == 0  # it waits
    place.redis.delete(wire.rq_list("predict"))  # the worker that took it died
    assert tickets.sweep(place.redis) == 1
    assert tickets.waiting(place.redis, ("predict",)) == [("predict", bundle.digest)]


def test_streams_that_nobody_uses_are_forgotten(
    scoring: Scoring, bundle: Bundle, engine: FakeEngine, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring.score(bundle, [{"topic": "a"}], "predict", 0.0)
    jobs.drain("predict", bundle.digest)
    tickets.sweep(place.redis)
    assert tickets.streams(place.redis, "predict") == [bundle.digest]
    monkeypatch.setattr(tickets, "_IDLE_STREAM_MS", -2000)
    tickets.sweep(place.redis)
    assert tickets.streams(place.redis, "predict") == []
    assert not place.redis.exists(wire.STREAM.format(lane="predict", digest=bundle.digest))


def test_a_calibration_is_done_by_a_worker(
    scoring: Scoring, bundle: Bundle, draining: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def freeze(given: Bundle, sample: list[dict[str, str]], _settings: Settings) -> Bundle:
        plans = [plan.model_copy(update={"calibration": {"n": len(sample)}}) for plan in given.plans]
        return Bundle(plans=tuple(plans))

    monkeypatch.setattr(tasks, "calibrate", freeze)
    calibrated = scoring.calibrate(bundle, [both("a"), both("b")], 20)
    assert [plan.calibration for plan in calibrated.plans] == [{"n": 2}] * 2


def test_a_failed_calibration_raises_what_the_worker_raised(
    scoring: Scoring, bundle: Bundle, draining: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Bundle:
        raise ModelError("The model is gone.", "Install it.")

    monkeypatch.setattr(tasks, "calibrate", fail)
    with pytest.raises(ModelError, match=r"The model is gone. Install it."):
        scoring.calibrate(bundle, [both("a")], 20)


def test_a_calibration_that_takes_too_long_is_unavailable(scoring: Scoring, bundle: Bundle, place: Workplace) -> None:
    with pytest.raises(UnavailableError, match="not ready"):
        scoring.calibrate(bundle, [both("a")], 0.05)


def test_texts_keep_every_character(scoring: Scoring, engine: FakeEngine, draining: None) -> None:
    bundle = fake_bundle(field("topic", "a", "b"))
    text = 'Zażółć "gęślą" \n\t\0 \\ 🙂 \ud800 </script>'
    scoring.score(bundle, [{"topic": text}], "predict", 20)
    assert engine.texts == [text]


def test_status_counts_what_waits(scoring: Scoring, bundle: Bundle, place: Workplace) -> None:
    scoring.score(bundle, [{"topic": "a"}, {"topic": "b"}], "predict", 0.0)
    scoring.score(bundle, [{"topic": "a"}], "interactive", 0.0)
    status = scoring.status()
    assert status["waiting"] == {"interactive": 1, "predict": 2}
    assert status["jobs"] == {"interactive": 1, "predict": 1, "push": 0, "refresh": 0}


def test_an_item_that_kills_its_workers_is_refused_in_the_end(
    scoring: Scoring, bundle: Bundle, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each death leaves the item pending; the next worker claims it."""

    class Death(BaseException):
        pass

    deaths: list[int] = []

    def die(
        _bundle: Bundle, rendered: list[dict[str, str]], _settings: Settings, memories: object = None
    ) -> list[list[Answer]]:
        deaths.append(len(rendered))
        raise Death

    monkeypatch.setattr(tasks, "answer", die)
    monkeypatch.setattr(Workplace, "give_back", lambda *_: None)  # the dead give nothing back
    monkeypatch.setattr(wire, "STALE_MS", 0)
    scoring.score(bundle, [{"topic": "deadly"}], "predict", 0.0)
    for _ in range(wire.MOST_DELIVERIES):
        with pytest.raises(Death):
            jobs.drain("predict", bundle.digest)
    jobs.drain("predict", bundle.digest)
    assert len(deaths) == wire.MOST_DELIVERIES
    assert scoring.status()["waiting"]["predict"] == 0


def test_an_item_of_a_newer_web_process_is_answered(
    scoring: Scoring, bundle: Bundle, engine: FakeEngine, place: Workplace
) -> None:
    scoring.score(bundle, [{"topic": "x"}], "predict", 0.0)
    stream = wire.STREAM.format(lane="predict", digest=bundle.digest)
    ((entry, fields),) = scoring.redis.xrange(stream)
    scoring.redis.xdel(stream, entry)
    scoring.redis.xadd(stream, {"item": json.dumps({**json.loads(fields[b"item"]), "not yet known": [1]})})
    jobs.drain("predict", bundle.digest)
    assert engine.texts == ["x"]
    assert scoring.redis.xlen(stream) == 0

"""Worker processes that are killed, stopped and cut off from Redis: every item is answered, once."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from labelloop.errors import LabelLoopError
from labelloop.scoring import wire
from labelloop.scoring.embedded import EmbeddedRedis
from labelloop.scoring.queues import Scoring, workers_alive
from labelloop.settings import Settings
from labelloop.words import Answer, Bundle
from support.scoring import expected
from support.waiting import until

Start = Callable[..., subprocess.Popen[bytes]]


class Asking(threading.Thread):
    """Asks in a thread of its own; ``answers`` is there when it has ended."""

    def __init__(self, scoring: Scoring, bundle: Bundle, texts: list[str]) -> None:
        super().__init__()
        self.answers: list[list[Answer] | None] | None = None
        self._ask = lambda: scoring.score(bundle, [{"topic": text} for text in texts], "predict", 60)
        self.start()

    def run(self) -> None:
        self.answers = self._ask()


def texts(count: int) -> list[str]:
    return [f"text {index} " + "x" * (index % 7) for index in range(count)]


def right(bundle: Bundle, asked: list[str]) -> list[list[Answer]]:
    return [[expected(bundle.fields[0], text)] for text in asked]


def pending(scoring: Scoring, bundle: Bundle) -> int:
    return int(scoring.redis.xlen(wire.STREAM.format(lane="predict", digest=bundle.digest)))


def cached(scoring: Scoring) -> int:
    return len(scoring.redis.keys("labelloop:answer:*"))


def test_a_worker_killed_in_the_middle_is_replaced_and_each_item_answered(
    scoring: Scoring, bundle: Bundle, start_worker: Start
) -> None:
    asked = texts(60)
    first = start_worker(slow=0.03)
    asking = Asking(scoring, bundle, asked)
    until(lambda: 0 < cached(scoring) < 60)
    first.send_signal(signal.SIGKILL)
    first.wait()
    left = pending(scoring, bundle)
    assert 0 < left < 60
    start_worker()
    asking.join(60)
    assert asking.answers == right(bundle, asked)
    assert pending(scoring, bundle) == 0
    assert cached(scoring) == 60


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_worker_finishes_its_micro_batch_and_gives_back_the_rest(
    scoring: Scoring, bundle: Bundle, start_worker: Start, number: signal.Signals
) -> None:
    asked = texts(60)
    first = start_worker(slow=0.03)
    asking = Asking(scoring, bundle, asked)
    until(lambda: cached(scoring) > 0)
    first.send_signal(number)
    assert first.wait(20) == 0
    assert 0 < pending(scoring, bundle) < 60
    assert scoring.status()["workers"] == []
    start_worker(LABELLOOP_TEST_STALE_MS="3600000")  # nothing may depend on the wait for the dead
    asking.join(60)
    assert asking.answers == right(bundle, asked)


def test_an_idle_worker_stops_at_once(scoring: Scoring, start_worker: Start) -> None:
    worker = start_worker()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0


def test_a_worker_that_is_busy_for_long_stays_alive(scoring: Scoring, bundle: Bundle, start_worker: Start) -> None:
    start_worker(slow=5.0)  # far beyond ALIVE_S and STALE_MS of the test's workers
    second = start_worker(slow=5.0)
    found = scoring.score(bundle, [{"topic": "a"}], "predict", 30)
    assert found == right(bundle, ["a"])
    assert second.poll() is None
    assert len(scoring.status()["workers"]) == 2
    assert pending(scoring, bundle) == 0


def test_a_worker_outlives_a_restart_of_redis(
    tmp_path: Path, bundle: Bundle, settings: Settings, start_worker: Start
) -> None:
    server = EmbeddedRedis(tmp_path / "own")
    server.start()
    try:
        settings = settings.model_copy(update={"redis_url": server.url})
        scoring = Scoring(server.url, settings)
        worker = start_worker(slow=0.03, LABELLOOP_REDIS_URL=server.url)
        asked = texts(60)
        failures: list[LabelLoopError] = []

        def ask() -> None:
            try:
                scoring.score(bundle, [{"topic": text} for text in asked], "predict", 60)
            except LabelLoopError as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: cached(scoring) > 0)
        server.kill()
        thread.join(30)
        assert [type(one).__name__ for one in failures] == ["QueueDownError"]
        server.start()
        until(lambda: workers_alive(settings, "predict") == 1)
        assert worker.poll() is None
        assert scoring.score(bundle, [{"topic": text} for text in asked], "predict", 60) == right(bundle, asked)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    finally:
        server.stop()


def test_a_job_that_takes_long_but_goes_on_is_not_given_up(
    scoring: Scoring, bundle: Bundle, start_worker: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "ALONE_S", 1)
    start_worker(slow=0.1, LABELLOOP_TEST_ALONE_S="1")
    asked = texts(25)
    assert scoring.score(bundle, [{"topic": text} for text in asked], "predict", 60) == right(bundle, asked)
    assert "exceeded maximum timeout" not in (tmp_path / "worker.log").read_text()

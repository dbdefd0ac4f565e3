"""A real Redis, bundles, and workers for the scoring tests: in this process, or as processes that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelloop import tasks
from labelloop.scoring import wire, workplace
from labelloop.scoring.embedded import EmbeddedRedis
from labelloop.scoring.queues import Scoring, living_workers
from labelloop.scoring.workplace import Workplace
from labelloop.settings import Settings
from labelloop.words import Bundle
from support.scoring import FakeEngine, fake_bundle, field
from support.waiting import until

TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """LABELLOOP_TEST_REDIS_URL (its database is emptied), else an embedded server."""
    if given := os.environ.get("LABELLOOP_TEST_REDIS_URL"):
        yield given
        return
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def settings(redis_server: str, tmp_path: Path, database_url: str) -> Iterator[Settings]:
    client = wire.connect(redis_server)
    client.flushdb()
    yield Settings(data_dir=tmp_path, redis_url=redis_server, database_url=database_url)
    client.flushdb()
    client.close()


@pytest.fixture
def scoring(settings: Settings) -> Iterator[Scoring]:
    scoring = Scoring(settings.redis_url, settings)
    yield scoring
    scoring.redis.close()


@pytest.fixture
def bundle() -> Bundle:
    return fake_bundle(field("topic", "Sport", "Politics", "Weather"), field("tone", "calm", "angry"))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(tasks, "answer", fake)
    return fake


@pytest.fixture
def place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """This process as a worker that is alive, for tests that call the job functions themselves."""
    place = Workplace(settings.redis_url, settings, "here")
    monkeypatch.setattr(workplace, "_current", [place])
    for lane in wire.LANES:
        place.redis.set(wire.ALIVE.format(lane=lane), "here")
    yield place
    place.close()


@pytest.fixture
def start_worker(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts worker processes with the fake engine; ``slow`` is its seconds per text. Ends them after the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(slow: float = 0.0, **environment: str) -> subprocess.Popen[bytes]:
        redis = wire.connect(environment.get("LABELLOOP_REDIS_URL", settings.redis_url))
        before = {one["name"] for one in living_workers(redis)}
        log = (tmp_path / "worker.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "support.fault_worker", str(slow)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
                "LABELLOOP_REDIS_URL": settings.redis_url,
                "LABELLOOP_DATA_DIR": str(tmp_path),
                "LABELLOOP_DATABASE_URL": settings.database_url,
                "LABELLOOP_MICRO_BATCH_MS": "10",  # a few short texts
                "LABELLOOP_SYNC_S": "0",
                **environment,
            },
            stderr=log,
        )
        log.close()
        running.append(process)
        until(
            lambda: (
                process.poll() is not None
                or any(one["name"] not in before and one["state"] == "ready" for one in living_workers(redis))
            )
        )
        redis.close()
        assert process.poll() is None, (tmp_path / "worker.log").read_text()
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()

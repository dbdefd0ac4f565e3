"""/live and /ready: what is missing is told in words, and a question that hangs costs nobody else anything."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labelloop.learning.store import Store
from labelloop.scoring import wire
from labelloop.settings import Settings
from labelloop.web import health
from support.web import Web, close, make_web


@contextmanager
def beside(settings: Settings) -> Iterator[Web]:
    made = make_web(settings)
    yield made
    close(made)


def test_with_redis_store_and_a_warm_worker_it_is_ready(web: Web) -> None:
    assert web.client.get("/live").json == {"live": True}
    answer = web.client.get("/ready")
    assert (answer.status_code, answer.json) == (200, {"ready": True})
    assert web.client.get("/health").json["status"] == "UP"


def test_what_is_missing_is_told(living_redis: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(data_dir=tmp_path, redis_url=living_redis.replace("/0", "/9").replace("db=0", "db=9"))
    redis = wire.connect(settings.redis_url)
    redis.flushdb()
    about = {"host": "h", "pid": 1, "queues": ["interactive", "predict", "push"], "state": "starting"}
    caplog.set_level("INFO")
    with beside(settings) as web:
        answer = web.client.get("/ready")
        assert answer.status_code == 503
        assert answer.json["missing"] == ["No worker lives."] and answer.json["ready"] is False
        assert answer.json["request_id"] == answer.headers["X-Request-ID"]
        redis.sadd(wire.WORKERS, "w")
        redis.set(wire.WORKER.format(name="w"), json.dumps({**about, "queues": ["refresh"], "state": "ready"}), ex=15)
        assert web.client.get("/ready").json["missing"] == ["No worker lives."]  # a trainer answers nobody
        redis.set(wire.WORKER.format(name="w"), json.dumps(about), ex=15)
        assert web.client.get("/ready").json["missing"] == ["No worker has loaded its models yet."]
        redis.set(wire.WORKER.format(name="w"), json.dumps({**about, "state": "ready"}), ex=15)
        assert web.client.get("/ready").status_code == 200
        told = [one.getMessage() for one in caplog.records if one.name == health.__name__]
        assert told == ["No worker lives.", "No worker has loaded its models yet.", "ready"]  # once each
        web.client.application.extensions["labelloop"].draining = True
        assert web.client.get("/ready").json["missing"] == ["This process was told to stop."]
    redis.flushdb()
    redis.close()


def test_without_redis_and_store_both_are_named_and_it_lives_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with beside(Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1/0")) as web:
        store: Store = web.client.application.extensions["labelloop"].store
        store.close()
        broken = f"sqlite:///{tmp_path}"  # a folder is no database
        monkeypatch.setattr(web.client.application.extensions["labelloop"], "store", Store(broken))
        missing = web.client.get("/ready").json["missing"]
        assert len(missing) == 2 and "Redis does not answer" in missing[0] and "The store does not answer" in missing[1]
        assert web.client.get("/live").status_code == web.client.get("/health").status_code == 200


def test_a_redis_that_hangs_is_asked_once_and_told_of_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections in, and says nothing
        port = silent.getsockname()[1]
        with beside(Settings(data_dir=tmp_path, redis_url=f"redis://127.0.0.1:{port}/0")) as web:
            began = time.monotonic()
            for _ in range(3):
                assert "Redis has not answered" in web.client.get("/ready").json["error"]
            assert time.monotonic() - began < 10  # of the client's own 15 s and more, none is waited for
            asked = web.client.application.extensions["labelloop.readiness"]._asked["Redis"]
            assert not asked.done()
            silent.close()
            asked.result(60)


def test_a_locked_store_still_answers(web: Web) -> None:
    locker = sqlite3.connect(web.settings.data_dir / "labelloop.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    assert web.client.get("/ready").status_code == 200
    locker.execute("ROLLBACK")
    locker.close()

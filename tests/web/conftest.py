"""A real Redis and a real worker with the starter encoder, one for the whole session, and web apps beside them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.processes import Supervisor
from labelloop.scoring.embedded import EmbeddedRedis
from labelloop.scoring.queues import workers_alive
from labelloop.settings import Settings
from labelloop.up import command
from support.web import Web, close, make_web


@pytest.fixture(scope="session")
def living_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedRedis(tmp_path_factory.mktemp("web-redis")) as server:
        yield server.url


@pytest.fixture(scope="session")
def living_worker(living_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A worker process; the settings that reach its Redis."""
    folder = tmp_path_factory.mktemp("web-worker")
    for name in [name for name in os.environ if name.startswith("LABELLOOP_") and "TEST" not in name]:
        if name != "LABELLOOP_LABEL_STUDIO_BIN":
            del os.environ[name]
    settings = Settings(data_dir=folder, redis_url=living_redis)
    with Supervisor(folder / "log") as supervisor:
        supervisor.add(
            "worker",
            command("worker"),
            settings.environment(),
            ready=lambda: workers_alive(settings, "predict") > 0,
            ready_s=120,
        )
        yield settings


@pytest.fixture
def web(living_worker: Settings, tmp_path: Path, database_url: str) -> Iterator[Web]:
    made = make_web(living_worker.model_copy(update={"data_dir": tmp_path, "database_url": database_url}))
    yield made
    close(made)

"""LabelLoop with everything running, and what tests ask of it and of the Label Studio next to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelloop.connect import Connected, connect
from labelloop.demo.label_studio import LabelStudioServer, free_port
from labelloop.learning.store import Store
from labelloop.processes import Supervisor, end, spawn
from labelloop.scoring import push
from labelloop.scoring.queues import Scoring
from labelloop.settings import Settings
from labelloop.up import add_services
from support.waiting import until


@dataclass
class Running:
    """LabelLoop as `labelloop up` runs it, next to the real Label Studio."""

    settings: Settings
    store: Store
    scoring: Scoring
    studio: LabelStudioServer

    def connect(self, project: Any, **options: Any) -> Connected:
        """``project``: with its ``id``, or that."""
        values = {"url": self.studio.url, "token": self.studio.token, "backend_url": None, "keep_sampling": False}
        return connect(
            self.settings,
            self.store,
            project=str(getattr(project, "id", project)),
            report=lambda _: None,
            **values | options,
        )  # type: ignore[arg-type]

    def preannotate(self, connected: Connected) -> push.Progress:
        push.start(connected.connection.id, self.settings, self.store, self.scoring)
        return push.wait(connected.connection.id, self.scoring)

    def next_task(self, project: Any) -> dict[str, Any]:
        return dict(self.studio.request("GET", f"/api/projects/{project.id}/next").json())

    def submit(self, task: int, result: Any, **fields: Any) -> dict[str, Any]:
        body = {"result": result, **fields}
        return dict(self.studio.request("POST", f"/api/tasks/{task}/annotations/", json=body).json())

    def events(self, connected: Connected) -> list[tuple[str, dict[str, Any]]]:
        return [(action, event) for _, action, event in self.store.events(connected.connection.id)]


@contextmanager
def running_beside(studio: LabelStudioServer, folder: Path, **more: Any) -> Iterator[Running]:
    """Starts all of it with its data in ``folder``, and stops it. ``more``: settings."""
    settings = Settings(data_dir=folder / "data", port=free_port(), **more)
    with Supervisor(folder / "log") as supervisor:
        settings = add_services(supervisor, settings)
        store = Store(settings.store_url)
        scoring = Scoring(settings.find_redis_url(), settings)
        yield Running(settings, store, scoring, studio)
        scoring.redis.close()
        store.close()


@contextmanager
def up_beside(studio: LabelStudioServer, folder: Path, **more: Any) -> Iterator[tuple[Running, int]]:
    """As ``running_beside``, by the command `labelloop up`, which starts again what dies; with its process id."""
    settings = Settings(data_dir=folder / "data", port=free_port(), **more)
    log = folder / "log" / "up.log"
    process = spawn([sys.executable, "-m", "labelloop", "up"], settings.environment(), log)
    try:
        until(lambda: process.poll() is not None or "LabelLoop runs" in log.read_text(), 420)
        assert process.poll() is None, log.read_text()
        store = Store(settings.store_url)
        scoring = Scoring(settings.find_redis_url(), settings)
        yield Running(settings, store, scoring, studio), process.pid
        scoring.redis.close()
        store.close()
    finally:
        end(process, grace_s=60)  # it ends its own processes, one after the other

"""What every step of a push needs: the connection, its version, Label Studio, and changes that stay with their push."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeVar

from redis.client import Pipeline

from labelloop.learning.store import Connection, Version
from labelloop.scoring import push, wire
from labelloop.scoring.jobs import serve_urgent
from labelloop.scoring.push import Progress
from labelloop.scoring.workplace import Workplace
from labelloop.studio.client import StudioClient

Answered = TypeVar("Answered")

_LOOK_S = 0.05


def ask(place: Workplace, call: Callable[[], Answered]) -> Answered:
    """What ``call``, which speaks to Label Studio, returns; urgent items are answered while it waits.

    They must be: Label Studio itself may ask us for predictions before it answers (a project that evaluates predictions
    automatically does when tasks are read, and a renamed backend is called).
    """
    with ThreadPoolExecutor(1, "label-studio") as pool:
        future = pool.submit(copy_context().run, call)  # it logs for the same request
        while not futures.wait([future], timeout=_LOOK_S).done:
            if not place.stopping.is_set():
                serve_urgent(place, "push")
        return future.result()


@dataclass
class PushJob:
    """One step of one push: what it works with, and how it speaks to Label Studio and to Redis."""

    place: Workplace
    progress: Progress
    connection: Connection
    version: Version
    studio: StudioClient

    @property
    def id(self) -> int:
        return self.connection.id

    @property
    def project(self) -> int:
        assert self.connection.project_id is not None
        return self.connection.project_id

    @property
    def key(self) -> str:
        return wire.PUSH.format(connection=self.id)

    def ask(self, call: Callable[[], Answered]) -> Answered:
        """As ``ask``."""
        return ask(self.place, call)

    def change(self, fill: Callable[[Pipeline], None]) -> None:
        push.change(self.place.redis, self.id, self.progress.push_id, fill)

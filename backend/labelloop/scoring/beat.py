"""The heartbeat of a worker: a thread that says it lives, keeps what it holds, and sweeps up after the dead."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from redis.exceptions import RedisError

from labelloop.engines.memory import in_use
from labelloop.scoring import freshen, push, reading, refresh, tickets, wire
from labelloop.scoring.queues import is_warm, living_workers
from labelloop.scoring.workplace import Workplace

log = logging.getLogger(__name__)

SWEEP_S = 5.0


class Beating(Protocol):
    """The RQ worker, seen from here."""

    def beat(self) -> None: ...


class Beat(threading.Thread):
    """Beats every three seconds, also while the main thread computes for minutes."""

    def __init__(self, place: Workplace, queues: Sequence[str]) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._place = place
        self._queues = list(queues)
        self._stop_event = threading.Event()
        self._swept = 0.0
        self._lock = threading.Lock()
        self.worker: Beating | None = None
        self.state = "starting"

    def run(self) -> None:
        silent = False
        while not self._stop_event.is_set():
            try:
                self.now()
                silent = False
            except (RedisError, OSError) as error:
                if not silent:
                    log.warning("no heartbeat: Redis does not answer (%s)", error)
                silent = True
            self._stop_event.wait(wire.BEAT_S)

    def now(self) -> None:
        """One beat."""
        with self._lock:
            self._say()
            self._place.touch()
            if self.worker is not None:
                self.worker.beat()
            if set(self._queues) & set(wire.LANES) and time.monotonic() - self._swept > SWEEP_S:
                self._swept = time.monotonic()
                tickets.sweep(self._place.redis)
                push.sweep(self._place.redis)
                freshen.sweep(self._place.redis)
                reading.sweep(self._place.redis, self._place.settings.sync_s)
                if self._place.settings.refresh and self._place.settings.refresh_every:
                    refresh.sweep(self._place.redis)
            self._place.measured.hand_over(self._place.redis)

    def _say(self) -> None:
        about = {"host": socket.gethostname(), "pid": os.getpid(), "queues": self._queues, "state": self.state}
        about |= in_use()
        pipeline = self._place.redis.pipeline(transaction=True)
        pipeline.sadd(wire.WORKERS, self._place.name)
        pipeline.set(wire.WORKER.format(name=self._place.name), json.dumps(about), ex=wire.ALIVE_S)
        for lane in self._queues:
            pipeline.set(wire.ALIVE.format(lane=lane), self._place.name, ex=wire.ALIVE_S)
        pipeline.execute()

    def stop(self) -> None:
        """Ends the thread and takes this worker off the list of the living; what it held is free for others."""
        self._stop_event.set()
        if self.is_alive():
            self.join(timeout=5)
        redis = self._place.redis
        try:
            self._place.give_back_all()
            self._place.measured.hand_over(redis)
            redis.delete(wire.WORKER.format(name=self._place.name))
            redis.srem(wire.WORKERS, self._place.name)
            for lane in self._queues:
                if redis.get(wire.ALIVE.format(lane=lane)) == self._place.name.encode():
                    self._hand_over(lane)
            tickets.sweep(redis)
        except (RedisError, OSError) as error:
            log.warning("Redis does not answer (%s); others take over in %d s", error, wire.ALIVE_S)

    def _hand_over(self, lane: str) -> None:
        """Leaves the lane to another warm worker at once: until its next beat, calls would be told that none lives."""
        key = wire.ALIVE.format(lane=lane)
        others = [one for one in living_workers(self._place.redis) if lane in one["queues"] and is_warm(one)]
        if others:
            self._place.redis.set(key, others[0]["name"], ex=wire.ALIVE_S)
        else:
            self._place.redis.delete(key)

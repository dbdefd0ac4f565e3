"""Turns at one GPU: a training lets go of it between two steps where an annotator waits for an answer.

Both would run at once there, and slow each other down. So the trainer holds a lock of its machine for about a tenth of
a second of steps; whoever answers a call that somebody waits for says so, and before that call has had its turn the
trainer does not take the lock again. Nobody waits long for a process that died or is busy with something that has no
steps: a lock ends by itself, and who waits goes on without it after ``PATIENCE_S``. Bulk work takes no turns.
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from redis.exceptions import RedisError

from labelloop.scoring import wire
from labelloop.scoring.wire import RedisBytes
from labelloop.settings import Settings

log = logging.getLogger(__name__)

STEPS_S = 0.1
"""About how long the trainer keeps the GPU to itself."""
PATIENCE_S = 1.0
_LOOK_S = 0.005
_HELD_MS = 10_000  # longer than any step
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class Turns:
    """The turns of one process at the GPU of its machine; none are taken where models lie elsewhere.

    ``shared``: whether turns are taken; None: as the device of the settings says, once there is a model.
    """

    def __init__(self, redis: RedisBytes, settings: Settings, machine: str = "", shared: bool | None = None) -> None:
        self._redis, self._settings, self._shared = redis, settings, shared
        machine = machine or socket.gethostname()
        self._lock, self._waiting = (one.format(machine=machine) for one in (wire.TURN, wire.TURN_WANTED))

    @property
    def shared(self) -> bool:
        if self._shared is None and "torch" in sys.modules:  # a process without models need not load it for this
            from labelloop.engines.weights import device

            self._shared = device(self._settings).startswith("cuda")
        return bool(self._shared)

    @contextmanager
    def urgent(self) -> Iterator[bool]:
        """Somebody waits for what the block does; yields whether the turn is ours alone."""
        if not self.shared:
            yield False
            return
        token, ours = uuid4().hex, False
        until = time.monotonic() + PATIENCE_S
        while not ours and time.monotonic() < until:
            self._redis.set(self._waiting, 1, px=int(2000 * PATIENCE_S))
            ours = self._take(token)
            if not ours:
                time.sleep(_LOOK_S)
        self._redis.delete(self._waiting)  # of several that wait, the others say so again
        try:
            yield ours
        finally:
            if ours:
                self._redis.eval(_RELEASE, 1, self._lock, token)

    @contextmanager
    def training(self) -> Iterator[Callable[[], None]]:
        """Yields what is to be called between any two steps of the block."""
        token, since = uuid4().hex, -STEPS_S

        def between() -> None:
            nonlocal since
            if not self.shared or time.monotonic() - since < STEPS_S:
                return
            try:
                self._redis.eval(_RELEASE, 1, self._lock, token)
                self._wait(token)
            except RedisError as error:  # a training of minutes is not lost for a turn
                log.warning("turns at the GPU cannot be taken: %s", error)
            since = time.monotonic()

        try:
            yield between
        finally:
            try:
                if self.shared:
                    self._redis.eval(_RELEASE, 1, self._lock, token)
            except RedisError as error:
                log.warning("a turn at the GPU ends by itself: %s", error)

    def _wait(self, token: str) -> None:
        until = time.monotonic() + _HELD_MS / 1000
        while time.monotonic() < until:
            if not self._redis.exists(self._waiting) and self._take(token):
                return
            time.sleep(_LOOK_S)

    def _take(self, token: str) -> bool:
        return bool(self._redis.set(self._lock, token, nx=True, px=_HELD_MS))

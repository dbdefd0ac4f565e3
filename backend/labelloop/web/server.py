"""What is ours of gunicorn: its log goes where the app's goes, and it ends without failing a request.

After SIGTERM the process goes on for ``drain_s`` seconds, while /ready answers 503 and connections are no longer kept
alive, so that whoever balances turns to another process. Then it takes in what has connected, listens no more, and
finishes what it has; predictions that are not there within some seconds are answered as late ones are.
"""

from __future__ import annotations

import math
import time
from types import FrameType
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.workers.gthread import ThreadWorker

from labelloop import logs
from labelloop.settings import get_settings

FINISH_S = 5.0


class Logger(GunicornLogger):  # type: ignore[misc]
    """Its lines are ours: the same form, on the same stream, keys masked."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        settings = get_settings()
        logs.start(settings, "web")
        self.error_log.setLevel(settings.log_level)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Draining(ThreadWorker):  # type: ignore[misc]
    """The process that answers. See the module."""

    _ends = math.inf
    _closed = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._ends < math.inf:
            return
        if (app := getattr(self, "wsgi", None)) is None:  # it is only starting
            super().handle_exit(sig, frame)
            return
        backend = app.extensions["labelloop"]
        backend.draining = True
        self.cfg.set("keepalive", 0)
        self._ends = time.monotonic() + backend.settings.drain_s
        backend.scoring.close_in(backend.settings.drain_s + FINISH_S)
        if not backend.settings.drain_s:
            super().handle_exit(sig, frame)

    def notify(self) -> None:
        """Called at least once a second by the loop that accepts connections."""
        super().notify()
        if time.monotonic() >= self._ends:
            self.alive = False

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if self.alive or enabled or self._closed:
            return
        self._closed = True
        for listener in self.sockets:  # who has connected is not turned away; others are, before they send a request
            listener.setblocking(False)
            while self._take_in(listener):
                continue
            listener.close()

    def _take_in(self, listener: Any) -> bool:
        """Accepts one connection; whether there was one."""
        before = self.nr_conns
        self.accept(listener)
        return bool(self.nr_conns > before)

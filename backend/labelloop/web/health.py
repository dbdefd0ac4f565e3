"""/live and /ready: whether this process is up, and whether calls should come to it. Label Studio asks /health."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field
from typing import cast

from flask import Blueprint, Flask, Response, current_app, jsonify

from labelloop.errors import LabelLoopError
from labelloop.scoring import queues, wire
from labelloop.service import Backend
from labelloop.web.body import refusal

log = logging.getLogger(__name__)
blueprint = Blueprint("health", __name__)

PATIENCE_S = 2.0
"""Within so long Redis and the store must answer, or they are taken for down."""


@dataclass
class Readiness:
    """What this process needs, and whether it has it. One per app. A question that hangs is not asked a second time
    meanwhile, so that probes never use up threads."""

    backend: Backend
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "readiness"))
    _asked: dict[str, Future[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _was: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """What keeps this process from being ready, in words; nothing where it is."""
        if self.backend.draining:
            return ["This process was told to stop."]
        with self._lock:
            for name, check in {"Redis": self._redis, "The store": self._store}.items():
                if name not in self._asked or self._asked[name].done():
                    self._asked[name] = self._pool.submit(check)
            asked = dict(self._asked)
        found = []
        for name, future in asked.items():
            try:
                said = future.result(PATIENCE_S)
            except Late:
                said = f"{name} has not answered for {PATIENCE_S:.0f} s."
            found += [said] if said else []
        self._tell(tuple(found))
        return found

    def _tell(self, found: tuple[str, ...]) -> None:
        if found != self._was:
            self._was = found
            log.log(logging.WARNING if found else logging.INFO, "%s", " ".join(found) or "ready")

    def _redis(self) -> str:
        try:
            with wire.redis_errors():
                living = queues.living_workers(self.backend.scoring.redis)
        except LabelLoopError as error:
            return error.message
        serving = [one for one in living if "interactive" in one["queues"]]
        if not serving:
            return "No worker lives."
        return "" if any(map(queues.is_warm, serving)) else "No worker has loaded its models yet."

    def _store(self) -> str:
        try:
            self.backend.store.ping()
        except LabelLoopError as error:
            return error.message
        return ""


@blueprint.record_once
def _prepare(state: object) -> None:
    app = cast(Flask, state.app)  # type: ignore[attr-defined]
    app.extensions["labelloop.readiness"] = Readiness(app.extensions["labelloop"])


@blueprint.get("/live")
def live() -> Response:
    """Says that this process is up. Loads nothing, asks nobody."""
    return jsonify({"live": True})


@blueprint.get("/ready")
def ready() -> Response:
    """Says whether calls should come here: Redis and the store answer, a worker is warm, nobody has stopped us.

    Else 503, with what is missing in words.
    """
    missing = cast(Readiness, current_app.extensions["labelloop.readiness"]).missing()
    if not missing:
        return jsonify({"ready": True})
    told = refusal(" ".join(missing), "`labelloop doctor` says more.")
    response = jsonify({"ready": False, "missing": missing, **told})
    response.status_code = 503
    return response

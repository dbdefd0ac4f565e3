"""The Flask app factory of the web process, and the settings it is served with."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import NoReturn

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from labelloop import logs
from labelloop.engines.identity import pin
from labelloop.errors import LabelLoopError, TooLargeError, UnavailableError
from labelloop.learning.store import Store
from labelloop.logs import mask
from labelloop.scoring.queues import Scoring
from labelloop.service import Backend
from labelloop.settings import Settings, get_settings
from labelloop.web import companions, health, metrics, openapi, status
from labelloop.web.body import refusal

log = logging.getLogger("labelloop.web")


def create_app(settings: Settings | None = None) -> Flask:
    """The web process's app: gunicorn calls this once in each of its processes.

    It waits for nothing: /health answers also while Redis and the store are down. Webhooks that an earlier process left
    on the disk are stored by a thread.
    """
    settings = settings or get_settings()
    logs.start(settings, "web")
    app = Flask("labelloop", static_folder=None)
    app.url_map.redirect_defaults = False  # the routes with and without a key are different calls
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mb * 1024 * 1024
    backend = Backend(settings, Store(settings.store_url), Scoring(settings.find_redis_url(), settings))
    app.extensions["labelloop"] = backend
    for room in (companions, health, metrics, openapi, status):
        app.register_blueprint(room.blueprint)
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_forget)
    app.register_error_handler(LabelLoopError, _answer_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_unforeseen)
    backend.replay_aside()
    return app


def _begin() -> None:
    g.request_id = logs.request_of(request.headers.get("X-Request-ID"))
    logs.work_for(g.request_id)
    g.started = time.perf_counter()


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    milliseconds = (time.perf_counter() - g.started) * 1000
    path = " ".join(request.path.split())  # a line feed in it would begin a line of its own
    told = {"method": request.method, "path": path, "status": response.status_code, "ms": round(milliseconds)}
    level = logging.DEBUG if request.path.endswith(_PROBES) else logging.INFO
    log.log(level, "%(method)s %(path)s %(status)d %(ms)d ms", told, extra={"fields": told})
    metrics.REQUESTS.labels(request.endpoint or "unknown", str(response.status_code)).observe(milliseconds / 1000)
    return response


def _forget(_error: BaseException | None) -> None:
    logs.work_for("")  # the thread serves others


_STATUS_LINE = 300  # characters
_PROBES = ("/health", "/live", "/ready", "/metrics")


def _error(status_code: int, error: str, detail: str) -> Response:
    response = jsonify(refusal(error, detail))
    response.status_code = status_code
    return response


def _answer_error(error: LabelLoopError) -> Response:
    response = _error(error.status, error.message, error.remedy)
    if error.status == 400:  # of a refusal Label Studio shows its users the status line alone
        told = " ".join(mask(str(error)).encode("ascii", "replace").decode().split())
        response.status = f"400 {told[:_STATUS_LINE]}"
    if isinstance(error, UnavailableError):
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status >= 500:
        log.warning("%s", error)
    return response


def _answer_http_error(error: HTTPException) -> Response:
    if error.code == TooLargeError.status:
        limit = request.max_content_length or 0
        return _error(413, "The request is too large.", f"The limit is {limit // 1048576} MiB (LABELLOOP_MAX_BODY_MB).")
    return _error(error.code or 500, error.name, error.description or "")


def _answer_unforeseen(error: Exception) -> Response:
    """The last net: the traceback goes to the log, the caller gets the id to find it by."""
    log.error("unforeseen %s", type(error).__name__, exc_info=error)
    return _error(500, "LabelLoop failed on this request.", "The log holds the reason under this request_id.")


_FINISH_S = 10  # from the end of the drain; requests that wait for answers wait half of it at most


def serve(settings: Settings) -> NoReturn:
    """Becomes gunicorn: one process with threads, whose log never shows a path (it holds the key)."""
    Store(settings.store_url).migrate()
    settings = pin(settings)
    arguments = [sys.executable, "-m", "gunicorn", "labelloop.app:create_app()"]
    arguments += ["--bind", f"{settings.host}:{settings.port}", "--workers", "1"]
    arguments += ["--worker-class", "labelloop.web.server.Draining", "--logger-class", "labelloop.web.server.Logger"]
    arguments += ["--threads", str(settings.web_threads), "--timeout", "120", "--keep-alive", "65"]
    arguments += ["--graceful-timeout", str(int(settings.drain_s) + _FINISH_S)]
    arguments += ["--limit-request-line", "8190", "--no-control-socket"]
    sys.stdout.flush()
    os.execve(sys.executable, arguments, {**os.environ, **settings.environment()})

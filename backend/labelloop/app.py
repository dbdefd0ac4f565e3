"""The Flask app factory of the web process, and the settings it is served with."""

from __future__ import annotations

import logging
import os
import sys
import time
import uuid
from typing import NoReturn

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from labelloop.engines.identity import pin
from labelloop.errors import LabelLoopError, TooLargeError, UnavailableError
from labelloop.learning.store import Store
from labelloop.scoring.queues import Scoring
from labelloop.service import Backend
from labelloop.settings import Settings, get_settings
from labelloop.web import companions, metrics, openapi, status
from labelloop.web.auth import mask

log = logging.getLogger("labelloop.web")


def create_app(settings: Settings | None = None) -> Flask:
    """The web process's app: gunicorn calls this once in each of its processes.

    It connects to nothing yet: /health answers also while Redis and the store are down.
    """
    settings = settings or get_settings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    app = Flask("labelloop", static_folder=None)
    app.url_map.redirect_defaults = False  # the routes with and without a key are different calls
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mb * 1024 * 1024
    app.extensions["labelloop"] = Backend(
        settings, Store(settings.store_url), Scoring(settings.find_redis_url(), settings)
    )
    for room in (companions, metrics, openapi, status):
        app.register_blueprint(room.blueprint)
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(LabelLoopError, _answer_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_unforeseen)
    return app


def _begin() -> None:
    g.request_id = uuid.uuid4().hex[:12]
    g.started = time.perf_counter()


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    milliseconds = (time.perf_counter() - g.started) * 1000
    level = logging.DEBUG if request.path.endswith("/health") else logging.INFO
    line = f"{request.method} {mask(request.path)} {response.status_code} {milliseconds:.0f} ms id={g.request_id}"
    log.log(level, "%s", line)
    metrics.REQUESTS.labels(request.endpoint or "unknown", str(response.status_code)).observe(milliseconds / 1000)
    return response


_STATUS_LINE = 300  # characters


def _error(status_code: int, error: str, detail: str) -> Response:
    response = jsonify({"error": error, "detail": detail, "request_id": g.get("request_id", "")})
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
        log.warning("%s id=%s", mask(str(error)), g.get("request_id"))
    return response


def _answer_http_error(error: HTTPException) -> Response:
    if error.code == TooLargeError.status:
        limit = request.max_content_length or 0
        return _error(413, "The request is too large.", f"The limit is {limit // 1048576} MiB (LABELLOOP_MAX_BODY_MB).")
    return _error(error.code or 500, error.name, error.description or "")


def _answer_unforeseen(error: Exception) -> Response:
    """The last net: the traceback goes to the log, the caller gets the id to find it by."""
    log.error("unforeseen %s id=%s", type(error).__name__, g.get("request_id"), exc_info=error)
    return _error(500, "LabelLoop failed on this request.", "The log holds the reason under this request_id.")


def serve(settings: Settings) -> NoReturn:
    """Becomes gunicorn: one process with threads, whose log never shows a path (it holds the key)."""
    Store(settings.store_url).migrate()
    settings = pin(settings)
    arguments = [sys.executable, "-m", "gunicorn", "labelloop.app:create_app()"]
    arguments += ["--bind", f"{settings.host}:{settings.port}", "--worker-class", "gthread", "--workers", "1"]
    arguments += ["--threads", str(settings.web_threads), "--timeout", "120", "--graceful-timeout", "10"]
    arguments += ["--keep-alive", "65", "--limit-request-line", "8190", "--no-control-socket"]
    sys.stdout.flush()
    os.execve(sys.executable, arguments, {**os.environ, **settings.environment()})

"""Log lines, as text or as JSON: with the ids of the requests and the job that they belong to, and without secrets."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from urllib.parse import unquote
from uuid import uuid4

from pydantic import SecretStr

from labelloop.settings import Settings

_MOST = 20
"""Requests that one line names; a micro-batch may answer hundreds."""
_requests: ContextVar[tuple[str, ...]] = ContextVar("requests", default=())
_job: ContextVar[str] = ContextVar("job", default="")

_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
_SECRETS = (
    (re.compile(r"/k/[^/\s\"']+"), "/k/***"),
    (_PASSWORD, "://***@"),
    (re.compile(r"(?i)\b(token|bearer)\s+[A-Za-z0-9._~+/=-]{16,}"), r"\1 ***"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), "***"),  # a JSON web token, as Label Studio's access tokens are
)
_LEAST_SECRET = 6  # characters; to blacken each "a" because some password is one would hide the log, not the password


def request_of(header: str | None) -> str:
    """The id of a request: the one that its caller gave it, if it is well formed, else a new one."""
    return header if header and _WELL_FORMED.fullmatch(header) else uuid4().hex[:12]


def requests() -> tuple[str, ...]:
    """The requests that this thread is working for."""
    return _requests.get()


def work_for(request: str) -> None:
    """From here on this thread works for one request; "" for none."""
    _requests.set((request,) if request else ())


@contextmanager
def working(requests: Sequence[str] = (), job: str = "") -> Iterator[None]:
    """In the block this thread works for these requests, and at this job; where nothing is given, as before."""
    whose = _requests.set(tuple(dict.fromkeys(one for one in requests if one)) or _requests.get())
    which = _job.set(job or _job.get())
    try:
        yield
    finally:
        _requests.reset(whose)
        _job.reset(which)


def mask(text: str) -> str:
    """``text`` with keys, tokens and passwords made unreadable, as far as their form gives them away."""
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text


class Lines(logging.Formatter):
    """``process``: "web", "worker", "trainer". ``secrets``: what must not be shown, whatever it looks like."""

    def __init__(self, process: str, secrets: Sequence[str] = ()) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.process = process
        self._secrets = sorted((one for one in secrets if len(one) >= _LEAST_SECRET), key=len, reverse=True)

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return mask(text)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        first, newline, rest = line.partition("\n")
        ids = [f"id={','.join(_requests.get()[:_MOST])}"] if _requests.get() else []
        ids += [f"job={_job.get()}"] if _job.get() else []
        return self.clean(" ".join([first, *ids]) + newline + rest)


class JsonLines(Lines):
    """One object a line: time, level, logger, message, process, pid; where they are known ``request_id`` (of several
    ``request_ids``), ``job_id``, ``error`` (a traceback), and what the caller gives as ``extra={"fields": {...}}``."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        told: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": self.clean(record.getMessage()),
            "process": self.process,
            "pid": record.process,
        }
        requests = _requests.get()
        if requests:
            told |= {"request_id": requests[0]} if len(requests) == 1 else {"request_ids": list(requests[:_MOST])}
        if _job.get():
            told["job_id"] = _job.get()
        for name, value in getattr(record, "fields", {}).items():
            told[name] = self.clean(value) if isinstance(value, str) else value
        if record.exc_info:
            told["error"] = self.clean(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=False, default=str)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Ours, so that it is known when it is set up again."""


def start(settings: Settings, process: str) -> None:
    """Has everything that this process logs written to stderr, as the settings say. Where whoever runs the process has
    set up logging of their own, that stays."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Handler):
            root.removeHandler(handler)
    logging.captureWarnings(settings.log_format == "json")  # warnings of packages would be no JSON
    for noisy in ("httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if root.handlers:
        return
    kind = JsonLines if settings.log_format == "json" else Lines
    handler = _Handler()
    handler.setFormatter(kind(process, _secrets_of(settings)))
    root.addHandler(handler)
    root.setLevel(settings.log_level)


def _secrets_of(settings: Settings) -> list[str]:
    found = [value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)]
    for url in (settings.database_url, settings.redis_url):
        for password in _PASSWORD.findall(url):
            found += [password, unquote(password)]
    return [*found, os.environ.get("OPENAI_API_KEY", "")]

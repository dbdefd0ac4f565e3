"""Who is calling, as addresses and bodies say it: the key in the path, which no log shows, and the project."""

from __future__ import annotations

import re
from typing import Any

from labelloop.errors import RequestError
from labelloop.learning.events import LARGEST

_KEY_IN_PATH = re.compile(r"/k/[^/\s]+")


def mask(text: str) -> str:
    """``text`` with every key in it made unreadable, for logs."""
    return _KEY_IN_PATH.sub("/k/***", text)


def project_of(value: Any) -> tuple[int, int]:
    """(project id, created_at in Unix seconds) of Label Studio's "<id>.<created_at>"; created_at is 0 where left out.

    Raises:
        RequestError: it has another form.
    """
    match = re.fullmatch(r"(\d{1,10})(?:\.(\d{1,12}))?", str(value).strip()) if isinstance(value, str | int) else None
    if match is None or isinstance(value, bool) or int(match[1]) > LARGEST:
        raise RequestError(
            "The field 'project' is missing or has the wrong form.",
            'Send it as Label Studio does: "<id>.<created_at in Unix seconds>", for example "12.1795440943".',
        )
    return int(match[1]), int(match[2] or 0)

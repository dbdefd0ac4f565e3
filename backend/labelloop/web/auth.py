"""Who is calling: the secret key in the path, and the project that it is bound to."""

from __future__ import annotations

import re
from typing import Any

from labelloop.errors import KeyRefusedError, RequestError
from labelloop.learning.store import Connection, Store

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
    if match is None or isinstance(value, bool):
        raise RequestError(
            "The field 'project' is missing or has the wrong form.",
            'Send it as Label Studio does: "<id>.<created_at in Unix seconds>", for example "12.1795440943".',
        )
    return int(match[1]), int(match[2] or 0)


def connection_of(store: Store, key: str | None, project: tuple[int, int] | None, require_key: bool) -> Connection:
    """The connection that a call belongs to. A key is bound to the project of its first call.

    Raises:
        KeyRefusedError: no key where one is required, an unknown key, or a key of another project.
    """
    if key is None:
        return _without_key(store, project, require_key)
    connection = store.connection_of_key(key)
    if connection is None:
        raise KeyRefusedError(
            "The key in this address is not known here.",
            "Make an address with `labelloop connect` or `labelloop key`; keys live in the store of one LabelLoop.",
        )
    return connection if project is None else store.bind(connection.id, *project)


def _without_key(store: Store, project: tuple[int, int] | None, require_key: bool) -> Connection:
    if require_key:
        raise KeyRefusedError(
            "This address has no key.",
            "Make one with `labelloop connect` or `labelloop key`: it looks like http://host:9090/k/<key>. "
            "On a machine of your own, LABELLOOP_REQUIRE_KEY=false lifts this.",
        )
    if project is None:
        raise RequestError("Without a key the request must name its project.")
    found = store.connection_of_project(*project)
    return found or store.create_connection("", project[0], project[1], "", "")[0]

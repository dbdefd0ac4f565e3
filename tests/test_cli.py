"""The command as a person runs it: in a process of its own, with files, pipes and mistakes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labelloop.cli import app
from support.samples import CHOICES

ROWS = [
    {"text": "Where is my parcel? The courier never came.", "topic": "Delivery"},
    {"text": "I was charged twice on my credit card.", "topic": "Payment"},
    {"text": "I forgot my password and cannot log in.", "topic": "Account"},
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "config.xml").write_text(CHOICES)
    (tmp_path / "data.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "LABELLOOP_DATA_DIR": str(folder / "data"), "COLUMNS": "120", **environment}
    command = [sys.executable, "-m", "labelloop", *arguments]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120)


def test_version_and_help_name_every_command(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout.startswith("labelloop ")
    shown = run(tmp_path, "--help").stdout
    run_alone, projects = {"serve", "worker", "trainer", "up", "demo"}, {"connect", "preannotate", "key"}
    assert run_alone | projects | {"predict", "evaluate", "doctor", "status"} <= set(shown.split())
    shown = run(tmp_path, "connect", "--help").stdout
    assert all(option in shown for option in ("--project", "--url", "--token"))


def test_predict_writes_importable_tasks(files: Path) -> None:
    rows = [*ROWS, {"text": "My \ud800 credit card was charged.", "topic": "Payment"}]  # half a surrogate pair
    (files / "data.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    done = run(files, "predict", "data.jsonl", "--config", "config.xml", "--out", "out.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "4 of 4 tasks predicted" in done.stderr
    tasks = json.loads((files / "out.json").read_text())
    assert [task["data"] for task in tasks] == rows
    assert [task["predictions"][0]["result"][0]["value"]["choices"][0] for task in tasks] == [
        row["topic"] for row in rows
    ]


def test_predict_writes_clean_json_to_the_screen_whatever_can_be_written_there(files: Path) -> None:
    broken = {"text": "My \ud800 parcel never came."}  # half a surrogate pair
    (files / "data.jsonl").write_text(f"{json.dumps(ROWS[0])}\n{json.dumps(broken)}")
    done = run(files, "predict", "data.jsonl", "--config", "config.xml", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert [task["data"] for task in json.loads(done.stdout)] == [ROWS[0], broken]


def test_a_bad_line_is_told_the_rest_is_done_and_the_exit_code_says_so(files: Path) -> None:
    with (files / "data.jsonl").open("a") as file:
        file.write("\n{broken\n")
    done = run(files, "predict", "data.jsonl", "--config", "config.xml", "--out", "out.json")
    assert done.returncode == 3
    assert "line 4" in done.stderr
    assert len(json.loads((files / "out.json").read_text())) == 3


def test_evaluate_prints_the_report_and_writes_json(files: Path) -> None:
    options = ("--config", "config.xml", "--field", "topic", "--gold", "topic", "--json", "report.json")
    done = run(files, "evaluate", "data.jsonl", *options)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout and "macro-F1" in done.stdout and "expected calibration error" in done.stdout
    report = json.loads((files / "report.json").read_text())
    assert report["accuracy"] == 1.0 and report["macro_f1"] == 1.0 and report["n"] == 3
    assert 0 <= report["ece"] <= 1
    assert set(report["report"]) == {"Delivery", "Payment", "Account"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("predict", "none.jsonl", "--config", "config.xml"), 2, "none.jsonl cannot be read"),
        (("predict", "data.jsonl", "--config", "none.xml"), 2, "none.xml cannot be read"),
        (("evaluate", "data.jsonl", "--config", "config.xml", "--gold", "nope"), 2, "column 'nope'"),
        (("evaluate", "data.jsonl", "--config", "config.xml", "--gold", "topic", "--field", "x"), 2, "control 'x'"),
        (("connect", "--project", "1"), 2, "--url is missing"),
        (("preannotate", "--project", "1"), 2, "No connected project"),
        (("worker",), 2, "No Redis is configured"),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_mistakes_get_a_message_and_no_traceback(
    arguments: tuple[str, ...], code: int, message: str, files: Path
) -> None:
    done = run(files, *arguments)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_named(files: Path) -> None:
    done = run(files, "status", LABELLOOP_PORT="ninety")
    assert done.returncode == 2
    assert "LABELLOOP_PORT" in done.stderr


def test_key_prints_an_address_alone_on_the_output(files: Path) -> None:
    done = run(files, "key", LABELLOOP_PUBLIC_URL="https://labels.example.org")
    assert done.stdout.startswith("https://labels.example.org/k/")
    assert len(done.stdout.split()) == 1


def test_doctor_says_what_is_missing_and_what_to_do(files: Path) -> None:
    done = run(files, "doctor", LABELLOOP_REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 1
    assert "✗ redis" in done.stdout
    assert "✓ model" in done.stdout and "✓ store" in done.stdout
    assert "All is well." not in done.stdout


def test_doctor_says_that_all_is_well(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_DATA_DIR", str(files / "data"))
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0, done.stdout
    assert "All is well." in done.stdout


def test_up_says_at_once_that_its_port_is_taken(files: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(files, "up", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr and "LABELLOOP_PORT" in done.stderr
    assert not (files / "data" / "log").exists()


def test_up_runs_everything_and_a_signal_stops_all(files: Path) -> None:
    import signal
    import socket

    import httpx

    from support.waiting import until

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {**os.environ, "LABELLOOP_DATA_DIR": str(files / "data"), "LABELLOOP_PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "-m", "labelloop", "up"], cwd=files, env=variables, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        until(lambda: "Ctrl-C" in process.stdout.readline(), 180)
        workers = httpx.get(f"http://127.0.0.1:{port}/status").json()["queues"]["workers"]
        assert {queue for one in workers for queue in one["queues"]} == {"interactive", "predict", "push", "refresh"}
        pids = [one["pid"] for one in workers]
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not (files / "data" / "redis.url").exists()

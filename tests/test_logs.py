"""Log lines: in both forms, with the ids of requests and jobs from web to worker, and without secrets."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from labelloop import logs
from labelloop.demo.label_studio import free_port
from labelloop.learning.store import Store
from labelloop.logs import JsonLines, Lines, mask
from labelloop.processes import end, spawn
from labelloop.scoring import wire
from labelloop.scoring.embedded import EmbeddedRedis
from labelloop.scoring.queues import workers_alive
from labelloop.settings import Settings
from labelloop.up import command, web_answers
from support.samples import CHOICES, PARCEL
from support.waiting import until

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"


def record(message: str, *arguments: object, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord(
        "labelloop.test", logging.WARNING, __file__, 1, message, arguments, more.pop("exc_info", None)
    )
    made.__dict__.update(more)
    return made


def test_what_looks_like_a_secret_is_masked() -> None:
    assert mask("POST /k/abc-DEF_123/predict 200") == "POST /k/***/predict 200"
    assert "abc" not in mask("http://h:1/k/abc and /k/abc/x")
    assert mask("postgresql://loop:hush@db/loop") == "postgresql://***@db/loop"
    assert mask("redis://:hush@cache:6379/0") == "redis://***@cache:6379/0"
    assert mask(f"refused: {TOKEN}.") == "refused: ***."
    assert "0123" not in mask("Authorization: Token 0123456789abcdef0123456789abcdef01234567")
    assert mask("the token is wrong") == "the token is wrong"
    assert mask("revision 0123456789abcdef01234567") == "revision 0123456789abcdef01234567"


def test_configured_secrets_are_masked_whatever_they_look_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "openai-open-sesame")
    settings = Settings(
        remote_key="plain words",  # type: ignore[arg-type]
        label_studio_token="other words",  # type: ignore[arg-type]
        database_url="postgresql://loop:p%40ss-word@db/loop",
    )
    form = Lines("worker", logs._secrets_of(settings))
    said = "plain words, other words, p@ss-word, p%40ss-word, openai-open-sesame; other"
    assert form.clean(said) == "***, ***, ***, ***, ***; other"


def test_a_line_of_text_names_its_requests_and_job() -> None:
    with logs.working(["r1", "", "r2", "r1"], "j1"):
        line = Lines("worker").format(record("%d items", 3))
        with logs.working(["r2"]):
            inner = Lines("worker").format(record("one"))
    assert line.endswith("WARNING labelloop.test: 3 items id=r1,r2 job=j1")
    assert inner.endswith("one id=r2 job=j1")
    assert Lines("worker").format(record("none")).endswith("labelloop.test: none")


def test_a_traceback_stays_below_its_line_in_text_and_in_one_line_of_json() -> None:
    try:
        raise ValueError(f"wrong: {TOKEN}")
    except ValueError:
        failed = record("failed", exc_info=sys.exc_info(), fields={"path": "/k/secret/setup", "ms": 3})
    with logs.working(["r1"], "j1"):
        first, *rest = Lines("web").format(failed).splitlines()
        shown = JsonLines("web").format(failed)
    assert first.endswith("failed id=r1 job=j1") and rest[-1] == "ValueError: wrong: ***"
    told = json.loads(shown)
    assert "\n" not in shown and TOKEN not in shown and told["error"].endswith("ValueError: wrong: ***")
    ids = {name: told[name] for name in ("level", "logger", "message", "process", "request_id", "job_id", "path", "ms")}
    assert ids == {
        **{"level": "WARNING", "logger": "labelloop.test", "message": "failed", "process": "web"},
        **{"request_id": "r1", "job_id": "j1", "path": "/k/***/setup", "ms": 3},
    }


def test_a_batch_of_many_requests_names_some() -> None:
    with logs.working([f"r{number}" for number in range(500)]):
        told = json.loads(JsonLines("worker").format(record("one")))
    assert len(told["request_ids"]) == 20 and "request_id" not in told


def test_only_a_well_formed_id_is_taken_over() -> None:
    assert logs.request_of("abc-1.2_3") == "abc-1.2_3"
    for wrong in (None, "", "a b", "a\nb", "-a", "x" * 65, "a;b", "ä"):
        made = logs.request_of(wrong)
        assert made != wrong and len(made) == 12


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Path, str]]:
    """A web process and a worker that log as JSON; their settings, the folder of their logs, a key."""
    folder = tmp_path_factory.mktemp("logs")
    tests = Path(__file__).parent
    with EmbeddedRedis(folder / "redis") as redis:
        settings = Settings(data_dir=folder, redis_url=redis.url, port=free_port(), log_format="json", drain_s=0)
        store = Store(settings.store_url)
        store.migrate()
        key = store.new_key()
        store.close()
        environment = {**settings.environment(), "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])}
        worker = spawn([sys.executable, "-m", "support.fault_worker", "0"], environment, folder / "worker.log")
        web = spawn(command("serve"), environment, folder / "web.log")
        try:
            until(lambda: web_answers(settings) and workers_alive(settings, "predict"), 120)
            yield settings, folder, key
        finally:
            end(web)
            end(worker)


def lines(path: Path) -> list[dict[str, Any]]:
    """Every line of a log, each of which must be JSON."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_request_has_one_id_in_the_logs_of_web_and_worker(running: tuple[Settings, Path, str]) -> None:
    settings, folder, key = running
    url = f"http://127.0.0.1:{settings.port}/k/{key}"
    setup = {"project": "5.1795440943", "schema": CHOICES, "hostname": "http://ls", "access_token": TOKEN}
    headers = {"X-Request-ID": "from-the-proxy-1", "Authorization": f"Token {TOKEN}"}
    with httpx.Client(trust_env=False, timeout=60) as http:
        assert http.post(f"{url}/setup", json=setup, headers=headers).status_code == 200
        body = {"tasks": [{"id": 1, "data": PARCEL}], "project": "5.1795440943", "label_config": CHOICES}
        answer = http.post(f"{url}/predict", json=body, headers={"X-Request-ID": "from-the-proxy-2"})
        body["tasks"] = [{"id": 2, "data": {"text": "another"}}]
        made = http.post(f"{url}/predict", json=body, headers={"X-Request-ID": "not well formed"})
        broken = http.post(f"{url}/predict", content=b"{", headers={"X-Request-ID": "from-the-proxy-3"})
    assert answer.json()["results"][0]["result"] and answer.headers["X-Request-ID"] == "from-the-proxy-2"
    assert broken.json()["request_id"] == "from-the-proxy-3"
    new = made.headers["X-Request-ID"]
    assert new != "not well formed"
    until(lambda: new in (folder / "worker.log").read_text(), 20)
    for request in ("from-the-proxy-2", new):
        [web] = [one for one in lines(folder / "web.log") if one.get("request_id") == request]
        assert (web["process"], web["path"], web["status"]) == ("web", "/k/***/predict", 200)
        [worker] = [one for one in lines(folder / "worker.log") if one.get("request_id") == request]
        assert (worker["process"], worker["lane"], worker["items"]) == ("worker", "interactive", 1)
        assert worker["job_id"]
    shown = (folder / "web.log").read_text() + (folder / "worker.log").read_text()
    assert key not in shown and TOKEN not in shown


def test_a_worker_that_fails_on_an_item_names_the_request(running: tuple[Settings, Path, str]) -> None:
    settings, folder, key = running
    url = f"http://127.0.0.1:{settings.port}/k/{key}"
    body = {"tasks": [{"id": 1, "data": {"text": "BOOM"}}], "project": "5.1795440943", "label_config": CHOICES}
    httpx.post(f"{url}/predict", json=body, headers={"X-Request-ID": "bad-one"}, trust_env=False, timeout=60)
    failed = until(lambda: [one for one in lines(folder / "worker.log") if "error" in one], 20)
    assert failed[0]["request_id"] == "bad-one" and "breaks the engine" in failed[0]["error"] and failed[0]["job_id"]


def test_a_job_is_logged_under_the_request_that_it_was_put_on_the_queue_for(
    running: tuple[Settings, Path, str],
) -> None:
    settings, folder, _ = running
    redis = wire.connect(settings.redis_url)
    with logs.working(["by-webhook"]):
        wire.enqueue("predict", redis, "calibrate", "nobody-waits", job_id="job-of-the-test")
    redis.close()
    [line] = until(lambda: [one for one in lines(folder / "worker.log") if "calibration" in one["message"]], 20)
    assert (line["request_id"], line["job_id"]) == ("by-webhook", "job-of-the-test")


def test_gunicorn_logs_in_the_same_form(running: tuple[Settings, Path, str]) -> None:
    _, folder, _ = running
    [listening] = [one for one in lines(folder / "web.log") if "Listening at" in one["message"]]
    assert (listening["logger"], listening["process"]) == ("gunicorn.error", "web")


def test_a_running_process_of_others_keeps_its_own_logging() -> None:
    code = (
        "import logging; logging.basicConfig(format='theirs %(message)s', level='INFO')\n"
        "from labelloop import logs; from labelloop.settings import Settings\n"
        "logs.start(Settings(log_format='json'), 'web'); logging.warning('hello')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "theirs hello"


def test_started_twice_each_line_stands_once_in_the_form_of_the_last() -> None:
    code = (
        "import logging; from labelloop import logs; from labelloop.settings import Settings\n"
        "logs.start(Settings(), 'web'); logs.start(Settings(log_format='json'), 'web'); logging.warning('hello')\n"
        "import warnings; warnings.warn('beware')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = map(json.loads, done.stderr.strip().splitlines())
    assert first["message"] == "hello" and "beware" in second["message"]

"""Web processes and workers that are told to stop under load: no request that somebody sends fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from labelloop.demo.label_studio import free_port
from labelloop.learning.store import Store
from labelloop.processes import end, spawn
from labelloop.scoring.embedded import EmbeddedRedis
from labelloop.scoring.queues import Scoring, workers_alive
from labelloop.settings import Settings
from labelloop.up import command, web_answers
from support.samples import CHOICES
from support.waiting import until

TESTS = Path(__file__).parents[1]
PROJECT = "5.1795440943"
StartWeb = Callable[..., tuple[subprocess.Popen[bytes], str]]


@dataclass
class Scene:
    """A Redis, a store and workers that take 50 ms a text; the settings for web processes, and a key."""

    settings: Settings
    key: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_worker(self) -> None:
        """Starts one more, and waits until it works."""
        before = workers_alive(self.settings, "predict")
        environment = {**self.settings.environment(), "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
        log = self.settings.data_dir / f"worker-{len(list(self.settings.data_dir.glob('worker-*')))}.log"
        self.workers.append(spawn([sys.executable, "-m", "support.fault_worker", "0.05"], environment, log))
        until(lambda: workers_alive(self.settings, "predict") > before, 120)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("drain")
    with EmbeddedRedis(folder / "redis") as redis:
        settings = Settings(data_dir=folder, redis_url=redis.url)
        store = Store(settings.store_url)
        store.migrate()
        made = Scene(settings, store.new_key())
        store.close()
        try:
            made.add_worker()
            yield made
        finally:
            for worker in made.workers:
                end(worker)


@pytest.fixture
def start_web(scene: Scene) -> Iterator[StartWeb]:
    started: list[subprocess.Popen[bytes]] = []

    def start(drain_s: float = 2.0, **more: Any) -> tuple[subprocess.Popen[bytes], str]:
        settings = scene.settings.model_copy(update={"port": free_port(), "drain_s": drain_s, **more})
        process = spawn(command("serve"), settings.environment(), settings.data_dir / f"web-{settings.port}.log")
        started.append(process)
        until(lambda: process.poll() is not None or web_answers(settings), 120)
        return process, f"http://127.0.0.1:{settings.port}"

    yield start
    for process in started:
        end(process)


def setup(url: str, key: str) -> None:
    body = {"project": PROJECT, "schema": CHOICES, "hostname": "http://ls"}
    httpx.post(f"{url}/k/{key}/setup", json=body, trust_env=False, timeout=60).raise_for_status()


class Balancer:
    """Sends each request to a web process that said it is ready when it was last asked, as a balancer does."""

    def __init__(self, urls: list[str], key: str) -> None:
        self.urls, self.key = list(urls), key
        self.ready: list[str] = []
        self.seen: dict[str, list[tuple[int, str]]] = {}
        self.outcomes: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._probe)]
        self._threads += [threading.Thread(target=self._ask, args=(number,)) for number in range(4)]

    def __enter__(self) -> Balancer:
        self._threads[0].start()
        until(lambda: set(self.ready) == set(self.urls))
        for thread in self._threads[1:]:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _probe(self) -> None:
        while not self._stop.is_set():
            found = []
            for url in list(self.urls):
                try:
                    answer = httpx.get(f"{url}/ready", trust_env=False, timeout=5)
                except httpx.TransportError:
                    continue
                self.seen.setdefault(url, []).append((answer.status_code, answer.json().get("error", "")))
                found += [url] if answer.status_code == 200 else []
            self.ready = found
            self._stop.wait(0.1)

    def _ask(self, number: int) -> None:
        clients: dict[str, httpx.Client] = {}
        count = 0
        while not self._stop.is_set():
            count += 1
            url = self.ready[count % len(self.ready)]
            http = clients.setdefault(url, httpx.Client(base_url=url, trust_env=False, timeout=60))  # kept alive
            tasks = [{"id": one, "data": {"text": f"{number} {count} {one}"}} for one in range(1 + count % 3)]
            try:
                answer = http.post(f"/k/{self.key}/predict", json={"tasks": tasks, "project": PROJECT})
                fine = answer.status_code == 200 and all("error" not in one for one in answer.json()["results"])
                outcome = "answered" if fine else f"{answer.status_code}: {answer.text[:200]}"
            except httpx.TransportError as error:
                outcome = f"{type(error).__name__}: {error}"
            with self._lock:
                self.outcomes[outcome] += 1
                self.served[url] += 1
        for http in clients.values():
            http.close()


def test_of_two_web_processes_under_load_each_may_be_stopped_and_replaced(scene: Scene, start_web: StartWeb) -> None:
    key = scene.key
    first, first_url = start_web(batch_wait_s=20.0, interactive_wait_s=20.0)
    _, second_url = start_web(batch_wait_s=20.0, interactive_wait_s=20.0)
    setup(first_url, key)
    with Balancer([first_url, second_url], key) as load:
        until(lambda: load.served[first_url] > 5 and load.served[second_url] > 5)
        first.send_signal(signal.SIGTERM)
        assert first.wait(40) == 0
        assert (503, "This process was told to stop.") in load.seen[first_url]
        _, third_url = start_web(batch_wait_s=20.0, interactive_wait_s=20.0)
        load.urls.append(third_url)
        until(lambda: load.served[third_url] > 5)
    assert set(load.outcomes) == {"answered"}
    assert not any(status == 503 for status, _ in load.seen[second_url] + load.seen[third_url])


def test_of_two_workers_under_load_each_may_be_stopped_and_replaced(scene: Scene, start_web: StartWeb) -> None:
    _, url = start_web(batch_wait_s=20.0, interactive_wait_s=20.0)
    setup(url, scene.key)
    scene.add_worker()
    with Balancer([url], scene.key) as load:
        for worker in list(scene.workers):
            before = load.served[url]
            until(lambda before=before: load.served[url] > before + 5)  # type: ignore[misc]
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(40) == 0
            scene.workers.remove(worker)
            scene.add_worker()
        before = load.served[url]
        until(lambda: load.served[url] > before + 5)
    assert set(load.outcomes) == {"answered"}


def test_a_request_that_is_running_is_answered_before_the_process_ends(scene: Scene, start_web: StartWeb) -> None:
    """Also where its answers take longer than there is time: what is there is told, the rest as late."""
    key = scene.key
    process, url = start_web(drain_s=0.0, batch_wait_s=100.0)
    setup(url, key)
    answers: dict[str, Any] = {}

    def ask(name: str, count: int) -> None:
        tasks = [{"id": one, "data": {"text": f"{name} {one} {time.time()}"}} for one in range(count)]
        body = {"tasks": tasks, "project": PROJECT}
        answers[name] = httpx.post(f"{url}/k/{key}/predict", json=body, trust_env=False, timeout=100)

    threads = [threading.Thread(target=ask, args=("long", 400))]
    threads[0].start()
    scoring = Scoring(scene.settings.redis_url, scene.settings)
    until(lambda: scoring.status()["waiting"]["predict"])
    scoring.redis.close()
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    threads[0].join(60)
    assert process.wait(30) == 0
    assert time.monotonic() - began < 15  # the worker alone would take 20 s
    results = answers["long"].json()["results"]
    late = [one for one in results if "error" in one]
    assert answers["long"].status_code == 200 and len(results) == 400
    assert late and all("not ready yet" in one["error"] for one in late) and len(late) < 400
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/live", trust_env=False)


def test_an_idle_process_without_a_drain_ends_at_once(scene: Scene, start_web: StartWeb) -> None:
    process, _ = start_web(drain_s=0.0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0

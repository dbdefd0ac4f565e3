"""Whether any task is lost or answered twice differently when the worker, Redis or the web process is killed.

    python benchmarks/chaos.py [--clients 20] [--requests 6]

Takes about a minute, four where the machine is busy. Starts everything as `labelloop up` does, in a temporary folder,
and lets 20 clients ask for predictions while the processes are killed (SIGKILL) one after the other. A client repeats
what was not answered. Writes benchmarks/results/chaos.json and chaos.md; exits 1 if a task was lost or answered
differently, a webhook was not stored exactly once, or a status other than 200 and 503 came.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from labelloop.demo.label_studio import free_port
from labelloop.learning.store import Store
from labelloop.processes import Supervisor
from labelloop.scoring import wire
from labelloop.settings import Settings
from labelloop.up import add_services
from overhead import CONFIG, RESULTS, make_texts

PROJECT = {"id": 1, "created_at": "2023-11-14T22:13:20Z"}
TASKS = 5  # a request
DEADLINE_S = 90.0
LATE_S, REFUSED_S, LONGEST_S = 0.2, 0.1, 2.0  # pauses of a client: answer late, connection refused, at most
ALLOWED = ("connection error", "status 503", "late", "webhook connection error", "webhook status 503")
TOLERANCE = 1e-4  # of a score computed anew: floats of another batch differ in their last digits

Answer = tuple[str, float]  # choice, score
Kill = tuple[str, float, Callable[[], int]]  # what, after which part of the answers, process id


class Load:
    """Clients that ask until every one of ``texts`` has its prediction, and what they saw."""

    def __init__(self, url: str, texts: Sequence[str]) -> None:
        self.url, self.texts = url, texts
        self.answers: dict[str, Answer] = {}
        self.moments: list[float] = []
        self.retries: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._deadline = time.monotonic() + DEADLINE_S

    def _post(self, http: httpx.Client, route: str, body: Any, kind: str = "") -> Any:
        """The answer's JSON; None where the request has to be repeated. Has paused then."""
        try:
            answer = http.post(self.url + route, json=body)
        except httpx.TransportError:
            trouble, pause = "connection error", REFUSED_S
        else:
            if answer.is_success:
                return answer.json()
            trouble, pause = f"status {answer.status_code}", float(answer.headers.get("Retry-After", LONGEST_S))
        with self._lock:
            self.retries[kind + trouble] += 1
        time.sleep(min(pause, LONGEST_S))
        return None

    def ask(self, texts: Sequence[str]) -> dict[str, Answer]:
        """Asks for ``texts`` until each has its prediction, or the deadline has passed."""
        found: dict[str, Answer] = {}
        with httpx.Client(timeout=60, trust_env=False) as http:
            while (left := [text for text in texts if text not in found]) and time.monotonic() < self._deadline:
                body = {"tasks": [{"id": place, "data": {"text": text}} for place, text in enumerate(left)]}
                reply = self._post(http, "/predict", {**body, "project": "1.1700000000", "label_config": CONFIG})
                if reply is None:
                    continue
                for text, one in zip(left, reply["results"], strict=True):
                    if "error" not in one:
                        found[text] = (one["result"][0]["value"]["choices"][0], one["score"])
                if late := len(left) - sum(text in found for text in left):
                    with self._lock:
                        self.retries["late"] += late
                    time.sleep(LATE_S)
                with self._lock:
                    self.moments += [time.monotonic()] * (len(left) - late)
        return found

    def client(self, texts: Sequence[str]) -> None:
        for start in range(0, len(texts), TASKS):
            found = self.ask(texts[start : start + TASKS])
            with self._lock:
                self.answers.update(found)

    def webhook(self, number: int) -> None:
        """Posts an annotation until it is accepted."""
        annotation = {"id": number, "task": number, "result": []}
        body = {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": PROJECT}
        with httpx.Client(timeout=10, trust_env=False) as http:
            while self._post(http, "/webhook", body, "webhook ") is None and time.monotonic() < self._deadline:
                continue

    def all_again(self, pool: ThreadPoolExecutor) -> dict[str, Answer]:
        self._deadline = time.monotonic() + DEADLINE_S
        parts = [self.texts[start : start + TASKS] for start in range(0, len(self.texts), TASKS)]
        return {text: answer for found in pool.map(self.ask, parts) for text, answer in found.items()}


class Chaos:
    """The services, the load, and the kills."""

    def __init__(self, supervisor: Supervisor, settings: Settings, options: argparse.Namespace) -> None:
        self.supervisor, self.settings, self.options = supervisor, settings, options
        self.store = Store(settings.store_url)
        key = self.store.new_key()
        connection = self.store.connection_of_key(key)
        assert connection is not None
        self.connection_id, self.webhooks = connection.id, 0
        self.url = f"http://127.0.0.1:{settings.port}/k/{key}"
        setup = {"project": "1.1700000000", "schema": CONFIG}
        httpx.post(f"{self.url}/setup", json=setup, timeout=60, trust_env=False).raise_for_status()

    def pid(self, name: str) -> int:
        return dict(self.supervisor.pids())[name]

    def web_child(self) -> int:
        """Gunicorn's worker process."""
        master = self.pid("web")
        return int((Path("/proc") / str(master) / "task" / str(master) / "children").read_text().split()[0])

    def scenario(self, title: str, kills: Sequence[Kill]) -> dict[str, Any]:
        each = TASKS * self.options.requests
        texts = [f"{title}: {text}" for text in make_texts(each * self.options.clients, seed=len(title))]
        load, killed, posts = Load(self.url, texts), list[tuple[str, float]](), list[int]()
        with ThreadPoolExecutor(self.options.clients + len(kills)) as pool:
            clients = [pool.submit(load.client, texts[start : start + each]) for start in range(0, len(texts), each)]
            while not all(one.done() for one in clients) or len(killed) < len(kills):
                if len(killed) < len(kills):
                    what, part, pid = kills[len(killed)]
                    if len(load.moments) >= part * len(texts):
                        os.kill(pid(), signal.SIGKILL)
                        killed.append((what, time.monotonic()))
                        self.webhooks += 1
                        posts.append(self.webhooks)
                        clients.append(pool.submit(load.webhook, self.webhooks))
                    elif all(one.done() for one in clients):
                        break
                self.supervisor.check()
                time.sleep(0.02)
            for one in clients:
                one.result()
            repeated = load.all_again(pool)
            redis = wire.connect(self.settings.redis_url)
            if names := list(redis.scan_iter("labelloop:answer:*", count=5000)):
                redis.delete(*names)
            redis.close()
            anew = load.all_again(pool)
        first, stored = load.answers, [body["annotations"][0]["id"] for _, _, body in self._events()]
        return {
            "scenario": title,
            "sent": len(texts),
            "answered": len(first),
            "differently": sum(repeated.get(text) != answer for text, answer in first.items()),
            "differently_anew": sum(not _same(anew.get(text), answer) for text, answer in first.items()),
            "retries": dict(sorted(load.retries.items())),
            "kills": [_gaps(what, at, until, load.moments) for (what, at), until in zip(killed, _ends(killed))],
            "kills_planned": len(kills),
            "webhooks_stored": [stored.count(number) for number in posts],
        }

    def _events(self) -> list[tuple[int, str, dict[str, Any]]]:
        return self.store.events(self.connection_id)

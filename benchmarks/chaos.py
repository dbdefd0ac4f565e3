"""Whether any task is lost or answered twice differently when the worker, Redis or the web process is killed.

    python benchmarks/chaos.py

Takes two to three minutes. Starts everything as `labelloop up` does, in a temporary folder, and kills the processes
(SIGKILL) while 20 clients ask for predictions and repeat what was not answered. Writes benchmarks/results/chaos.json
and chaos.md; exits 1 if a task was lost or answered differently, or a webhook was not stored exactly once.
"""

from __future__ import annotations

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
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
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

CLIENTS, REQUESTS, TASKS = 20, 6, 5  # requests of a client in a scenario, tasks of a request
DEADLINE_S = 90.0
LATE_S, REFUSED_S, LONGEST_S = 0.5, 0.1, 2.0  # pauses of a client: answer late, connection refused, at most
ALLOWED = {"connection error", "status 503", "late", "webhook connection error", "webhook status 503"}
TOLERANCE = 1.5e-4  # scores have four decimals, and a text scored in another batch may be rounded the other way

Kill = tuple[str, float, Callable[[], int]]  # what, after which part of the answers, process id


class Load:
    """Clients that ask until every one of ``texts`` has its prediction, and what they saw."""

    def __init__(self, url: str, texts: Sequence[str]) -> None:
        self.url, self.texts = url, texts
        self.answers: dict[str, tuple[str, float]] = {}  # text -> choice, score
        self.moments: list[float] = []
        self.retries: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._deadline = time.monotonic() + DEADLINE_S

    def start(self, pool: ThreadPoolExecutor) -> list[Future[None]]:
        return [pool.submit(self._client, self.texts[number::CLIENTS]) for number in range(CLIENTS)]

    def _post(self, http: httpx.Client, route: str, body: Any, whose: str = "") -> Any:
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
            self.retries[whose + trouble] += 1
        time.sleep(min(pause, LONGEST_S))
        return None

    def _client(self, texts: Sequence[str]) -> None:
        with httpx.Client(timeout=60, trust_env=False) as http:
            for start in range(0, len(texts), TASKS):
                left = list(texts[start : start + TASKS])
                while left and time.monotonic() < self._deadline:
                    left = self._ask(http, left)

    def _ask(self, http: httpx.Client, texts: list[str]) -> list[str]:
        """Asks once; returns what is still to be asked."""
        tasks = [{"id": place, "data": {"text": text}} for place, text in enumerate(texts)]
        body = {"tasks": tasks, "project": "1.1700000000", "label_config": CONFIG}
        if (reply := self._post(http, "/predict", body)) is None:
            return texts
        results = dict(zip(texts, reply["results"], strict=True))
        late = [text for text, one in results.items() if "error" in one]
        with self._lock:
            for text in results.keys() - late:
                choices = results[text]["result"][0]["value"]["choices"]
                self.answers[text] = (choices[0], results[text]["score"])
                self.moments.append(time.monotonic())
            if late:
                self.retries["late"] += len(late)
        if late:
            time.sleep(LATE_S)
        return late

    def webhook(self, number: int) -> None:
        """Posts an annotation until it is accepted."""
        project = {"id": 1, "created_at": "2023-11-14T22:13:20Z"}
        annotation = {"id": number, "task": number, "result": []}
        body = {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": project}
        with httpx.Client(timeout=10, trust_env=False) as http:
            while self._post(http, "/webhook", body, "webhook ") is None and time.monotonic() < self._deadline:
                continue


def scenario(
    title: str, kills: Sequence[Kill], supervisor: Supervisor, settings: Settings, store: Store, key: str
) -> dict[str, Any]:
    url = f"http://127.0.0.1:{settings.port}/k/{key}"
    texts = [f"{title}: {text}" for text in make_texts(CLIENTS * REQUESTS * TASKS, seed=len(title))]
    load, killed = Load(url, texts), list[tuple[str, float, int]]()
    with ThreadPoolExecutor(CLIENTS + len(kills)) as pool:
        running = load.start(pool)
        while not all(one.done() for one in running):
            if len(killed) < len(kills):
                what, part, pid = kills[len(killed)]
                if len(load.answers) >= part * len(texts):
                    os.kill(pid(), signal.SIGKILL)
                    killed.append((what, time.monotonic(), time.time_ns()))  # the last one names the webhook
                    running.append(pool.submit(load.webhook, killed[-1][2]))
            supervisor.check()
            time.sleep(0.02)
        for one in running:
            one.result()
        redis, others = wire.connect(settings.redis_url), list[Load]()
        for _ in ("from the cache", "computed anew"):
            others.append(Load(url, texts))
            for one in others[-1].start(pool):
                one.result()
            redis.delete(*redis.scan_iter("labelloop:answer:*", count=5000))
        redis.close()
    first = load.answers
    pairs = [(first[text], other.answers[text]) for other in others for text in first.keys() & other.answers]
    connection = store.connection_of_key(key)
    assert connection is not None
    stored = [body["annotations"][0]["id"] for _, _, body in store.events(connection.id)]
    report: dict[str, Any] = {
        "scenario": title,
        "sent": len(texts),
        "answered": min(len(one.answers) for one in (load, *others)),
        "other_choice": sum(one[0] != other[0] for one, other in pairs),
        "score_difference": max(abs(one[1] - other[1]) for one, other in pairs) if pairs else 0.0,
        "retries": dict(sorted(load.retries.items())),
        "kills": [],
    }
    ends = [at for _, at, _ in killed[1:]] + [float("inf")]
    for (what, at, number), end in zip(killed, ends, strict=True):
        after = [at, *sorted(moment for moment in load.moments if at < moment <= end)]
        gaps = [later - earlier for earlier, later in pairwise(after)] or [float("inf")]
        times = {"next_answer_s": gaps[0], "longest_gap_s": max(gaps)}
        report["kills"].append({"killed": what, **times, "webhook_stored": stored.count(number)})
    right = report["answered"] == len(texts) and not report["other_choice"] and set(load.retries) <= ALLOWED
    webhooks = [kill["webhook_stored"] for kill in report["kills"]] == [1] * len(kills)
    return {**report, "good": right and webhooks and report["score_difference"] <= TOLERANCE}


def markdown(report: dict[str, Any]) -> str:
    head = (
        "`{command}`, {date}, {machine}, {versions}. Load {load[0]:.1f} before, {load[1]:.1f} after; {seconds:.0f} s.\n"
    )
    lines = [
        "# Kills in the middle of the work\n",
        head.format_map(report),
        f"{CLIENTS} clients, each with {REQUESTS} requests of {TASKS} different texts a scenario. A client asks again "
        "for what is not answered: connection error, 503, a task that is late (counted each time). At the end each "
        "task is asked twice more, the second time with an emptied cache: the same choice, and the score within one of "
        "its last decimals.\n",
        "| killed | tasks sent | answered | other choice | largest difference of a score | asked again | good |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in report["scenarios"]:
        again = ", ".join(f"{kind}: {count}" for kind, count in one["retries"].items())
        row = "| {scenario} | {sent} | {answered} | {other_choice} | {score_difference:.4f} |".format_map(one)
        lines.append(f"{row} {again} | {'yes' if one['good'] else 'NO'} |")
    lines += [
        "\nThe next answer may have been on its way. A webhook is posted right after the kill, until accepted.\n",
        "| killed | next answer after, s | longest time without an answer, s | webhook stored, times |",
        "|---|---|---|---|",
    ]
    row = "| {killed} | {next_answer_s:.2f} | {longest_gap_s:.2f} | {webhook_stored} |"
    lines += [row.format_map(kill) for one in report["scenarios"] for kill in one["kills"]]
    return "\n".join([*lines, ""])


def main() -> int:
    began, clock, load_before, scenarios = datetime.now(UTC), time.monotonic(), os.getloadavg()[0], []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "data", port=free_port(), redis_url="", database_url="")
        with Supervisor(settings.data_dir / "log", restarts=10, report=print) as supervisor:
            settings = add_services(supervisor, settings, report=print)
            store = Store(settings.store_url)
            key = store.new_key()
            setup = {"project": "1.1700000000", "schema": CONFIG}
            url = f"http://127.0.0.1:{settings.port}/k/{key}/setup"
            httpx.post(url, json=setup, timeout=60, trust_env=False).raise_for_status()

            def pid(name: str) -> int:
                return dict(supervisor.pids())[name]

            def web_child() -> int:
                return int(Path(f"/proc/{pid('web')}/task/{pid('web')}/children").read_text().split()[0])

            web: list[Kill] = [
                ("gunicorn's worker", 1 / 3, web_child),
                ("gunicorn's master", 2 / 3, lambda: pid("web")),
            ]
            for title, kills in {
                "worker": [("worker", 1 / 3, lambda: pid("worker"))],
                "Redis": [("Redis", 1 / 3, lambda: pid("redis"))],
                "web": web,
            }.items():
                scenarios.append(scenario(title, kills, supervisor, settings, store, key))
            store.close()
    names = ("redis", "rq", "gunicorn", "torch")
    report = {
        "command": "python benchmarks/chaos.py",
        "date": began.isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]),
        "load": [load_before, os.getloadavg()[0]],
        "seconds": time.monotonic() - clock,
        "scenarios": scenarios,
    }
    (RESULTS / "chaos.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "chaos.md").write_text(markdown(report))
    print(markdown(report))
    return 0 if all(one["good"] for one in scenarios) else 1


if __name__ == "__main__":
    sys.exit(main())

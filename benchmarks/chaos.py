"""Whether any task is lost or answered twice differently when the worker, Redis or the web process is killed.

    python benchmarks/chaos.py [--clients 20] [--requests 6]

Takes two minutes. Starts everything as `labelloop up` does, in a temporary folder,
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

PROJECT = {"id": 1, "created_at": "2023-11-14T22:13:20Z"}
TASKS = 5  # a request
DEADLINE_S = 90.0
LATE_S, REFUSED_S, LONGEST_S = 0.5, 0.1, 2.0  # pauses of a client: answer late, connection refused, at most
ALLOWED = ("connection error", "status 503", "late", "webhook connection error", "webhook status 503")
TOLERANCE = 1.5e-4  # scores have four decimals, and a text scored in another batch may be rounded the other way

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
        load, killed, before = Load(self.url, texts), list[tuple[str, float]](), self.webhooks
        with ThreadPoolExecutor(self.options.clients + len(kills)) as pool:
            clients = [pool.submit(load.client, texts[start : start + each]) for start in range(0, len(texts), each)]
            while not all(one.done() for one in clients) or len(killed) < len(kills):
                if len(killed) < len(kills):
                    what, part, pid = kills[len(killed)]
                    if len(load.moments) >= part * len(texts):
                        os.kill(pid(), signal.SIGKILL)
                        killed.append((what, time.monotonic()))
                        clients.append(pool.submit(load.webhook, self.webhooks))
                        self.webhooks += 1
                    elif all(one.done() for one in clients):
                        break
                self.supervisor.check()
                time.sleep(0.02)
            for one in clients:
                one.result()
            moments, retries = list(load.moments), dict(sorted(load.retries.items()))
            again = load.all_again(pool)
            redis = wire.connect(self.settings.redis_url)
            redis.delete(*redis.scan_iter("labelloop:answer:*", count=5000))
            redis.close()
            anew = load.all_again(pool)
        first, stored = load.answers, [one[2]["annotations"][0]["id"] for one in self.store.events(self.connection_id)]
        shared = [(first[text], other[text]) for other in (again, anew) for text in first.keys() & other.keys()]
        return {
            "scenario": title,
            "sent": len(texts),
            "answered": min(len(first), len(again), len(anew)),
            "other_choice": sum(one[0] != other[0] for one, other in shared),
            "score_difference": max(abs(one[1] - other[1]) for one, other in shared),
            "retries": retries,
            "kills": [
                _gap(what, at, moments) | {"stored": stored.count(n)} for n, (what, at) in enumerate(killed, before)
            ],
            "kills_planned": len(kills),
        }


def _gap(what: str, at: float, moments: Sequence[float]) -> dict[str, Any]:
    """Seconds from a kill to the next answer, and the longest time without one from the kill to the last answer."""
    after = [at, *sorted(moment for moment in moments if moment > at)]
    gaps = [later - earlier for earlier, later in pairwise(after)] or [float("nan")]
    return {"killed": what, "next_answer_s": gaps[0], "longest_gap_s": max(gaps)}


def good(one: dict[str, Any]) -> bool:
    return (
        one["answered"] == one["sent"]
        and one["other_choice"] == 0
        and one["score_difference"] <= TOLERANCE
        and [kill["stored"] for kill in one["kills"]] == [1] * one["kills_planned"]
        and set(one["retries"]) <= set(ALLOWED)
    )


def markdown(report: dict[str, Any]) -> str:
    options, versions = report["options"], ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    lines = [
        "# Kills in the middle of the work\n",
        f"`{report['command']}`, {report['date']}, {report['machine']}, {versions}. Load {report['load_before']:.1f} "
        f"before, {report['load_after']:.1f} after; {report['seconds']:.0f} s in all.\n",
        f"{options['clients']} clients, each with {options['requests']} requests of {TASKS} different texts a scenario. "
        "A client asks again for what is not answered: connection error, 503, a task that is late (counted each time). "
        "In the end every task is asked twice more, the second time with an emptied cache: the choice has to be the "
        f"same and the score within {TOLERANCE} (a text scored in another batch differs in its last digits).\n",
        "| killed | tasks sent | answered | other choice | largest difference of a score | asked again for | good |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in report["scenarios"]:
        counts = f"{one['sent']} | {one['answered']} | {one['other_choice']} | {one['score_difference']:.1e}"
        again = ", ".join(f"{kind}: {count}" for kind, count in one["retries"].items())
        lines.append(f"| {one['scenario']} | {counts} | {again} | {'yes' if good(one) else 'NO'} |")
    lines += [
        "\nThe next answer may have been on its way. The webhook is posted right after the kill, until accepted.\n",
        "| killed | next answer after, s | longest time without an answer, s | webhook stored, times |",
        "|---|---|---|---|",
    ]
    for kill in (kill for one in report["scenarios"] for kill in one["kills"]):
        times = f"{kill['next_answer_s']:.2f} | {kill['longest_gap_s']:.2f}"
        lines.append(f"| {kill['killed']} | {times} | {kill['stored']} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--requests", type=int, default=6, help="of each client, a scenario")
    options = parser.parse_args()
    began, clock, load_before = datetime.now(UTC), time.monotonic(), os.getloadavg()[0]
    scenarios = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "data", port=free_port(), redis_url="", database_url="")
        with Supervisor(settings.data_dir / "log", restarts=10, report=print) as supervisor:
            settings = add_services(supervisor, settings, report=lambda line: print(line, "...", flush=True))
            chaos = Chaos(supervisor, settings, options)
            plan: dict[str, list[Kill]] = {
                "worker": [("worker", 1 / 3, lambda: chaos.pid("worker"))],
                "Redis": [("Redis", 1 / 3, lambda: chaos.pid("redis"))],
                "web": [
                    ("web: gunicorn's worker", 1 / 3, chaos.web_child),
                    ("web: gunicorn's master", 2 / 3, lambda: chaos.pid("web")),
                ],
            }
            for title, kills in plan.items():
                scenarios.append(chaos.scenario(title, kills))
                print(json.dumps(scenarios[-1]), flush=True)
            chaos.store.close()
    report = {
        "command": " ".join(["python", "benchmarks/chaos.py", *sys.argv[1:]]),
        "date": began.isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "seconds": time.monotonic() - clock,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("redis", "rq", "gunicorn")}},
        "options": vars(options),
        "scenarios": scenarios,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "chaos.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "chaos.md").write_text(markdown(report))
    print(markdown(report))
    return 0 if all(map(good, scenarios)) else 1


if __name__ == "__main__":
    sys.exit(main())

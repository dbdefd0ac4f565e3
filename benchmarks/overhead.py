"""What HTTP, Redis and the worker cost beside the engine: throughput of batches and latency of a single task.

    python benchmarks/overhead.py [--tasks 1000] [--request 50] [--singles 200] [--rounds 3]

Starts an embedded Redis, web and worker as `labelloop up` does, in a temporary folder, and answers the same texts
through them and by direct calls of the engine in this process. The ways take turns every 200 texts; the cache is
emptied before each turn, and no text occurs twice. Writes benchmarks/results/overhead.json and overhead.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from labelloop import tasks
from labelloop.demo.label_studio import free_port
from labelloop.learning.store import Store
from labelloop.processes import Supervisor
from labelloop.scoring import wire
from labelloop.settings import Settings
from labelloop.studio.schema import read_config
from labelloop.up import add_services
from labelloop.words import Bundle

RESULTS = Path(__file__).parent / "results"
CONFIG = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="topic" toName="text">
    <Choice value="Delivery"/><Choice value="Payment"/><Choice value="Account"/><Choice value="Something else"/>
  </Choices>
</View>
"""
WORDS = [
    "the",
    "a",
    "my",
    "your",
    "this",
    "parcel",
    "card",
    "password",
    "invoice",
    "courier",
    "refund",
    "order",
    "delivery",
    "account",
    "price",
    "email",
    "shop",
    "store",
    "yesterday",
    "today",
    "never",
    "always",
    "again",
    "still",
    "was",
    "is",
    "has",
    "arrived",
    "charged",
    "forgotten",
    "lost",
    "broken",
    "sent",
    "asked",
    "wrote",
    "called",
    "please",
    "because",
    "but",
    "and",
    "when",
    "nobody",
    "twice",
    "late",
    "early",
    "wrong",
    "right",
    "new",
    "old",
    "green",
    "heavy",
    "small",
    "help",
    "answer",
    "week",
    "month",
]
GOAL_RATIO, GOAL_MS = 0.85, 15.0
SLICE = 200


def make_texts(count: int, seed: int) -> list[str]:
    """Different texts of 8 to 60 words."""
    dice = random.Random(seed)
    return [f"{number} " + " ".join(dice.choices(WORDS, k=dice.randint(8, 60))) for number in range(count)]


class Bench:
    """The two ways from texts to answers."""

    def __init__(self, settings: Settings, key: str) -> None:
        self.settings = settings
        self.bundle: Bundle = tasks.make_bundle(read_config(CONFIG).fields, settings)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{settings.port}/k/{key}", timeout=120, trust_env=False)
        self.redis = wire.connect(settings.redis_url)
        answer = self.http.post("/setup", json={"project": "1.1700000000", "schema": CONFIG})
        answer.raise_for_status()

    def forget(self) -> None:
        """Empties the cache of answers."""
        names = list(self.redis.scan_iter("labelloop:answer:*", count=5000))
        if names:
            self.redis.delete(*names)

    def direct(self, texts: Sequence[str]) -> None:
        found = tasks.answer(self.bundle, [{"topic": text} for text in texts], self.settings)
        assert all(one[0].labels for one in found)

    def through(self, texts: Sequence[str]) -> None:
        body = {
            "tasks": [{"id": place, "data": {"text": text}} for place, text in enumerate(texts)],
            "project": "1.1700000000",
            "label_config": CONFIG,
            "params": {"login": None, "password": None, "context": None},
        }
        results = self.http.post("/predict", json=body).raise_for_status().json()["results"]
        bad = [one for one in results if not one.get("result")]
        if bad or len(results) != len(texts):
            raise RuntimeError(f"{len(bad)} of {len(texts)} tasks have no answer: {bad[:1]}")

    def throughput(self, texts: Sequence[str], request: int, clients: int) -> float:
        """Seconds for all texts in requests of ``request``, ``clients`` of them at a time."""
        self.forget()
        parts = [texts[start : start + request] for start in range(0, len(texts), request)]
        began = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(self.through, parts))
        return time.perf_counter() - began

    def all_direct(self, texts: Sequence[str], call: int) -> float:
        """Seconds for all texts in calls of the engine with ``call`` texts each."""
        began = time.perf_counter()
        for start in range(0, len(texts), call):
            self.direct(texts[start : start + call])
        return time.perf_counter() - began

    def singles(self, texts: Sequence[str]) -> tuple[list[float], list[float]]:
        """Milliseconds of each text alone: (through HTTP, direct). The two ways take turns, text by text."""
        self.forget()
        through, direct = [], []
        for text in texts:
            began = time.perf_counter()
            self.through([text])
            middle = time.perf_counter()
            self.direct([text])
            through.append((middle - began) * 1000)
            direct.append((time.perf_counter() - middle) * 1000)
        return through, direct


def _median_ratio(alone: Sequence[float], through: Sequence[float]) -> float:
    return statistics.median(a / t for a, t in zip(alone, through, strict=True))


def measure(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    bench.through(make_texts(60, seed=1))
    bench.direct(make_texts(60, seed=1))
    seconds: dict[str, list[float]] = {"direct": [], "direct, as requested": [], "1 client": [], "4 clients": []}
    for number in range(options.rounds):
        texts = make_texts(options.tasks, seed=10 + number)
        for values in seconds.values():
            values.append(0.0)
        for start in range(0, len(texts), SLICE):  # the ways take turns, so that other load meets them alike
            part = texts[start : start + SLICE]
            seconds["direct"][-1] += bench.all_direct(part, SLICE)
            seconds["direct, as requested"][-1] += bench.all_direct(part, options.request)
            seconds["1 client"][-1] += bench.throughput(part, options.request, 1)
            seconds["4 clients"][-1] += bench.throughput(part, options.request, 4)
        print({name: round(values[-1], 2) for name, values in seconds.items()}, flush=True)
    ratios = {
        name: [_median_ratio(seconds[alone], seconds[name]) for alone in ("direct", "direct, as requested")]
        for name in ("1 client", "4 clients")
    }
    bench.singles(make_texts(20, seed=2))
    through, direct = bench.singles(make_texts(options.singles, seed=3))
    overhead = [t - d for t, d in zip(through, direct, strict=True)]
    return {
        "tasks_per_s": {name: options.tasks / statistics.median(values) for name, values in seconds.items()},
        "seconds": seconds,
        "ratio": ratios,
        "single_ms": {
            "through_p50": statistics.median(through),
            "through_p95": statistics.quantiles(through, n=20)[-1],
            "direct_p50": statistics.median(direct),
            "overhead_p50": statistics.median(through) - statistics.median(direct),
            "overhead_of_pairs_p50": statistics.median(overhead),
        },
    }


def memory_mb(pids: dict[str, int]) -> dict[str, float]:
    """Resident memory of our processes with their children, MiB."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue  # it has just ended
    found = {}
    for name, pid in pids.items():
        family = {pid, *(child for child, parent in parents.items() if parent == pid)}
        pages = sum(int((Path("/proc") / str(one) / "statm").read_text().split()[1]) for one in family)
        found[name] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--request", type=int, default=50)
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    began, load_before = datetime.now(UTC), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "data", port=free_port(), redis_url="", database_url="")
        with Supervisor(settings.data_dir / "log") as supervisor:
            settings = add_services(supervisor, settings, report=lambda line: print(line, "...", flush=True))
            store = Store(settings.store_url)
            key = store.new_key()
            store.close()
            result = measure(Bench(settings, key), options)
            result["memory_mb"] = memory_mb(dict(supervisor.pids()))
    report = {
        "command": " ".join(["python", "benchmarks/overhead.py", *sys.argv[1:]]),
        "date": began.isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "sentence-transformers", "rq", "redis", "flask")},
        },
        "options": vars(options),
        **result,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "overhead.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "overhead.md").write_text(markdown(report))
    print(markdown(report))
    good = (
        min(same for _, same in report["ratio"].values()) >= GOAL_RATIO
        and report["single_ms"]["overhead_p50"] <= GOAL_MS
    )
    return 0 if good else 1


def markdown(report: dict[str, Any]) -> str:
    options, single = report["options"], report["single_ms"]
    speed = report["tasks_per_s"]
    lines = [
        "# Overhead of HTTP, Redis and the worker",
        "",
        f"`{report['command']}`, {report['date']}, {report['machine']}, "
        + ", ".join(f"{name} {number}" for name, number in report["versions"].items())
        + ".",
        "",
        f"{options['tasks']} different texts, requests of {options['request']}, medians of {options['rounds']} rounds; "
        "the engine alone answers the same texts in the same run, in turns with the others: as many a call as a "
        f"request has, and {SLICE} a call, where it pads less. One client: the next request follows the last answer.",
        "",
        f"| way | tasks/s | of the engine, {options['request']} a call | of the engine, {SLICE} a call | goal |",
        "|---|---|---|---|---|",
        f"| engine alone, {options['request']} a call | {speed['direct, as requested']:.0f} | 1.00 | | |",
        f"| engine alone, {SLICE} a call | {speed['direct']:.0f} | | 1.00 | |",
        *(
            f"| through HTTP, {name} | {speed[name]:.0f} | {same:.2f} | {large:.2f} | >= {GOAL_RATIO} |"
            for name, (large, same) in report["ratio"].items()
        ),
        "",
        f"| a single warm task, {options['singles']} times | p50, ms | goal |",
        "|---|---|---|",
        f"| engine alone | {single['direct_p50']:.1f} | |",
        f"| through HTTP (p95 {single['through_p95']:.1f}) | {single['through_p50']:.1f} | |",
        f"| difference of the two | {single['overhead_p50']:.1f} | <= {GOAL_MS:.0f} |",
        "",
        f"Load of the machine: {report['load_before']:.1f} before, {report['load_after']:.1f} after. "
        "What else runs on it makes these numbers worse.",
        "",
        "Resident memory, MiB: " + ", ".join(f"{name} {size:.0f}" for name, size in report["memory_mb"].items()) + ".",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

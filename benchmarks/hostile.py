"""The table of bad requests: what each is answered by the web app, with a real Redis and a real worker behind it.

    python benchmarks/hostile.py

Writes benchmarks/results/hostile.md. The cases are those of tests/support/hostile.py, which `make test` asserts.
"""

from __future__ import annotations

import logging
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from labelloop import __version__
from labelloop.demo.label_studio import free_port
from labelloop.processes import Supervisor
from labelloop.settings import Settings
from labelloop.up import add_services
from support.hostile import CASES, send
from support.web import Web, close, make_web

RESULTS = Path(__file__).parent / "results" / "hostile.md"


def broken_times(web: Web, folder: Path) -> str:
    """How long /health and /setup take while Redis is gone or the store is locked, in a sentence."""
    away = make_web(Settings(data_dir=folder / "away", redis_url="redis://127.0.0.1:1/0"))
    away.setup()
    web.setup()
    locker = sqlite3.connect(web.settings.data_dir / "labelloop.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    told = []
    for name, one in (("Redis is gone", away), ("the store is locked", web)):
        for route, call in (("/health", lambda one=one: one.client.get("/health")), ("/setup", one.setup)):
            spent = []
            for _ in range(100):
                began = time.perf_counter()
                assert call().status_code == 200
                spent.append((time.perf_counter() - began) * 1000)
            told.append(f"{route} while {name}: {statistics.median(spent):.1f} ms, slowest of 100 {max(spent):.1f} ms")
    locker.execute("ROLLBACK")
    locker.close()
    close(away)
    return "; ".join(told) + "."


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, Supervisor(Path(folder) / "log") as supervisor:
        settings = add_services(supervisor, Settings(data_dir=Path(folder) / "data", port=free_port()), print)
        web = make_web(settings)
        logging.disable(logging.CRITICAL)
        rows, wrong = [], 0
        for case in CASES:
            web.setup()  # some cases before this one change the label config
            answer = send(web, case)
            wrong += answer.status_code != case.status
            body = answer.json or {}
            said = body.get("error") or next((one["error"] for one in body.get("results", []) if "error" in one), "")
            beside = ""
            if case.good is not None:
                beside = "answered" if body["results"][case.good].get("result") else "LOST"
                wrong += beside == "LOST"
            shown = str(said).replace("|", "\\|").replace("\n", " ")[:160]
            rows.append(f"| {case.name} | {case.route} | {answer.status_code} | {shown} | {beside} |")
        times = broken_times(web, Path(folder))
        close(web)
    worst = max(int(row.split(" | ")[2]) for row in rows)
    RESULTS.write_text(
        f"# {len(CASES)} bad requests\n\n`python benchmarks/hostile.py`, {datetime.now(UTC):%Y-%m-%d}, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, LabelLoop {__version__}. "
        f"Highest status: {worst}; not as expected: {wrong}.\n\n"
        f"{times}\n\n"
        "The last column: a good task in the same request as the bad one.\n\n"
        "| request | route | status | message | good task beside it |\n|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )
    print(f"{len(CASES)} requests, {wrong} not as expected; see {RESULTS}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

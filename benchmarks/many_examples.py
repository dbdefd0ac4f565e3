"""What memory costs with up to 100,000 labels: to read them, to know one more, and for each item that is answered.

Run:  PYTHONPATH=backend python benchmarks/many_examples.py [--quick]
About ten minutes on two cores. The labels lie in a store on SQLite and reach the memory as they reach a worker's; the
texts are made of words, ten labels. Writes benchmarks/results/many_examples.{json,md}.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from labelloop import tasks
from labelloop.learning import labels
from labelloop.learning.labels import Changes, Said
from labelloop.learning.store import Store
from labelloop.scoring.memories import Memories
from labelloop.scoring.wire import Epoch
from labelloop.settings import Settings
from labelloop.studio.schema import read_config

RESULTS = Path(__file__).parent / "results"
LABELS = ("Hotel", "Train", "Food", "Phone", "School", "Garden", "Film", "Sport", "Health", "Office")
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="topic" toName="text">'
    + "".join(f'<Choice value="{name}"/>' for name in LABELS)
    + "</Choices></View>"
)
WORDS = ("late", "loud", "clean", "quiet", "cheap", "dear", "old", "new", "slow", "quick", "warm", "cold", "far", "dry")
COUNTS, MORE, ASKED, PART = (100, 1_000, 10_000, 100_000), 12, 256, 500


def text(number: int) -> str:
    """Another one for each number."""
    said = [WORDS[number // len(WORDS) ** place % len(WORDS)] for place in range(5)]
    return f"The {LABELS[number % len(LABELS)].lower()} was {', '.join(said[:4])} and {said[4]}."


def tell(store: Store, connection: int, first: int, last: int) -> None:
    """Labels of the items ``first`` up to ``last``, as submits tell them."""
    now = datetime.datetime.now(datetime.UTC)
    for start in range(first, last, PART):
        changes = Changes()
        for number in range(start, min(start + PART, last)):
            value = {"choices": [LABELS[number % len(LABELS)]]}
            region = {"from_name": "topic", "to_name": "text", "type": "choices", "value": value}
            changes.items[number + 1] = (now, {"text": text(number)})
            changes.said.append(Said(number + 1, number + 1, now, [region], "by_hand", who=1))
        with store.session() as session:
            labels.apply(session, connection, changes)


def measure(count: int, folder: Path) -> dict[str, Any]:
    settings = Settings(encoder="starter")
    store = Store(f"sqlite:///{folder}/{count}.db")
    store.migrate()
    connection = store.create_connection("http://studio", 1, 2, "p", "")[0].id
    bundle = tasks.make_bundle(read_config(CONFIG).fields, settings)
    tell(store, connection, 0, count)
    memories, digest = Memories(settings), bundle.digest

    def know() -> Any:
        return memories.of(store, bundle, digest, Epoch(connection, store.memory_epoch(connection)))

    tasks.answer(bundle, [{"topic": "warm"}], settings)  # the model is loaded
    began = time.perf_counter()
    know()
    first = time.perf_counter() - began
    waits = []
    for one in range(MORE):
        tell(store, connection, count + one, count + one + 1)
        began = time.perf_counter()
        known = know()
        waits.append(time.perf_counter() - began)
    found: dict[str, list[float]] = {"without": [], "with": []}
    for turn in range(ASKED // 16):
        asked = [{"topic": f"{text(1000 * turn + one)} It is number {turn}."} for one in range(16)]
        for name, remembered in (("without", {}), ("with", known)) if turn % 2 else (("with", known), ("without", {})):
            began = time.perf_counter()
            tasks.answer(bundle, asked, settings, remembered)
            found[name].append((time.perf_counter() - began) / len(asked))
    store.close()
    cost = {name: 1000 * float(np.median(its)) for name, its in found.items()}
    made = {"labels": count, "first_s": first, "one_more_s": float(np.median(waits)), "one_more_most_s": max(waits)}
    print(made, cost, flush=True)
    return {**made, "item_ms": cost["with"], "item_without_ms": cost["without"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="at most 10,000 labels")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(count, Path(folder)) for count in COUNTS if count <= 10_000 or not given.quick]
    report = {
        "command": "PYTHONPATH=backend python benchmarks/many_examples.py" + (" --quick" if given.quick else ""),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "rows": rows,
    }
    (RESULTS / "many_examples.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = ["# What memory costs with many labels", "", f"`{report['command']}`", ""]
    lines += [
        f"{report['date']}, {report['machine']}. Ten labels, starter encoder. First: a worker that has just started"
    ]
    lines += [
        "reads all labels. One more: it knows a label that was just stored (median, and most, of 12). Item: answered,"
    ]
    lines += ["16 at once, with and without memory by turns (median).", ""]
    lines += ["| labels | first, s | one more, s | most, s | item with memory, ms | without, ms |", "|---" * 6 + "|"]
    for row in rows:
        figures = (row["first_s"], row["one_more_s"], row["one_more_most_s"], row["item_ms"], row["item_without_ms"])
        lines.append(f"| {row['labels']:,} | " + " | ".join(f"{one:.2f}" for one in figures) + " |")
    (RESULTS / "many_examples.md").write_text("\n".join(lines) + "\n")
    print((RESULTS / "many_examples.md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

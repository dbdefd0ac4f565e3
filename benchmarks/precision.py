"""A wished precision at 64 and 256 labels: what is reached on test rows, and how much is suggested.

Run:  LABELLOOP_DATA=/folder PYTHONPATH=backend python benchmarks/precision.py [--rows 1000] [--only sst2 ...]
Reads <folder>/<set>/{train,test}.jsonl, skips what is absent; writes benchmarks/results/precision.{json,md}. Orders of
the labels and folds are seeded.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from pathlib import Path

from labelloop.engines.identity import identify
from labelloop.settings import FieldSetting, Settings
from labelloop.simulation import Row, Simulation
from memory import make_field, read

SETS = ("sst2", "ag_news", "banking77")
BUDGETS = (64, 256)
SEEDS = 3
WISHED = (0.8, 0.9, 0.95)
RESULTS = Path(__file__).parent / "results"


def measure(train: list[Row], test: list[Row]) -> list[dict]:
    """A cell per wish, seed and budget; the texts are read once."""
    field = make_field([*train, *test])
    settings = Settings(encoder="starter", fields={field.name: FieldSetting(precision=WISHED[0])})
    made = Simulation(field, train, test, BUDGETS, SEEDS, settings)
    made.read(lambda done, of: print(f"\r  read {done} of {of}", end="", flush=True))
    print()
    cells = []
    for wished in WISHED:
        made.replay.plan = made.replay.plan.model_copy(update={"precision": wished})
        for point in made.run():
            its = {"coverage": point.coverage, "precision": point.precision}
            its = {name: None if value is None else round(value, 4) for name, value in its.items()}
            cells.append(
                {"wished": wished, "budget": point.budget, "seed": point.seed, "accuracy": round(point.value, 4), **its}
            )
            print(f"  {cells[-1]}", flush=True)
    return cells


def mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3f}" if known else "–"


def write(whole: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "precision.json").write_text(json.dumps(whole, indent=1) + "\n")
    setting = whole["setting"]
    lines = [
        "# A wished precision: nothing rather than something wrong",
        "",
        f"`{setting['command']}`",
        "",
        f"{setting['date']}, {setting['machine']}, {setting['model']}.",
        "",
        f"Mean of {SEEDS} random orders of the train rows, answers from the code that serves (`labelloop simulate",
        "--precision`). Coverage: the share of test rows that get a suggestion. Precision: how many of these are",
        "right (mean, and of each order; – where nothing was suggested). Accuracy: of all answers, had all been",
        "suggested.",
        "",
        "| data set | labels | accuracy | wished | coverage | precision | of each order |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, its in whole["data_sets"].items():
        for budget in BUDGETS:
            for wished in WISHED:
                cells = [cell for cell in its["cells"] if (cell["budget"], cell["wished"]) == (budget, wished)]
                each = ", ".join(mean([cell["precision"]]) for cell in cells)
                figures = [mean([cell[what] for cell in cells]) for what in ("accuracy", "coverage", "precision")]
                lines.append(
                    f"| {name} | {budget} | {figures[0]} | {wished:g} | {figures[1]} | **{figures[2]}** | {each} |"
                )
    text = "\n".join(lines) + "\n"
    (RESULTS / "precision.md").write_text(text)
    print(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000, help="test rows of each set")
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    given = parser.parse_args()
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    whole: dict = {
        "setting": {
            "command": " ".join(
                ["LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/precision.py", *sys.argv[1:]]
            ),
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "model": identify("starter"),
        },
        "data_sets": {},
    }
    for name in given.only:
        place = Path(folder) / name
        if not (place / "test.jsonl").is_file():
            print(f"{name} is absent: skipped")
            continue
        train, test = read(place, "train"), read(place, "test")[: given.rows]
        print(f"{name}: {len(train)} train, {len(test)} test rows", flush=True)
        whole["data_sets"][name] = {"test_rows": len(test), "cells": measure(train, test)}
        write(whole)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

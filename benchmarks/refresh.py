"""Training at 64 and 256 labels: what an adapter adds to zero-shot and memory, and what it costs.

Run:  LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/refresh.py [--only sst2 ...] [--budgets 64] [--seeds 1]
Reads <folder>/<set>/{train,test}.jsonl, skips what is absent; goes on where it was interrupted unless told --fresh;
writes benchmarks/results/refresh.{json,md}. Answers come through the code that serves.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from labelloop.engines import load
from labelloop.engines.identity import identify
from labelloop.engines.training import Course, Recipe
from labelloop.settings import Settings
from labelloop.tasks import chances, memory, plan, recollection, refresh_labels, trained_labels
from labelloop.tasks.recollection import Example
from labelloop.words import Field, FieldPlan, Label

SETS = ("ag_news", "sst2", "banking77")
BUDGETS = (64, 256)
RESULTS = Path(__file__).parent / "results"
VOICES = ("zero-shot", "memory", "adapter alone", "trained")


def read(folder: Path, split: str) -> list[Example]:
    lines = (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Example(row["text"], ((row["label"],),)) for row in map(json.loads, lines)]


def make_plan(rows: list[Example], settings: Settings) -> FieldPlan:
    labels = tuple(Label(path=path, text=path[0]) for path in sorted({row.labels[0] for row in rows}))
    field = Field(name="label", tag="Choices", kind="classification", to_name="text", labels=labels, sources=())
    return plan(field, settings)


def measure(its: FieldPlan, known: list[Example], test: list[Example], settings: Settings) -> dict:
    """One cell: accuracy of each voice on the test rows, seconds of training, what it tells of itself."""
    encoder = load("encoder", its.model, its.revision, settings)
    lesson = refresh_labels.lesson(its, known, settings)
    recipe = Recipe()
    began, cpu = time.perf_counter(), time.process_time()
    course = Course(encoder, lesson.texts, lesson.meanings, lesson.several, recipe)
    made = refresh_labels.train(lesson, course)
    took = time.perf_counter() - began, time.process_time() - cpu
    texts, right = [one.text for one in test], recollection.rights(its.field, test)
    each = [
        chances.opinions(its, texts[at : at + 64], (its.model, its.revision), settings)[0]
        for at in range(0, len(texts), 64)
    ]
    zero_shot, vectors = (np.concatenate([getattr(one, what) for one in each]) for what in ("labels", "vectors"))
    head = memory.fit(lesson.vectors, lesson.right, lesson.zero_shot, lesson.several)
    remembered = memory.recall(head, vectors, zero_shot, lesson.several)
    found = {"zero-shot": zero_shot, "memory": remembered, "adapter alone": zero_shot, "trained": remembered}
    with tempfile.TemporaryDirectory() as parent:
        if folder := trained_labels.keep(its, made, recipe, Path(parent)):
            serving = trained_labels.serve(its, folder, settings)
            found["adapter alone"] = serving.alone(texts)
            found["trained"] = serving.chances(texts, remembered)
    accuracy = {name: round(refresh_labels.accuracy(what, right, lesson.several), 4) for name, what in found.items()}
    voices = {name: round(value, 2) for name, value in made.voices._asdict().items()}
    return {
        "accuracy": accuracy,
        "seconds": round(took[0], 1),
        "cpu_s": round(took[1], 1),
        "voices": voices,
        "told": made.told,
    }


def write(whole: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "refresh.json").write_text(json.dumps(whole, indent=1) + "\n")
    setting = whole["setting"]
    lines = ["# Training an adapter on accepted labels", "", f"`{setting['command']}`", ""]
    lines += [f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}.", ""]
    lines += [
        "Accuracy on the test rows, mean of the seeds; labels are random train rows. Trained: the adapter beside",
        "zero-shot and memory, as it serves. Seconds: k-fold included, on a machine that may have had other work;",
        "CPU seconds are of all threads.",
        "",
        "| data set | labels | seeds | " + " | ".join(VOICES) + " | voice of the adapter | seconds | CPU seconds |",
        "|---" * 10 + "|",
    ]
    for name, cells in whole["data_sets"].items():
        for budget in sorted({cell["budget"] for cell in cells}):
            some = [cell for cell in cells if cell["budget"] == budget]
            means = [f"{np.mean([cell['accuracy'][voice] for cell in some]):.3f}" for voice in VOICES]
            means[-1] = f"**{means[-1]}**"
            voice = np.mean([cell["voices"]["adapter"] for cell in some])
            spent = " | ".join(f"{np.mean([cell[what] for cell in some]):.0f}" for what in ("seconds", "cpu_s"))
            lines.append(f"| {name} | {budget} | {len(some)} | {' | '.join(means)} | {voice:.2f} | {spent} |")
    text = "\n".join(lines) + "\n"
    (RESULTS / "refresh.md").write_text(text)
    print(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="measure again what is measured already")
    given = parser.parse_args()
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    settings = Settings(encoder="starter")
    path = RESULTS / "refresh.json"
    whole: dict = json.loads(path.read_text()) if path.is_file() and not given.fresh else {"data_sets": {}}
    whole["setting"] = {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/refresh.py",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}",
        "versions": {one: version(one) for one in ("torch", "sentence-transformers", "peft")},
        "model": identify("starter"),
    }
    for name in given.only:
        if not (Path(folder) / name / "test.jsonl").is_file():
            print(f"{name} is absent: skipped")
            continue
        train, test = read(Path(folder) / name, "train"), read(Path(folder) / name, "test")
        its = make_plan([*train, *test], settings)
        cells = whole["data_sets"].setdefault(name, [])
        for seed in range(given.seeds):
            order = np.random.default_rng(seed).permutation(len(train))
            for budget in given.budgets:
                if any(cell["seed"] == seed and cell["budget"] == budget for cell in cells):
                    continue
                cell = measure(its, [train[row] for row in order[:budget]], test, settings)
                cells.append({"seed": seed, "budget": budget, **cell})
                print(name, seed, budget, cell, flush=True)
                write(whole)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

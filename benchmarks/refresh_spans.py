"""Training of fields that mark entities (WikiGold) and that relate (SemEval-2010 Task 8): F1 of each voice, and cost.

Run:  LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/refresh_spans.py [--only wikigold] [--seeds 1]
Reads <folder>/<set>/{train,test}.jsonl, skips what is absent; goes on where it was interrupted unless told --fresh;
writes benchmarks/results/refresh_spans.{json,md}. Answers come through the code that serves.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import memory as spans_of
import relation_memory
from labelloop.engines import adapter_files
from labelloop.engines.identity import identify
from labelloop.replay import Replay, replay_of
from labelloop.rivals import tally_of
from labelloop.settings import Settings
from labelloop.simulation import Row
from labelloop.tasks import plan, recollection, trained, training
from labelloop.words import Field, FieldPlan, Label, Source
from relations import NINE
from relations import make_field as relation_field

BUDGETS = (64, 256)
RESULTS = Path(__file__).parent / "results"
VOICES = ("zero-shot", "memory", "adapter alone", "trained")


def wikigold(folder: Path) -> tuple[Field, list[Row], list[Row]]:
    train, test = spans_of.read_spans(folder, "train"), spans_of.read_spans(folder, "test")
    names = sorted({span.label[0] for row in [*train, *test] for span in row.spans})
    labels = tuple(Label(path=(name,), text=name) for name in names)
    source = Source(name="text", tag="Text", key="text")
    return (
        Field(name="label", tag="Labels", kind="entities", to_name="text", labels=labels, sources=(source,)),
        train,
        test,
    )


def semeval(folder: Path) -> tuple[Field, list[Row], list[Row]]:
    field = relation_field("relations", list(NINE))
    return field, *(relation_memory.read(folder / f"{split}.jsonl", field) for split in ("train", "test"))


SETS: dict[str, Callable[[Path], tuple[Field, list[Row], list[Row]]]] = {
    "wikigold": wikigold,
    "semeval2010_task8": semeval,
}


def measure(its: FieldPlan, known: list[Row], test: list[Row], replay: Replay, settings: Settings) -> dict[str, Any]:
    """One cell: F1 of each voice on the test rows, seconds of training, what it tells of itself."""
    examples = [row.example for row in known]
    memory = recollection.learn(its, examples, 1, settings)
    texts, right = [row.text for row in test], [row.right for row in test]

    def f1(adapter: str | None, remembered: Any) -> float:
        replay.plan = its.model_copy(update={"adapter": adapter})
        return round(tally_of(its.field, right, replay.answers(texts, remembered)).value, 4)

    began, cpu = time.perf_counter(), time.process_time()
    done = training.train(its, examples, settings)
    took = time.perf_counter() - began, time.process_time() - cpu
    found = {"zero-shot": f1(None, None), "memory": f1(None, memory)}
    found |= {"adapter alone": found["zero-shot"], "trained": found["memory"]}
    voices = {"memory": 1.0, "adapter": 0.0}
    if done.adapter:
        found["trained"] = f1(done.adapter, memory)
        about, weights = adapter_files.read(trained.folder(settings) / done.adapter)
        voices = {name: round(float(str(about.trained[f"voice_of_{name}"])), 2) for name in voices}
        alone = about.model_copy(update={"trained": {**about.trained, "voice_of_memory": 0.0, "voice_of_adapter": 1.0}})
        found["adapter alone"] = f1(adapter_files.save(alone, weights, trained.folder(settings)).name, None)
    return {
        "f1": found,
        "seconds": round(took[0], 1),
        "cpu_s": round(took[1], 1),
        "voices": voices,
        "told": done.told,
    }


def write(whole: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "refresh_spans.json").write_text(json.dumps(whole, indent=1) + "\n")
    setting = whole["setting"]
    lines = ["# Training an adapter on accepted entities and relations", "", f"`{setting['command']}`", ""]
    lines += [f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}.", ""]
    lines += [
        "Exact F1 on the test rows, mean of the seeds; labels are labelled sentences, random train rows. Trained: the",
        "adapter beside zero-shot and memory, as it serves; where training was not kept, that is memory. Seconds:",
        "k-fold included, on a machine that may have had other work; CPU seconds are of all threads.",
        "",
        "| data set | labels | seeds | "
        + " | ".join(VOICES)
        + " | kept | voice of the adapter | seconds | CPU seconds |",
        "|---" * 11 + "|",
    ]
    for name, cells in whole["data_sets"].items():
        for budget in sorted({cell["budget"] for cell in cells}):
            some = [cell for cell in cells if cell["budget"] == budget]
            means = [f"{np.mean([cell['f1'][voice] for cell in some]):.3f}" for voice in VOICES]
            means[-1] = f"**{means[-1]}**"
            kept = sum("why_not" not in cell["told"] for cell in some)
            voice = np.mean([cell["voices"]["adapter"] for cell in some])
            spent = " | ".join(f"{np.mean([cell[what] for cell in some]):.0f}" for what in ("seconds", "cpu_s"))
            lines.append(f"| {name} | {budget} | {len(some)} | {' | '.join(means)} | {kept} | {voice:.2f} | {spent} |")
    text = "\n".join(lines) + "\n"
    (RESULTS / "refresh_spans.md").write_text(text)
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="measure again what is measured already")
    given = parser.parse_args()
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    path = RESULTS / "refresh_spans.json"
    whole: dict = json.loads(path.read_text()) if path.is_file() and not given.fresh else {"data_sets": {}}
    whole["setting"] = {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/refresh_spans.py",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}",
        "versions": {one: version(one) for one in ("torch", "sentence-transformers", "peft")},
        "model": identify("starter"),
    }
    with tempfile.TemporaryDirectory() as data_dir:
        settings = Settings(encoder="starter", data_dir=data_dir)
        for name in given.only:
            if not (Path(folder) / name / "test.jsonl").is_file():
                print(f"{name} is absent: skipped")
                continue
            field, train, test = SETS[name](Path(folder) / name)
            its = plan(field, settings)
            replay = replay_of(its, settings)
            texts = [row.text for row in test]
            cells = whole["data_sets"].setdefault(name, [])
            wanted = [(seed, budget) for seed in range(given.seeds) for budget in given.budgets]
            wanted = [one for one in wanted if one not in {(cell["seed"], cell["budget"]) for cell in cells}]
            for first in range(0, len(texts) if wanted else 0, replay.at_once):
                replay.read(texts[first : first + replay.at_once])
            for seed, budget in wanted:
                order = np.random.default_rng(seed).permutation(len(train))
                cell = measure(its, [train[row] for row in order[:budget]], test, replay, settings)
                cells.append({"seed": seed, "budget": budget, **cell})
                print(name, seed, budget, cell, flush=True)
                write(whole)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

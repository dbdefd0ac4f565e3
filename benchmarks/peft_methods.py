"""Each way to train an adapter (`LABELLOOP_PEFT`) on the same labels: weights, memory, seconds, accuracy, forgetting.

Run:  LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/peft_methods.py [--only sst2] [--methods lora] [--fresh]
Reads <folder>/<set>/{train,test}.jsonl, skips what is absent, goes on where it was interrupted, one thread; writes
benchmarks/results/peft.{json,md}. The adapter alone is measured, without zero-shot, memory and k-fold beside it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import platform
import resource
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from labelloop.engines import load
from labelloop.engines.adapters import MethodName
from labelloop.engines.encoder import Encoder
from labelloop.engines.identity import identify
from labelloop.engines.training import WHOLE_MODEL, Course, Recipe
from labelloop.settings import Settings
from labelloop.simulation import Row
from labelloop.tasks import plan, recollection, refresh_labels, voices
from labelloop.tasks.refresh_labels import Reading
from memory import make_field, read

CELLS = {"ag_news": 64, "sst2": 256}
"""Data sets, and on how many labels of each is trained; each is what the other may be forgotten for."""
TEST, OTHER = 500, 250
"""Test rows of the data set, and of the other one."""
SEED = 0
METHODS: tuple[MethodName, ...] = get_args(MethodName)
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Known:
    """A data set. ``right``: (n_test, n_labels)."""

    train: list[Row]
    test: list[Row]
    right: np.ndarray
    taught: np.ndarray
    meaning: Reading

    @classmethod
    def of(cls, folder: Path, labels: int, settings: Settings) -> Known:
        train, test = read(folder, "train"), read(folder, "test")
        its = plan(make_field([*train, *test]), settings)
        order = np.random.default_rng(SEED).permutation(len(train))
        train = [train[row] for row in order[:labels]]
        right, taught = (recollection.rights(its.field, [row.example for row in rows]) for rows in (test, train))
        return cls(train, test, right, taught, refresh_labels.reading(its, settings))

    def accuracy(self, vectors: np.ndarray) -> float:
        """By the chances that these vectors of the first test rows give to the labels."""
        chances = voices.chances(self.meaning.scale.odds(vectors.astype(np.float64) @ self.meaning.meanings.T), False)
        return round(refresh_labels.accuracy(chances, self.right[: len(vectors)], False), 4)


class Bench:
    def __init__(self, encoder: Encoder, its: Known, other: Known) -> None:
        self._encoder, self._its, self._other = encoder, its, other
        self._texts = [row.text for row in [*its.train, *its.test[:TEST], *other.test[:OTHER]]]
        self._vectors = encoder.embed(self._texts)
        self._shared = self._course(Recipe())
        _, self.base = self._read(self._vectors)

    def _course(self, recipe: Recipe) -> Course:
        return Course(self._encoder, self._texts, self._its.meaning.meanings, False, recipe, self._vectors)

    def _read(self, vectors: np.ndarray) -> tuple[float, tuple[float, float]]:
        """Accuracy on the training rows, and on both sets' test rows."""
        n, end = len(self._its.train), len(self._its.train) + TEST
        chances = self._its.meaning.scale.odds(vectors[:n].astype(np.float64) @ self._its.meaning.meanings.T)
        learnt = refresh_labels.accuracy(chances, self._its.taught, False)
        return round(learnt, 4), (self._its.accuracy(vectors[n:end]), self._other.accuracy(vectors[end:]))

    def run(self, method: MethodName) -> dict:
        """In a process of its own, a copy of this one, whose peak above what it began with is the memory of training
        (weights, their gradients and moments, activations)."""
        context = multiprocessing.get_context("fork")
        receive, send = context.Pipe(False)
        child = context.Process(target=self._measure, args=(method, send))
        child.start()
        send.close()
        try:
            found: dict = receive.recv()
        except EOFError:
            raise RuntimeError(f"{method} ended early") from None
        child.join()
        return found

    def _measure(self, method: MethodName, send: object) -> None:
        recipe = Recipe(method=method)
        course = self._shared
        if method in WHOLE_MODEL:  # changes what the lower layers read, which cannot be shared
            course = self._course(recipe)
        course.recipe = recipe
        rows = list(range(len(self._its.train)))
        began = _resident()
        wall, cpu = time.perf_counter(), time.process_time()
        steps = recipe.steps(len(rows))
        for pupil in course.train(rows, self._its.taught, self._its.meaning.scale, steps):  # noqa: B007
            pass
        took = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        learnt, (accuracy, other) = self._read(course.read(pupil, range(len(self._texts))))
        send.send(  # type: ignore[attr-defined]
            {
                "method": method,
                "weights": sum(weight.numel() for weight in pupil.weights.values()),
                "memory_mb": round(max(0.0, peak - began)),
                "steps": steps,
                "seconds": round(took[0], 1),
                "cpu_s": round(took[1], 1),
                "on_training_rows": learnt,
                "accuracy": accuracy,
                "other": other,
            }
        )


def _resident() -> float:
    """MB of this process that lie in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def write(whole: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peft.json").write_text(json.dumps(whole, indent=1) + "\n")
    setting = whole["setting"]
    lines = ["# Ways to train an adapter", "", f"`{setting['command']}`", ""]
    lines += [f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}.", ""]
    lines += [
        f"One seed, the first {TEST} test rows; the adapter alone, trained once on all labels with the default sizes",
        "and rate of each method: no k-fold, no memory beside it. Memory: peak of a training process above what it",
        "had before. Forgetting: points of accuracy that the other data set's labels lose when its texts, which were",
        f"never trained on ({OTHER} test rows), are read by this adapter instead of the base model. CPU seconds: of",
        "all steps, on one thread; wall seconds are in the JSON.",
    ]
    for name, its in whole["data_sets"].items():
        base, other = its["base"]
        lines += ["", f"## {name}, {CELLS[name]} labels", ""]
        lines += [f"Base model: {base:.3f}, and {other:.3f} on {its['other']}.", ""]
        lines += [
            "| method | trained weights | memory, MB | CPU s | steps | accuracy | on training rows | forgetting |"
        ]
        lines += ["|---" * 8 + "|"]
        for one in its["methods"]:
            shown = [one["method"], f"{one['weights']:,}", f"{one['memory_mb']}", f"{one['cpu_s']:.0f}"]
            shown += [str(one["steps"]), f"**{one['accuracy']:.3f}**", f"{one['on_training_rows']:.3f}"]
            lines.append("| " + " | ".join([*shown, f"{100 * (other - one['other']):+.1f}"]) + " |")
    text = "\n".join(lines) + "\n"
    (RESULTS / "peft.md").write_text(text)
    print(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--fresh", action="store_true", help="measure again what is measured already")
    given = parser.parse_args()
    folder = Path(os.environ.get("LABELLOOP_DATA", "."))
    if not all((folder / name / "test.jsonl").is_file() for name in CELLS):
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    torch.set_num_threads(1)  # a forked process must not look for threads that it does not have
    settings = Settings(encoder="starter")
    path = RESULTS / "peft.json"
    whole: dict = json.loads(path.read_text()) if path.is_file() and not given.fresh else {"data_sets": {}}
    encoder = load("encoder", "starter", identify("starter"), settings)
    known = {name: Known.of(folder / name, labels, settings) for name, labels in CELLS.items()}
    for name in given.only:
        its = whole["data_sets"].setdefault(name, {"methods": []})
        missing = [one for one in given.methods if one not in {done["method"] for done in its["methods"]}]
        if not missing:
            continue
        (other,) = CELLS.keys() - {name}
        bench = Bench(encoder, known[name], known[other])
        its |= {"base": bench.base, "other": other}
        for method in missing:
            its["methods"].append(bench.run(method))
            its["methods"].sort(key=lambda one: METHODS.index(one["method"]))
            whole["setting"] = {
                "command": "LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/peft_methods.py",
                "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
                "machine": f"{platform.machine()}, 1 thread, Python {platform.python_version()}",
                "versions": {one: version(one) for one in ("torch", "sentence-transformers", "peft")},
                "model": identify("starter"),
            }
            write(whole)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

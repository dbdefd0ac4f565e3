"""Memory for relations at 0 to 256 labels beside logistic regression on the same vectors of pairs: SemEval-2010 Task 8.

Run:  LABELLOOP_DATA=/folder PYTHONPATH=backend python benchmarks/relation_memory.py   (two minutes on two cores)
Reads <folder>/semeval2010_task8/{train,test}.jsonl; writes benchmarks/results/relation_memory.{json,md}.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from labelloop.engines.identity import identify
from labelloop.evaluation import Tally, ahead, calibration_error
from labelloop.replay_relations import Relations
from labelloop.settings import Settings
from labelloop.simulation import Row, Simulation, rows_of
from labelloop.tasks.relation_model import features, joined, unit, vocabulary_of
from labelloop.words import Field, Link
from relations import NINE, make_field

BUDGETS, SEEDS, STRENGTHS = (0, 16, 64, 256), 3, (1.0, 10.0, 100.0)
RESULTS = Path(__file__).parent / "results"
RIVAL = "pair vectors + LR"
NAMES = {"the nine relations": NINE, "the same, named Type A to I": tuple(f"Type {one}" for one in "ABCDEFGHI")}


def read(path: Path, field: Field) -> list[Row]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    named = dict(zip(NINE, (label.path[-1] for label in field.labels), strict=True))
    for row in rows:
        name, _, ends = row["label"].partition("(")
        row["label"] = named.get(name, name) + (f"({ends}" if ends else "")
    return rows_of([{"data": row} for row in rows], field, "label")


def said(links: tuple[Link, ...]) -> str:
    """The relation of a row's only pair with its direction; "" for none."""
    return f"{links[0].label} {'>' if links[0].head.start < links[0].tail.start else '<'}" if links else ""


def tally(metric: str, gold: np.ndarray, runs: list[np.ndarray]) -> Tally:
    """Several runs on the same rows as one: of each row the sums count."""
    hits = np.array([gold == one for one in runs], float)
    if metric == "accuracy":
        return Tally(metric, hits.sum(axis=0), np.full(len(gold), float(len(runs))))
    some = np.array([(gold != "").astype(float) + (one != "") for one in runs])
    return Tally(metric, (2 * hits * (gold != "")).sum(axis=0), some.sum(axis=0))


def rival(replay: Relations, known: list[Row], test: list[Row], gold: np.ndarray) -> np.ndarray:
    """Logistic regression on the features of memory, with the C of ``STRENGTHS`` that is best on these very rows."""
    seen = [joined([one.seen for row in some for one in replay.judged(row.text)]) for some in (known, test)]
    vocabulary = vocabulary_of(seen[0], 2)
    vectors = [unit(features(one, vocabulary)) for one in seen]
    right = np.array([said(row.links) for row in known])
    runs = [LogisticRegression(C=c, max_iter=1000).fit(vectors[0], right).predict(vectors[1]) for c in STRENGTHS]
    return max(runs, key=lambda one: float((one == gold).mean()))


def measure(labels: tuple[str, ...], folder: Path) -> list[dict]:
    """A row per budget: of each system the mean over seeds, what memory gains, its calibration error and seconds."""
    field = make_field("relations", list(labels))
    train, test = read(folder / "train.jsonl", field), read(folder / "test.jsonl", field)
    made = Simulation(field, train, test, BUDGETS, SEEDS, Settings(encoder="starter"))
    assert isinstance(made.replay, Relations)
    made.read()
    texts, gold = [row.text for row in test], np.array([said(row.links) for row in test])
    without = np.array([said(one.links) for one in made.replay.answers(texts, None)])
    found = []
    for budget in BUDGETS:
        systems: dict[str, list[np.ndarray]] = {"zero-shot": [], "memory": [], RIVAL: []}
        errors, seconds = [], []
        for seed in range(SEEDS):
            known = [made.train[row] for row in made.order(seed)[:budget]]
            began = time.perf_counter()
            memory = made.replay.learn([row.example for row in known])
            seconds.append(time.perf_counter() - began)
            answers = made.replay.answers(texts, memory)
            systems["zero-shot"].append(without)
            systems["memory"].append(np.array([said(one.links) for one in answers]))
            if budget:
                systems[RIVAL].append(rival(made.replay, known, test, gold))
            errors.append(calibration_error([one.score for one in answers], list(systems["memory"][-1] == gold)))
        row: dict = {"budget": budget, "ece": float(np.mean(errors)), "learn_s": float(np.mean(seconds))}
        for metric in ("F1", "accuracy"):
            whole = {name: tally(metric, gold, its) for name, its in systems.items() if its}
            gains = {name: ahead(whole["memory"], one)._asdict() for name, one in whole.items() if budget}
            seeds = {name: [tally(metric, gold, [one]).value for one in its] for name, its in systems.items()}
            row[metric] = {name: one.value for name, one in whole.items()}
            row |= {f"{metric} by seed": seeds, f"{metric} gain": gains}
        found.append(row)
    return found


def write(report: dict) -> None:
    setting = report["setting"]
    lines = ["# Memory for relations: new labels without training", "", f"`{setting['command']}`", ""]
    lines += [
        f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}.",
        "",
        "SemEval-2010 Task 8, test sentences, both nominals given: nine relations with direction, or none. Mean of",
        f"{SEEDS} orders of the train rows. Memory answers through the code that serves. Logistic regression (LR) on",
        "the same vectors has the C of 1, 10, 100 that is best on the test rows. In brackets the 95 % interval of what",
        "memory gains (points), by test row. F1: exact, of relations. ECE: of scores of answers. Seconds: to learn.",
        "",
        "| labels are | examples | metric | zero-shot | memory | LR | gain over zero-shot | over LR | ECE | seconds |",
        "|---" * 10 + "|",
    ]
    for name, rows in report["labels"].items():
        for row, metric in ((row, metric) for row in rows for metric in ("F1", "accuracy")):
            values = [f"{row[metric][one]:.3f}" if one in row[metric] else "" for one in ("zero-shot", "memory", RIVAL)]
            gains = [_points(row[f"{metric} gain"].get(one)) for one in ("zero-shot", RIVAL)]
            shown = [name, str(row["budget"]), metric, *values, *gains, f"{row['ece']:.3f}", f"{row['learn_s']:.2f}"]
            lines.append("| " + " | ".join(shown) + " |")
    (RESULTS / "relation_memory.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "relation_memory.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _points(gain: dict | None) -> str:
    return f"{100 * gain['value']:+.1f} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})" if gain else ""


def main() -> int:
    folder = Path(os.environ.get("LABELLOOP_DATA", "")) / "semeval2010_task8"
    if not (folder / "test.jsonl").is_file():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    report: dict = {"labels": {name: measure(labels, folder) for name, labels in NAMES.items()}}
    report["setting"] = {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/relation_memory.py",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("torch", "sentence-transformers", "scikit-learn")},
        "model": identify("starter"),
    }
    write(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

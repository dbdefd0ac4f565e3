"""Memory at 0 to 256 labels beside logistic regression on TF-IDF and on the same encoder's frozen vectors.

Run:  LABELLOOP_DATA=/folder PYTHONPATH=backend python benchmarks/memory.py [--quick] [--only sst2 ...] [--fresh]
Reads <folder>/<set>/{train,test}.jsonl, skips what is absent; goes on where it was interrupted unless told --fresh;
writes benchmarks/results/memory.{json,md}. Orders of the labels and folds are seeded.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import token_rivals
from labelloop.engines import load
from labelloop.engines.identity import identify
from labelloop.evaluation import Tally, ahead, calibration_error
from labelloop.rivals import tally_of
from labelloop.settings import Settings
from labelloop.simulation import Row, Simulation
from labelloop.words import Field, Label, Passage, Reading, Source, Span

SPANS = "wikigold"
SETS = ("ag_news", "sst2", "banking77", SPANS)
BUDGETS = (0, 16, 64, 256)
SEEDS = 3
STRENGTHS = (1.0, 10.0, 100.0)
RESULTS = Path(__file__).parent / "results"
RIVALS = ("TF-IDF + LR", "frozen vectors + LR")


def read(folder: Path, split: str) -> list[Row]:
    lines = (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Row(row["text"], ((row["label"],),)) for row in map(json.loads, lines)]


def make_field(rows: list[Row]) -> Field:
    labels = tuple(Label(path=path, text=path[0]) for path in sorted({row.labels[0] for row in rows}))
    return Field(name="label", tag="Choices", kind="classification", to_name="text", labels=labels, sources=())


def regression(known: Any, gold: np.ndarray, new: Any, right: np.ndarray) -> list[bool]:
    """Whether each new row comes out right, with the C of ``STRENGTHS`` that is best on these very rows: an advantage
    that nobody has who has only the labels."""
    if len(set(gold)) == 1:
        return (right == gold[0]).tolist()
    runs = [
        LogisticRegression(C=strength, max_iter=1000).fit(known, gold).predict(new) == right for strength in STRENGTHS
    ]
    return max(runs, key=lambda hits: int(hits.sum())).tolist()


def measure(train: list[Row], test: list[Row], settings: Settings) -> list[dict]:
    """A cell per seed and budget: whether each test row came out right, by system, and memory's seconds."""
    made = Simulation(make_field([*train, *test]), train, test, BUDGETS, SEEDS, settings)
    made.read(lambda done, of: print(f"\r  read {done} of {of}", end="", flush=True))
    print()
    new = made.replay.vectors([row.text for row in test])
    gold = np.array([row.labels[0][0] for row in test])
    zero_shot = [answer.labels[0][0] for answer in made.replay.answers([row.text for row in test], None)]
    cells = []
    for seed in range(SEEDS):
        order = made.order(seed)
        for budget in BUDGETS:
            rows = [made.train[row] for row in order[:budget]]
            began = time.perf_counter()
            memory = made.replay.learn([row.example for row in rows])
            learned = time.perf_counter() - began
            answers = made.replay.answers([row.text for row in test], memory)
            right = [answer.labels[0][0] == name for answer, name in zip(answers, gold, strict=True)]
            systems = {"zero-shot": [a == b for a, b in zip(zero_shot, gold, strict=True)], "memory": right}
            if budget:
                known = np.array([row.labels[0][0] for row in rows])
                words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
                sparse = words.fit_transform([row.text for row in rows])
                vectors = made.replay.vectors([row.text for row in rows])
                systems[RIVALS[0]] = regression(sparse, known, words.transform([row.text for row in test]), gold)
                systems[RIVALS[1]] = regression(vectors, known, new, gold)
            cells.append(
                {
                    "seed": seed,
                    "budget": budget,
                    "learn_s": round(learned, 3),
                    "ece": round(calibration_error([answer.score for answer in answers], right), 4),
                    "right": {name: "".join(str(int(hit)) for hit in hits) for name, hits in systems.items()},
                }
            )
            means = {name: round(float(np.mean(hits)), 3) for name, hits in systems.items()}
            print(f"  seed {seed}, {budget} labels: {means}, {learned:.2f} s", flush=True)
    return cells


def read_spans(folder: Path, split: str) -> list[Row]:
    rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
    made = []
    for row in rows:
        spans = [Span(field="label", source="text", **{**one, "label": (one["label"],)}) for one in row["entities"]]
        text = Reading(passages=(Passage(name="text", text=row["text"]),)).dump()
        made.append(Row(text, spans=tuple(spans)))
    return made


def span_field(rows: list[Row]) -> Field:
    names = sorted({span.label[0] for row in rows for span in row.spans})
    return Field(
        name="label",
        tag="Labels",
        kind="entities",
        to_name="text",
        labels=tuple(Label(path=(name,), text=name) for name in names),
        sources=(Source(name="text", tag="Text", key="text"),),
    )


def measure_spans(train: list[Row], test: list[Row], settings: Settings) -> list[dict]:
    """A cell per seed and budget: per test row what zero-shot and memory gained of what they could (F1)."""
    field = span_field([*train, *test])
    made = Simulation(field, train, test, BUDGETS, SEEDS, settings)
    made.read(lambda done, of: print(f"\r  read {done} of {of}", end="", flush=True))
    print()
    texts, right = [row.text for row in test], [row.spans for row in test]
    encoder = load("encoder", "starter", identify("starter"), settings)
    needed = [made.train[row].text for seed in range(SEEDS) for row in made.order(seed)[: BUDGETS[-1]]]
    needed = list(dict.fromkeys([*needed, *texts]))
    plain = [Reading.model_validate_json(text).passages[0].text for text in needed]
    words = dict(zip(needed, token_rivals.read(plain, encoder), strict=True))
    without = tally_of(field, right, made.replay.answers(texts, None))
    cells = []
    for seed in range(SEEDS):
        order = made.order(seed)
        for budget in BUDGETS:
            began = time.perf_counter()
            memory = made.replay.learn([made.train[row].example for row in order[:budget]])
            learned = time.perf_counter() - began
            answers = made.replay.answers(texts, memory)
            its = tally_of(field, right, answers)
            gold = [{(span.start, span.end, span.label) for span in spans} for spans in right]
            said = [(s, (s.start, s.end, s.label) in g) for a, g in zip(answers, gold, strict=True) for s in a.spans]
            ece = calibration_error([span.score for span, _ in said], [hit for _, hit in said])
            figures = {"zero-shot": without, "memory": its}
            if budget:
                known = [made.train[row] for row in order[:budget]]
                figures |= span_rivals([words[row.text] for row in known], known, [words[one] for one in texts], gold)
            gained = {name: [_written(one.gained), _written(one.possible)] for name, one in figures.items()}
            cell = {"seed": seed, "budget": budget, "learn_s": round(learned, 3), "ece": round(ece, 4)}
            cells.append({**cell, "gained": gained})
            means = {name: round(one.value, 3) for name, one in figures.items()}
            print(f"  seed {seed}, {budget} texts: {means}, {learned:.2f} s", flush=True)
    return cells


def span_rivals(
    known: list[token_rivals.Words], rows: list[Row], new: list[token_rivals.Words], gold: list[set]
) -> dict[str, Tally]:
    """F1 of both regressions on words, each with the strength (and layer) that is best on these very rows."""
    right = [row.spans for row in rows]
    ways = {
        RIVALS[0]: [token_rivals.by_words(known, right, new, strength) for strength in STRENGTHS],
        RIVALS[1]: [
            token_rivals.by_vectors(known, right, new, strength, depth)
            for strength in STRENGTHS
            for depth in token_rivals.DEPTHS
        ],
    }
    return {name: max((f1(its, gold) for its in some), key=lambda one: one.value) for name, some in ways.items()}


def f1(found: list[set], gold: list[set]) -> Tally:
    exact = [{(start, end, label[0]) for start, end, label in its} for its in gold]
    gained = [2.0 * len(a & b) for a, b in zip(found, exact, strict=True)]
    return Tally("F1", np.array(gained), np.array([float(len(a) + len(b)) for a, b in zip(found, exact, strict=True)]))


def tally(cell: dict, name: str) -> Tally:
    if "gained" in cell:
        gained, possible = (np.array(its.split(), np.float64) for its in cell["gained"][name])
        return Tally("F1", gained, possible)
    hits = np.array([float(hit) for hit in cell["right"][name]])
    return Tally("accuracy", hits, np.ones(len(hits)))


def _written(values: np.ndarray) -> str:
    return " ".join(f"{value:g}" for value in values)


def mean(tallies: list[Tally]) -> Tally:
    """Several runs on the same rows as one: of each row the sums count."""
    gained, possible = (sum(getattr(one, what) for one in tallies) for what in ("gained", "possible"))
    return Tally(tallies[0].metric, gained, possible)


def summary(cells: list[dict]) -> list[dict]:
    """Per budget the mean over seeds of each system, and the paired gain of memory with its 95 % interval, whose
    bootstrap draws test rows: of each row the mean over seeds counts."""
    found = []
    for budget in BUDGETS:
        its = [cell for cell in cells if cell["budget"] == budget]
        names = its[0].get("right") or its[0]["gained"]
        tallies = {name: mean([tally(cell, name) for cell in its]) for name in names}
        gains = {
            name: ahead(tallies["memory"], tallies[name])._asdict() for name in names if name != "memory" and budget
        }
        found.append(
            {
                "budget": budget,
                "value": {name: round(one.value, 4) for name, one in tallies.items()},
                "gain_over": {
                    name: {key: round(value, 4) for key, value in its.items()} for name, its in gains.items()
                },
                "ece": round(float(np.mean([cell["ece"] for cell in its])), 4),
                "learn_s": round(float(np.mean([cell["learn_s"] for cell in its])), 3),
            }
        )
    return found


def write(whole: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "memory.json").write_text(json.dumps(whole, indent=1) + "\n")
    setting = whole["setting"]
    lines = ["# Memory: new labels without training", "", f"`{setting['command']}`", ""]
    lines += [f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}.", ""]
    lines += [
        f"Mean of {SEEDS} random orders of the train rows; the same test rows for all. Memory answers through the code",
        "that serves (`labelloop simulate`), over the vectors of the encoder that serves; what it mixes is decided by",
        "leave-one-out on the labels alone. Logistic regression (LR, scikit-learn) on TF-IDF of words and pairs, and",
        f"on the same vectors, has the C of {', '.join(f'{c:g}' for c in STRENGTHS)} that is best on the test rows.",
        "In brackets the 95 % interval of what memory gains (points), paired by test row. Seconds: to learn, vectors",
        "at hand. WikiGold: exact span F1, labels are labelled texts, whole articles apart; LR tags words (B, I, O) by",
        "their forms and neighbours, or by their vectors in context (of the last or the middle layer: the better one).",
        "",
    ]
    lines += ["| data set | labels | zero-shot | memory | " + " | ".join(RIVALS) + " |"]
    lines[-1] += " gain over zero-shot | over TF-IDF + LR | over frozen + LR | ECE | seconds |"
    lines += ["|---" * 11 + "|"]
    for name, its in whole["data_sets"].items():
        for cell in its["budgets"]:
            values = [cell["value"].get(one) for one in ("zero-shot", "memory", *RIVALS)]
            shown = [f"{value:.3f}" if value is not None else "" for value in values]
            shown[1] = f"**{shown[1]}**"
            for one in ("zero-shot", *RIVALS):
                gain = cell["gain_over"].get(one)
                shown.append(
                    f"{points(gain['value'])} ({points(gain['low'])} to {points(gain['high'])})" if gain else ""
                )
            lines.append(
                f"| {name} | {cell['budget']} | "
                + " | ".join(shown)
                + f" | {cell['ece']:.3f} | {cell['learn_s']:.2f} |"
            )
    lines += ["", *verdict(whole)]
    text = "\n".join(lines) + "\n"
    (RESULTS / "memory.md").write_text(text)
    print(text)


def verdict(whole: dict) -> list[str]:
    every = [cell for its in whole["data_sets"].values() for cell in its["budgets"] if cell["budget"]]
    cells = [cell for cell in every if RIVALS[0] in cell["value"]]
    ours = np.mean([cell["value"]["memory"] for cell in cells])
    means = {one: np.mean([cell["value"][one] for cell in cells]) for one in ("zero-shot", *RIVALS)}
    below = sum(gain["high"] < -0.02 for cell in every for gain in cell["gain_over"].values())
    least = min(cell["gain_over"]["zero-shot"]["value"] for cell in every)
    return [
        f"Mean of the {len(cells)} cells with labels: memory {ours:.3f}, "
        + ", ".join(f"{one} {value:.3f}" for one, value in means.items())
        + f". Cells whose interval lies wholly below -2 points: {below}. Least gain over zero-shot: {points(least)}.",
    ]


def points(share: float) -> str:
    return f"{100 * share:+.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 test rows of each set")
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--fresh", action="store_true", help="measure again what is measured already")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    settings = Settings(encoder="starter")
    path = RESULTS / "memory.json"
    whole: dict = json.loads(path.read_text()) if path.is_file() and not given.fresh else {"data_sets": {}}
    for name in given.only:
        place = Path(folder) / name
        most = 500 if given.quick else None
        if not (place / "test.jsonl").is_file():
            print(f"{name} is absent: skipped")
            continue
        reader = read_spans if name == SPANS else read
        train, test = reader(place, "train"), reader(place, "test")[:most]
        if whole["data_sets"].get(name, {}).get("test_rows") == len(test):
            print(f"{name} is measured already")
            continue
        print(f"{name}: {len(train)} train, {len(test)} test rows", flush=True)
        cells = (measure_spans if name == SPANS else measure)(train, test, settings)
        whole["data_sets"][name] = {"test_rows": len(test), "budgets": summary(cells), "cells": cells}
        whole["data_sets"] = {one: whole["data_sets"][one] for one in SETS if one in whole["data_sets"]}
        whole["setting"] = {
            "command": " ".join(["LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/memory.py", *sys.argv[1:]]),
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "versions": {one: version(one) for one in ("torch", "sentence-transformers", "scikit-learn")},
            "model": identify("starter"),
        }
        write(whole)
    if whole["data_sets"]:
        write(whole)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

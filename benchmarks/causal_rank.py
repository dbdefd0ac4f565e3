"""Zero-shot accuracy of the causal engine's rank with the starter writer: one plain template, raw and calibrated, and
the shipped prompt.

Run:  LABELLOOP_DATA=/folder/of/data PYTHONPATH=backend python benchmarks/causal_rank.py [--rows N] [SET ...]
Reads the first N rows of <folder>/<set>/test.jsonl, skips what is absent; writes
benchmarks/results/causal_rank.{json,md}.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from labelloop import tasks
from labelloop.engines import load
from labelloop.evaluation import calibration_error, macro_f1
from labelloop.prompting import Prompt, load_prompt
from labelloop.settings import Settings
from labelloop.tasks import calibration
from labelloop.tasks.verbalizers import verbalize
from zero_shot import make_field, read

SETS = ("ag_news", "sst2", "banking77")
RESULTS = Path(__file__).parent / "results"


def measure(name: str, data: Path, most: int, engine, prompt: Prompt) -> dict:
    rows = read(data / name, "test", most)
    labels = sorted({row["label"] for row in read(data / name, "test")})
    field = make_field(labels)
    gold = np.array([labels.index(row["label"]) for row in rows])
    # the plain template knows no label words: names stand in it as they are written
    told = {"plain": verbalize(field, prompt.model_copy(update={"groups": {}, "words": {}})).texts}
    told["shipped"] = verbalize(field, prompt).texts
    everything = [label for texts in told.values() for label in texts]
    began = time.perf_counter()
    scores = engine.rank([row["text"] for row in rows], everything, lead=prompt.lead).astype(np.float64)
    seconds = time.perf_counter() - began
    general = engine.rank((*prompt.plain, *prompt.everyday), everything, lead=prompt.lead).astype(np.float64)
    found: dict = {"labels": len(labels), "rows": len(rows), "tasks_per_s": round(len(rows) / seconds, 2)}
    n, column = len(prompt.plain), 0
    for which, texts in told.items():
        its = slice(column, column := column + len(texts))
        prior = calibration.estimate_prior(general[:n, its], general[n:, its])
        against = calibration.evidence(scores[:, its], prior, prompt.constants)
        chances = calibration.choose_one(against, prompt.constants)
        if which == "plain":
            found["plain, raw"] = told_of(gold, scores[:, its], None)
        found[f"{which}, calibrated"] = told_of(gold, chances, chances.max(axis=1))
    return found


def told_of(gold: np.ndarray, scores: np.ndarray, confidence: np.ndarray | None) -> dict[str, float]:
    chosen = scores.argmax(axis=1)
    right = chosen == gold
    told = {
        "accuracy": round(float(right.mean()), 4),
        "half_width_95": round(float(1.96 * np.sqrt(right.mean() * (1 - right.mean()) / len(right))), 4),
        "macro_f1": round(macro_f1(gold.tolist(), chosen.tolist()), 4),
    }
    if confidence is not None:
        told["ece"] = round(calibration_error(confidence.tolist(), right.tolist()), 4)
    return told


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--rows", type=int, default=1000)
    asked = parser.parse_args()
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    settings = Settings(writer="starter", fields={"*": {"engine": "causal"}})
    plan = tasks.plan(make_field(["a", "b"]), settings)
    engine, prompt = load("causal", plan.model, plan.revision, settings), load_prompt(plan.prompt)
    report: dict = {"setting": setting(plan), "data_sets": {}}
    for name in asked.sets:
        if not read(Path(folder) / name, "test", 1):
            print(f"{name} is absent: skipped")
            continue
        report["data_sets"][name] = measure(name, Path(folder), asked.rows, engine, prompt)
        print(name, json.dumps(report["data_sets"][name]), flush=True)
        write(report, prompt)
    return 0


def setting(plan) -> dict:
    return {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python "
        + " ".join(["benchmarks/causal_rank.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{torch.get_num_threads()} torch threads",
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "model": plan.revision,
        "prompt": f"{plan.prompt} {plan.prompt_hash[:12]}",
    }


def write(report: dict, prompt: Prompt) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "causal_rank.json").write_text(json.dumps(report, indent=1) + "\n")
    s = report["setting"]
    template = f"{prompt.lead}{{text}}\\n{prompt.templates[0].replace('⟦', '').replace('⟧', '')}"
    lines = ["# Ranking with the starter writer, zero-shot", "", f"`{s['command']}`", ""]
    lines += [
        f"{s['date']}, {s['machine']}, {s['versions']}, {s['model']}, {s['prompt']}.",
        "",
        f'Plain: the template "{template}" with the label as written. Raw: the label with the highest mean',
        "log-probability. Calibrated: less what the label scores on the prompt's general texts, as the product does.",
        "Shipped: the whole prompt, with its words for labels of sentiment and the like. No number depends on other",
        "rows. Accuracy with half its 95 % interval.",
        "",
        "| data set | labels | rows | plain, raw | plain, calibrated | shipped | F1 | ECE | tasks/s |",
        "|---" * 9 + "|",
    ]
    for name, found in report["data_sets"].items():
        cells = " | ".join(
            f"{found[which]['accuracy']:.3f} ± {found[which]['half_width_95']:.3f}"
            for which in ("plain, raw", "plain, calibrated", "shipped, calibrated")
        )
        ours = found["shipped, calibrated"]
        lines.append(
            f"| {name} | {found['labels']} | {found['rows']} | {cells} | {ours['macro_f1']:.3f} | {ours['ece']:.3f} "
            f"| {found['tasks_per_s']} |"
        )
    text = "\n".join(lines) + "\n"
    (RESULTS / "causal_rank.md").write_text(text)
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())

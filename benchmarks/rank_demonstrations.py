"""Accepted examples as demonstrations before a causal model's texts: zero-shot, memory's head alone, and both.

Run:  LABELLOOP_DATA=/folder PYTHONPATH=backend python benchmarks/rank_demonstrations.py [--only sst2] [--fresh]
Reads <folder>/<set>/train.jsonl only: some rows are labels, others are answered. Skips what is absent; goes on where it
was interrupted unless told --fresh; writes benchmarks/results/rank_demonstrations.{json,md}. Orders are seeded.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import numpy as np

from labelloop.engines.identity import identify
from labelloop.replay import Labels
from labelloop.settings import FieldSetting, Settings
from labelloop.simulation import Row
from labelloop.tasks import chances, plan, showing
from labelloop.tasks.recollection import LabelMemory
from labelloop.words import Answer, Field, Label

SETS = ("sst2", "ag_news")
BUDGETS = (32, 64, 128)
SEEDS = 2
ASKED = 120
SYSTEMS = ("zero-shot", "head alone", "with demonstrations")
RESULTS = Path(__file__).parent / "results"


def read(folder: Path) -> list[Row]:
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [Row(row["text"], ((row["label"],),)) for row in map(json.loads, lines)]
    return list({row.text: row for row in rows}.values())


def field_of(rows: list[Row]) -> Field:
    labels = tuple(Label(path=path, text=path[0]) for path in sorted({row.labels[0] for row in rows}))
    return Field(name="label", tag="Choices", kind="classification", to_name="text", labels=labels, sources=())


def figures(answers: list[Answer], asked: list[Row]) -> dict[str, float]:
    hits = [answer.labels == row.labels for answer, row in zip(answers, asked, strict=True)]
    sure = [max(dict(one.alternatives)[row.labels[0]], 1e-4) for one, row in zip(answers, asked, strict=True)]
    return {"accuracy": round(float(np.mean(hits)), 3), "log_loss": round(-float(np.mean(np.log(sure))), 3)}


def measure(rows: list[Row], settings: Settings) -> list[dict]:
    """A cell per seed and budget. All seeds answer the same rows."""
    served = plan(field_of(rows), settings)
    replay = Labels(served, settings)
    order = np.random.default_rng(0).permutation(len(rows))
    asked = [rows[place] for place in order[:ASKED]]
    texts = [row.text for row in asked]
    began = time.perf_counter()
    replay.read(texts)
    plain_s = (time.perf_counter() - began) / len(texts)
    cells = []
    for seed in range(SEEDS):
        drawn = np.random.default_rng(1 + seed).permutation(order[ASKED:])[: max(BUDGETS)]
        known = [rows[place] for place in drawn]
        replay.read([row.text for row in known])
        for budget in BUDGETS:
            some = [row.example for row in known[:budget]]
            memory = replay.learn(some)
            with patch.object(showing, "FEWEST", sys.maxsize):
                alone = replay.learn(some)
            said = dict(zip(SYSTEMS, (None, alone, memory), strict=True))
            cell = {name: figures(replay.answers(texts, one), asked) for name, one in said.items()}
            cell |= {"seed": seed, "budget": budget, "plain_s": round(plain_s, 3), **shown_of(memory, replay, texts)}
            cells.append(cell)
            print(f"  {cell}", flush=True)
    return cells


def shown_of(memory: LabelMemory | None, replay: Labels, texts: list[str]) -> dict[str, float]:
    """How many are shown at which weight, and seconds that a text takes behind them."""
    if memory is None or memory.shown is None:
        return {"shown": 0, "weight": 0.0, "behind_s": 0.0}
    began = time.perf_counter()
    chances.behind(replay.plan, memory.shown.turns, texts[:20], Settings(device="cpu"))
    seconds = (time.perf_counter() - began) / 20
    return {"shown": len(memory.shown.turns), "weight": memory.shown.weight, "behind_s": round(seconds, 3)}


def write(whole: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "rank_demonstrations.json").write_text(json.dumps(whole, indent=1) + "\n")
    setting = whole["setting"]
    lines = ["# Accepted examples in the prompt of a causal model", "", f"`{setting['command']}`", ""]
    lines += [f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}.", ""]
    lines += [
        f"Field engine `causal`. {ASKED} rows of the train split are answered, others of it are the labels ({SEEDS}",
        "orders). Accuracy / log-loss in nats. *Head alone*: memory as it is where no example is shown. *With",
        "demonstrations*: what serves, at the weight that the labels themselves chose (0: the prompt stays as it was).",
        "Seconds a text, on a machine that others used too: with the plain prompt, and behind the demonstrations.",
        "",
        "| data set | labels | order | " + " | ".join(SYSTEMS) + " | shown | weight | s plain | s behind |",
        "|---" * 10 + "|",
    ]
    for name, cells in whole["data_sets"].items():
        for cell in cells:
            values = [f"{cell[one]['accuracy']:.3f} / {cell[one]['log_loss']:.3f}" for one in SYSTEMS]
            behind = f"{cell['behind_s']:.2f}" if cell["shown"] else ""
            more = [f"{cell['shown']}", f"{cell['weight']:g}", f"{cell['plain_s']:.2f}", behind]
            lines.append(f"| {name} | {cell['budget']} | {cell['seed']} | " + " | ".join([*values, *more]) + " |")
        means = [{one: math.fsum(c[s][one] for c in cells) / len(cells) for one in cells[0][s]} for s in SYSTEMS]
        values = [f"**{one['accuracy']:.3f} / {one['log_loss']:.3f}**" for one in means]
        lines.append(f"| {name} | mean | | " + " | ".join(values) + " | | | | |")
    (RESULTS / "rank_demonstrations.md").write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--fresh", action="store_true", help="measure again what is measured already")
    given = parser.parse_args()
    folder = Path(os.environ.get("LABELLOOP_DATA") or "absent")
    settings = Settings(device="cpu", fields={"label": FieldSetting(engine="causal", model="starter")})
    path = RESULTS / "rank_demonstrations.json"
    whole: dict = json.loads(path.read_text()) if path.is_file() and not given.fresh else {"data_sets": {}}
    for name in given.only:
        if name in whole["data_sets"] or not (folder / name / "train.jsonl").is_file():
            print(f"{name} is measured already, or absent under LABELLOOP_DATA: skipped")
            continue
        whole["data_sets"][name] = measure(read(folder / name), settings)
        whole["setting"] = {
            "command": "LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/rank_demonstrations.py",
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "versions": {one: version(one) for one in ("torch", "transformers", "sentence-transformers")},
            "model": identify("starter", engine="causal"),
        }
        write(whole)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Training at 16, 64 and 256 labels beside zero-shot, memory, regressions and SetFit: how good, how sure, how long.

Run:  LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/training_curves.py [--only sst2 ...] [--seeds 0 1 2]
Reads <folder>/<set>/{train,test}.jsonl, skips what is absent, and goes on where it was interrupted unless told --fresh.
Ours is `labelloop simulate` with refresh: each budget trains a challenger, which serves from then on if the gate
promotes it. The regressions come from memory.py (results/memory.json), SetFit from setfit_rival.py
(results/setfit.json), on the same rows. Writes benchmarks/results/training_curves.{json,md,html}.
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
from typing import Any

import torch

import memory as without_training
import training_verdict
from labelloop.engines.identity import identify
from labelloop.evaluation import Tally
from labelloop.replay_training import Training
from labelloop.rivals import tally_of
from labelloop.settings import Settings
from labelloop.simulation import Simulation
from labelloop.tasks import trained
from labelloop.words import Answer, FieldPlan
from training_verdict import BUDGETS, RESULTS

SEEDS = (0, 1, 2)


class Bench:
    """One data set, asked of all that no label changes once."""

    def __init__(self, name: str, folder: Path, settings: Settings) -> None:
        spans = name == without_training.SPANS
        reader = without_training.read_spans if spans else without_training.read
        train, test = reader(folder, "train"), reader(folder, "test")
        rows = [*train, *test]
        field = without_training.span_field(rows) if spans else without_training.make_field(rows)
        self.settings = settings
        self.made = Simulation(field, train, test, BUDGETS, max(SEEDS) + 1, settings, refresh=True)
        self.base = self.made.replay.plan
        self._right = [row.right for row in test]
        self._texts = [row.text for row in test]
        self._read = False

    @property
    def trains(self) -> bool:
        return self.made.trains

    def read(self) -> None:
        if not self._read:
            self.made.read()
            self._read = True

    def run(self, seed: int) -> list[dict]:
        """A cell per budget, as a project would go through them: what the gate promotes is what the next must beat."""
        replay, order, revealed, cells = self.made.replay, self.made.order(seed), [], []
        trainer = Training(replay, seed, self.settings) if self.trains else None
        for budget in BUDGETS:
            revealed = [self.made.train[row].example for row in order[:budget]]
            before = trainer.last if trainer else None
            began, cpu = time.perf_counter(), time.process_time()
            if trainer:
                trainer.refresh(revealed)
            spent = time.perf_counter() - began, time.process_time() - cpu
            done = trainer.last if trainer and trainer.last is not before else None
            figures: dict[str, Tally] = {"zero-shot": self._tally(self.base, None)}
            remembered = replay.learn(revealed)
            figures["memory"] = self._tally(self.base, remembered)
            figures["served"] = self._tally(replay.plan, remembered)
            cell: dict[str, Any] = {"seed": seed, "budget": budget, "trains": self.trains}
            if done is not None:
                cell |= {"gate": done.state, "why": done.words, "told": done.stored["told"]}
                cell |= {"seconds": round(spent[0], 1), "cpu_s": round(spent[1], 1)}
                if done.plan is not None:
                    figures["challenger"] = self._tally(done.plan, remembered)
                    cell |= self._alone(done.plan, figures)
            cells.append(cell | {"rows": {name: written(its) for name, its in figures.items()}})
            means = {name: round(its.value, 3) for name, its in figures.items()}
            print(f"  seed {seed}, {budget} labels: {means}, {cell.get('gate')}, {spent[1]:.0f} CPU s", flush=True)
        return cells

    def _tally(self, plan: FieldPlan, remembered: Any) -> Tally:
        replay = self.made.replay
        serving, replay.plan = replay.plan, plan
        try:
            return tally_of(self.made.field, self._right, replay.answers(self._texts, remembered, every=True))
        finally:
            replay.plan = serving

    def _alone(self, plan: FieldPlan, figures: dict[str, Tally]) -> dict:
        """How loud the adapter is beside memory, and what it says by itself: of fields that choose labels."""
        adapter: Any = trained.ready(plan, self.settings)
        if not hasattr(adapter, "voices"):
            return {}
        paths = [label.path for label in plan.field.labels]
        texts = [self._texts[at : at + 64] for at in range(0, len(self._texts), 64)]
        best = [paths[one] for some in texts for one in adapter.alone(some).argmax(axis=1)]
        answers = [Answer(field=plan.field.name, labels=(path,), score=1.0) for path in best]
        figures["adapter alone"] = tally_of(plan.field, self._right, answers)
        return {"voices": {name: round(value, 3) for name, value in adapter.voices._asdict().items()}}


def written(its: Tally) -> str | list[str]:
    """Of each row whether it is right; of spans what it gained and could have."""
    if its.right_or_wrong:
        return "".join(str(int(hit)) for hit in its.gained)
    return [" ".join(f"{value:g}" for value in side) for side in (its.gained, its.possible)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    sets = without_training.SETS
    parser.add_argument("--only", nargs="+", choices=sets, default=sets)
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    parser.add_argument("--fresh", action="store_true", help="measure again what is measured already")
    given = parser.parse_args()
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    path = RESULTS / "training_curves.json"
    whole: dict = json.loads(path.read_text()) if path.is_file() else {"data_sets": {}}
    with tempfile.TemporaryDirectory() as data_dir:
        settings = Settings(encoder="starter", data_dir=Path(data_dir), refresh_budget=60)
        benches: dict[str, Bench] = {}
        for seed in given.seeds:
            for name in given.only:
                if not (Path(folder) / name / "test.jsonl").is_file():
                    print(f"{name} is absent: skipped")
                    continue
                bench = benches.get(name) or Bench(name, Path(folder) / name, settings)
                benches[name] = bench
                cells = whole["data_sets"].setdefault(name, [])
                known = [cell for cell in cells if cell["seed"] == seed]
                if known and not given.fresh and all(cell["trains"] == bench.trains for cell in known):
                    continue
                print(name, flush=True)
                bench.read()
                cells[:] = [cell for cell in cells if cell["seed"] != seed] + bench.run(seed)
                whole["setting"] = setting()
                RESULTS.mkdir(exist_ok=True)
                path.write_text(json.dumps(whole, indent=1) + "\n")
    training_verdict.write()
    return 0


def setting() -> dict:
    return {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/training_curves.py",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}",
        "versions": {one: version(one) for one in ("torch", "sentence-transformers", "peft")},
        "model": identify("starter"),
    }


if __name__ == "__main__":
    raise SystemExit(main())

"""Training beside its rivals in words: the table, the plot and the targets of training_curves.py, from its results.

Run:  PYTHONPATH=backend python benchmarks/training_verdict.py   writes results/training_curves.{md,html} anew
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelloop import curves
from labelloop.evaluation import Estimate, Tally, ahead
from memory import RIVALS, SETS, SPANS, mean, points, tally

BUDGETS = (16, 64, 256)
RESULTS = Path(__file__).parent / "results"
OURS = ("zero-shot", "memory", "served")
SETFIT = "SetFit"
THEIRS = ("zero-shot", "memory", *RIVALS, SETFIT)
LINES = {"trained, if the gate agrees": "served", "memory": "memory", "zero-shot": "zero-shot", SETFIT: SETFIT}
WANTED = {64: 0.48, 256: 0.58}
"""Span F1 of WikiGold."""
HARM = -0.02


@dataclass(frozen=True)
class Cell:
    """A data set at so many labels. ``runs``: by system and seed what each test row gained. ``seconds``: by seed the
    CPU seconds of training, ours and SetFit's. ``told``: by seed what is known of our training."""

    name: str
    budget: int
    runs: dict[str, dict[int, Tally]]
    seconds: dict[str, dict[int, float]]
    told: dict[int, dict[str, Any]]

    def value(self, system: str, seeds: set[int] | None = None) -> float | None:
        """The mean of its runs, or of those with some seeds; None where there are none."""
        its = [one.value for seed, one in self.runs.get(system, {}).items() if seeds is None or seed in seeds]
        return float(np.mean(its)) if its else None

    def shared(self, system: str) -> set[int]:
        """Seeds that both ours and another system ran with."""
        return set(self.runs.get(system, {})) & set(self.runs["served"])

    def gain(self, system: str) -> Estimate | None:
        """What is served over another system on the seeds that both ran with, paired by test row: the interval is of
        other test rows, with these labels."""
        seeds = sorted(self.shared(system))
        if not seeds:
            return None
        return ahead(*(mean([self.runs[one][seed] for seed in seeds]) for one in ("served", system)))


def cells() -> list[Cell]:
    ours = _read("training_curves.json").get("data_sets", {})
    rivals = _read("memory.json").get("data_sets", {})
    setfit = _read("setfit.json").get("cells", [])
    found = []
    for name in SETS:
        for budget in BUDGETS:
            its = {cell["seed"]: cell for cell in ours.get(name, []) if cell["budget"] == budget}
            if not its:
                continue
            others = {c["seed"]: c for c in rivals.get(name, {}).get("cells", []) if c["budget"] == budget}
            theirs = {one["seed"]: one for one in setfit if (one["set"], one["labels"]) == (name, budget)}
            runs = {one: {seed: of_rows(cell["rows"][one]) for seed, cell in its.items()} for one in OURS}
            for one in ("adapter alone", "challenger"):
                runs[one] = {seed: of_rows(cell["rows"][one]) for seed, cell in its.items() if one in cell["rows"]}
            runs |= {one: {seed: tally(cell, one) for seed, cell in others.items()} for one in RIVALS}
            runs[SETFIT] = {seed: of_rows(one["hits"]) for seed, one in theirs.items()}
            seconds = {"ours": {seed: cell["cpu_s"] for seed, cell in its.items() if "cpu_s" in cell}}
            seconds[SETFIT] = {seed: one["cpu_s"] for seed, one in theirs.items()}
            found.append(Cell(name, budget, runs, seconds, its))
    return found


def of_rows(its: str | list[str]) -> Tally:
    """As training_curves.py has written it."""
    if isinstance(its, str):
        hits = np.array(list(its), np.float64)
        return Tally("accuracy", hits, np.ones(len(hits)))
    gained, possible = (np.array(side.split(), np.float64) for side in its)
    return Tally("F1", gained, possible)


def table(its: list[Cell]) -> list[str]:
    systems = [*OURS, "challenger", "adapter alone", *RIVALS, SETFIT]
    head = ["data set", "labels", "seeds", *systems, "gain over memory", "over SetFit", "promoted"]
    head += ["voice of the adapter", "CPU s", "SetFit's CPU s (seeds)"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for cell in its:
        shown = [cell.name, str(cell.budget), str(len(cell.told))]
        for system in systems:
            value = cell.value(system)
            shown.append("" if value is None else f"**{value:.3f}**" if system == "served" else f"{value:.3f}")
        shown += [_interval(cell.gain(one)) for one in ("memory", SETFIT)]
        gates = [one["gate"] for one in cell.told.values() if "gate" in one]
        shown.append(f"{gates.count('promoted')} of {len(gates)}" if gates else "")
        loud = [one["voices"]["adapter"] for one in cell.told.values() if "voices" in one]
        shown.append(f"{np.mean(loud):.2f}" if loud else "")
        shown.append(_seconds(cell.seconds["ours"]))
        theirs = cell.seconds[SETFIT]
        shown.append(f"{_seconds(theirs)} ({len(theirs)})" if theirs else "")
        lines.append("| " + " | ".join(shown) + " |")
    return lines


def verdict(its: list[Cell]) -> list[str]:
    """The targets, each with what was found."""
    return [*_means(its), _harm(its), _zero_shot(its), *_time(its), *_spans(its)]


def _means(its: list[Cell]) -> list[str]:
    found = []
    for system in THEIRS:
        both = [cell for cell in its if cell.shared(system)]
        if not both:
            continue
        ours, theirs = (
            float(np.mean([cell.value(one, cell.shared(system)) for cell in both])) for one in ("served", system)
        )
        found.append(
            f"- Mean of the {len(both)} cells that {system} has: served {ours:.3f}, {system} {theirs:.3f} "
            f"({_met(ours >= theirs)}: not below it)."
        )
    return found


def _harm(its: list[Cell]) -> str:
    pairs = [(cell, system, cell.gain(system)) for cell in its for system in THEIRS]
    bad = [f"{cell.name} at {cell.budget} against {system}" for cell, system, one in pairs if one and one.high < HARM]
    told = ", ".join(bad) if bad else "none"
    return f"- Cells whose paired 95 % interval lies wholly below -2 points: {told} ({_met(not bad)}: none)."


def _zero_shot(its: list[Cell]) -> str:
    gains = {(c.name, c.budget): (c.value("served") or 0.0) - (c.value("zero-shot") or 0.0) for c in its}
    each = [one.value - c.runs["zero-shot"][seed].value for c in its for seed, one in c.runs["served"].items()]
    (name, budget), least = min(gains.items(), key=lambda one: one[1])
    return (
        f"- Least gain over zero-shot: {points(least)} points, {name} at {budget} (of single runs {points(min(each))}; "
        f"{_met(least >= -0.01)}: not below -1)."
    )


def _time(its: list[Cell]) -> list[str]:
    found = []
    for cell in its:
        ours, theirs = (list(cell.seconds[one].values()) for one in ("ours", SETFIT))
        if ours and theirs:
            share = float(np.mean(ours) / np.mean(theirs))
            found.append((share, f"{cell.name} at {cell.budget} {share:.2f}"))
    if not found:
        return []
    told = ", ".join(words for _, words in found)
    return [f"- CPU seconds of training as a share of SetFit's: {told} ({_met(max(found)[0] <= 1 / 3)}: at most 1/3)."]


def _spans(its: list[Cell]) -> list[str]:
    found = {cell.budget: cell.value("served") or 0.0 for cell in its if cell.name == SPANS}
    each = [f"{found[n]:.3f} at {n} ({_met(found[n] >= least)}: {least})" for n, least in WANTED.items() if n in found]
    return [f"- WikiGold, span F1 served: {', '.join(each)}."] if each else []


def plot(its: list[Cell]) -> str:
    charts: dict[str, dict[str, dict[int, list[float]]]] = {}
    for cell in its:
        for line, system in {**LINES, **{one: one for one in RIVALS}}.items():
            if values := [one.value for one in cell.runs.get(system, {}).values()]:
                charts.setdefault(cell.name, {}).setdefault(line, {})[cell.budget] = values
    note = "Test rows: accuracy, of WikiGold span F1. A dot is one order of the labels, a line their mean."
    return curves.pages("Training, and what it is measured beside", note, "score", charts)


def write() -> None:
    whole, theirs, its = _read("training_curves.json"), _read("setfit.json"), cells()
    if not its:
        return
    setting = whole["setting"]
    lines = ["# Training beside zero-shot, memory, regressions and SetFit", "", f"`{setting['command']}`", ""]
    lines += [f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}.", ""]
    if theirs:
        of = theirs["setting"]
        steps = {one["steps"] for one in theirs["cells"]}
        lines += [
            f"{SETFIT}: `{of['command']}`, {of['date']}, {of['versions']}, the same weights ({of['model']}), its",
            f"own defaults (batches of {theirs['cells'][0]['batch']} pairs, one epoch) but `max_steps`",
            f"{of['max_steps']} where an epoch is longer ({min(steps)} to {max(steps)} steps were made), one thread.",
            "Measured with fewer seeds where it is slow; then compared on these alone.",
            "",
        ]
    lines += [
        "Test rows: 1,000 of each set, 629 of WikiGold (exact span F1, else accuracy); labels are random train rows,",
        "the same for all; mean of the seeds. Served is what `labelloop simulate` answers, training at 16, 64 and",
        "256 labels in turn: the adapter beside zero-shot and memory (the challenger) if the gate promoted it, else",
        "what served before. Under 32 labels nothing is trained. Regressions (memory.md) have the strength that is",
        "best on the test rows. In brackets 95 % intervals of the gain in points, paired by test row. CPU seconds:",
        "of one training with its k-fold and the gate, all threads; the machine had other work, so wall time tells",
        "little (it is in the JSON). The time limit of a training (`LABELLOOP_REFRESH_BUDGET`) is lifted to an hour.",
        "",
        *table(its),
        "",
        "## What was to be reached",
        "",
        *verdict(its),
    ]
    (RESULTS / "training_curves.md").write_text("\n".join(lines) + "\n")
    (RESULTS / "training_curves.html").write_text(plot(its))
    print("\n".join(lines))


def _read(name: str) -> dict:
    path = RESULTS / name
    return json.loads(path.read_text()) if path.is_file() else {}


def _interval(its: Estimate | None) -> str:
    return f"{points(its.value)} ({points(its.low)} to {points(its.high)})" if its else ""


def _seconds(its: dict[int, float]) -> str:
    return f"{np.mean(list(its.values())):.0f}" if its else ""


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


if __name__ == "__main__":
    write()

"""All tasks in one table: LabelLoop with the starter models, beside generate-and-parse and a trivial rule.

Run:  LABELLOOP_DATA=/folder/of/data PYTHONPATH=backend python benchmarks/tasks.py [--rows 200] [--only SET] [--again]
About 90 minutes on two cores. What is finished lies in benchmarks/results/tasks.json and is not computed again until
--again; a set that is absent is skipped. Nothing of any project is shown to a model: all is zero-shot.

Ours is the product as installed: a label config, its fields, the engines that "auto" chooses. Generate-and-parse asks
the starter writer in one chat message, with the labels or the wish in words, takes its greedy reply, and reads the
answer out of it. Trivial is a rule that reads no model (the majority baseline knows the right answers' counts).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from labelloop import offline
from labelloop.engines import Ask, Manner, load
from labelloop.engines.identity import identify
from labelloop.settings import FieldSetting, Settings
from labelloop.studio.schema import read_config
from task_cases import CASES, Case, Row, Said

RESULTS = Path(__file__).parent / "results"
SAMPLES = 2000


def read_rows(folder: Path, most: int) -> list[Row]:
    lines = (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:most]]


@dataclass(frozen=True)
class Outcome:
    """What a system says of each row, whether that is an answer, the seconds with models warm (None: no model), and how
    many of the texts come from where (of kinds that write, as their provenance tells)."""

    said: Said
    valid: list[bool]
    seconds: float | None = None
    origins: Counter[str] = field(default_factory=Counter)


def ours(case: Case, rows: list[Row], settings: Settings, engine: str = "") -> Outcome:
    """What the product says."""
    if engine:
        settings = settings.model_copy(update={"fields": {case.control: FieldSetting(engine=engine)}})
    elif case.directions:
        settings = settings.model_copy(update={"fields": case.directions})
    schema = read_config(case.config, settings.fields)
    schema = offline.with_needed(schema, offline.field_named(schema, case.control))
    items = [{"data": case.data(row)} for row in rows]
    there = [case.given(row) for row in rows] if case.given else ()
    offline.predict(items[:1], schema, settings, lambda _done: None, there[:1])  # loads and fits
    predicted = offline.predict(items, schema, settings, progress(f"{case.name}: ours {engine}", len(rows)), there)
    answers = [found[0] for found in predicted.answers]
    said = [case.read(row, one) if one.reason is None else None for row, one in zip(rows, answers, strict=True)]
    origins = Counter(str(one.provenance["origin"]) for one in answers if "origin" in one.provenance)
    return Outcome(said, [one.reason is None for one in answers], predicted.seconds, origins)


def generate(case: Case, rows: list[Row], settings: Settings) -> Outcome:
    """What is read out of the greedy replies of the starter writer."""
    writer = load("causal", settings.writer, identify(settings.writer, "", "causal"), settings)
    asks = [Ask((("user", case.prompt(row)),)) for row in rows]
    writer.write(asks[:1], Manner(max_tokens=2))
    shown, replies, began = progress(f"{case.name}: generate-and-parse", len(rows)), [], time.perf_counter()
    for start in range(0, len(asks), 16):
        part = writer.write(asks[start : start + 16], Manner(max_tokens=case.max_tokens))
        replies += [candidates[0].text for candidates in part]
        shown(len(part))
    seconds = time.perf_counter() - began
    said = [case.parse(row, reply) for row, reply in zip(rows, replies, strict=True)]
    return Outcome(said, [one is not None for one in said], seconds)


def run(system: str, case: Case, rows: list[Row], settings: Settings) -> Outcome:
    if system == "trivial" or system in case.parts:
        return Outcome(case.parts.get(system, case.trivial), [True] * len(rows))
    if system == "generate-and-parse":
        return generate(case, rows, settings)
    return ours(case, rows, settings, system.removeprefix("ours").removeprefix(", "))


def progress(what: str, total: int) -> Callable[[int], None]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        end = "\n" if done >= total else ""
        print(f"\r{what} {done}/{total}", end=end, file=sys.stderr, flush=True)

    return advance


def measure(case: Case, rows: list[Row], found: Outcome) -> Row:
    counts = np.array([case.counts(row, one) for row, one in zip(rows, found.said, strict=True)], float)
    return {
        "metrics": {name: metric(counts.sum(axis=0)) for name, metric in case.metrics.items()},
        "interval": interval(counts, next(iter(case.metrics.values()))),
        "tasks_per_s": len(rows) / found.seconds if found.seconds else None,
        "valid": float(np.mean(found.valid)),
        "origins": dict(found.origins.most_common()),
        "counts": counts.round(4).tolist(),
    }


def interval(counts: np.ndarray, metric: Callable[[np.ndarray], float]) -> list[float]:
    """95 %, bootstrap over rows."""
    drawn = np.random.default_rng(13).integers(len(counts), size=(SAMPLES, len(counts)))
    return [float(q) for q in np.quantile([metric(counts[rows].sum(axis=0)) for rows in drawn], (0.025, 0.975))]


def margin(a: list, b: list, metric: Callable[[np.ndarray], float]) -> list[float]:
    """95 % of a's metric less b's, paired bootstrap over rows."""
    x, y = np.array(a), np.array(b)
    drawn = np.random.default_rng(13).integers(len(x), size=(SAMPLES, len(x)))
    gaps = [metric(x[rows].sum(axis=0)) - metric(y[rows].sum(axis=0)) for rows in drawn]
    return [float(q) for q in np.quantile(gaps, (0.025, 0.975))]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=200, help="of each data set, at most (the first of its test file)")
    options.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES), metavar="SET")
    options.add_argument("--again", action="store_true", help="compute anew what results/tasks.json already has")
    chosen = options.parse_args()
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    file = RESULTS / "tasks.json"
    report: Row = json.loads(file.read_text()) if file.is_file() else {"data_sets": {}}
    settings = Settings()
    for name in chosen.only:
        if not (Path(folder) / name / "test.jsonl").is_file():
            print(f"{name} is absent: skipped")
            continue
        rows = read_rows(Path(folder) / name, chosen.rows)
        case = CASES[name](rows)
        known = report["data_sets"].get(name, {})
        systems = known.get("systems", {}) if known.get("rows") == len(rows) and not chosen.again else {}
        found = report["data_sets"][name] = {"rows": len(rows), "measured": case.measured, "systems": systems}
        found["trivial"] = case.baseline
        engines = [f"ours, {engine}" for engine in case.engines]
        for system in ("ours", *engines, *case.parts, "generate-and-parse", "trivial"):
            if system not in systems:
                systems[system] = measure(case, rows, run(system, case, rows, settings))
                report["setting"] = setting()
                file.write_text(json.dumps(report, indent=1) + "\n")
        metric = next(iter(case.metrics.values()))
        found["margins"] = {
            other: margin(systems["ours"]["counts"], systems[other]["counts"], metric)
            for other in (*case.parts, "generate-and-parse", "trivial")
        }
        file.write_text(json.dumps(report, indent=1) + "\n")
        write(report)
    print((RESULTS / "tasks.md").read_text() if (RESULTS / "tasks.md").is_file() else "nothing was measured")
    return 0


def _place(system: str) -> int:
    """Ours first, then its parts, then the others."""
    return 0 if system == "ours" else {"generate-and-parse": 3, "trivial": 4}.get(system, 1 + ("," not in system))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{origin} {count}" for origin, count in counts.items())


def setting() -> Row:
    return {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/tasks.py --rows N (in the table)",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("torch", "transformers", "sentence-transformers")},
        "models": [identify("starter"), identify("starter", "", "causal")],
    }


def write(report: Row) -> None:
    its = report["setting"]
    lines = ["# All tasks, zero-shot, with the starter models", "", f"`{its['command']}`", ""]
    lines += [f"{its['date']}, {its['machine']}, {its['versions']}, {', '.join(its['models'])}.", ""]
    lines += [*(__doc__ or "").split("\n\n")[2].strip().splitlines(), ""]
    lines += [
        "In brackets the 95 % interval (bootstrap over rows); margins: ours less theirs, paired. Valid: the share of"
    ]
    lines += ["tasks with an answer that could be read.", ""]
    lines += [
        "| data set | rows | measure | system | value | 95 % | margin of ours | tasks/s | valid |",
        "|---" * 9 + "|",
    ]
    for name, found in report["data_sets"].items():
        for system, one in sorted(found["systems"].items(), key=lambda item: _place(item[0])):
            first, *others = one["metrics"].items()
            value = f"{first[1]:.3f}" + "".join(f" ({key} {its:.3f})" for key, its in others)
            gap = found.get("margins", {}).get(system)
            shown = f"trivial: {found['trivial']}" if system == "trivial" else system
            speed = f"{one['tasks_per_s']:.1f}" if one["tasks_per_s"] else ""
            lines.append(
                f"| {name} | {found['rows']} | {found['measured']} | {shown} | {value} | {one['interval'][0]:.3f} to "
                f"{one['interval'][1]:.3f} | {f'{gap[0]:+.3f} to {gap[1]:+.3f}' if gap else ''} | {speed} "
                f"| {one['valid']:.2f} |"
            )
    told = {name: found["systems"]["ours"].get("origins") for name, found in report["data_sets"].items()}
    lines += ["", *(f"Origins of our texts, {name}: {_listed(its)}." for name, its in told.items() if its)]
    (RESULTS / "tasks.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())

"""The gate on 1,000 decisions whose right outcome is known: half of the challengers bad, half better.

Run:  LABELLOOP_DATA=/folder PYTHONPATH=backend python benchmarks/gate.py [--cache /folder]
Reads <folder>/<set>/{train,test}.jsonl, skips what is absent; versions are trained once (about half an hour) and their
answers kept in the cache; writes benchmarks/results/gate.{json,md}. Everything drawn is seeded.
"""

from __future__ import annotations

import argparse
import datetime
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gate_folds import Project, projects_of
from gate_results import write
from gate_versions import Version, Versions, flip, rename, versions_of
from labelloop.evaluation import Tally
from labelloop.learning.gate import Evidence, Verdict, decide, level
from labelloop.learning.gate_checks import Outcome

SETS = ("ag_news", "sst2", "banking77")
SIZES = (60, 120, 240, 400, 600)
WORSE, BETTER = -0.01, 0.03
KINDS = ("flipped", "flipped", "flipped", "dropped", "constant")
DECISIONS = 1000
SEED = 11
"""Another than the one that the level was chosen with."""
BESIDE = 60
SEQUENCES = 40
"""Of each sort and data set."""
GROWTH = (60, 80, 110, 150, 200, 280, 400, 600)
Pair = tuple[Version, Version, float]
Choose = Callable[[Version, Version, float, bool], bool]
"""Of champion, challenger, true gain, and whether a label is forgotten."""


def outcome(name: str, said: np.ndarray, scores: np.ndarray, gold: np.ndarray, names: Sequence[str]) -> Outcome:
    right = said == gold
    tally = Tally("accuracy", right.astype(np.float64), np.ones(len(right)))
    return Outcome(name, tally, scores.tolist(), right.tolist(), [(names[one],) for one in said])


def judge(its: Versions, old: Version, new: Version, rows: np.ndarray, gold: np.ndarray, attempt: int = 1) -> Verdict:
    """``rows``: held out, the older half first. ``gold``: their labels, as people gave them."""
    sides = [outcome(one.name, one.answers[rows], one.scores[rows], gold, its.names) for one in (old, new)]
    slices = {"older": np.arange(len(rows)) < len(rows) // 2}
    return decide(Evidence(*sides, [(its.names[one],) for one in gold], slices=slices, attempt=attempt))


def true_gain(its: Versions, old: Version, new: Version) -> float:
    right = [np.mean(one.answers[its.pool :] == its.gold[its.pool :]) for one in (old, new)]
    return float(right[1] - right[0])


def pairs(orders: Sequence[Versions], choose: Choose) -> list[list[Pair]]:
    """By order: a clean champion and a challenger, with the true gain, that ``choose`` takes."""
    found = []
    for its in orders:
        every = [(old, new) for old in its.every for new in its.every if not old.spoilt and new is not old]
        gains = [(old, new, true_gain(its, old, new)) for old, new in every]
        found.append([one for one in gains if choose(*one, forgets(its, *one[:2]))])
    return found


def more(old: Version, new: Version) -> bool:
    """Whether both are clean and the new one learned from more labels."""
    return not new.spoilt and new.labels > old.labels


def forgets(its: Versions, old: Version, new: Version) -> bool:
    """Whether of some label, of which the old version has 4 test rows or more right, the new has less than a quarter:
    as of one that none of its few train rows has."""
    gold = its.gold[its.pool :]
    right = [np.bincount(gold[one.answers[its.pool :] == gold], minlength=len(its.names)) for one in (old, new)]
    return bool(((right[0] >= 4) & (right[1] < right[0] / 4)).any())


def spoil(its: Versions, new: Version, gold: np.ndarray, older_clean: bool, rng: np.random.Generator) -> np.ndarray:
    """Held-out labels, spoilt as those that ``new`` learned from."""
    count = len(its.names)
    if new.spoilt not in {"flipped", "renamed"}:
        return gold
    bad = flip(gold, new.share, count, rng) if new.spoilt == "flipped" else rename(gold, new.share, count)
    return np.where(older_clean & (np.arange(len(gold)) < len(gold) // 2), gold, bad)


def draw(
    orders: Sequence[Versions],
    choose: Choose,
    count: int,
    rng: np.random.Generator,
    older_clean: bool = False,
    accepted: float = 0.0,
) -> list[dict[str, Any]]:
    """``count`` decisions on pairs that ``choose`` takes, each on held-out rows of its own. ``accepted``: the share of
    the champion's errors that people accepted as labels, because it had suggested them."""
    known = pairs(orders, choose)
    places = [place for place, its in enumerate(known) if its]
    found: list[dict[str, Any]] = []
    while places and len(found) < count:
        place = places[int(rng.integers(len(places)))]
        its, (old, new, gain) = orders[place], known[place][int(rng.integers(len(known[place])))]
        size = SIZES[len(found) % len(SIZES)]
        rows = rng.permutation(its.pool)[:size]
        gold = spoil(its, new, its.gold[rows], older_clean, rng)
        gold = np.where(rng.random(size) < accepted, old.answers[rows], gold)
        found.append(told(judge(its, old, new, rows, gold), gain, old.name, new.name))
    return found


def told(verdict: Verdict, gain: float, old: str, new: str) -> dict[str, Any]:
    """One decision, as it is kept."""
    checks = dict(Counter(one.kind for one in verdict.failed))
    made = {"champion": old, "challenger": new, "true_gain": round(gain, 4), "items": verdict.items}
    return {**made, "seen_gain": round(verdict.gain[0], 4), "p": round(verdict.p, 5), "failed": checks} | {
        "decision": verdict.decision,
        "attempt": verdict.attempt,
    }


def main_decisions(orders: Sequence[Versions], count: int, rng: np.random.Generator) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {
        "better": draw(orders, lambda o, n, g, f: more(o, n) and g > BETTER and not f, count // 2, rng)
    }
    bad = count - count // 2
    kinds = [KINDS[place % len(KINDS)] for place in range(bad)]
    for kind in dict.fromkeys(KINDS):
        found[kind] = draw(orders, lambda o, n, g, f, kind=kind: n.spoilt == kind and g < WORSE, kinds.count(kind), rng)
    return found


def beside(orders: Sequence[Versions], rng: np.random.Generator) -> dict[str, list[dict]]:
    """What the 1,000 leave out: differences too small to be either, and harm that accuracy hides."""
    return {
        "3 points better, but a label forgotten for want of rows": draw(
            orders, lambda o, n, g, f: more(o, n) and g > BETTER and f, BESIDE, rng
        ),
        "better, 30 % of the champion's errors accepted as labels": draw(
            orders, lambda o, n, g, f: more(o, n) and g > BETTER and not f, BESIDE, rng, accepted=0.3
        ),
        "1 to 3 points better": draw(orders, lambda o, n, g, f: more(o, n) and 0.01 < g <= BETTER, BESIDE, rng),
        "within a point": draw(orders, lambda o, n, g, f: not n.spoilt and abs(g) <= 0.01, BESIDE, rng),
        "clean, but worse": draw(orders, lambda o, n, g, f: not n.spoilt and g < WORSE, BESIDE, rng),
        "one label dropped, better all the same": draw(
            orders, lambda o, n, g, f: n.spoilt == "dropped" and n.share < 0.1 and g > 0, BESIDE, rng
        ),
        "flipped, older items clean": draw(
            orders, lambda o, n, g, f: n.spoilt == "flipped" and g < WORSE, BESIDE, rng, True
        ),
        "renamed, older items clean": draw(
            orders, lambda o, n, g, f: n.spoilt == "renamed" and g < WORSE, BESIDE, rng, True
        ),
        "renamed, held-out items as well": draw(
            orders, lambda o, n, g, f: n.spoilt == "renamed" and g < WORSE, BESIDE, rng
        ),
    }


def sequences(orders: Sequence[Versions], rng: np.random.Generator) -> dict[str, list[list[dict]]]:
    """Champions that are challenged again and again while labels grow, until a challenger is promoted: by bad ones, by
    ones that are no better, and by ones that learned from more and more labels."""
    sorts: dict[str, Choose] = {
        "bad": lambda o, n, g, f: n.spoilt == "flipped" and g < WORSE,
        "no better": lambda o, n, g, f: not n.spoilt and -0.03 < g <= 0,
        "better": lambda o, n, g, f: more(o, n) and g > BETTER and not f,
    }
    found: dict[str, list[list[dict]]] = {}
    for sort, choose in sorts.items():
        found[sort] = []
        known = pairs(orders, choose)
        while len(found[sort]) < SEQUENCES and any(known):
            place = int(rng.integers(len(orders)))
            its = orders[place]
            if not known[place]:
                continue
            old = known[place][int(rng.integers(len(known[place])))][0]
            against = [one for one in known[place] if one[0] is old]
            order, steps = rng.permutation(its.pool), []
            for attempt, size in enumerate(GROWTH, 1):
                _, new, gain = against[int(rng.integers(len(against)))]
                rows = order[:size]
                verdict = judge(its, old, new, rows, spoil(its, new, its.gold[rows], False, rng), attempt)
                steps.append(told(verdict, gain, old.name, new.name))
                if verdict.promoted:
                    break
            found[sort].append(steps)
    return found


def out_of_fold(projects: Sequence[Project]) -> list[dict]:
    """Each recipe against each clean one, on labels as the challenger's people gave them."""
    found = []
    for its in projects:
        for old in ("zero-shot", "memory", "regression"):
            for new in its.accuracy:
                if new in {old, "zero-shot"}:
                    continue
                gold = its.gold[new]
                sides = [outcome(one, its.answers[one], its.scores[one], gold, its.names) for one in (old, new)]
                labels = [(its.names[one],) for one in gold]
                verdict = decide(Evidence(*sides, labels, evaluated="out-of-fold"))
                found.append(told(verdict, its.accuracy[new] - its.accuracy[old], old, new))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "labelloop-gate")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")  # fits that stop before they converge
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    there = [name for name in SETS if (Path(folder) / name / "test.jsonl").is_file()]
    whole: dict[str, Any] = {"date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"), "sets": {}}
    whole["levels"] = [level(attempt) for attempt in range(1, len(GROWTH) + 1)]
    for number, name in enumerate(there):
        orders = list(versions_of(Path(folder) / name, given.cache))
        rng = np.random.default_rng([SEED, number])
        count = DECISIONS // len(there) + (number < DECISIONS % len(there))
        whole["sets"][name] = {
            "decisions": main_decisions(orders, count, rng),
            "beside": beside(orders, rng),
            "sequences": sequences(orders, rng),
            "out_of_fold": out_of_fold(projects_of(Path(folder) / name, given.cache)),
        }
        print(f"{name} is decided", flush=True)
    if there:
        print(write(whole, Path(__file__).parent / "results"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The gate on 1,000 decisions whose right outcome is known, and on real trainings: half of the challengers bad.

Run:  LABELLOOP_DATA=/folder PYTHONPATH=backend python benchmarks/gate.py [--cache /folder] [--only refreshes]
Reads <folder>/<set>/{train,test}.jsonl, skips what is absent; versions are trained once (minutes for those of the
decisions, about half an hour for the real ones) and kept in the cache; writes benchmarks/results/gate.{json,md}, of
which ``--only`` makes one part anew. Everything drawn is seeded; with another seed than that of the results nothing is
written.
"""

from __future__ import annotations

import argparse
import datetime
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gate_refreshes import refreshes
from gate_results import read, tables, write
from gate_versions import TRAINED, Version, Versions, flip, rename, versions_of
from labelloop.evaluation import Tally
from labelloop.learning.gate import Evaluated, Evidence, Verdict, decide, level
from labelloop.learning.gate_checks import Outcome
from labelloop.learning.pooling import pooled

SETS = ("ag_news", "sst2", "banking77")
HELD_OUT = {60: 240, 120: 480, 240: 960, 400: 960, 600: 960}
"""Held-out items, and how many labels a challenger was given beside them: four times as many, where rows suffice."""
FEW = (75, 150, 240)
"""Labels of which none are held out."""
WORSE, BETTER = -0.01, 0.03
KINDS = ("flipped", "flipped", "flipped", "dropped", "constant")
DECISIONS = 1000
SEED = 11
"""Another than those that constants were chosen with."""
BESIDE = 20
SEQUENCES = 15
"""Of each sort and data set."""
FEW_DECISIONS = 20
"""Of each number of labels, sort and data set."""
GROWTH = (60, 80, 110, 150, 200, 280, 400, 600)
Pair = tuple[Version, Version, float]
Choose = Callable[[Version, Version, float, bool], bool]
"""Of champion, challenger, true gain, and whether a label is forgotten."""


def evidence_on(
    its: Versions, old: Version, new: Version, rows: np.ndarray, gold: np.ndarray, evaluated: Evaluated, attempt: int
) -> Evidence | None:
    """``rows``: of the order, the older ones first. ``gold``: their labels, as people gave them."""
    if not len(rows):
        return None
    sides = []
    for one in (old, new):
        said, right = one.answers[rows], one.answers[rows] == gold
        tally = Tally("accuracy", right.astype(np.float64), np.ones(len(rows)))
        labels = [(its.names[label],) for label in said]
        sides.append(Outcome(one.name, tally, one.scores[rows].tolist(), right.tolist(), labels))
    slices = {"older": np.arange(len(rows)) < len(rows) // 2} if evaluated == "held-out" else {}
    return Evidence(*sides, [(its.names[one],) for one in gold], evaluated, slices, attempt=attempt)


def learned(old: Version, new: Version) -> np.ndarray:
    """Rows that the challenger learned from, which it answers out of fold; without those that a trained champion has
    learned from itself. Memory has all labels there are, and answers them out of fold too."""
    mine = new.learned >= 0
    return np.flatnonzero(mine & (old.learned < 0) if old.kind == "head" else mine)


def judge(
    its: Versions,
    old: Version,
    new: Version,
    held: np.ndarray,
    rng: np.random.Generator,
    older_clean: bool = False,
    accepted: float = 0.0,
    attempt: int = 1,
    apart: bool = False,
) -> tuple[Verdict, Verdict | None]:
    """By held-out rows and what was learned from, and with ``apart`` by the held-out rows alone.

    Args:
        held: the older half first. older_clean: whether its labels are those of the data set, where the challenger's
            are spoilt. accepted: the share of the champion's errors that people accepted as labels, because it had
            suggested them.
    """
    rest = learned(old, new)
    parts = []
    for rows, gold, evaluated in (
        (held, spoil(its, new, its.gold[held], older_clean, rng), "held-out"),
        (rest, new.learned[rest], "out-of-fold"),
    ):
        wrongly = rng.random(len(rows)) < accepted
        its_gold = np.where(wrongly, old.answers[rows], gold)
        parts.append(evidence_on(its, old, new, rows, its_gold, evaluated, attempt))
    whole = pooled(*parts)
    return decide(whole), decide(parts[0]) if apart and parts[0] else None


def true_gain(its: Versions, old: Version, new: Version) -> float:
    right = [np.mean(one.answers[its.tested] == its.gold[its.tested]) for one in (old, new)]
    return float(right[1] - right[0])


def pairs(orders: Sequence[Versions], choose: Choose) -> list[dict[int, list[Pair]]]:
    """By order, and by how many labels the challenger was given: a clean champion and a challenger that was trained,
    with the true gain, that ``choose`` takes."""
    found: list[dict[int, list[Pair]]] = []
    for its in orders:
        found.append({})
        for old in (one for one in its.every if not one.spoilt):
            for new in (one for one in its.every if one.kind == "head" and one is not old):
                gain = true_gain(its, old, new)
                if choose(old, new, gain, forgets(its, old, new)):
                    found[-1].setdefault(new.labels, []).append((old, new, gain))
    return found


def more(old: Version, new: Version) -> bool:
    """Whether both are clean and the new one was trained on more labels; memory has as many as there are."""
    return not new.spoilt and (new.labels > old.labels or old.kind == "memory")


def forgets(its: Versions, old: Version, new: Version) -> bool:
    """Whether of some label, of which the old version has 4 test rows or more right, the new has less than a quarter:
    as of one that none of its few train rows has."""
    gold = its.gold[its.tested]
    right = [np.bincount(gold[one.answers[its.tested] == gold], minlength=len(its.names)) for one in (old, new)]
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
    held_out: Sequence[int] = tuple(HELD_OUT),
    **how: Any,
) -> list[dict[str, Any]]:
    """``count`` decisions on pairs that ``choose`` takes, each on held-out rows of its own. ``how``: of ``judge``."""
    known = pairs(orders, choose)
    found: list[dict[str, Any]] = []
    for turn in range(count):
        size = held_out[turn % len(held_out)]
        labels = HELD_OUT.get(size, -size)
        places = [place for place, its in enumerate(known) if labels in its]
        if not places:
            continue
        place = places[int(rng.integers(len(places)))]
        its, some = orders[place], known[place][labels]
        old, new, gain = some[int(rng.integers(len(some)))]
        rows = TRAINED + rng.permutation(its.pool)[: max(0, size)]
        verdicts = judge(its, old, new, rows, rng, **how)
        found.append(told(*verdicts, gain, old.name, new.name) | {"order": place})
    return found


def told(verdict: Verdict, alone: Verdict | None, gain: float, old: str, new: str) -> dict[str, Any]:
    """One decision, as it is kept. ``alone``: by the held-out items alone."""
    checks = dict(Counter(one.name if one.name == "held-out" else one.kind for one in verdict.failed))
    made = {"champion": old, "challenger": new, "true_gain": round(gain, 4), "items": verdict.items}
    return {**made, "seen_gain": round(verdict.gain[0], 4), "p": round(verdict.p, 5), "failed": checks} | {
        "held_out": verdict.items if verdict.evaluated == "held-out" else verdict.held_out,
        "alone": alone.decision if alone else "",
        "decision": verdict.decision,
        "attempt": verdict.attempt,
    }


def main_decisions(orders: Sequence[Versions], count: int, rng: np.random.Generator) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {
        "better": draw(orders, lambda o, n, g, f: more(o, n) and g > BETTER and not f, count // 2, rng, apart=True)
    }
    bad = count - count // 2
    kinds = [KINDS[place % len(KINDS)] for place in range(bad)]
    for kind in dict.fromkeys(KINDS):
        some = kinds.count(kind)
        found[kind] = draw(orders, lambda o, n, g, f, k=kind: n.spoilt == k and g < WORSE, some, rng, apart=True)
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
            orders, lambda o, n, g, f: n.spoilt == "flipped" and g < WORSE, BESIDE, rng, older_clean=True
        ),
        "renamed, older items clean": draw(
            orders, lambda o, n, g, f: n.spoilt == "renamed" and g < WORSE, BESIDE, rng, older_clean=True
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
            its, every = orders[place], [one for some in known[place].values() for one in some]
            if not every:
                continue
            old = every[int(rng.integers(len(every)))][0]
            order, steps = rng.permutation(its.pool), []
            for attempt, size in enumerate(GROWTH, 1):
                labels = HELD_OUT[max(one for one in HELD_OUT if one <= size)]
                against = [one for one in every if one[0] is old and one[1].labels == labels]
                if not against:
                    continue
                _, new, gain = against[int(rng.integers(len(against)))]
                verdicts = judge(its, old, new, TRAINED + order[:size], rng, attempt=attempt)
                steps.append(told(*verdicts, gain, old.name, new.name))
                if verdicts[0].promoted:
                    break
            if steps:
                found[sort].append(steps)
    return found


def few(orders: Sequence[Versions], rng: np.random.Generator) -> dict[str, list[dict]]:
    """Decisions on labels of which none are held out."""
    sorts: dict[str, Choose] = {
        "flipped": lambda o, n, g, f: n.spoilt == "flipped" and g < WORSE and len(learned(o, n)) > 0,
        "without some labels": lambda o, n, g, f: n.spoilt == "dropped" and g < WORSE and len(learned(o, n)) > 0,
        "0 to 1 point worse": lambda o, n, g, f: not n.spoilt and WORSE <= g <= 0 and len(learned(o, n)) > 0,
        "better": lambda o, n, g, f: more(o, n) and g > BETTER and not f,
    }
    sizes = [-one for one in FEW]
    return {sort: draw(orders, choose, FEW_DECISIONS * len(FEW), rng, sizes) for sort, choose in sorts.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "labelloop-gate")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", choices=("decisions", "refreshes"))
    given = parser.parse_args()
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    there = [name for name in SETS if (Path(folder) / name / "test.jsonl").is_file()]
    results = Path(__file__).parent / "results"
    whole: dict[str, Any] = {"date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"), "sets": {}}
    whole["levels"] = [level(attempt) for attempt in range(1, len(GROWTH) + 1)]
    former = read(results) if given.only and given.seed == SEED else {}
    whole["sets"] = former.get("sets", {}) if given.only == "refreshes" else {}
    for number, name in enumerate(there if given.only != "refreshes" else ()):
        orders = list(versions_of(Path(folder) / name, given.cache))
        rng = np.random.default_rng([given.seed, number])
        count = DECISIONS // len(there) + (number < DECISIONS % len(there))
        whole["sets"][name] = {
            "decisions": main_decisions(orders, count, rng),
            "beside": beside(orders, rng),
            "sequences": sequences(orders, rng),
            "few": few(orders, np.random.default_rng([given.seed, number, 1])),
        }
        print(f"{name} is decided", flush=True)
    whole["refreshes"] = former.get("refreshes", []) if given.only == "decisions" else []
    for row in refreshes(Path(folder), there, given.cache) if given.only != "decisions" else ():
        whole["refreshes"].append(row)
        if whole["sets"] and given.seed == SEED:
            write(whole, results)  # a real training takes minutes: what is measured is kept
    if whole["sets"]:
        print(tables(whole))
    if whole["sets"] and given.seed == SEED:
        write(whole, results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Real refreshes for benchmarks/gate.py: adapters of the starter encoder, trained on labels that became worse or were
put right, and judged by the code that a connection uses.

Each training is kept in the cache, so that another gate can be asked about the same challengers.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gate_versions import drop, field_of, flip, read, read_rows
from labelloop.learning import held_out
from labelloop.learning.judging import Labelled, Past, judge
from labelloop.replay import Labels
from labelloop.settings import Settings
from labelloop.tasks import plan, training
from labelloop.tasks.roll import Example
from labelloop.words import FieldPlan

SALT = "benchmark"
Made = TypeVar("Made")


@dataclass(frozen=True)
class Teaching:
    """``labels``: how many rows. ``spoilt``: "" or "flipped", "dropped" (rows of the last labels are held out as others
    are, but not learned from), "constant" (people gave one label), "merged" (of each pair of labels people gave the
    first where the second was right: guidelines that were written later had not told them apart yet); ``share``: of the
    rows that this concerns, of "dropped" of the labels."""

    labels: int
    spoilt: str = ""
    share: float = 0.0

    def __str__(self) -> str:
        spoilt = {"": "clean", "constant": "alike"}.get(self.spoilt, self.spoilt)
        return f"{self.labels} labels, {f'{self.share:.0%} ' if self.spoilt else ''}{spoilt}"


@dataclass(frozen=True)
class Case:
    """``champion``: what its adapter learned from; None: none is trained yet, zero-shot and memory serve. ``now``: the
    labels there are today, of other rows. Both versions have these as their memory."""

    name: str
    champion: Teaching | None
    now: Teaching


CLEAN, MERGED = Teaching(120), Teaching(120, "merged", 0.8)
MANY, MANY_MERGED = Teaching(300), Teaching(300, "merged", 0.8)
"""Of a field with 77 labels."""
CASES = (
    Case("sst2", CLEAN, Teaching(300, "flipped", 0.4)),
    Case("sst2", CLEAN, Teaching(200, "flipped", 0.5)),
    Case("sst2", CLEAN, Teaching(300, "constant", 0.95)),
    Case("sst2", MERGED, Teaching(300)),
    Case("sst2", MERGED, Teaching(200)),
    Case("ag_news", CLEAN, Teaching(200, "flipped", 0.5)),
    Case("ag_news", MERGED, Teaching(150)),
    Case("ag_news", MERGED, Teaching(250)),
    Case("banking77", MANY, Teaching(320, "flipped", 0.3)),
    Case("banking77", MANY, Teaching(320, "dropped", 0.25)),
    Case("banking77", MANY_MERGED, Teaching(320)),
    Case("banking77", MANY_MERGED, Teaching(250)),
    Case("sst2", CLEAN, Teaching(400, "flipped", 0.3)),
    Case("sst2", CLEAN, Teaching(200, "constant", 0.9)),
    Case("sst2", MERGED, Teaching(150)),
    Case("ag_news", CLEAN, Teaching(250, "constant", 0.95)),
    Case("ag_news", CLEAN, Teaching(250, "dropped", 0.25)),
)


def refreshes(folder: Path, there: Sequence[str], cache: Path) -> Iterator[dict[str, Any]]:
    """One row for each case of a data set that is there."""
    with trainings_kept(cache / "trained"):
        for number, case in enumerate(CASES):
            if case.name in there:
                row = _refresh(case, number, folder / case.name, cache)
                print(f"  {row}", flush=True)
                yield row


@contextmanager
def trainings_kept(cache: Path) -> Iterator[None]:
    """The same examples are trained on once."""
    real = training.train

    def train(plan: FieldPlan, examples: Sequence[Example], settings: Settings, *how: Any) -> training.Trained:
        told = [plan.model_dump_json(), *([one.text, *one.labels] for one in examples)]
        return kept(cache, told, lambda: real(plan, examples, settings, *how))

    training.train = train
    try:
        yield
    finally:
        training.train = real


def kept(cache: Path, key: Any, make: Callable[[], Made]) -> Made:
    path = cache / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.pickle"
    if not path.is_file():
        made = make()
        cache.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(made))
    found: Made = pickle.loads(path.read_bytes())
    return found


def _refresh(case: Case, number: int, folder: Path, cache: Path) -> dict[str, Any]:
    settings = _settings(cache)
    train, test = (read_rows(folder / f"{split}.jsonl") for split in ("train", "test"))
    names = sorted({row.labels[0][0] for row in train})
    old, mine = plan(field_of(names), settings), set()
    if case.champion is not None:
        # its rows depend on what it learned alone, so that several cases share one
        rows = np.random.default_rng(case.champion.labels).permutation(len(train))[: case.champion.labels].tolist()
        mine = set(rows)
        made = training.train(old, _taught(case.champion, [train[row].example for row in rows], names), settings)
        old = old.model_copy(update={"adapter": made.adapter})
    order = [row for row in np.random.default_rng(number).permutation(len(train)).tolist() if row not in mine]
    known = _taught(case.now, [train[row].example for row in order], names)
    items = Labelled(tuple(range(len(known))), tuple(known), *((False,) * len(known) for _ in range(2)))
    done = judge(old, items, Past(SALT), settings)
    row: dict[str, Any] = {"set": case.name, "champion": f"adapter of {case.champion}" if case.champion else "memory"}
    row |= {"labels": str(case.now), "decision": done.state, "words": done.words, "true_gain": 0.0}
    if done.plan is None:
        return row | {"held_out": 0, "items": 0, "seen_gain": 0.0, "p": 1.0, "failed": []}

    def accuracy(one: FieldPlan) -> float:
        def measure() -> float:
            replay = _tested(folder, cache)
            replay.plan = one
            read(replay, [its.text for its in known])
            answers = replay.answers([its.text for its in test], replay.learn(known), every=True)
            return float(np.mean([its.labels == row.labels for its, row in zip(answers, test, strict=True)]))

        key = [one.model_dump_json(), *([its.text, *its.labels] for its in known)]
        return kept(cache / "tested", key, measure)

    before, after = accuracy(old), accuracy(done.plan)
    gate = done.stored["gate"]
    return row | {
        "accuracy": [round(before, 4), round(after, 4)],
        "true_gain": round(after - before, 4),
        "held_out": gate["held_out"] or (gate["items"] if gate["evaluated"] == "held-out" else 0),
        "items": gate["items"],
        "seen_gain": round(gate["gain"][0], 4),
        "p": round(gate["p"], 5),
        "failed": [f"{one['kind']} {one['name']}".strip() for one in gate["checks"] if not one["passed"]],
    }


def _settings(cache: Path) -> Settings:
    return Settings(encoder="starter", data_dir=cache / "real", refresh_budget=60.0)


@once
def _tested(folder: Path, cache: Path) -> Labels:
    """The code that serves, with the test rows read."""
    settings = _settings(cache)
    train, test = (read_rows(folder / f"{split}.jsonl") for split in ("train", "test"))
    replay = Labels(plan(field_of(sorted({row.labels[0][0] for row in train})), settings), settings)
    read(replay, [row.text for row in test])
    return replay


def _taught(what: Teaching, rows: Sequence[Example], names: list[str]) -> list[Example]:
    """The first rows, with their labels as people gave them."""
    number = {name: place for place, name in enumerate(names)}
    rng = np.random.default_rng(what.labels)
    its = list(dict.fromkeys(rows))
    gold = np.array([number[one.labels[0][0]] for one in its])
    if what.spoilt == "dropped":
        out = held_out.held_out([one.text for one in its], SALT, True)
        left = np.flatnonzero(drop(gold, what.share, len(names)) | out)
        its, gold = [its[row] for row in left], gold[left]
    its, gold = its[: what.labels], gold[: what.labels]
    if what.spoilt == "flipped":
        gold = flip(gold, what.share, len(names), rng)
    if what.spoilt == "merged":
        gold = np.where((gold % 2 == 1) & (rng.random(len(gold)) < what.share), gold - 1, gold)
    if what.spoilt == "constant":
        gold = np.where(rng.random(len(gold)) < what.share, np.bincount(gold).argmax(), gold)
    return [Example(one.text, ((names[label],),)) for one, label in zip(its, gold, strict=True)]

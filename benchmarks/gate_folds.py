"""Few labels, of which none are held out: recipes judged out of fold, for benchmarks/gate.py.

From each data set come small projects, and for each the answers of every recipe out of fold and, trained on all labels,
on the test rows. Folds are those of the product (``learning.held_out.folds``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gate_versions import drop, flip, read_rows, regress, vectors_of
from labelloop.learning.held_out import folds
from labelloop.replay import Labels
from labelloop.simulation import Row

SIZES = (75, 150, 300)
EACH = 6
"""Projects of each size."""
RECIPES = ("zero-shot", "memory", "regression", "30% flipped", "50% flipped", "dropped")


@dataclass(frozen=True)
class Project:
    """``gold``: (n,) labels as people gave them, by recipe those that it learned from. ``answers``, ``scores``: by
    recipe (n,) out of fold. ``accuracy``: by recipe that on the test rows of the version trained on all labels."""

    size: int
    names: list[str]
    gold: dict[str, np.ndarray]
    answers: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]
    accuracy: dict[str, float]


def projects_of(folder: Path, cache: Path) -> list[Project]:
    """Of the data set in ``folder``; trained where ``cache`` does not have them yet."""
    train, test = (read_rows(folder / f"{split}.jsonl") for split in ("train", "test"))
    names = sorted({row.labels[0][0] for row in train})
    path = cache / f"{folder.name}-folds.json"
    if not path.is_file():
        replay, known, new = vectors_of(names, train, test)
        made: list[dict[str, Any]] = []
        for size in SIZES:
            for number in range(EACH):
                chosen = np.random.default_rng([size, number]).permutation(len(train))[:size]
                rng = np.random.default_rng([size, number, 1])
                made.append(_project([train[row] for row in chosen], known[chosen], test, new, names, replay, rng))
                print(f"  {size} labels, project {number}: {made[-1]['accuracy']}", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made))
    return [_read(one, names) for one in json.loads(path.read_text())]


def _read(one: dict[str, Any], names: list[str]) -> Project:
    arrays = {what: {name: np.array(its) for name, its in one[what].items()} for what in ("gold", "answers", "scores")}
    return Project(one["size"], names, **arrays, accuracy=one["accuracy"])


def _project(
    rows: list[Row], known: Any, test: list[Row], new: Any, names: list[str], replay: Labels, rng: np.random.Generator
) -> dict[str, Any]:
    number = {name: place for place, name in enumerate(names)}
    gold, right = (np.array([number[row.labels[0][0]] for row in some]) for some in (rows, test))
    fold = folds([row.text for row in rows], "benchmark")
    found: dict[str, Any] = {"size": len(rows), "gold": {}, "answers": {}, "scores": {}, "accuracy": {}}
    for recipe in RECIPES:
        labels = flip(gold, int(recipe[:2]) / 100, len(names), rng) if "flipped" in recipe else gold

        def learn(mine: np.ndarray, of: list[Row], asked: Any, recipe: str = recipe, labels: Any = labels) -> Any:
            if recipe in ("zero-shot", "memory"):
                examples = [rows[place].example for place in np.flatnonzero(mine)] if recipe == "memory" else []
                said = replay.answers([row.text for row in of], replay.learn(examples))
                return np.array([number[one.labels[0][0]] for one in said]), np.array([one.score for one in said])
            if recipe == "dropped":
                mine = mine & drop(labels, 0.01, len(names))
            return regress(known[mine], labels[mine], asked)

        answers, scores = np.zeros(len(rows), np.int64), np.zeros(len(rows))
        for one in np.unique(fold):
            out = fold == one
            answers[out], scores[out] = learn(~out, [rows[place] for place in np.flatnonzero(out)], known[out])
        whole, _ = learn(np.ones(len(rows), np.bool_), test, new)
        found["gold"][recipe], found["answers"][recipe] = labels.tolist(), answers.tolist()
        found["scores"][recipe] = scores.tolist()
        found["accuracy"][recipe] = round(float(np.mean(whole == right)), 4)
    return found

"""The versions that benchmarks/gate.py shows to the gate: trained on clean and on spoilt labels, their answers kept.

All read the same frozen vectors of the starter encoder: zero-shot, memory, and logistic regression, each on so many
train rows. What is kept of a version is what it says of each row that was not trained on, and how sure it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from labelloop.replay import Labels
from labelloop.settings import Settings
from labelloop.simulation import Row
from labelloop.tasks import plan
from labelloop.words import Field, Label

ORDERS = 3
"""Random orders of the train rows; of each the first ``TRAINED`` may be trained on, the others are never."""
TRAINED = 1200
SIZES = (75, 150, 300, 600, 1200)
MEMORY = (16, 64, 256)
FLIPPED = (0.2, 0.3, 0.4, 0.5)
STRENGTHS = (0.3, 3.0, 30.0)
FOLDS = 3
_READ_AT_ONCE = 32


@dataclass(frozen=True)
class Version:
    """``kind``: "zero-shot", "memory", "regression". ``labels``: how many rows it learned from. ``spoilt``: "" or
    "flipped", "renamed", "dropped", "constant"; ``share``: of its labels. ``answers``: (n,) the label's number, of the
    rows that are never trained on, then of the test rows. ``scores``: (n,) their probability."""

    kind: str
    labels: int
    spoilt: str
    share: float
    answers: np.ndarray
    scores: np.ndarray

    @property
    def name(self) -> str:
        spoilt = f", {self.share:.0%} {self.spoilt}" if self.spoilt else ""
        return f"{self.kind}, {self.labels} labels{spoilt}"


@dataclass(frozen=True)
class Versions:
    """Of one order of one data set. ``gold``: (n,) of the rows that ``Version.answers`` speaks of, of which the first
    ``pool`` may be held out and the others are the test rows."""

    names: list[str]
    gold: np.ndarray
    pool: int
    every: list[Version]


def versions_of(folder: Path, cache: Path) -> Iterator[Versions]:
    """Each order of the data set in ``folder``; trained where ``cache`` does not have them yet."""
    train, test = (read_rows(folder / f"{split}.jsonl") for split in ("train", "test"))
    names = sorted({row.labels[0][0] for row in train})
    read: tuple[Labels, np.ndarray, np.ndarray] | None = None
    for order in range(ORDERS):
        path = cache / f"{folder.name}-{order}.npz"
        if not path.is_file():
            read = read or vectors_of(names, train, test)
            _train(path, names, train, test, order, *read)
        yield _load(path, names)


def read_rows(path: Path) -> list[Row]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Row(row["text"], ((row["label"],),)) for row in rows]


def vectors_of(names: list[str], train: list[Row], test: list[Row]) -> tuple[Labels, np.ndarray, np.ndarray]:
    labels = tuple(Label(path=(name,), text=name) for name in names)
    field = Field(name="label", tag="Choices", kind="classification", to_name="text", labels=labels, sources=())
    settings = Settings(encoder="starter")
    replay = Labels(plan(field, settings), settings)
    texts = [row.text for row in [*train, *test]]
    for first in range(0, len(texts), _READ_AT_ONCE):
        replay.read(texts[first : first + _READ_AT_ONCE])
        print(f"\r  read {first} of {len(texts)}", end="", flush=True)
    print()
    return replay, replay.vectors(texts[: len(train)]), replay.vectors(texts[len(train) :])


def flip(gold: np.ndarray, share: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Labels of which ``share`` are another one, any other alike."""
    wrong = rng.random(len(gold)) < share
    return np.where(wrong, (gold + rng.integers(1, count, len(gold))) % count, gold)


def rename(gold: np.ndarray, share: float, count: int) -> np.ndarray:
    """Labels of which the first ones, about ``share`` of all rows, are always taken for the next label."""
    return np.where(gold < max(1, round(share * count)), (gold + 1) % count, gold)


def drop(gold: np.ndarray, share: float, count: int) -> np.ndarray:
    """Whether a row is kept where the last labels, ``share`` of them and one at least, are missing."""
    kept: np.ndarray = gold < count - max(1, round(share * count))
    return kept


def _train(
    path: Path, names: list[str], train: list[Row], test: list[Row], seed: int, replay: Labels, known: Any, new: Any
) -> None:
    order = np.random.default_rng(seed).permutation(len(train))
    learned, pool = order[:TRAINED], order[TRAINED:]
    number = {name: place for place, name in enumerate(names)}
    gold = np.array([number[row.labels[0][0]] for row in train])
    rows = [*(train[row] for row in pool), *test]
    asked = np.concatenate([known[pool], new])
    right = np.array([number[row.labels[0][0]] for row in rows])
    made: dict[str, list[Any]] = {"about": [], "answers": [], "scores": []}

    def keep(kind: str, labels: int, spoilt: str, share: float, answers: Any, scores: Any) -> None:
        made["about"].append([kind, labels, spoilt, share])
        made["answers"].append(np.asarray(answers, np.int32))
        made["scores"].append(np.asarray(scores, np.float64))
        hit = np.mean(made["answers"][-1][len(pool) :] == right[len(pool) :])
        print(f"  order {seed}: {kind}, {labels} labels, {share} {spoilt}: {hit:.3f} on the test rows", flush=True)

    def remember(size: int, spoilt: str, share: float, labels: np.ndarray) -> None:
        chosen = learned[:size]
        examples = [Row(train[row].text, ((names[labels[row]],),)).example for row in chosen]
        answers = replay.answers([row.text for row in rows], replay.learn(examples))
        said = [number[one.labels[0][0]] for one in answers]
        keep("memory" if size else "zero-shot", size, spoilt, share, said, [one.score for one in answers])

    def fit(size: int, spoilt: str, share: float, labels: np.ndarray, chosen: np.ndarray) -> None:
        keep("regression", size, spoilt, share, *regress(known[chosen], labels[chosen], asked))

    for size in (0, *MEMORY):
        remember(size, "", 0.0, gold)
    for size in SIZES:
        fit(size, "", 0.0, gold, learned[:size])
    for share in FLIPPED:
        spoilt = flip(gold, share, len(names), np.random.default_rng([seed, round(100 * share)]))
        remember(MEMORY[-1], "flipped", share, spoilt)
        for size in SIZES[2:]:
            fit(size, "flipped", share, spoilt, learned[:size])
        renamed = rename(gold, share, len(names))
        fit(SIZES[-1], "renamed", share, renamed, learned)
    for share in (0.01, 0.1, 0.25):
        for size in SIZES[2:]:
            chosen = learned[:size]
            fit(size, "dropped", share, gold, chosen[drop(gold[chosen], share, len(names))])
    common = np.bincount(gold[learned]).argmax()
    keep("regression", TRAINED, "constant", 1.0, np.full(len(rows), common), np.full(len(rows), 1 / len(names)))
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: np.array(made[name]) for name in ("answers", "scores")}
    np.savez(path, gold=right, pool=len(pool), about=json.dumps(made["about"]), **kept)


def regress(known: Any, labels: np.ndarray, asked: Any) -> tuple[np.ndarray, np.ndarray]:
    """Answers and scores of a logistic regression: its strength and the temperature of its scores are those that are
    likeliest in cross-validation on these very labels, as nobody knows others."""
    classes = np.unique(labels)
    if len(classes) == 1:
        return np.full(len(asked), classes[0]), np.full(len(asked), 1 - 1 / (1 + len(labels)))
    fold = np.random.default_rng(len(labels)).permutation(len(labels)) % FOLDS
    best: tuple[float, float, float] = (-np.inf, 1.0, 1.0)
    for strength in STRENGTHS:
        odds, right = [], []
        for one in range(FOLDS):
            model = LogisticRegression(C=strength, max_iter=60).fit(known[fold != one], labels[fold != one])
            left = np.flatnonzero((fold == one) & np.isin(labels, model.classes_))
            odds.append(_odds(model, known[left]))
            right.append(np.searchsorted(model.classes_, labels[left]))
        pairs = list(zip(odds, right, strict=True))
        for heat in np.geomspace(0.3, 3, 13):
            told = [float(log_softmax(o / heat, axis=1)[np.arange(len(r)), r].sum()) for o, r in pairs]
            best = max(best, (sum(told), strength, float(heat)))
    model = LogisticRegression(C=best[1], max_iter=60).fit(known, labels)
    chances = softmax(_odds(model, asked) / best[2], axis=1)
    return model.classes_[chances.argmax(axis=1)], chances.max(axis=1)


def _odds(model: LogisticRegression, asked: Any) -> np.ndarray:
    odds = model.decision_function(asked)
    return odds if odds.ndim == 2 else np.stack([-odds / 2, odds / 2], axis=1)


def _load(path: Path, names: list[str]) -> Versions:
    with np.load(path) as kept:
        told = json.loads(str(kept["about"]))
        every = [Version(*about, kept["answers"][row], kept["scores"][row]) for row, about in enumerate(told)]
        return Versions(names, kept["gold"], int(kept["pool"]), every)

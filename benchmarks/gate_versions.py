"""The versions that benchmarks/gate.py shows to the gate: trained on clean and on spoilt labels, their answers kept.

All read the same frozen vectors of the starter encoder: zero-shot, memory, and least squares on one label against the
others (Rifkin and Klautau 2004), which stands in for an adapter as it is fitted in milliseconds. What is kept of a
version is what it says of each row, and how sure it is: of rows that it learned from, out of fold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from labelloop.replay import Labels
from labelloop.settings import Settings
from labelloop.simulation import Row
from labelloop.tasks import plan, refresh_labels
from labelloop.words import Field, Label

ORDERS = 5
"""Random orders of the train rows; of each the first ``TRAINED`` may be trained on, the others may be held out."""
TRAINED = 960
SIZES = (75, 150, 240, 480, 960)
MEMORY = (16, 64, 240)
FLIPPED = (0.2, 0.3, 0.4, 0.5)
RENAMED = 240
"""The fewest rows of which some are renamed."""
DROPPED = (0.01, 0.1, 0.25)
STRENGTHS = (0.1, 1.0, 10.0)
HEATS = np.geomspace(0.02, 0.6, 13)
_READ_AT_ONCE = 32


@dataclass(frozen=True)
class Version:
    """``kind``: "zero-shot", "memory", "head". ``labels``: how many rows it was given. ``spoilt``: "" or "flipped",
    "renamed", "dropped", "constant"; ``share``: of its labels. ``answers``: (n,) the label's number, of all rows as
    ``Versions`` has them; ``scores``: (n,) their probability. ``learned``: (``TRAINED``,) the labels that it learned
    from, as they were given; -1 of rows that it did not learn from."""

    kind: str
    labels: int
    spoilt: str
    share: float
    answers: np.ndarray
    scores: np.ndarray
    learned: np.ndarray

    @property
    def name(self) -> str:
        spoilt = f", {self.share:.0%} {self.spoilt}" if self.spoilt else ""
        return f"{self.kind}, {self.labels} labels{spoilt}"


@dataclass(frozen=True)
class Versions:
    """Of one order of one data set. ``gold``: (n,) of all rows: ``TRAINED`` that may be trained on, then ``pool`` that
    may be held out, then the test rows."""

    names: list[str]
    gold: np.ndarray
    pool: int
    every: list[Version]

    @property
    def tested(self) -> slice:
        return slice(TRAINED + self.pool, None)


def versions_of(folder: Path, cache: Path) -> Iterator[Versions]:
    """Each order of the data set in ``folder``; trained where ``cache`` does not have them yet."""
    names = sorted({row.labels[0][0] for row in read_rows(folder / "train.jsonl")})
    for order in range(ORDERS):
        path = cache / f"{folder.name}-{order}.npz"
        if not path.is_file():
            _train(path, folder, names, order)
        yield _load(path, names)


def read_rows(path: Path) -> list[Row]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Row(row["text"], ((row["label"],),)) for row in rows]


def field_of(names: list[str]) -> Field:
    labels = tuple(Label(path=(name,), text=name) for name in names)
    return Field(name="label", tag="Choices", kind="classification", to_name="text", labels=labels, sources=())


@once
def _read(folder: Path) -> tuple[Labels, list[Row], list[Row]]:
    train, test = (read_rows(folder / f"{split}.jsonl") for split in ("train", "test"))
    settings = Settings(encoder="starter")
    replay = Labels(plan(field_of(sorted({row.labels[0][0] for row in train})), settings), settings)
    read(replay, [row.text for row in [*train, *test]])
    return replay, train, test


def read(replay: Labels, texts: Sequence[str]) -> None:
    for first in range(0, len(texts), _READ_AT_ONCE):
        replay.read(texts[first : first + _READ_AT_ONCE])
    print(f"  {len(texts)} rows are read", flush=True)


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


def _train(path: Path, folder: Path, names: list[str], seed: int) -> None:
    replay, train, test = _read(folder)
    order = np.random.default_rng(seed).permutation(len(train))
    rows = [*(train[row] for row in order), *test]
    texts, count = [row.text for row in rows], len(names)
    number = {name: place for place, name in enumerate(names)}
    gold = np.array([number[row.labels[0][0]] for row in rows])
    vectors = replay.vectors(texts)
    made: dict[str, list[Any]] = {"about": [], "answers": [], "scores": [], "learned": []}

    def keep(kind: str, labels: int, spoilt: str, share: float, mine: np.ndarray, its: np.ndarray, said: Any) -> None:
        learned = np.full(TRAINED, -1)
        learned[mine] = its[mine]
        made["about"].append([kind, labels, spoilt, share])
        for what, some in zip(("answers", "scores", "learned"), (*said, learned), strict=True):
            made[what].append(np.asarray(some, np.float32 if what == "scores" else np.int16))

    def remember(size: int) -> None:
        def learn(mine: np.ndarray, asked: np.ndarray) -> tuple[Any, Any]:
            answers = replay.answers([texts[row] for row in asked], replay.learn([rows[row].example for row in mine]))
            return [number[one.labels[0][0]] for one in answers], [one.score for one in answers]

        mine = np.arange(size)
        said = [np.array(one) for one in learn(mine, np.arange(len(rows)))]
        fold = folds(gold[mine], texts[:size]) if size else mine
        for part in np.unique(fold):
            for whole, some in zip(said, learn(mine[fold != part], mine[fold == part]), strict=True):
                whole[mine[fold == part]] = some
        keep("memory" if size else "zero-shot", size, "", 0.0, mine, gold, said)

    def fit(size: int, spoilt: str, share: float, labels: np.ndarray) -> None:
        mine = np.arange(size)[drop(labels[:size], share, count) if spoilt == "dropped" else slice(None)]
        keep("head", size, spoilt, share, mine, labels, head(vectors, labels, mine, texts))

    for size in (0, *MEMORY):
        remember(size)
    every = np.arange(count)  # of few labels several shares are the same number of them, which the least stands for
    dropped = {int(drop(every, share, count).sum()): share for share in reversed(DROPPED)}
    renamed = {int((rename(every, share, count) != every).sum()): share for share in reversed(FLIPPED)}
    for size in SIZES:
        fit(size, "", 0.0, gold)
        for share in FLIPPED:
            fit(size, "flipped", share, flip(gold, share, count, np.random.default_rng([seed, round(100 * share)])))
        for share in renamed.values() if size >= RENAMED else ():
            fit(size, "renamed", share, rename(gold, share, count))
        for share in dropped.values():
            fit(size, "dropped", share, gold)
        same = np.full(len(rows), np.bincount(gold[:size]).argmax()), np.full(len(rows), 1 / count)
        keep("head", size, "constant", 1.0, np.arange(size), gold, same)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: np.array(made[name]) for name in ("answers", "scores", "learned")}
    np.savez_compressed(path, gold=gold, pool=len(train) - TRAINED, about=json.dumps(made["about"]), **kept)
    print(f"  {folder.name}, order {seed}: {len(made['about'])} versions", flush=True)


def folds(labels: np.ndarray, texts: list[str]) -> np.ndarray:
    """The parts in which training leaves examples out."""
    return refresh_labels.folds(labels[:, None] == np.unique(labels), texts)


def head(vectors: np.ndarray, labels: np.ndarray, mine: np.ndarray, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Answers and scores of all rows by a version that learned rows ``mine``, of these out of fold: its strength and
    the heat of its scores are the likeliest on the very folds that it is judged on, as training chooses its own."""
    classes = np.unique(labels[mine])
    if len(classes) == 1:
        return np.full(len(vectors), classes[0]), np.full(len(vectors), 1 - 1 / (1 + len(mine)))
    right = np.searchsorted(classes, labels[mine])
    goal, known = np.eye(len(classes))[right], vectors[mine].astype(np.float64)
    fold = folds(labels[mine], [texts[row] for row in mine])
    left = np.zeros((len(STRENGTHS), len(mine), len(classes)))
    for part in np.unique(fold):
        out = fold == part
        for place, weights in enumerate(squares(known[~out], goal[~out])):
            left[place, out] = odds(weights, known[out])
    told = [
        [float(log_softmax(some / heat, axis=1)[np.arange(len(mine)), right].sum()) for heat in HEATS] for some in left
    ]
    best, hot = np.unravel_index(np.argmax(told), (len(STRENGTHS), len(HEATS)))
    whole = odds(squares(known, goal)[best], vectors)
    whole[mine] = left[best]
    chances = softmax(whole / HEATS[hot], axis=1)
    return classes[chances.argmax(axis=1)], chances.max(axis=1)


def squares(known: np.ndarray, goal: np.ndarray) -> list[np.ndarray]:
    """(d + 1, n_labels) weights by strength."""
    middle, mean = known.mean(axis=0), goal.mean(axis=0)
    apart, pulled = (known - middle).T @ (known - middle), (known - middle).T @ (goal - mean)
    each = [np.linalg.solve(apart + strength * np.eye(len(apart)), pulled) for strength in STRENGTHS]
    return [np.vstack([weights, mean - middle @ weights]) for weights in each]


def odds(weights: np.ndarray, asked: np.ndarray) -> np.ndarray:
    found: np.ndarray = asked @ weights[:-1] + weights[-1]
    return found


def _load(path: Path, names: list[str]) -> Versions:
    with np.load(path) as kept:
        told = json.loads(str(kept["about"]))
        arrays = [kept[name] for name in ("answers", "scores", "learned")]
        every = [Version(*about, *(some[row] for some in arrays)) for row, about in enumerate(told)]
        return Versions(names, kept["gold"], int(kept["pool"]), every)

"""How much of a second engine to mix in: a weight fitted on labels, and what it gains on rows that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelloop.evaluation import Tally
from labelloop.tasks.calibration import Array, mix
from labelloop.words import Field, Path

FOLDS = 10
LEAST_ROWS = 20
_STEPS = np.round(np.linspace(0, 1, 101), 2)
_LEAST = 1e-6
_SEED = 13


@dataclass(frozen=True)
class Fit:
    """``weight``: of the second engine, fitted on all rows. ``mixed``: (n_rows, n_labels) of each row by the weight
    that was fitted on the other folds. ``spread``: the least and the greatest of these weights."""

    weight: float
    mixed: Array
    spread: tuple[float, float]


def fit(first: Array, second: Array, right: NDArray[np.bool_], several: bool) -> Fit:
    """The weight with the least log-loss, and the mix of each row by cross-validation.

    The log-loss is convex in the weight of a logarithmic pool, so the best of 101 steps is the best there is.

    Args:
        first, second: (n_rows, n_labels) probabilities of two engines.
        right: (n_rows, n_labels) whether each label is right.
        several: as of ``calibration.mix``.
    """
    losses = np.stack([loss(mix(first, second, float(w), several), right, several) for w in _STEPS])  # (steps, rows)
    order = np.random.default_rng(_SEED).permutation(len(right))
    mixed, weights = np.zeros_like(first), []
    for rows in np.array_split(order, min(FOLDS, len(right))):
        others = np.setdiff1d(order, rows)
        weights.append(float(_STEPS[losses[:, others].mean(axis=1).argmin()]))
        mixed[rows] = mix(first[rows], second[rows], weights[-1], several)
    return Fit(float(_STEPS[losses.mean(axis=1).argmin()]), mixed, (min(weights), max(weights)))


def loss(chances: Array, right: NDArray[np.bool_], several: bool) -> Array:
    """(n_rows,) negative log-probability of what is right; with ``several`` the mean over labels."""
    sure = np.clip(chances, _LEAST, 1 - _LEAST)
    if several:
        each: Array = -np.where(right, np.log(sure), np.log1p(-sure)).mean(axis=1)
        return each
    made: Array = -np.log((sure * right).sum(axis=1))
    return made


def rights(field: Field, known: Sequence[Sequence[Path]]) -> NDArray[np.bool_]:
    """(n_rows, n_labels) which labels of the field are right."""
    paths = [label.path for label in field.labels]
    return np.array([[path in its for path in paths] for its in known], bool).reshape(len(known), len(paths))


def tallies(chances: Array, right: NDArray[np.bool_], several: bool) -> tuple[Tally, Tally]:
    """By the figure of the field's kind, and by log-loss."""
    ones = np.ones(len(right))
    losses = Tally("log-loss", loss(chances, right, several), ones)
    if several:
        chosen = chances >= 0.5
        gained, possible = 2.0 * (chosen & right).sum(axis=1), 1.0 * chosen.sum(axis=1) + right.sum(axis=1)
        return Tally("micro-F1", gained, possible), losses
    hits = right[np.arange(len(right)), chances.argmax(axis=1)].astype(np.float64)
    return Tally("accuracy", hits, ones), losses

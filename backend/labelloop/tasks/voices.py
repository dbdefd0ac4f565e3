"""Two voices on the labels of a text, one of them trained: how far each is believed, and what they say together.

The weights are found by stacking (Wolpert 1992; Breiman 1996): from what models say of examples that they have not
seen, in log-odds, with a doubt of the trained one that it must first outweigh.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelloop.tasks import memory
from labelloop.tasks.calibration import Array

_TEMPER = 0.5
"""Figures of one sample err together, so they count half, as in ``memory.weigh``."""
_BELIEF, _FEW = 0.7, 32
"""How loud the trained one is expected to be, of many examples and of that few half of it. It speaks for one that has
seen fewer: what serves was trained on the left-out examples too."""
_FIRM = 3.0
"""How hard it is for the examples to change that."""
_WHOLE = 4.0
"""How hard it is for both together to be louder or softer than one."""
_LOUDEST = 1.5
_LEAST = 0.05
"""A voice below it is not worth a pass through a model."""


class Voices(NamedTuple):
    """Exponents of the chances with memory and of those of the adapter."""

    memory: float = 1.0
    adapter: float = 0.0


def weigh(known: Array, learnt: Array, right: memory.Right, several: bool) -> tuple[Voices, float]:
    """The voices, and the loss with them in nats, by which ways of training can be compared.

    Args:
        known, learnt: (n, n_labels) chances of examples, with memory and by the adapter, by models that have not seen
            them: rows that sum to 1, or with ``several`` each label by itself.
        right: (n, n_labels) the accepted labels.
    """
    from scipy.optimize import minimize  # here, as the web process, which learns nothing, has no scipy

    first, second = memory.log_odds(known, several), memory.log_odds(learnt, several)

    expected = _BELIEF * len(right) / (len(right) + _FEW)

    def loss(its: NDArray[np.float64]) -> float:
        odds = its[0] * first + its[1] * second
        unlike = _FIRM * (float(its[1]) - expected) ** 2 + _WHOLE * (float(its.sum()) - 1) ** 2
        return _TEMPER * _surprise(odds, right, several) + unlike

    best = minimize(loss, np.array([1 - expected, expected]), method="L-BFGS-B", bounds=[(0, _LOUDEST)] * 2)
    if best.x[1] < _LEAST:
        return Voices(), float(best.fun)
    return Voices(float(best.x[0]), float(best.x[1])), float(best.fun)


def mix(voices: Voices, known: Array, learnt: Array, several: bool) -> Array:
    """(n_texts, n_labels) chances of both together; ``known``, ``learnt``: theirs."""
    odds = voices.memory * memory.log_odds(known, several) + voices.adapter * memory.log_odds(learnt, several)
    return chances(odds, several)


def within(learnt: Array, known: Array, taught: NDArray[np.bool_], several: bool) -> Array:
    """(n_texts, n_labels) what an adapter says of the labels that it was taught, and of all others what was known
    without it: training moves texts away from every label that is never right, so on these it has no say. Where one
    label is chosen it divides anew what the taught ones have together.

    Args:
        taught: (n_labels,) which labels it has seen.
    """
    if several:
        return np.where(taught, learnt, known)
    its = np.where(taught, learnt, 0)
    share = known[:, taught].sum(axis=1, keepdims=True) / np.maximum(its.sum(axis=1, keepdims=True), 1e-12)
    return np.where(taught, its * share, known)


def chances(odds: Array, several: bool) -> Array:
    """Of log-odds: rows that sum to 1, or with ``several`` each label by itself."""
    if several:
        each: Array = np.exp(-np.logaddexp(0, -odds))
        return each
    exponents = np.exp(odds - odds.max(axis=1, keepdims=True))
    made: Array = exponents / exponents.sum(axis=1, keepdims=True)
    return made


def _surprise(odds: Array, right: memory.Right, several: bool) -> float:
    """Nats by which what is right was not expected."""
    if several:
        return float(np.logaddexp(0, np.where(right, -odds, odds)).sum())
    high = odds.max(axis=1)
    return float((high + np.log(np.exp(odds - high[:, None]).sum(axis=1)) - odds[right]).sum())

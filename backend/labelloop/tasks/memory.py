"""Few-shot memory of one field: what accepted examples add to the zero-shot chances, without training a model.

A linear head over the encoder's vectors whose offset is the zero-shot log-odds: with no examples it says nothing, and
each example moves the chances of texts near to it. How strongly it may is found by leave-one-out on the examples
themselves, mixed over several strengths, so that few examples trust the zero-shot chances and many themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelloop.tasks.calibration import Array
from labelloop.tasks.threads import one_thread

STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Of the penalty on the head's weights, the most cautious first; before them all stands the zero-shot alone."""
_BELIEF = np.log(np.array([2, 4, 4, 2, 1, 0.5, 0.25]))
"""How far each is believed before any example: the zero-shot alone, then ``STRENGTHS``. Chosen on seven sets of labels
(topics, sentiments, intents, relations, titles, types of names, kinds of text) at 4 to 256 examples."""
_TEMPER = 0.5
"""Leave-one-out figures of one sample err together, so they count half (a tempered likelihood; Grünwald and van Ommen
2017)."""
_SURE = 1e-6
_LEAST_SHARE = 0.02
_FOLD_ROWS = 400  # rows that are predicted by heads that have not seen them; more tell little more ...
_FOLD_CELLS = 12_000  # ... and rows times labels, which is what a fit costs
_SEED = 13
MOST_EXAMPLES = 2000
"""Of the head, the latest; its fit stays within about a second."""
SAME_TEXT = 0.95
"""How sure it is that an accepted answer holds for the very same text again: people agree with themselves about so far
(Northcutt et al. 2021 find 3 % of labels wrong in ten test sets)."""

_TRUST = 40.0
"""How hard it is for the examples to change the exponent of the zero-shot chances from 1."""

Right = NDArray[np.bool_]


def settled(n: int) -> int:
    """On how many of ``n`` examples, the first ones, ``weigh`` is asked: each one of a few, an eighth more of many."""
    step = 1 << max(0, n.bit_length() - 4)
    return n - n % step


@dataclass(frozen=True)
class Head:
    """What examples add to zero-shot log-odds. ``weights``: (d, n_labels); a label without examples has zeros.
    ``trust``: the exponent of the zero-shot chances, 1 without examples. ``shares``: how far the zero-shot alone and
    each of ``STRENGTHS`` are believed, which sum to 1. ``examples``: how many it was fitted on."""

    weights: Array
    trust: float
    shares: tuple[float, ...]
    examples: int


def weigh(
    vectors: NDArray[np.floating],
    right: Right,
    zero_shot: Array,
    several: bool,
    groups: NDArray[np.integer] | None = None,
) -> tuple[float, ...]:
    """How far the zero-shot alone and each of ``STRENGTHS`` are to be believed; what most of a fit costs.

    By the likelihood of each example under heads that have not seen it (pseudo-BMA; Yao et al. 2018). The share of
    examples whose label is met nowhere else is the chance that the next text's label is new (Good 1953), and for these
    memory can only do harm; so many labels with few examples each make it cautious by themselves.

    Args:
        vectors: (n_examples, d) of length 1. No text should occur twice.
        right: (n_examples, n_labels) which labels were accepted; one in a row, or with ``several`` any number.
        zero_shot: (n_examples, n_labels) chances of the same texts without memory.
        groups: (n_examples,) of which item each is, where an item has several: they err together, so they are left out
            together. None: each is an item of its own.

    Raises:
        ValueError: there are no examples, or the shapes do not agree.
    """
    belief = _beliefs(vectors, right, zero_shot, several, groups)
    shares = np.exp(belief - belief.max())
    shares[shares < _LEAST_SHARE * shares.sum()] = 0
    return tuple(map(float, shares / shares.sum()))


def evidence(vectors: NDArray[np.floating], right: Right, zero_shot: Array, several: bool) -> float:
    """How well heads beside these zero-shot chances foretell examples that they have not seen: the tempered
    log-likelihood of their mixture, in nats, to be compared with that of other chances of the same examples.

    Args, raises: as ``weigh``.
    """
    return float(np.logaddexp.reduce(_beliefs(vectors, right, zero_shot, several) - np.logaddexp.reduce(_BELIEF)))


def _beliefs(
    vectors: NDArray[np.floating],
    right: Right,
    zero_shot: Array,
    several: bool,
    groups: NDArray[np.integer] | None = None,
) -> Array:
    """(1 + n_strengths,) log of how far the zero-shot alone and each strength are to be believed."""
    latest = None if groups is None else groups[-MOST_EXAMPLES:]
    with one_thread():
        likelihood = _left_out(_Known.of(vectors, right, zero_shot, several), latest)
    believed: Array = _BELIEF + _TEMPER * likelihood.sum(axis=1)
    return believed


def fit(
    vectors: NDArray[np.floating],
    right: Right,
    zero_shot: Array,
    several: bool,
    shares: Sequence[float] = (),
) -> Head:
    """The head of one field. The same examples give the same head in every process.

    Multinomial logistic regression (with ``several`` one binary regression for each label) with the zero-shot log-odds
    as offset and a normal prior on the weights (Chelba and Acero 2006 centre a maximum-entropy model's prior on what is
    known before); heads of several strengths are averaged.

    Args:
        shares: of ``weigh``, of these or nearly these examples; none: it is asked.

    Raises:
        ValueError: as ``weigh``.
    """
    with one_thread():
        known = _Known.of(vectors, right, zero_shot, several)
    shares = tuple(shares) or weigh(vectors, right, zero_shot, several)
    weights: Array = np.zeros((known.turned.shape[1], right.shape[1]))
    trust = shares[0]
    last: _Fit | None = None
    with one_thread():
        for strength, share in zip(STRENGTHS, shares[1:], strict=True):
            if share:
                last = _solve(known, strength, last)
                weights, trust = weights + share * last.weights, trust + share * last.trust
    return Head(known.turn @ weights, float(trust), shares, len(known.right))


def recall(
    head: Head,
    vectors: NDArray[np.floating],
    zero_shot: Array,
    several: bool,
    same: Mapping[int, Sequence[int]] | None = None,
) -> Array:
    """(n_texts, n_labels) chances with memory: rows that sum to 1, or with ``several`` each label by itself.

    Args:
        vectors: (n_texts, d) of the same encoder.
        zero_shot: (n_texts, n_labels) chances without memory. The log-ratio of two labels without examples changes by
            ``head.trust`` alone; so do, with ``several``, the log-odds of a label without examples.
        same: by row, the columns of the labels that were accepted for the very same text.
    """
    odds = head.trust * log_odds(zero_shot, several) + vectors.astype(np.float64) @ head.weights
    made: Array = np.exp(_log_chances(odds, several))
    for row, columns in (same or {}).items():
        made[row] *= 1 - SAME_TEXT
        made[row, list(columns)] += SAME_TEXT
    return made


def log_odds(chances: Array, several: bool) -> Array:
    """Log-chances, or with ``several`` the log-odds of each label."""
    sure = np.clip(chances, _SURE, 1 - _SURE)
    made: Array = np.log(sure) - np.log1p(-sure) if several else np.log(sure)
    return made


def _log_chances(odds: Array, several: bool) -> Array:
    if several:
        one: Array = -np.logaddexp(0, -odds)
        return one
    high = odds.max(axis=1, keepdims=True)
    made: Array = odds - high - np.log(np.exp(odds - high).sum(axis=1, keepdims=True))
    return made


def _likelihood(odds: Array, known: _Known) -> Array:
    if known.several:
        each: Array = -np.logaddexp(0, np.where(known.right, -odds, odds)).sum(axis=1)
        return each
    made: Array = _log_chances(odds, several=False)[known.right]
    return made


class _Known(NamedTuple):
    """Examples in coordinates in which the fit takes few steps. ``turn``: (d, rank) axes of the vectors. ``along``:
    (rank,) how much of them lies along each. ``turned``: (n, rank) the vectors on them."""

    turn: Array
    along: Array
    turned: Array
    right: Right
    offset: Array
    several: bool

    @classmethod
    def of(cls, vectors: NDArray[np.floating], right: Right, zero_shot: Array, several: bool) -> _Known:
        if not len(vectors) or right.shape != zero_shot.shape or len(vectors) != len(right):
            raise ValueError(f"one row of each is needed: {vectors.shape}, {right.shape} and {zero_shot.shape}")
        latest = vectors[-MOST_EXAMPLES:].astype(np.float64)
        turn, along = _axes(latest)
        offset = log_odds(zero_shot[-MOST_EXAMPLES:], several)
        return cls(turn, along, latest @ turn, right[-MOST_EXAMPLES:], offset, several)

    def rows(self, which: Right) -> _Known:
        return self._replace(turned=self.turned[which], right=self.right[which], offset=self.offset[which])

    def likelihood(self, its: _Fit | None) -> Array:
        """(n,) log-probability of what is right, by the zero-shot alone or with a head."""
        return _likelihood(its.trust * self.offset + self.turned @ its.weights if its else self.offset, self)


def _axes(vectors: Array) -> tuple[Array, Array]:
    if len(vectors) < vectors.shape[1]:
        _, lengths, axes = np.linalg.svd(vectors, full_matrices=False)
        kept = lengths > 1e-6 * lengths[0]
        return axes[kept].T, lengths[kept] ** 2
    along, axes = np.linalg.eigh(vectors.T @ vectors)
    kept = along > 1e-10 * along[-1]
    return axes[:, kept], along[kept]


def folds(n: int, groups: NDArray[np.integer] | None = None) -> NDArray[np.intp]:
    """(n,) in which part each example is left out, counted from 0; few are left out one by one, and those of a group
    together."""
    if groups is not None:
        names, place = np.unique(groups, return_inverse=True)
        return folds(len(names))[place]
    count = n if n <= 20 else 10 if n <= 100 else 5
    made: NDArray[np.intp] = np.random.default_rng(_SEED).permutation(n) % max(count, 2)
    return made


def _left_out(known: _Known, groups: NDArray[np.integer] | None) -> Array:
    """(1 + n_strengths, n_rows) log-probability of what is right, of the zero-shot alone and of each strength by heads
    that have not seen the row."""
    fold = folds(len(known.right), groups)
    found: list[list[Array]] = []
    for one in range(fold.max() + 1):
        out, others = known.rows(fold == one), known.rows(fold != one)
        last: _Fit | None = None
        its = [out.likelihood(None)]
        for strength in STRENGTHS:
            last = _solve(others, strength, last) if len(others.right) else None
            its.append(out.likelihood(last))
        found.append(its)
        rows = sum(len(some[0]) for some in found)
        if rows >= _FOLD_ROWS or rows * known.right.shape[1] >= _FOLD_CELLS:
            break
    return np.array([np.concatenate([its[place] for its in found]) for place in range(1 + len(STRENGTHS))])


class _Fit(NamedTuple):
    weights: Array
    trust: float


def _solve(known: _Known, strength: float, start: _Fit | None) -> _Fit:
    """What has the least loss. The weights of labels without examples stay zero."""
    from scipy.optimize import minimize  # here, as the web process, which learns nothing, has no scipy

    right, offset = known.right, known.offset
    seen = np.flatnonzero(right.any(axis=0))
    scale = 1 / np.sqrt(0.15 * known.along + strength)  # the loss then bends about alike in all directions
    scaled, penalty = known.turned * scale, strength * (scale**2)[:, None]
    shape = (scaled.shape[1], len(seen))
    wide = 1 / np.sqrt(_TRUST + len(offset))

    def loss(flat: Array) -> tuple[float, Array]:
        weights, trust = flat[1:].reshape(shape), 1 + wide * flat[0]
        odds = trust * offset
        odds[:, seen] += scaled @ weights
        bent = penalty * weights
        value = 0.5 * float((bent * weights).sum()) + 0.5 * _TRUST * (trust - 1) ** 2
        excess = np.exp(_log_chances(odds, known.several)) - right
        slope = np.empty_like(flat)
        slope[0] = wide * (float((excess * offset).sum()) + _TRUST * (trust - 1))
        slope[1:] = (scaled.T @ excess[:, seen] + bent).ravel()
        value -= float(_likelihood(odds, known).sum())
        return value, slope

    begin = np.zeros(1 + shape[0] * shape[1])
    if start is not None:
        begin[0] = (start.trust - 1) / wide
        begin[1:] = (start.weights[:, seen] / scale[:, None]).ravel()
    best = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": 60, "ftol": 1e-5, "maxcor": 6})
    weights = np.zeros((scaled.shape[1], right.shape[1]))
    weights[:, seen] = best.x[1:].reshape(shape) * scale[:, None]
    return _Fit(weights, 1 + wide * float(best.x[0]))

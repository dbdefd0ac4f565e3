"""From similarity to probability: what is removed as prior, what scales it, and when a label is one of several answers.

Everything is measured in units of chance: how far labels differ on texts that say nothing about them. That makes one
softmax slope serve 2 labels and 100, close labels and distant ones, and encoders whose cosines fill different ranges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelloop.prompting import Constants

Array = NDArray[np.float64]
_SURE = 1e-6  # nearer to 0 or 1 no engine is believed, so that one alone cannot rule a label out
LEAST_CHANCE = 1e-3  # labels that mean the same must not make any difference count


@dataclass(frozen=True)
class Prior:
    """What the labels of a field are like before any text. ``means``: (n_labels,) similarity to everyday texts.
    ``chance``: the unit of evidence, a difference of similarities. ``residual``: labels that mean "none of these"."""

    means: Array
    chance: float
    residual: frozenset[int] = frozenset()


def estimate_prior(plain: Array, everyday: Array, residual: frozenset[int] = frozenset()) -> Prior:
    """The prior of a field's labels from texts of no label.

    The unit of chance is the geometric mean of two spreads of a row's similarities around their mean: on texts that say
    nothing (how noisy the labels are) and on texts about anything (how far the encoder's similarities swing). The
    second alone takes a set of precise labels for as noisy as a set of vague ones; the first alone is a small number.
    The prior comes from the everyday texts only: plain ones have a taste of their own (they favour "general" labels).

    Args:
        plain, everyday: (n_texts, n_labels) similarities.
    """
    kept = [index for index in range(everyday.shape[1]) if index not in residual]
    means = everyday.mean(axis=0)
    if len(kept) < 2:  # nothing to differ from: the unit is how far the one label's similarity swings
        return Prior(means, max(float(everyday[:, kept].std()), LEAST_CHANCE), residual)
    return Prior(means, math.sqrt(_spread(plain[:, kept]) * _spread(everyday[:, kept])), residual)


def _spread(similarities: Array) -> float:
    around = similarities - similarities.mean(axis=1, keepdims=True)
    return max(math.sqrt((around**2).sum() / (len(around) * (similarities.shape[1] - 1))), LEAST_CHANCE)


def evidence(similarities: Array, prior: Prior, constants: Constants) -> Array:
    """(n_texts, n_labels) evidence for each label against the others, in units of chance.

    Half of the prior is removed. Content-free input has tastes of its own (Zhao et al. 2021 remove all that it tells;
    Fei et al. 2023 show that general or in-domain text does better), and the whole would overdo it. A label such as
    "other" has no meaning to be similar to; it wins where no label beats what the best of so many reaches by chance.
    """
    removed = (similarities - constants.prior * prior.means) / prior.chance
    if prior.residual:
        removed[:, sorted(prior.residual)] = _nothing(prior, constants)
    return removed


def _nothing(prior: Prior, constants: Constants) -> float:
    """The evidence that the best of the field's labels must exceed to be more than chance."""
    kept = [index for index in range(len(prior.means)) if index not in prior.residual]
    usual = (1 - constants.prior) * float(prior.means[kept].mean()) / prior.chance
    return usual + constants.residual + constants.residual_labels * math.sqrt(2 * math.log(len(kept)))


def choose_one(against: Array, constants: Constants) -> Array:
    """(n_texts, n_labels) probabilities that sum to 1 in a row, from ``evidence``."""
    exponents = np.exp(constants.slope * (against - against.max(axis=1, keepdims=True)))
    chances: Array = exponents / exponents.sum(axis=1, keepdims=True)
    return chances


def choose_several(against: Array, similarities: Array, prior: Prior, constants: Constants) -> Array:
    """(n_texts, n_labels) probability of each label by itself, where several may be right.

    A label is likely that comes near the best one and is more similar to the text than it is to everyday texts: so each
    label has its own threshold, the similarity that it has anyway. None may be chosen. One label alone has no rival but
    "nothing".
    """
    own = (similarities - prior.means) / prior.chance
    best = against.max(axis=1, keepdims=True)
    behind = against - (np.maximum(best, _nothing(prior, constants)) if against.shape[1] == 1 else best)
    if prior.residual:
        own[:, sorted(prior.residual)] = 0.0
    odds = constants.several_offset + constants.several_best * behind + constants.several_own * own
    chances: Array = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return chances


def mix(first: Array, second: Array, weight: float, several: bool = False) -> Array:
    """What two engines say as one: the logarithmic opinion pool (Genest and Zidek 1986), whose log-loss has one minimum
    in the weight, and in which an engine that is sure counts for more than one that is not. A linear pool of two
    calibrated forecasts is always less sure than it should be (Ranjan and Gneiting 2010).

    Args:
        first, second: (n_texts, n_labels) probabilities: rows that sum to 1, or with ``several`` each label by itself.
        weight: in [0, 1], of the second.

    Returns:
        (n_texts, n_labels) of the same sort; with a weight of 0 or 1 exactly what one of them says.
    """
    if weight in (0, 1):
        return second if weight else first
    a, b = (np.clip(one, _SURE, 1 - _SURE) for one in (first, second))
    logs = (1 - weight) * np.log(a) + weight * np.log(b)
    if several:
        against = (1 - weight) * np.log1p(-a) + weight * np.log1p(-b)
        made: Array = 1 / (1 + np.exp(against - logs))
        return made
    exponents = np.exp(logs - logs.max(axis=1, keepdims=True))
    made = exponents / exponents.sum(axis=1, keepdims=True)
    return made


def rounded(chance: Any) -> float:
    """A probability as answers hold it, to 4 decimals: what is beyond differs with the batch that a text was in."""
    return round(min(max(float(chance), 0.0), 1.0), 4)

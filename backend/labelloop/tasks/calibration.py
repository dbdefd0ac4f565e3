"""From similarity to probability: what is removed as prior, what scales it, and when a label is one of several answers.

Everything is measured in units of chance: how far labels differ on texts that say nothing about them. That makes one
softmax slope serve 2 labels and 100, close labels and distant ones, and encoders whose cosines fill different ranges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelloop.prompting import Constants

Array = NDArray[np.float64]


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
    return Prior(means, math.sqrt(_spread(plain[:, kept]) * _spread(everyday[:, kept])), residual)


def _spread(similarities: Array) -> float:
    labels = similarities.shape[1]
    around = similarities - similarities.mean(axis=1, keepdims=True)
    return max(math.sqrt((around**2).sum() / (len(around) * max(labels - 1, 1))), 1e-3)


def evidence(similarities: Array, prior: Prior, constants: Constants) -> Array:
    """(n_texts, n_labels) evidence for each label against the others, in units of chance.

    Half of the prior is removed. Content-free input has tastes of its own (Zhao et al. 2021 remove all that it tells;
    Fei et al. 2023 show that general or in-domain text does better), and the whole would overdo it. A label such as
    "other" has no meaning to be similar to; it wins where no label beats what the best of so many reaches by chance.
    """
    removed = (similarities - constants.prior * prior.means) / prior.chance
    kept = [index for index in range(removed.shape[1]) if index not in prior.residual]
    if prior.residual:
        nothing = (1 - constants.prior) * prior.means[kept].mean() / prior.chance
        best_by_chance = constants.residual_labels * math.sqrt(2 * math.log(len(kept))) if len(kept) > 1 else 0.0
        removed[:, sorted(prior.residual)] = nothing + constants.residual + best_by_chance
    return removed


def choose_one(against: Array, constants: Constants) -> Array:
    """(n_texts, n_labels) probabilities that sum to 1 in a row, from ``evidence``."""
    exponents = np.exp(constants.slope * (against - against.max(axis=1, keepdims=True)))
    chances: Array = exponents / exponents.sum(axis=1, keepdims=True)
    return chances


def choose_several(against: Array, similarities: Array, prior: Prior, constants: Constants) -> Array:
    """(n_texts, n_labels) probability of each label by itself, where several may be right.

    A label is likely that comes near the best one and is more similar to the text than it is to everyday texts: so each
    label has its own threshold, the similarity that it has anyway. None may be chosen.
    """
    own = (similarities - prior.means) / prior.chance
    behind = against - against.max(axis=1, keepdims=True)
    if prior.residual:
        own[:, sorted(prior.residual)] = 0.0
    odds = constants.several_offset + constants.several_best * behind + constants.several_own * own
    chances: Array = 1 / (1 + np.exp(-odds))
    return chances

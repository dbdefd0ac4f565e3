"""From similarity to probability: what is removed as prior, what scales it, and where a label of several starts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labelloop.prompting import Constants

Array = NDArray[np.float64]


def standardise(similarities: Array, prior: Array, spread: float, strength: float) -> Array:
    """(n_texts, n_labels) evidence in units of chance: 1 is as much as a text of no label differs between labels.

    Args:
        similarities: (n_texts, n_labels) from an engine.
        prior: (n_labels,) similarity of each label to texts of no label.
        spread: standard deviation of the neutral texts' similarities around their row's mean and the prior.
        strength: how much of the prior is removed, 0 to 1.
    """
    removed = similarities - strength * prior
    centred: Array = (removed - removed.mean(axis=1, keepdims=True)) / max(spread, 1e-6)
    return centred


def neutral_statistics(similarities: Array) -> tuple[Array, float]:
    """The prior (n_labels,) and the spread of a field's labels over texts of no label (n_neutral, n_labels)."""
    prior: Array = similarities.mean(axis=0)
    rest = similarities - prior
    rest = rest - rest.mean(axis=1, keepdims=True)
    return prior, float(np.sqrt((rest**2).mean()))


def probabilities(evidence: Array, constants: Constants) -> Array:
    """(n_texts, n_labels) probabilities that sum to 1 in a row: softmax with a slope that depends on how many labels."""
    slope = constants.slope * evidence.shape[1] ** constants.slope_labels
    scaled = slope * (evidence - evidence.max(axis=1, keepdims=True))
    exponents = np.exp(scaled)
    result: Array = exponents / exponents.sum(axis=1, keepdims=True)
    return result


def independent(evidence: Array, constants: Constants) -> Array:
    """(n_texts, n_labels) probability of each label by itself, for fields with several answers."""
    result: Array = 1 / (1 + np.exp(-constants.threshold_slope * (evidence - constants.threshold)))
    return result

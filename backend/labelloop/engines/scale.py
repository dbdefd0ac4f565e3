"""From the similarity of a text and a label to log-odds: what an adapter is trained through, and read by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Scale(NamedTuple):
    """Log-odds of a label: ``slope * own + behind * (own - that of the best label) + offset``, where ``own`` is the
    similarity less the label's ``shift``.

    ``shift``: (n_labels,). ``constant``: (n_labels,) the log-odds of labels without a meaning of their own ("other"),
    NaN of all others.
    """

    slope: float
    shift: Array
    constant: Array
    offset: float = 0.0
    behind: float = 0.0

    def odds(self, similarities: Array) -> Array:
        """(n_texts, n_labels) of the same shape."""
        own = similarities - self.shift
        odds = self.slope * own + self.behind * (own - own.max(axis=1, keepdims=True)) + self.offset
        return np.where(np.isnan(self.constant), odds, self.constant)

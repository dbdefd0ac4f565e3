"""Which items are held out from learning, and which are labelled blind: by a hash of the text, so copies stay
together."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHARE = 0.2
FEWEST = 300
"""Different texts with a label from which on some are held out. A fifth of fewer tells next to nothing, not even
whether what is seen out of fold is flattery, and nothing learns from it; so fewer are cross-validated, each by a
version that has not seen it. From here on both count (``pooling``)."""

_NUMBERS = re.compile(r"\d+")
_OTHERS = re.compile(r"[\W_]+")


def held_out(texts: Sequence[str], salt: str, already: bool = False) -> NDArray[np.bool_]:
    """(n_texts,) whether each is held out; none is where there are fewer than ``FEWEST`` different ones.

    Whether one is depends on the text and the salt alone, never on order, time or process. Texts that differ in case,
    white space, punctuation, digits or the form of characters alone are copies, which are held out together or not at
    all. A version from before the connection held out has learned from these items, which flatters it: beside a
    challenger it is judged by its recipe out of fold, or on items that were labelled later.

    Args:
        texts: of labelled items, as models read them. salt: the connection's, so that no two hold out the same.
        already: whether the connection has held out before, which it goes on doing when labels are deleted: what was
            judged on must not be trained on.
    """
    known = [normalised(text) for text in texts]
    if not already and len(set(known)) < FEWEST:
        return np.zeros(len(texts), np.bool_)
    return np.array([_hash(text, salt, "held-out") < SHARE for text in known], np.bool_)


def mark(text: str) -> str:
    """Twelve characters that copies have in common, and others do not."""
    return hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def shown_blind(text: str, salt: str, share: float) -> bool:
    """Whether an item with this text is among the ``share`` that people label without seeing a suggestion; where it
    grows, those that were stay. ``salt`` as of ``held_out``, by which it neither is nor is not held out."""
    return _hash(normalised(text), salt, "blind") < share


def normalised(text: str) -> str:
    """What copies have in common.

    >>> normalised("  Order #1234: LATE!!")
    'order 0 late'
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = _OTHERS.sub(" ", _NUMBERS.sub("0", plain)).strip()
    return words if any(one.isalpha() for one in words) else plain.strip()


def _hash(text: str, salt: str, purpose: str) -> float:
    """In [0, 1), evenly."""
    told = "\0".join((purpose, salt, text)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(told).digest()[:6], "big") / 2**48

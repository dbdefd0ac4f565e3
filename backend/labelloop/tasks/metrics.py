"""How near answers are to what people said: exact agreement, and SQuAD's measures (Rajpurkar et al. 2016, 2018)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Collection, Hashable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def agreement(gold: Sequence[Collection[Hashable]], found: Sequence[Collection[Hashable]]) -> dict[str, float]:
    """Micro precision, recall and F1 of what was found in each item against what is right there, each thing once.

    Returns:
        "precision", "recall", "f1" (0.0 where there is nothing to divide by), and the counts "gold", "found", "right".

    Raises:
        ValueError: as many items on both sides are needed.
    """
    pairs = [(set(known), set(its)) for known, its in zip(gold, found, strict=True)]
    right = sum(len(known & its) for known, its in pairs)
    n_gold, n_found = sum(len(known) for known, _ in pairs), sum(len(its) for _, its in pairs)
    return {
        "precision": right / n_found if n_found else 0.0,
        "recall": right / n_gold if n_gold else 0.0,
        "f1": 2 * right / (n_gold + n_found) if n_gold + n_found else 0.0,
        "gold": n_gold,
        "found": n_found,
        "right": right,
    }


def normalise(text: str) -> str:
    """Lower case, without punctuation and articles, words joined by single spaces: as SQuAD's own script.

    >>> normalise("The  U.S. Army!")
    'us army'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: Sequence[str]) -> float:
    """1.0 where the answer is one of ``gold`` after normalising, else 0.0.

    Args:
        answer: "" for "there is no answer".
        gold: what people marked; none: there is no answer.
    """
    return float(any(normalise(answer) == normalise(one) for one in gold or ("",)))


def overlap_f1(answer: str, gold: Sequence[str]) -> float:
    """In [0, 1]: the best F1 of the answer's words against those of one of ``gold``; arguments as ``exact_match``."""
    return max(_f1(normalise(answer).split(), normalise(one).split()) for one in gold or ("",))


def _f1(ours: Sequence[str], theirs: Sequence[str]) -> float:
    if not ours or not theirs:
        return float(ours == theirs)
    common = (Counter(ours) & Counter(theirs)).total()
    return 2 * common / (len(ours) + len(theirs))

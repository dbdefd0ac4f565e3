"""Accepted examples as demonstrations before a text whose label is chosen: which ones, and how they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from labelloop.engines import Vectors
from labelloop.tasks.text_memory import representatives
from labelloop.tasks.verbalizers import Verbalization

MOST_TOKENS = 600
"""Of all demonstrations: they are read once for all texts, but each token of a text attends to them."""
_LONGEST = 1 / 3
"""Of these tokens, what one may take: one label's must not leave the others without any."""

Turn = tuple[str, int]
"""A text, and the column of its label."""
Turns = tuple[Turn, ...]


@dataclass(frozen=True)
class Shown:
    """The demonstrations of one field. ``number``: of which of its plan's engines. ``weight``: in (0, 1], of what that
    engine says behind them, in the logarithmic mix with what it says without (``calibration.mix``)."""

    number: int
    weight: float
    turns: Turns = field(repr=False)


def choose(sizes: Sequence[int], columns: Sequence[int], vectors: Vectors, most: int, room: int) -> list[int]:
    """Places of the examples to show, in the order in which they are shown; [] where fewer than two labels have one.

    Every label has a turn before one has its second (a prompt that shows one label more often than others leans to it:
    Zhao et al. 2021, "Calibrate before use"), the most frequent label first; of each label the examples that stand for
    its others best (``text_memory.representatives``). Those that do not fit are passed over.

    Args:
        sizes: tokens of each as a demonstration. columns: the label of each. vectors: (n_examples, d) of length 1.
        most: demonstrations. room: tokens of them all, of which at most ``MOST_TOKENS`` are used.
    """
    left = min(room, MOST_TOKENS)
    longest = _LONGEST * left
    labels, counts = np.unique(np.array(columns, np.intp), return_counts=True)
    waiting: list[list[int]] = []
    for label in labels[np.argsort(-counts, kind="stable")].tolist():
        its = [place for place, size in enumerate(sizes) if columns[place] == label and size <= longest]
        waiting.append([its[row] for row in representatives(vectors[its], most)] if its else [])
    chosen: list[int] = []
    while any(waiting) and len(chosen) < most:
        for its in waiting:
            while its and sizes[its[0]] > left:
                its.pop(0)
            if its and len(chosen) < most:
                left -= sizes[its[0]]
                chosen.append(its.pop(0))
    return chosen if len({columns[place] for place in chosen}) > 1 else []


def lead(before: str, told: Verbalization, turns: Sequence[Turn]) -> str:
    """What a causal model reads before every text: ``before``, the prompt's own lead, whose last line stands before
    each demonstration's text, too. A label is shown by the first of its texts, by all of which it is ranked.

    >>> told = Verbalization((("Category: ⟦sports⟧",), ("Category: ⟦music⟧",)))
    >>> lead("Sort these.\\nText: ", told, (("A goal!", 0), ("A song.", 1)))
    'Sort these.\\nText: A goal!\\nCategory: sports\\n\\nText: A song.\\nCategory: music\\n\\nText: '
    """
    opening = before[before.rfind("\n") + 1 :]
    lines = [texts[0].replace("⟦", "").replace("⟧", "") for texts in told.texts]
    return before + "".join(f"{' '.join(text.split())}\n{lines[column]}\n\n{opening}" for text, column in turns)

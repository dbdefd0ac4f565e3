"""What few held-out items tell and what the labels that were learned from tell out of fold, taken together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labelloop.evaluation import Tally
from labelloop.learning.gate import Evidence, Mask
from labelloop.learning.gate_checks import Outcome

ENOUGH = 1000
"""Held-out items from which on they decide alone. As many tell a gain of three points four times in five though the two
answer a fifth of the items differently; with fewer, most of what the labels tell would lie unused."""


def pooled(held: Evidence | None, folded: Evidence | None) -> Evidence | None:
    """Both together where either is not enough, else the one that there is.

    A training answers each of its examples by versions that have not seen it, of which four times as many lie about as
    are held out. The tests of the gate swap the outcomes of the two versions item by item, so they hold for both parts
    together. But the answers out of fold flatter a recipe that was chosen by them, and come of versions that learned
    from less: so the held-out items are looked at by themselves too (``gate_checks.held_out``).
    """
    if held is None or folded is None or len(held.gold) >= ENOUGH:
        return held or folded
    counts = [len(held.gold), len(folded.gold)]
    names = {*held.slices, *folded.slices}
    parts = (held, folded)
    slices = {
        name: np.concatenate([_mask(one, name, count) for one, count in zip(parts, counts, strict=True)])
        for name in sorted(names)
    }
    return Evidence(
        _joined(held.champion, folded.champion),
        _joined(held.challenger, folded.challenger),
        [*held.gold, *folded.gold],
        "both",
        slices,
        held.best,
        held.attempt,
        held_out=len(held.gold),
    )


def _mask(one: Evidence, name: str, count: int) -> Mask:
    return np.asarray(one.slices.get(name, np.zeros(count)), np.bool_)


def _joined(first: Outcome, second: Outcome) -> Outcome:
    tally = Tally(
        first.tally.metric,
        np.concatenate([first.tally.gained, second.tally.gained]),
        np.concatenate([first.tally.possible, second.tally.possible]),
    )
    return replace(
        first,
        tally=tally,
        scores=[*first.scores, *second.scores],
        right=[*first.right, *second.right],
        said=[*first.said, *second.said],
    )

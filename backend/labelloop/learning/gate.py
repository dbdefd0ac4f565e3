"""The gate: whether a freshly trained version, the challenger, may replace the one that serves, the champion.

Promoted is what answers better, by a test on the same items, and does no harm that the items show. Where neither a gain
nor a harm is shown, the champion goes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labelloop.evaluation import Estimate, ahead, chance, compared, items_needed, spread
from labelloop.learning import gate_checks
from labelloop.learning.gate_checks import Check, Outcome
from labelloop.learning.held_out import SHARE
from labelloop.words import Word

ALPHA = 0.3
"""The chance, all attempts at one champion together, that a challenger is promoted that is no better. Two fifths of
it are for the first attempt, as later ones have more labels to be told by. On 300 items of which the two answer 15 %
differently, what is one point worse then passes once in 19 times, and what is five points better six times in seven;
benchmarks/gate.py has real challengers. It is not small, because a version that is just as good does little harm, the
checks look at harm by themselves, and to be surer takes labels, which cost people's time."""
_KEPT = 3 / 5
DOUBTED = 0.25
"""The part of its level that an attempt may spend where the labels are doubted (``gate_checks.doubt``)."""
WORTH = 0.03
"""A gain that a person notices: the one that more labels are counted for where none is seen yet."""
_SAMPLES = 2_000

Decision = Literal["promoted", "refused", "undecided"]
Evaluated = Literal["held-out", "out-of-fold", "both"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """What the gate reads: what the versions did with the same n items, whose labels neither learned from.

    ``gold``: (n,) the labels that are right in each item, as texts; () where the field has none, as of a text box.
    ``evaluated``: "out-of-fold" where there are too few labels to hold any out (``held_out.FEWEST``): then both are
    recipes, and each item was answered by versions that had not seen its fold. "both": the first ``held_out`` items
    were held out, the others answered so (``pooling.pooled``).
    ``slices``: subsets by name, (n,) masks, none of which may suffer. Three names mean something: "older" are the items
    that were judged on when the champion was promoted, "agreed" those that several people answered alike, or ground
    truth; "blind" were labelled without a suggestion, so they alone do not flatter the version that suggested.
    ``best``: the best version there ever was, on the same items, where it is neither of the two; of "both" on those
    that were held out.
    ``attempt``: which challenger of this champion it is, counted from 1; each pays from the same ``ALPHA``.
    """

    champion: Outcome
    challenger: Outcome
    gold: Sequence[tuple[str, ...]]
    evaluated: Evaluated = "held-out"
    slices: Mapping[str, Mask] = field(default_factory=dict)
    best: Outcome | None = None
    attempt: int = 1
    held_out: int = 0

    def __post_init__(self) -> None:
        n = len(self.champion.tally.gained)
        lengths = {len(self.gold), *(len(its) for its in self.slices.values())}
        lengths |= {length for one in (self.champion, self.challenger) for length in one.lengths}
        alone = self.held_out or n
        best = self.best.lengths if self.best else {alone}
        if lengths != {n} or best != {alone} or not n or self.attempt < 1:
            raise ValueError(
                f"the same items are needed of all, one at least, and an attempt from 1: {sorted(lengths | best)} "
                f"items, attempt {self.attempt}"
            )


class Verdict(Word):
    """What the gate decided, and why, in JSON values; ``gate_report`` puts it into words.

    ``items``: all that it was decided by; ``held_out``: how many of them were, where some were answered out of fold.
    ``champion``, ``challenger``: the metric's value of each. ``gain``: (value, low, high) of their difference, 95 %.
    ``better``, ``worse``: on how many items the challenger gained more, and less. ``p``: of ``evaluation.chance``;
    below ``alpha`` it is told. ``ece``: calibration errors of champion and challenger. ``doubt``: why the labels are
    doubted, or "". ``more_labels``: after about how many more labels the gate would tell; None where it has told, or
    sees no gain. ``labels_for_worth``: how many in all tell a gain of ``WORTH`` four times in five.
    """

    decision: Decision
    metric: str
    evaluated: Evaluated
    items: int
    held_out: int = 0
    champion_name: str
    challenger_name: str
    champion: float
    challenger: float
    gain: tuple[float, float, float]
    better: int
    worse: int
    p: float
    alpha: float
    attempt: int
    ece: tuple[float, float]
    checks: tuple[Check, ...]
    doubt: str = ""
    more_labels: int | None
    labels_for_worth: int

    @property
    def promoted(self) -> bool:
        return self.decision == "promoted"

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(one for one in self.checks if not one.passed)


def level(attempt: int) -> float:
    """What an attempt may spend of ``ALPHA``: 0.12 at first, for which two items of two do not suffice, then each three
    fifths of the one before; all together no more than ``ALPHA``, however often the gate is asked and however alike the
    challengers are (a union bound over the attempts). A promotion starts anew."""
    return ALPHA * (1 - _KEPT) * _KEPT ** (attempt - 1)


def decide(evidence: Evidence) -> Verdict:
    """Refused: the challenger is told to be worse, or fails a check. Promoted: it is told to be better, and fails none.
    Undecided: neither; the champion goes on."""
    old, new = evidence.champion, evidence.challenger
    doubt = gate_checks.doubt(old)
    alpha = level(evidence.attempt) * (DOUBTED if doubt else 1)
    p = chance(new.tally, old.tally)
    checks = _checks(evidence)
    decision: Decision = "undecided"
    if not all(one.passed for one in checks) or chance(old.tally, new.tally) < alpha:
        decision = "refused"
    elif p < alpha:
        decision = "promoted"
    gain = ahead(new.tally, old.tally, samples=_SAMPLES)
    better, worse = compared(new.tally, old.tally)
    each = spread(new.tally, old.tally)
    return Verdict(
        decision=decision,
        metric=old.tally.metric,
        evaluated=evidence.evaluated,
        items=len(evidence.gold),
        held_out=evidence.held_out,
        champion_name=old.name,
        challenger_name=new.name,
        champion=old.tally.value,
        challenger=new.tally.value,
        gain=gain,
        better=better,
        worse=worse,
        p=p,
        alpha=alpha,
        attempt=evidence.attempt,
        ece=(old.ece, new.ece),
        checks=tuple(checks),
        doubt=doubt,
        more_labels=_more_labels(evidence, gain, each, alpha * _KEPT) if decision == "undecided" else None,
        labels_for_worth=_labels(items_needed(WORTH, max(each, 0.1), alpha) or 0, evidence),
    )


def _checks(evidence: Evidence) -> list[Check]:
    old, new, best = evidence.champion, evidence.challenger, evidence.best
    checks = [gate_checks.constant(old, new, evidence.gold)]
    held_out = evidence.held_out
    if held_out:
        checks.append(gate_checks.held_out(old.first(held_out), new.first(held_out)))
    checks += gate_checks.labels(old, new, evidence.gold)
    checks += [gate_checks.part(name, old, new, mask) for name, mask in evidence.slices.items() if mask.any()]
    if best is not None:
        checks.append(gate_checks.best_ever(best, new.first(held_out or len(evidence.gold))))
    checks.append(gate_checks.calibration(old, new))
    if "older" in evidence.slices:
        checks.append(gate_checks.agreement(old, new, evidence.slices["older"]))
    return checks


def _more_labels(evidence: Evidence, gain: Estimate, each: float, alpha: float) -> int | None:
    """At least a fifth of those there are, since a challenger of nearly the same labels tells nearly the same.
    ``alpha``: of the next attempt."""
    needed = items_needed(gain.value, each, alpha)
    n = len(evidence.gold)
    return None if needed is None else _labels(max(needed - n, math.ceil(n / 5)), evidence)


def _labels(items: int, evidence: Evidence) -> int:
    """Each is an item where those that are learned from count too."""
    return math.ceil(items / SHARE) if evidence.evaluated == "held-out" else items

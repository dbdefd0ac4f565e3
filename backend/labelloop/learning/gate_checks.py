"""What a challenger must not do, whatever it gains: forget a label, harm a slice, lie about how sure it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labelloop.evaluation import BINS, Tally, ahead, calibration_error, chance, compared, sign_test, spread
from labelloop.words import Word

MARGIN = 0.02
"""How much worse a slice, or the whole beside the best-ever, may come out without being refused."""
LABEL_MARGIN = 0.05
"""How much worse a single label's F1 may: a version that is better on the whole moves the borders between labels."""
BETWEEN = 0.05
"""How far the gains of labels and slices lie apart, as a standard deviation, before their items are looked at: what is
seen on few items is drawn towards the gain on all by this (James and Stein 1961; Efron and Morris 1975)."""
LOSS = 0.2
"""The share of a label's right answers that a challenger may well lose by chance, at least: they hang together, as a
border that moves a little takes several with it."""
CONTRADICTED = 0.3
"""The p of being worse on the held-out items below which they contradict a gain that most items show out of fold."""
DROPPED = 0.25
"""A label is dropped whose recall falls to this part of what it was, by more than chance."""
ERROR_MARGIN = 0.05
"""By how much the expected calibration error may grow."""
LIKELIHOOD_MARGIN = 0.02
"""By how much the log-likelihood of the scores may fall, in nats per item."""
FALL = 0.1
"""By how much champion and labels must agree less on newer items before the newer labels are doubted."""
_SURE = 0.05
_FAR = 2.33  # standard errors that chance exceeds once in a hundred times
_FEWEST = 20
_SAMPLES = 2_000
_CLIP = 0.001
_SEED = 13
_DRAWN = 4_000_000  # draws that are in memory at once

Kind = Literal["constant", "label", "slice", "best-ever", "calibration", "agreement"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """What one version did with the n items. ``name``: of the version. ``tally``: what it gained of what it could.
    ``scores``: (n,) the probability of each answer. ``right``: (n,) whether it is right. ``said``: (n,) the labels that
    it answered, as texts, or what it wrote; of spans the labels of those that are right."""

    name: str
    tally: Tally
    scores: Sequence[float]
    right: Sequence[bool]
    said: Sequence[tuple[str, ...]]

    def first(self, count: int) -> Outcome:
        """On the first so many items."""
        tally = self.tally.part(np.arange(len(self.said)) < count)
        return Outcome(self.name, tally, self.scores[:count], self.right[:count], self.said[:count])

    @property
    def lengths(self) -> set[int]:
        """How many items its parts speak of, which is one number."""
        return {len(of) for of in (self.tally.gained, self.tally.possible, self.scores, self.right, self.said)}

    @cached_property
    def ece(self) -> float:
        return calibration_error(self.scores, self.right)

    @cached_property
    def likelihood(self) -> Tally:
        """The log-likelihood of whether each answer is right under its score, in nats; no score counts as surer than
        999 in 1,000."""
        score = np.clip(np.asarray(self.scores, np.float64), _CLIP, 1 - _CLIP)
        told = np.where(np.asarray(self.right, np.bool_), np.log(score), np.log(1 - score))
        return Tally("log-likelihood", told, np.ones(len(told)))


class Check(Word):
    """One check. ``name``: of the label, slice or best version, or "". ``items``: that it looks at. ``champion``,
    ``challenger``: what is compared: F1 of a label, the metric of a slice or of all items (the best-ever's in the
    champion's place), the calibration error, or the champion's metric on older and on newer items. ``better``,
    ``worse``: on how many items the challenger gained more, and less. ``gain``: what is believed of the difference
    after it is drawn towards that on all items; None where nothing is. ``words``: what was found."""

    kind: Kind
    name: str = ""
    passed: bool
    items: int
    champion: float
    challenger: float
    better: int = 0
    worse: int = 0
    gain: float | None = None
    words: str


def constant(old: Outcome, new: Outcome, gold: Sequence[tuple[str, ...]]) -> Check:
    """Refuses a challenger that answers every item alike, where the champion and the labels do not."""
    alike = len(set(new.said)) == 1 < min(len(set(old.said)), len(set(gold)) if any(gold) else 2)
    told = " and ".join(f"'{one}'" for one in new.said[0]) or "nothing"
    return Check(
        kind="constant",
        passed=not alike or len(gold) < 3,
        items=len(gold),
        champion=old.tally.value,
        challenger=new.tally.value,
        words=f"it answers {told} to every item" if alike else "its answers differ from item to item",
    )


def labels(old: Outcome, new: Outcome, gold: Sequence[tuple[str, ...]]) -> list[Check]:
    """Of each label that is right somewhere, the most frequent first: refuses what drops it, and what is told to
    answer it worse, by F1 worse than by ``LABEL_MARGIN`` after shrinkage and by more than chance (5 % over all labels
    together, since of 77 some seem to by luck).

    A label counts as dropped when the challenger loses more of its right answers than it loses of the other labels'
    (or ``LOSS``), by an exact binomial test at 5 % over all labels together, and keeps less than ``DROPPED`` of the
    recall. So three lost of three tell something of a field with four labels, and five of five with 77.
    """
    names = [name for name, _ in Counter(name for one in gold for name in one).most_common()]
    sides = {name: [_of_label(name, one.said, gold) for one in (old, new)] for name in names}
    had = {name: its[0].gained > 0 for name, its in sides.items()}
    lost = {name: int((had[name] & (its[1].gained == 0)).sum()) for name, its in sides.items()}
    count = {name: int(its.sum()) for name, its in had.items()}
    tested = sum(one >= 2 for one in count.values())
    concerned = {name: its[0].possible + its[1].possible > 0 for name, its in sides.items()}
    parts = {name: [one.part(concerned[name]) for one in its] for name, its in sides.items()}
    sizes = {name: int(its.sum()) for name, its in concerned.items()}
    variance = sum(sizes[name] * spread(*its) ** 2 for name, its in parts.items()) / max(1, sum(sizes.values()))
    checks = []
    for name in names:
        before, after = parts[name]
        others = (sum(lost.values()) - lost[name]) / max(1, sum(count.values()) - count[name])
        kept = int((sides[name][1].gained > 0).sum())
        luck = _at_least(lost[name], count[name], max(LOSS, others))
        dropped = count[name] >= 2 and kept <= DROPPED * count[name] and luck * tested < _SURE
        gain = _shrunk(after.value - before.value, sizes[name], new.tally.value - old.tally.value, variance)
        better, worse = compared(after, before)
        suffers = gain < -LABEL_MARGIN and sign_test(worse, better) * max(1, tested) < _SURE
        of = sum(name in one for one in gold)
        words = f"label '{name}': F1 {after.value:.2f}, {before.value:.2f} before, right on {kept} of {_items(of)}, "
        words += f"{count[name]} before"
        checks.append(
            Check(
                kind="label",
                name=name,
                passed=not dropped and not suffers,
                items=of,
                champion=before.value,
                challenger=after.value,
                better=better,
                worse=worse,
                gain=gain,
                words=f"{words} (forgotten)" if dropped else words,
            )
        )
    return checks


def _of_label(name: str, said: Sequence[tuple[str, ...]], gold: Sequence[tuple[str, ...]]) -> Tally:
    """The label's F1."""
    says, right = (np.array([name in one for one in its], np.float64) for its in (said, gold))
    return Tally("F1", 2 * says * right, says + right)


def part(name: str, old: Outcome, new: Outcome, mask: Mask) -> Check:
    """Refuses what is told to be worse on a slice (5 %), by more than ``MARGIN`` after shrinkage towards the gain on
    all items."""
    before, after = old.tally.part(mask), new.tally.part(mask)
    n, whole = int(mask.sum()), new.tally.value - old.tally.value
    gain = _shrunk(after.value - before.value, n, whole, spread(new.tally, old.tally) ** 2)
    words = f"slice '{name}': {after.value:.3f}, {before.value:.3f} before, on {_items(n)}"
    return _paired("slice", name, before, after, gain, _SURE, words)


def held_out(old: Outcome, new: Outcome) -> Check:
    """Of held-out items beside others that are answered out of fold: refuses what is worse on these by more than
    ``MARGIN`` and, as far as so few tell, not by chance alone (``CONTRADICTED``). Where recipe and fold flatter a
    challenger, or what it did not learn of is missing out of fold, this part alone shows it."""
    before, after = old.tally, new.tally
    words = f"the held-out items alone: {after.value:.3f}, {before.value:.3f} before, on {_items(len(old.said))}"
    return _paired("slice", "held-out", before, after, after.value - before.value, CONTRADICTED, words)


def best_ever(best: Outcome, new: Outcome) -> Check:
    """Refuses what is told to be worse than the best version there was (5 %), by more than ``MARGIN`` after shrinkage
    towards none."""
    before, after = best.tally, new.tally
    gain = _shrunk(after.value - before.value, len(before.gained), 0.0, spread(after, before) ** 2)
    words = f"{after.value:.3f} beside {before.value:.3f} of {best.name}, the best there was"
    return _paired("best-ever", best.name, before, after, gain, _SURE, words)


def _paired(kind: Kind, name: str, before: Tally, after: Tally, gain: float, level: float, words: str) -> Check:
    """Refuses a loss of more than ``MARGIN`` that chance explains less often than ``level``."""
    better, worse = compared(after, before)
    return Check(
        kind=kind,
        name=name,
        passed=gain >= -MARGIN or chance(before, after) >= level,
        items=len(before.gained),
        champion=before.value,
        challenger=after.value,
        better=better,
        worse=worse,
        gain=gain,
        words=words,
    )


def calibration(old: Outcome, new: Outcome) -> Check:
    """Refuses scores that mean less than before: by the likelihood of right and wrong under them, or by the expected
    calibration error, each beyond its margin and beyond what a paired bootstrap over items explains (5 %)."""
    told = ahead(new.likelihood, old.likelihood, 1 - 2 * _SURE, _SAMPLES)
    grown = new.ece - old.ece
    less = told.value < -LIKELIHOOD_MARGIN and told.high < 0
    astray = grown > ERROR_MARGIN and _error_grown(old, new) > 0
    words = f"calibration error {new.ece:.3f}, {old.ece:.3f} before"
    if less:
        words = f"its scores say less of what is right ({told.value:+.2f} nats an item), {words}"
    return Check(
        kind="calibration",
        passed=not less and not astray,
        items=len(old.right),
        champion=old.ece,
        challenger=new.ece,
        words=words,
    )


def agreement(old: Outcome, new: Outcome, older: Mask) -> Check:
    """Doubts newer labels with which the champion agrees much less than with the older ones: either the texts became
    harder, or the labels became worse. Then the challenger, which learned from such labels, must prove on the older
    items that it is not worse than by ``MARGIN`` (one-sided, 10 %)."""
    parts = [old.tally.part(mask) for mask in (older, ~older)]
    sizes = [len(one.gained) for one in parts]
    doubted, words = False, "the newer labels agree with the champion as the older ones do"
    if min(sizes) >= _FEWEST:
        fall = parts[0].value - parts[1].value
        error = np.sqrt(sum(_variance(one) / size for one, size in zip(parts, sizes, strict=True)))
        doubted = fall > FALL and fall > _FAR * float(error)
        if doubted:
            words = f"the champion agrees with {parts[1].value:.2f} of the newer labels, {parts[0].value:.2f} of the "
            words += "older ones: look at the newer labels"
    low = ahead(new.tally.part(older), parts[0], 0.8, _SAMPLES).low if doubted else 0.0
    passed = low >= -MARGIN
    return Check(
        kind="agreement",
        passed=passed,
        items=sizes[1],
        champion=parts[0].value,
        challenger=parts[1].value,
        words=words if passed else f"{words}; on the older ones it may be worse by {100 * -low:.0f} points",
    )


def doubt(old: Outcome) -> str:
    """Why the labels are doubted, or "": the champion, which was calibrated when it was promoted, agrees with them far
    less than its scores claim, by more than ``FALL`` and than chance explains (1 %). Either the texts became harder,
    or many labels are wrong; of labels that are noise, a challenger is better as easily as worse."""
    claims, right = np.asarray(old.scores, np.float64), np.asarray(old.right, np.float64)
    gap = float((claims - right).mean())
    if len(right) < _FEWEST or gap <= FALL or gap <= _FAR * float(np.std(claims - right)) / np.sqrt(len(right)):
        return ""
    return (
        f"{old.name} claims to be right on {claims.mean():.2f} of these items and agrees with {right.mean():.2f} of "
        "their labels: look at the labels"
    )


def _shrunk(seen: float, items: int, whole: float, variance: float) -> float:
    """The mean of the difference on a part, given what is ``seen`` on its items and on the ``whole``; a loss on the
    whole is not held against a part. ``variance``: of one item's difference."""
    trust = BETWEEN**2 / (BETWEEN**2 + variance / items)
    return trust * seen + (1 - trust) * max(0.0, whole)


def _at_least(count: int, of: int, share: float) -> float:
    from scipy.stats import binom

    return float(binom.sf(count - 1, of, share))


def _error_grown(old: Outcome, new: Outcome) -> float:
    """By how much the calibration error grew at least, at 5 %: a bootstrap over items, the same for both."""
    n = len(old.right)
    samples = max(200, min(_SAMPLES, _DRAWN // n))
    drawn = np.random.default_rng(_SEED).multinomial(n, np.full(n, 1 / n), samples).astype(np.float64)
    errors = []
    for one in (old, new):
        score = np.asarray(one.scores, np.float64)
        gaps = np.zeros((n, BINS))
        index = np.clip(np.ceil(score * BINS).astype(int) - 1, 0, BINS - 1)
        gaps[np.arange(n), index] = score - np.asarray(one.right, np.float64)
        errors.append(np.abs(drawn @ gaps).sum(axis=1) / n)
    return float(np.quantile(errors[1] - errors[0], _SURE))


def _variance(tally: Tally) -> float:
    pulls = (tally.gained - tally.value * tally.possible) / max(float(tally.possible.mean()), 1e-12)
    return float(np.var(pulls))


def _items(count: int) -> str:
    return f"{count} item{'s' if count != 1 else ''}"

"""How good answers are against gold labels: accuracy, F1, how sure that is, and whether scores mean what they say."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelloop.words import Answer, Field, Path

BINS = 15
NO_ANSWER = "(no answer)"
SAMPLES = 10_000
_SEED = 13  # the same rows are drawn each time, and for all systems that are compared
_DRAWN = 2_000_000  # rows whose draws are in memory at once
_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Tally:
    """What each item gained of what it could: a metric is the sum of the one over the sum of the other.

    Accuracy gains 1 or 0 of 1; F1 gains twice what is right of all that is marked or should be; a mean of scores gains
    the score of 1. ``gained``, ``possible``: (n_items,).
    """

    metric: str
    gained: NDArray[np.float64]
    possible: NDArray[np.float64]

    @property
    def value(self) -> float:
        total = float(self.possible.sum())
        return float(self.gained.sum()) / total if total else 0.0

    @property
    def right_or_wrong(self) -> bool:
        """Whether each item is one or the other, as in accuracy."""
        return set(self.gained.tolist()) <= {0.0, 1.0} and bool((self.possible == 1).all())

    def part(self, items: NDArray[np.bool_]) -> Tally:
        """Of the items where ``items``, (n_items,), is true."""
        return Tally(self.metric, self.gained[items], self.possible[items])


def of_labels(field: Field, right: Sequence[Sequence[Path]], answers: Sequence[Answer]) -> Tally:
    """What answers that choose labels gain: accuracy where one is chosen, micro-F1 where several are."""
    pairs = [(set(known), set(answer.labels)) for known, answer in zip(right, answers, strict=True)]
    if field.multiple:
        gained = [2 * len(known & its) for known, its in pairs]
        possible = [len(known) + len(its) for known, its in pairs]
        return Tally("micro-F1", np.array(gained, np.float64), np.array(possible, np.float64))
    return Tally("accuracy", np.array([float(k == i) for k, i in pairs]), np.ones(len(pairs)))


class Estimate(NamedTuple):
    """A figure, and the interval that it lies in as far as these items tell."""

    value: float
    low: float
    high: float


def estimate(tally: Tally, samples: int = SAMPLES) -> Estimate:
    """The metric with its 95 % interval: Wilson's (1927) where each item is right or wrong, which also holds where all
    are right; else the percentiles of a bootstrap over items (Efron 1979)."""
    n = len(tally.gained)
    if n and tally.right_or_wrong:
        middle = (tally.value + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        reach = _Z / (1 + _Z**2 / n) * math.sqrt(tally.value * (1 - tally.value) / n + _Z**2 / (4 * n**2))
        return Estimate(tally.value, max(0.0, middle - reach), min(1.0, middle + reach))
    return _percentiles(tally.value, _resampled([tally], samples)[0], 0.95)


def ahead(ours: Tally, theirs: Tally, level: float = 0.95, samples: int = SAMPLES) -> Estimate:
    """By how much the metric of ``ours`` exceeds that of ``theirs`` on the same items: a paired bootstrap (Koehn 2004).

    Args:
        level: share of repetitions in which the interval would hold the true difference. Where one of several is
            picked, 1 - 0.05 / (their number) keeps all intervals together at 95 % (Bonferroni).

    Raises:
        ValueError: the tallies are of different items.
    """
    mine, other = _resampled([ours, theirs], samples)
    return _percentiles(ours.value - theirs.value, mine - other, level)


def chance(ours: Tally, theirs: Tally, samples: int = SAMPLES) -> float:
    """The one-sided p of ``ours`` being no better than ``theirs``, paired by item: how often luck does as much for it.

    Where items are right or wrong, McNemar's test in its mid-p form: the exact test errs on the safe side by about half
    of what it may, which costs the power that a few hundred items have, and mid-p hardly ever exceeds its level
    (Fagerland et al. 2013). Else approximate randomisation (Noreen 1989; Yeh 2000), of which McNemar's is the case of
    right or wrong: each item's outcomes are swapped between the two at random.

    Raises:
        ValueError: the tallies are of different items.
    """
    more, less = compared(ours, theirs)
    if ours.right_or_wrong and theirs.right_or_wrong:
        return sign_test(more, less)
    n = len(ours.gained)
    rng, step = np.random.default_rng(_SEED), max(1, _DRAWN // max(1, n))
    seen, least = 0, ours.value - theirs.value - 1e-12
    gained, possible = ours.gained - theirs.gained, ours.possible - theirs.possible
    totals = [float(side.sum()) for side in (ours.gained, ours.possible, theirs.gained, theirs.possible)]
    for first in range(0, samples, step):
        swapped = (rng.random((min(step, samples - first), n)) < 0.5).astype(np.float64)
        moved, shifted = swapped @ gained, swapped @ possible
        mine = (totals[0] - moved) / np.maximum(totals[1] - shifted, 1e-12)
        other = (totals[2] + moved) / np.maximum(totals[3] + shifted, 1e-12)
        seen += int((mine - other >= least).sum())
    return (seen + 1) / (samples + 1)


def sign_test(more: int, less: int) -> float:
    """The one-sided mid-p of so many items of ``more + less`` on one side where either side is as likely."""
    from scipy.stats import binom

    return float(binom.sf(more, more + less, 0.5) + 0.5 * binom.pmf(more, more + less, 0.5))


def spread(ours: Tally, theirs: Tally) -> float:
    """The standard deviation over items of what one item adds to the difference of the two metrics; that of n items'
    difference is this over the root of n. Of right and wrong it is the root of the share of items that differ, about.
    """
    compared(ours, theirs)
    pulls = [(t.gained - t.value * t.possible) / max(float(t.possible.mean()), 1e-12) for t in (ours, theirs)]
    return float(np.std(pulls[0] - pulls[1])) if len(ours.gained) else 0.0


def items_needed(gain: float, spread: float, alpha: float, power: float = 0.8) -> int | None:
    """On how many items a true ``gain`` is told at the one-sided level ``alpha`` with probability ``power``, by the
    normal approximation of McNemar's test (Connor 1987); None where there is no gain.

    Args:
        spread: as of ``spread``.
    """
    from scipy.stats import norm

    if gain <= 0:
        return None
    return max(1, math.ceil(float((norm.isf(alpha) + norm.ppf(power)) * spread / gain) ** 2))


def differing(ours: Tally, theirs: Tally) -> int:
    """On how many items the two gained different shares."""
    return sum(compared(ours, theirs))


def compared(ours: Tally, theirs: Tally) -> tuple[int, int]:
    """On how many items ours gained the greater share, and the smaller one."""
    if len(ours.gained) != len(theirs.gained):
        raise ValueError(f"the same items are needed: {[len(one.gained) for one in (ours, theirs)]}")
    a, b = (t.gained / np.where(t.possible == 0, 1, t.possible) for t in (ours, theirs))
    return int((a - b > 1e-9).sum()), int((b - a > 1e-9).sum())


def _resampled(tallies: Sequence[Tally], samples: int) -> list[NDArray[np.float64]]:
    """(samples,) values of each tally's metric on items drawn with replacement, the same for all tallies."""
    n = len(tallies[0].gained)
    if any(len(one.gained) != n or len(one.possible) != n for one in tallies):
        raise ValueError(f"the same items are needed: {[len(one.gained) for one in tallies]}")
    if not n:
        return [np.zeros(samples) for _ in tallies]
    rng, step = np.random.default_rng(_SEED), max(1, _DRAWN // n)
    values: list[list[NDArray[np.float64]]] = [[] for _ in tallies]
    for first in range(0, samples, step):
        rows = rng.integers(0, n, (min(step, samples - first), n))
        for one, its in zip(tallies, values, strict=True):
            total = one.possible[rows].sum(axis=1)
            its.append(one.gained[rows].sum(axis=1) / np.where(total == 0, 1, total))
    return [np.concatenate(its) for its in values]


def _percentiles(value: float, drawn: NDArray[np.float64], level: float) -> Estimate:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


def calibration_error(scores: Sequence[float], right: Sequence[bool], bins: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015): the mean distance between score and share of right answers.

    Args:
        scores: the probability in [0, 1] that each answer claims to be right with.
        right: whether it is.
        bins: of equal width over [0, 1]; each counts by how many answers fall into it.

    Returns:
        In [0, 1]; 0.0 where there are no answers.
    """
    confidence, hit = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    if len(confidence) == 0:
        return 0.0
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = [abs(confidence[index == one].sum() - hit[index == one].sum()) for one in range(bins)]
    return float(sum(gaps) / len(confidence))


def macro_f1(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """Mean F1 over the labels that occur in ``gold`` or ``predicted``, each counting alike."""
    from sklearn.metrics import f1_score

    return float(f1_score(gold, predicted, average="macro", zero_division=0.0)) if len(gold) else 0.0


def evaluate_one(gold: Sequence[Path], answers: Sequence[Answer]) -> dict[str, Any]:
    """Metrics of a field with one right label per item.

    An answer with a reason (an empty text, say) is wrong, with its score of 0.

    Returns:
        "n", "accuracy", "macro_f1", "ece", "mean_score", "no_answer", and "report": scikit-learn's classification
        report as a mapping, label ("A > B") to precision, recall, f1-score and support. JSON values only.

    Raises:
        ValueError: as many gold labels as answers are needed, and at least one.
    """
    from sklearn.metrics import classification_report

    _check(gold, answers)
    names = [" > ".join(path) for path in gold]
    predicted = [" > ".join(answer.labels[0]) if answer.labels else NO_ANSWER for answer in answers]
    right = [name == other for name, other in zip(names, predicted, strict=True)]
    known = sorted(set(names) | (set(predicted) - {NO_ANSWER}))
    report = classification_report(names, predicted, labels=known, output_dict=True, zero_division=0.0)
    return {
        **_scores(answers, right),
        "accuracy": float(np.mean(right)),
        "macro_f1": float(report["macro avg"]["f1-score"]),
        "report": {name: {k: float(v) for k, v in report[name].items()} for name in known},
    }


def evaluate_several(gold: Sequence[Sequence[Path]], answers: Sequence[Answer]) -> dict[str, Any]:
    """Metrics of a field with any number of right labels per item, none included.

    Returns:
        "n", "accuracy" (the share of items with exactly the right set), "subset_accuracy" (the same), "micro_f1",
        "macro_f1", "ece" (of the score that the whole set is right), "mean_score", "no_answer" and "report" by label.

    Raises:
        ValueError: as many gold sets as answers are needed, and at least one.
    """
    from sklearn.metrics import classification_report

    _check(gold, answers)
    sets = [{" > ".join(path) for path in paths} for paths in gold]
    predicted = [{" > ".join(path) for path in answer.labels} for answer in answers]
    right = [a == b and answer.reason is None for a, b, answer in zip(sets, predicted, answers, strict=True)]
    known = sorted(set().union(*sets, *predicted))
    scores: dict[str, Any] = {**_scores(answers, right), "accuracy": float(np.mean(right))}
    scores["subset_accuracy"] = scores["accuracy"]
    if not known:
        return {**scores, "micro_f1": 0.0, "macro_f1": 0.0, "report": {}}
    table = [np.array([[name in chosen for name in known] for chosen in side], dtype=int) for side in (sets, predicted)]
    if len(known) == 1:
        report = classification_report(
            table[0][:, 0], table[1][:, 0], labels=[1], target_names=known, output_dict=True, zero_division=0.0
        )
        micro = macro = float(report[known[0]]["f1-score"])
    else:
        report = classification_report(*table, target_names=known, output_dict=True, zero_division=0.0)
        micro, macro = (float(report[f"{kind} avg"]["f1-score"]) for kind in ("micro", "macro"))
    by_label = {name: {k: float(v) for k, v in report[name].items()} for name in known}
    return {**scores, "micro_f1": micro, "macro_f1": macro, "report": by_label}


def _check(gold: Sequence[object], answers: Sequence[Answer]) -> None:
    if len(gold) != len(answers) or not answers:
        raise ValueError(f"as many gold labels as answers are needed, and at least one: {len(gold)} and {len(answers)}")


def _scores(answers: Sequence[Answer], right: Sequence[bool]) -> dict[str, Any]:
    scores = [answer.score for answer in answers]
    return {
        "n": len(answers),
        "ece": calibration_error(scores, right),
        "mean_score": float(np.mean(scores)),
        "no_answer": sum(answer.reason is not None for answer in answers),
    }

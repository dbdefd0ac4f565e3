"""How good answers are against gold labels: accuracy, F1, and whether scores mean what they say."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from labelloop.words import Answer, Path

BINS = 15
NO_ANSWER = "(no answer)"


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

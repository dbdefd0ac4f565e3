"""Metrics against values worked out by hand and scikit-learn's own."""

import json

import numpy as np
import pytest

from labelloop.evaluation import (
    Tally,
    ahead,
    calibration_error,
    differing,
    estimate,
    evaluate_one,
    evaluate_several,
    macro_f1,
)
from labelloop.words import Answer


def one(label: str, score: float) -> Answer:
    return Answer(field="f", labels=((label,),), score=score)


def several(labels: str, score: float) -> Answer:
    return Answer(field="f", labels=tuple((label,) for label in labels), score=score)


def test_calibration_error_by_hand() -> None:
    assert calibration_error([], []) == 0.0
    assert calibration_error([1.0, 1.0], [True, True]) == 0.0
    assert calibration_error([1.0, 1.0], [True, False]) == pytest.approx(0.5)
    assert calibration_error([0.0], [True]) == pytest.approx(1.0)
    # bins (0.4, 0.467] and (0.867, 0.933]: gaps 0.45 - 0 of two, 0.9 - 1 of two
    assert calibration_error([0.44, 0.46, 0.9, 0.9], [False, False, True, True]) == pytest.approx((0.9 + 0.2) / 4)


def test_errors_of_opposite_sign_cancel_only_within_a_bin() -> None:
    assert calibration_error([0.75, 0.75, 0.75, 0.75], [True, True, True, False]) == pytest.approx(0)
    assert calibration_error([0.1, 0.9], [True, False]) == pytest.approx(0.9)


def test_one_right_label() -> None:
    gold = [("a",), ("a",), ("b",), ("c", "d")]
    result = evaluate_one(
        gold, [one("a", 0.9), one("b", 0.6), one("b", 0.8), Answer(field="f", labels=(("c", "d"),), score=1)]
    )
    assert result["n"] == 4 and result["accuracy"] == 0.75 and result["no_answer"] == 0
    assert result["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert result["mean_score"] == pytest.approx(0.825)
    assert set(result["report"]) == {"a", "b", "c > d"}
    assert result["report"]["a"] == {"precision": 1.0, "recall": 0.5, "f1-score": pytest.approx(2 / 3), "support": 2.0}
    json.dumps(result)


def test_no_answer_is_wrong_and_no_label() -> None:
    empty = Answer(field="f", labels=(), score=0.0, reason="The text is empty.")
    result = evaluate_one([("a",), ("a",)], [one("a", 1.0), empty])
    assert result["accuracy"] == 0.5 and result["no_answer"] == 1 and result["ece"] == 0.0
    assert list(result["report"]) == ["a"]


def test_several_right_labels() -> None:
    gold = [[("a",), ("b",)], [("a",)], [], [("b",)]]
    result = evaluate_several(gold, [several("ba", 0.8), several("ab", 0.4), several("", 0.7), several("a", 0.5)])
    assert result["accuracy"] == result["subset_accuracy"] == 0.5
    # a: 2 right, 1 too many; b: 1 right, 1 too many, 1 missed
    assert result["micro_f1"] == pytest.approx(2 * 3 / (2 * 3 + 2 + 1))
    assert result["macro_f1"] == pytest.approx((4 / 5 + 2 / 4) / 2)
    json.dumps(result)


def test_several_with_one_label_or_none_at_all() -> None:
    assert evaluate_several([[("a",)], []], [several("a", 1), several("a", 0.5)])["micro_f1"] == pytest.approx(2 / 3)
    nothing = evaluate_several([[]], [several("", 0.9)])
    assert nothing["accuracy"] == 1.0 and nothing["report"] == {}


def test_an_empty_text_is_not_an_empty_set() -> None:
    unread = Answer(field="f", labels=(), score=0.0, reason="The text is empty.")
    assert evaluate_several([[]], [unread])["accuracy"] == 0.0


@pytest.mark.parametrize("evaluate", [evaluate_one, evaluate_several])
def test_as_many_gold_labels_as_answers(evaluate) -> None:
    with pytest.raises(ValueError, match="1 and 0"):
        evaluate([("a",)], [])
    with pytest.raises(ValueError, match="0 and 0"):
        evaluate([], [])


def test_macro_f1_counts_labels_alike() -> None:
    assert macro_f1(["a"] * 9 + ["b"], ["a"] * 10) == pytest.approx(18 / 19 / 2)
    assert macro_f1([], []) == 0.0


def tally(gained: list[float], possible: list[float] | None = None) -> Tally:
    return Tally("m", np.array(gained, np.float64), np.array(possible or [1.0] * len(gained), np.float64))


def test_the_interval_of_a_share_is_wilsons() -> None:
    some = estimate(tally([1.0] * 81 + [0.0] * 182))  # 81 of 263: Newcombe 1998, table I
    assert (some.low, some.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    assert estimate(tally([1.0, 1.0, 1.0])).low < 0.5  # three of three say little


def test_the_interval_of_a_ratio_comes_from_its_items() -> None:
    rng = np.random.default_rng(1)
    found = estimate(tally(list(rng.normal(0.5, 0.1, 400))))
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.1 / 20, rel=0.1)
    micro = tally([2.0, 0.0, 4.0], [2.0, 3.0, 5.0])
    assert micro.value == 0.6  # counts are summed before they are divided
    assert estimate(tally([0.0, 0.0], [0.0, 0.0])).value == 0.0


def test_a_paired_difference_sees_what_two_intervals_do_not() -> None:
    rng = np.random.default_rng(2)
    hard = rng.random(300)
    ours, theirs = tally(list(hard)), tally(list(hard - 0.02))
    assert estimate(ours).low < estimate(theirs).high  # the intervals overlap
    gain = ahead(ours, theirs)
    assert gain.low == pytest.approx(0.02) and gain.high == pytest.approx(0.02)
    assert differing(ours, theirs) == 300 and differing(ours, ours) == 0
    assert ahead(theirs, ours).value == pytest.approx(-gain.value)


def test_more_comparisons_make_wider_intervals() -> None:
    rng = np.random.default_rng(3)
    ours, theirs = (tally(list((rng.random(100) < 0.5).astype(float))) for _ in range(2))
    once, often = ahead(ours, theirs, 0.95), ahead(ours, theirs, 0.99)
    assert often.low <= once.low <= once.high <= often.high and often != once


def test_other_items_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="the same items"):
        ahead(tally([1.0]), tally([1.0, 0.0]))

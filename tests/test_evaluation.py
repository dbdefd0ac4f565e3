"""Metrics against values worked out by hand and scikit-learn's own."""

import json

import numpy as np
import pytest

from labelloop.evaluation import (
    Tally,
    ahead,
    calibration_error,
    chance,
    compared,
    differing,
    estimate,
    evaluate_one,
    evaluate_several,
    items_needed,
    macro_f1,
    spread,
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


def paired(better: int, worse: int, both: int, neither: int = 0) -> tuple[Tally, Tally]:
    ours = [1.0] * better + [0.0] * worse + [1.0] * both + [0.0] * neither
    theirs = [0.0] * better + [1.0] * worse + [1.0] * both + [0.0] * neither
    return tally(ours), tally(theirs)


def test_the_chance_of_right_and_wrong_is_mcnemars_mid_p() -> None:
    assert 2 * chance(*paired(7, 1, 12, 1)) == pytest.approx(0.039, abs=5e-4)  # Fagerland et al. 2013, table 2
    assert chance(*paired(0, 0, 20)) == 0.5
    assert chance(*paired(9, 1, 0)) == chance(*paired(9, 1, 500))  # only what differs tells
    assert chance(*paired(5, 9, 3)) == pytest.approx(1 - chance(*paired(9, 5, 3)))


def test_the_chance_of_means_and_of_f1_is_found_by_swapping() -> None:
    ours, theirs = paired(12, 4, 30)
    halves = [tally(list(one.gained / 2)) for one in (ours, theirs)]  # the same, but not right or wrong any more
    exact = chance(ours, theirs) + 0.5 * 1820 / 2**16  # without the half of the very same outcome that mid-p leaves out
    assert chance(*halves) == pytest.approx(exact, abs=0.01)
    rng = np.random.default_rng(4)
    possible = rng.integers(1, 9, 200).astype(float)
    noise = [tally(list(possible * rng.random(200)), list(possible)) for _ in range(2)]
    assert 0.02 < chance(*noise) < 0.98
    ahead_of = tally(list(np.minimum(possible, noise[0].gained + 0.1 * possible)), list(possible))
    assert chance(ahead_of, noise[0]) < 0.001 and chance(noise[0], ahead_of) > 0.999


def test_a_part_of_the_items() -> None:
    ours, theirs = paired(3, 1, 2)
    first = np.arange(6) < 4
    assert (ours.part(first).value, theirs.part(first).value) == (0.75, 0.25)
    assert compared(ours.part(first), theirs.part(first)) == (3, 1) and compared(ours, theirs) == (3, 1)
    assert spread(ours, theirs) == pytest.approx(np.std([1, 1, 1, -1, 0, 0]))


def test_so_many_items_tell_a_gain_four_times_in_five() -> None:
    needed = items_needed(0.1, float(np.sqrt(0.2 - 0.1**2)), 0.05)
    assert needed is not None
    rng = np.random.default_rng(5)
    better = rng.multinomial(needed, [0.15, 0.05, 0.8], 400)  # of five items one differs, and three of four are ours
    told = np.mean([chance(*paired(int(won), int(lost), int(same))) < 0.05 for won, lost, same in better])
    assert 0.74 < told < 0.88
    assert items_needed(0.0, 0.4, 0.05) is None and items_needed(-0.1, 0.4, 0.05) is None
    assert items_needed(0.05, 0.4, 0.05) > needed

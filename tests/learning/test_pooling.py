"""Held-out items and items out of fold decide together; the held-out ones alone may object."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from labelloop.evaluation import Tally
from labelloop.learning.gate import Evidence, Verdict, decide
from labelloop.learning.gate_checks import Outcome
from labelloop.learning.gate_report import markdown, words
from labelloop.learning.pooling import ENOUGH, pooled

LABELS = ("Refund", "Delivery", "Damage", "Other")
HELD, FOLDED = 60, 240


def version(name: str, gold: Sequence[str], wrong: Sequence[int]) -> Outcome:
    missed = set(wrong)
    said = [LABELS[(LABELS.index(one) + (place in missed)) % 4] for place, one in enumerate(gold)]
    right = [place not in missed for place in range(len(gold))]
    tally = Tally("accuracy", np.array(right, np.float64), np.ones(len(gold)))
    return Outcome(name, tally, [float(np.mean(right))] * len(gold), right, [(one,) for one in said])


def part(count: int, old: Sequence[int], new: Sequence[int], labels: int = 4, folded: bool = False) -> Evidence:
    """``old``, ``new``: where champion and challenger are wrong."""
    gold = [LABELS[place % labels] for place in range(count)]
    evaluated = "out-of-fold" if folded else "held-out"
    return Evidence(version("v1", gold, old), version("v2", gold, new), [(one,) for one in gold], evaluated)


def both(held: Evidence, folded: Evidence) -> Verdict:
    its = pooled(held, folded)
    assert its is not None
    return decide(its)


GAIN = part(HELD, range(15), range(3, 16))
"""2 items of 60 better: far from told."""
FOLDED_GAIN = part(FOLDED, range(50), range(30, 60), folded=True)


def test_what_few_held_out_items_leave_open_the_learned_labels_tell() -> None:
    assert decide(GAIN).decision == "undecided"
    verdict = both(GAIN, FOLDED_GAIN)
    assert verdict.promoted and (verdict.items, verdict.held_out) == (HELD + FOLDED, HELD)
    assert (verdict.better, verdict.worse) == (33, 11)
    assert verdict.champion == pytest.approx(1 - 65 / 300) and verdict.challenger == pytest.approx(1 - 43 / 300)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_the_words_say_how_many_of_each() -> None:
    verdict = both(GAIN, FOLDED_GAIN)
    assert "on 60 held-out items and 240 answered out of fold, 33 better" in words(verdict)
    assert "60 held-out items and 240 answered out of fold" in markdown(verdict)


def test_a_gain_out_of_fold_that_the_held_out_items_contradict_promotes_nothing() -> None:
    verdict = both(part(HELD, range(9), range(3, 17)), FOLDED_GAIN)
    assert verdict.p < 0.1 and verdict.decision == "refused"
    assert [(one.kind, one.name, one.items) for one in verdict.failed] == [("slice", "held-out", HELD)]
    assert "the held-out items alone" in words(verdict)


def test_held_out_items_that_are_worse_by_chance_alone_do_not_object() -> None:
    assert both(part(HELD, range(9), range(7, 18)), FOLDED_GAIN).promoted


def test_a_label_that_is_missing_out_of_fold_is_missed() -> None:
    """The challenger did not learn of the fourth label, so nothing out of fold can show it."""
    others = part(FOLDED, range(80), range(60, 90), labels=3, folded=True)
    verdict = both(part(HELD, range(0, 60, 3), range(3, 60, 4)), others)
    assert verdict.p < 0.001 and verdict.decision == "refused"
    assert "Other" in {one.name for one in verdict.failed if one.kind == "label"}


def test_many_held_out_items_decide_alone_and_one_part_is_enough() -> None:
    many = part(ENOUGH, range(90), range(70, 100))
    assert pooled(many, FOLDED_GAIN) is many and pooled(part(ENOUGH - 1, [0], [1]), FOLDED_GAIN) is not None
    assert pooled(None, FOLDED_GAIN) is FOLDED_GAIN and pooled(GAIN, None) is GAIN
    assert pooled(None, None) is None


def test_slices_of_both_are_looked_at_together() -> None:
    held = replace(GAIN, slices={"older": np.arange(HELD) < 30, "blind": np.arange(HELD) < 6})
    folded = replace(FOLDED_GAIN, slices={"blind": (np.arange(FOLDED) >= 40) & (np.arange(FOLDED) < 80)})
    verdict = both(held, folded)
    assert {one.name: one.items for one in verdict.checks if one.kind == "slice"} == {
        "held-out": HELD,
        "older": 30,
        "blind": 46,
    }
    assert [one.name for one in verdict.failed] == ["blind"]


def test_the_best_there_was_is_compared_on_the_held_out_items() -> None:
    gold = [one for (one,) in GAIN.gold]
    (known,) = (one for one in both(replace(GAIN, best=version("v0", gold, [])), FOLDED_GAIN).failed)
    assert (known.kind, known.items, known.worse) == ("best-ever", HELD, 13)
    with pytest.raises(ValueError, match="the same items"):
        replace(GAIN, best=FOLDED_GAIN.champion)


def test_labels_to_come_are_counted_as_items() -> None:
    """Of what is held out alone a fifth counts; together each does."""
    hardly = both(part(HELD, range(12), range(1, 12)), part(FOLDED, range(50), range(12, 60), folded=True))
    assert hardly.decision == "undecided" and hardly.more_labels is not None
    assert hardly.labels_for_worth < decide(GAIN).labels_for_worth

"""The token budget: micro-batches approach their target time, and no single item is too large to be scored."""

from __future__ import annotations

import pytest

from labelloop.scoring.pace import Pace, cost


@pytest.mark.parametrize("ms_per_token", [0.01, 0.2, 5.0])
def test_the_budget_approaches_what_the_engine_needs(ms_per_token: float) -> None:
    pace = Pace(100.0)
    pace.record("bundle", 10, 5000.0)  # the first loads the model, and teaches nothing
    for _ in range(40):
        tokens = max(1, round(pace.budget("bundle")))
        pace.record("bundle", tokens, tokens * ms_per_token)
    assert pace.budget("bundle") * ms_per_token == pytest.approx(100.0, rel=0.05)


def test_small_quick_batches_teach_nothing() -> None:
    pace = Pace(100.0)
    pace.record("bundle", 10, 5.0)
    before = pace.budget("bundle")
    pace.record("bundle", 10, 5.0)
    assert pace.budget("bundle") == before


def test_bundles_have_paces_of_their_own() -> None:
    pace = Pace(100.0)
    for _ in range(30):
        pace.record("slow", 1000, 10_000.0)
    assert pace.budget("slow") < pace.budget("unknown")


def test_a_new_bundle_starts_small_where_each_text_is_read_often() -> None:
    pace = Pace(100.0)
    pace.expect("pairs", 50)
    assert pace.budget("pairs") == pytest.approx(pace.budget("unknown") / 50)
    pace.record("pairs", 10, 5000.0)
    pace.record("pairs", 1000, 100.0)
    learnt = pace.budget("pairs")
    pace.expect("pairs", 50)
    assert pace.budget("pairs") == learnt


def test_at_least_one_item_is_taken_and_no_more_than_fit() -> None:
    pace = Pace(100.0)
    budget = round(pace.budget("bundle"))
    assert pace.take("bundle", [10 * budget]) == 1
    assert pace.take("bundle", [budget // 2, budget // 2, budget // 2]) == 2
    assert pace.take("bundle", [1, 1, 1]) == 3


def test_longer_texts_cost_more_and_every_field_counts() -> None:
    assert cost({"a": "word " * 100}) > cost({"a": "word"}) > 0
    assert cost({"a": "word", "b": "word"}) == 2 * cost({"a": "word"})

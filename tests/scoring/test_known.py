"""Answers for many items at once: of each only what is not in the cache, and fields of a kind together."""

from labelloop.scoring import known
from labelloop.scoring.wire import ZERO_SHOT
from labelloop.scoring.workplace import Workplace
from labelloop.words import Bundle
from support.scoring import FakeEngine, expected


def test_of_an_item_only_the_fields_that_are_not_known_are_asked(
    place: Workplace, bundle: Bundle, engine: FakeEngine
) -> None:
    topic, tone = bundle.fields
    known.answers(place, bundle, ZERO_SHOT, {1: {"tone": "calm sea"}, 2: {"tone": "storm"}}, "push")
    engine.batches.clear()
    items = {1: {"topic": "sea", "tone": "calm sea"}, 2: {"topic": "wind", "tone": "storm"}, 3: {"tone": "storm"}}
    found = known.answers(place, bundle, ZERO_SHOT, items, "push")
    assert found == {
        1: [expected(topic, "sea"), expected(tone, "calm sea")],
        2: [expected(topic, "wind"), expected(tone, "storm")],
        3: [expected(tone, "storm")],
    }
    assert sorted(engine.texts) == ["sea", "wind"]


def test_a_micro_batch_asks_every_item_for_the_same_fields(
    place: Workplace, bundle: Bundle, engine: FakeEngine
) -> None:
    items = {n: {"topic": f"text {n}"} if n % 2 else {"topic": f"text {n}", "tone": f"{n}"} for n in range(10)}
    assert len(known.answers(place, bundle, ZERO_SHOT, items, "push") or ()) == 10
    assert all(len({tuple(item) for item in batch}) == 1 for batch in engine.batches)

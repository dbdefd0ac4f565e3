"""Ordering lists, with the real starter encoder."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from labelloop import tasks
from labelloop.settings import Settings
from labelloop.words import Answer, Field, Label, Passage, Reading

from .judgements import RANKINGS

CARS = [
    "Women cannot drive, as everybody knows.",
    "The car uses 5 litres of fuel per 100 km.",
    "The fuel use of small cars was measured.",
    "My dog barks at night.",
]


def rank(
    entries: Sequence[str], settings: Settings, question: str = "", query: str = "", buckets: Sequence[str] = ()
) -> Answer:
    field = Field(
        name="order",
        tag="Ranker",
        kind="ranking",
        to_name="list",
        labels=tuple(Label(path=(name,), text=name) for name in buckets),
        sources=(),
        question=question,
    )
    passages = tuple(Passage(name=f"id{index}", text=text) for index, text in enumerate(entries))
    bundle = tasks.make_bundle([field], settings)
    ((answer,),) = tasks.answer(bundle, [{"order": Reading(passages=passages, query=query).dump()}], settings)
    return answer


def test_most_obvious_lists_are_in_order(cpu: Settings) -> None:
    agree, first = [], 0
    for seed, (question, query, entries) in enumerate(RANKINGS):
        shuffled = np.random.default_rng(seed).permutation(len(entries)).tolist()
        answer = rank([entries[index] for index in shuffled], cpu, question, query)
        ((bucket, ids),) = answer.order
        order = [shuffled[int(one.removeprefix("id"))] for one in ids]
        assert bucket == "" and sorted(order) == list(range(len(entries))) and 0 < answer.score <= 1
        agree += [above < below for above, below in combinations(order, 2)]
        first += order[0] == 0
    assert np.mean(agree) > 0.8 and first >= 12  # of 15; by chance 0.5 and 5


def test_buckets_that_say_how_good_and_one_that_says_what(cpu: Settings) -> None:
    answer = rank(CARS, cpu, query="fuel use of cars", buckets=["Relevant", "Not relevant", "Biased"])
    found = {bucket: set(ids) for bucket, ids in answer.order}
    assert found == {"Relevant": {"id1", "id2"}, "Not relevant": {"id3"}, "Biased": {"id0"}}


def test_buckets_by_topic(cpu: Settings) -> None:
    entries = [
        "The striker scored twice.",
        "Parliament passed the law.",
        "The goalkeeper was hurt.",
        "A senator resigned.",
    ]
    answer = rank(entries, cpu, buckets=["Sports", "Politics"])
    assert {bucket: set(ids) for bucket, ids in answer.order} == {"Sports": {"id0", "id2"}, "Politics": {"id1", "id3"}}


@pytest.mark.parametrize("buckets", [(), ("best", "worst"), ("High", "Medium", "Low"), ("A", "B")])
@pytest.mark.parametrize(
    "entries", [["a"], ["x", "", "y", "x"], ["same"] * 5, ["😀", "Привет\r\n", "long " * 3000], ["?", "!"]]
)
def test_every_entry_is_there_once(cpu: Settings, entries: list[str], buckets: tuple[str, ...]) -> None:
    answer = rank(entries, cpu, "Rank by relevance", "greetings", buckets)
    assert [bucket for bucket, _ in answer.order] == list(buckets or [""])
    assert sorted(one for _, ids in answer.order for one in ids) == [f"id{index}" for index in range(len(entries))]
    assert 0 <= answer.score <= 1


def test_equal_entries_keep_the_order_of_the_list_and_empty_ones_come_last(cpu: Settings) -> None:
    ((_, ids),) = rank(["", "same", "same", "same"], cpu, query="anything").order
    assert ids == ("id1", "id2", "id3", "id0")

"""Cutting work up: windows cover a text, batches hold a budget."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.engines.batching import batches, window_starts


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 600))
def test_batches_hold_every_index_once_and_the_budget(lengths: list[int], budget: int) -> None:
    made = list(batches(lengths, budget))
    assert sorted(index for batch in made for index in batch) == list(range(len(lengths)))
    for batch in made:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


def test_batches_are_of_similar_length() -> None:
    assert list(batches([1, 100, 2, 99], 200)) == [[1, 3], [2, 0]]


@given(st.integers(0, 5000), st.integers(8, 600))
def test_windows_cover_the_text_and_overlap(length: int, size: int) -> None:
    overlap = size // 8
    starts = window_starts(length, size, overlap)
    assert starts[0] == 0 and starts[-1] + size >= length
    assert all(later - earlier <= size - overlap for earlier, later in pairwise(starts))
    assert len(set(starts)) == len(starts)


@pytest.mark.parametrize(("length", "starts"), [(0, [0]), (10, [0]), (11, [0, 1]), (26, [0, 8, 16])])
def test_windows_are_spread_evenly(length: int, starts: list[int]) -> None:
    assert window_starts(length, 10, 2) == starts

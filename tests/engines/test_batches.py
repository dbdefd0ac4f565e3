"""What a training step reads: texts in turn, partners with the same label, and hard negatives."""

import numpy as np

from labelloop.engines.training import _batches, _rivals

ANGLES = np.radians([0, 10, 20, 90, 100, 110, 15])
VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)
RIGHT = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0, 1]], np.bool_)
"""The last lies among the first three and has the label of the others."""


def test_rivals_are_the_nearest_texts_with_other_labels() -> None:
    rivals = _rivals(VECTORS, RIGHT)
    assert [its[0] for its in rivals[:3]] == [6, 6, 6]
    assert rivals[6].tolist() == [2, 1, 0]
    assert all(not (RIGHT[its] & RIGHT[row]).any() for row, its in enumerate(rivals))


def test_a_text_that_shares_one_of_its_labels_or_has_none_is_no_rival() -> None:
    right = np.array([[1, 1], [0, 1], [1, 0], [0, 0]], np.bool_)
    assert [its.tolist() for its in _rivals(VECTORS[:4], right)] == [[], [2], [1], [2, 1, 0]]


def test_steps_with_rivals_set_one_beside_each_pair_and_the_others_do_not() -> None:
    rivals = _rivals(VECTORS, RIGHT)
    steps = list(_batches(RIGHT, 6, 400, 0, rivals, hard=0.5))
    assert all(len(batch) == 6 for batch in steps)

    def fits(batch: list[int]) -> bool:
        return all(
            (RIGHT[one] == RIGHT[two]).all() and three in rivals[one]
            for one, two, three in zip(batch[::3], batch[1::3], batch[2::3], strict=True)
        )

    assert 0.4 < np.mean([fits(batch) for batch in steps]) < 0.6
    assert sum(map(fits, _batches(RIGHT, 6, 400, 0))) < 40


def test_without_rivals_steps_are_what_they_were_and_every_text_has_its_turn() -> None:
    steps = list(_batches(RIGHT, 4, 50, 3))
    assert steps == list(_batches(RIGHT, 4, 50, 3))
    assert {row for batch in steps for row in batch} == set(range(7))
    assert all((RIGHT[batch[0]] == RIGHT[batch[1]]).all() for batch in steps)

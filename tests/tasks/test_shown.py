"""Which examples become demonstrations: labels in turn, the most typical first, within their tokens."""

import numpy as np

from labelloop.engines import Vectors
from labelloop.tasks.shown import choose


def turned(*columns: int) -> Vectors:
    return np.eye(8, dtype=np.float32)[list(columns)]


def test_every_label_has_its_turn_before_one_has_its_second() -> None:
    vectors = turned(0, 0, 1, 2, 3, 4)
    columns = [5, 5, 5, 5, 1, 1]
    assert choose([1] * 6, columns, vectors, most=4, room=100) == [0, 4, 2, 5]
    assert choose([1] * 6, columns, vectors, most=2, room=100) == [0, 4]
    assert choose([1] * 4, columns[:4], vectors[:4], most=4, room=100) == []  # one label alone tells nothing


def test_demonstrations_keep_to_their_tokens() -> None:
    vectors = turned(0, 1, 2, 3)
    assert choose([40, 30, 20, 10], [0, 0, 1, 1], vectors, most=9, room=90) == [1, 2, 3]
    assert choose([40, 30, 20, 10], [0, 0, 1, 1], vectors, most=9, room=-5) == []
    assert choose([250, 10, 250, 10], [0, 0, 1, 1], vectors, most=9, room=9000) == [1, 3]
    assert choose([10] * 4, [0, 0, 1, 1], vectors, most=0, room=900) == []

"""The head that examples add to zero-shot chances: when it is believed, what it leaves alone, and that it is calm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.tasks import memory
from labelloop.tasks.calibration import Array

N_LABELS, DIM = 4, 24


def world(n: int, seed: int, trust: float = 1.0, spread: float = 1.0) -> tuple[Array, np.ndarray, Array]:
    """(n, d) vectors around a centre for each label, what is right, and chances that know it to this degree."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(N_LABELS, DIM))
    gold = rng.integers(0, N_LABELS, n)
    vectors = centres[gold] + spread * 2 * rng.normal(size=(n, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    right = np.eye(N_LABELS, dtype=bool)[gold]
    odds = trust * right + rng.normal(size=right.shape)
    return vectors, right, np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)


def accuracy(chances: Array, right: np.ndarray) -> float:
    return float(right[np.arange(len(right)), chances.argmax(axis=1)].mean())


def loss(chances: Array, right: np.ndarray) -> float:
    return float(-np.log(chances[right]).mean())


def test_examples_make_it_better_and_more_of_them_more_so() -> None:
    vectors, right, zero_shot = world(400, 1)
    found = [accuracy(zero_shot, right)]
    for n in (16, 64, 256):
        its = world(n, 2)
        found.append(accuracy(memory.recall(memory.fit(*its, False), vectors, zero_shot, False), right))
    assert found[1] >= found[0] - 0.01 and found[2] > found[0] + 0.05 and found[3] > found[2]


@pytest.mark.parametrize("n", [1, 2, 8, 32])
def test_vectors_that_say_nothing_are_not_believed(n: int) -> None:
    """Few examples in many dimensions can always be told apart; only rows that a head has not seen show the truth."""
    rng = np.random.default_rng(5)
    worse = []
    for seed in range(10):
        _, right, zero_shot = world(n, seed, trust=3)
        noise = rng.normal(size=(n + 300, DIM)) / np.sqrt(DIM)
        head = memory.fit(noise[:n], right, zero_shot, False)
        _, true, chances = world(300, 100 + seed, trust=3)
        worse.append(accuracy(chances, true) - accuracy(memory.recall(head, noise[n:], chances, False), true))
    assert np.mean(worse) < 0.01


def test_wrong_zero_shot_chances_lose_their_weight() -> None:
    vectors, right, zero_shot = world(600, 1, trust=-2)
    head = memory.fit(vectors[:300], right[:300], zero_shot[:300], False)
    assert head.shares[0] < 0.01 and head.trust < 0.8
    assert accuracy(zero_shot[300:], right[300:]) < 0.1
    assert accuracy(memory.recall(head, vectors[300:], zero_shot[300:], False), right[300:]) > 0.5


def test_examples_with_random_labels_are_hardly_believed() -> None:
    vectors, right, zero_shot = world(64, 1, trust=3)
    shuffled = right[np.random.default_rng(3).permutation(64)]
    head = memory.fit(vectors, shuffled, zero_shot, False)
    honest = memory.fit(vectors, right, zero_shot, False)
    assert np.abs(head.weights).sum() < np.abs(honest.weights).sum()


def test_chances_with_memory_are_those_of_being_right() -> None:
    its, (vectors, right, zero_shot) = world(200, 1), world(2000, 2)
    chances = memory.recall(memory.fit(*its, False), vectors, zero_shot, False)
    assert chances.sum(axis=1) == pytest.approx(1)
    assert chances.max(axis=1).mean() == pytest.approx(accuracy(chances, right), abs=0.04)


def test_labels_without_examples_keep_their_standing_among_each_other() -> None:
    vectors, right, zero_shot = world(60, 1)
    known = right[:, :2].any(axis=1)
    head = memory.fit(vectors[known], right[known], zero_shot[known], False)
    assert np.all(head.weights[:, 2:] == 0) and np.any(head.weights[:, :2] != 0)
    chances = memory.recall(head, vectors, zero_shot, False)
    before, after = (np.log(one[:, 2] / one[:, 3]) for one in (zero_shot, chances))
    assert after == pytest.approx(head.trust * before)


def test_the_very_same_text_gets_the_accepted_label() -> None:
    vectors, right, zero_shot = world(8, 1)
    head = memory.fit(vectors, right, zero_shot, False)
    sure = np.array([[0.997, 0.001, 0.001, 0.001]] * 2)
    chances = memory.recall(head, vectors[:2] * 0, sure, False, {1: [2]})
    assert chances.argmax(axis=1).tolist() == [0, 2] and chances[1, 2] > 0.9
    assert chances.sum(axis=1) == pytest.approx(1)


def test_each_of_several_labels_learns_by_itself() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(600, DIM)) / np.sqrt(DIM)
    right = np.stack([vectors[:, 0] > 0, vectors[:, 1] > 0.1, np.zeros(600, bool)], axis=1)
    zero_shot = np.full(right.shape, 0.4) + 0.1 * rng.random(right.shape)
    head = memory.fit(vectors[:300], right[:300], zero_shot[:300], True)
    chances = memory.recall(head, vectors[300:], zero_shot[300:], True)
    hits = ((chances > 0.5) == right[300:]).mean(axis=0)
    assert min(hits[:2]) > 0.8
    odds = np.log(zero_shot[300:, 2] / (1 - zero_shot[300:, 2]))
    assert np.log(chances[:, 2] / (1 - chances[:, 2])) == pytest.approx(head.trust * odds)


def test_the_same_examples_make_the_same_head() -> None:
    its = world(100, 1)
    one, other = memory.fit(*its, False), memory.fit(*its, False)
    assert np.array_equal(one.weights, other.weights) and one.shares == other.shares
    known = memory.weigh(*its, False)
    assert np.array_equal(memory.fit(*its, False, known).weights, one.weights)


def test_of_very_many_examples_the_last_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_EXAMPLES", 40)
    vectors, right, zero_shot = world(100, 1)
    head = memory.fit(vectors, right, zero_shot, False)
    assert head.examples == 40
    assert np.array_equal(head.weights, memory.fit(vectors[60:], right[60:], zero_shot[60:], False).weights)


def test_no_examples_and_rows_that_do_not_agree_are_refused() -> None:
    vectors, right, zero_shot = world(4, 1)
    for its in (
        (vectors[:0], right[:0], zero_shot[:0]),
        (vectors[:3], right, zero_shot),
        (vectors, right[:3], zero_shot),
    ):
        with pytest.raises(ValueError, match="one row of each"):
            memory.fit(*its, False)


def test_strength_is_weighed_anew_when_the_examples_are_an_eighth_more() -> None:
    assert [memory.settled(n) for n in (1, 7, 15, 16, 17, 100, 103, 104, 1000)] == [1, 7, 15, 16, 16, 96, 96, 104, 960]
    assert all(n - memory.settled(n) <= n / 8 for n in range(1, 3000))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 5), st.booleans(), st.integers(0, 1000))
def test_any_examples_give_chances(n: int, n_labels: int, several: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 5))
    vectors[rng.random(n) < 0.3] = vectors[0]  # equal texts under other names
    right = rng.random((n, n_labels)) < 0.4 if several else np.eye(n_labels, dtype=bool)[rng.integers(0, n_labels, n)]
    zero_shot = rng.dirichlet(np.full(n_labels, 0.05), n).clip(0, 1)
    chances = memory.recall(memory.fit(vectors, right, zero_shot, several), vectors, zero_shot, several)
    assert np.isfinite(chances).all() and (chances >= 0).all() and (chances <= 1).all()
    if not several:
        assert chances.sum(axis=1) == pytest.approx(1)


def test_there_is_more_evidence_for_chances_that_know_more() -> None:
    told = [memory.evidence(*world(48, 5, trust), several=False) for trust in (0.0, 1.0, 3.0)]
    assert told == sorted(told) and told[2] > told[0] + 2

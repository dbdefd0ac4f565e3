"""How far a trained model is believed beside what is known without it."""

import numpy as np
import pytest

from labelloop.tasks import voices
from labelloop.tasks.calibration import Array
from labelloop.tasks.voices import Voices


def said(right: np.ndarray, trust: float, seed: int) -> Array:
    """Chances that know what is right to this degree."""
    odds = trust * right + np.random.default_rng(seed).normal(size=right.shape)
    return np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)


def world(n: int, seed: int = 0) -> np.ndarray:
    return np.eye(4, dtype=bool)[np.random.default_rng(seed).integers(0, 4, n)]


def accuracy(chances: Array, right: np.ndarray) -> float:
    return float(right[np.arange(len(right)), chances.argmax(axis=1)].mean())


def test_who_says_nothing_true_has_no_voice() -> None:
    right = world(100)
    its, _ = voices.weigh(said(right, 2, 1), said(right, 0, 2), right, False)
    assert its.adapter < 0.1


def test_two_that_err_in_different_places_are_better_together() -> None:
    right, new = world(200), world(2000, 9)
    its, _ = voices.weigh(said(right, 1.5, 1), said(right, 1.5, 2), right, False)
    assert its.memory > 0.3 and its.adapter > 0.3
    known, learnt = said(new, 1.5, 3), said(new, 1.5, 4)
    both = accuracy(voices.mix(its, known, learnt, False), new)
    assert both > accuracy(known, new) + 0.05 and both > accuracy(learnt, new) + 0.05


def test_the_better_way_of_training_has_the_smaller_loss() -> None:
    right = world(200)
    known = said(right, 1, 1)
    losses = [voices.weigh(known, said(right, trust, 2), right, False)[1] for trust in (0, 1, 2, 4)]
    assert losses == sorted(losses, reverse=True)


def test_a_silent_adapter_changes_nothing() -> None:
    right = world(20)
    known, learnt = said(right, 1, 1), said(right, 3, 2)
    assert voices.mix(Voices(), known, learnt, False) == pytest.approx(known)
    assert voices.mix(Voices(), known, learnt, True) == pytest.approx(known)


def test_labels_that_were_not_taught_keep_their_chances() -> None:
    right = world(50)
    known, learnt = said(right, 1, 1), said(right, 3, 2)
    taught = np.array([True, False, True, False])
    made = voices.within(learnt, known, taught, False)
    assert made.sum(axis=1) == pytest.approx(1) and made[:, ~taught] == pytest.approx(known[:, ~taught])
    assert made[:, 0] / made[:, 2] == pytest.approx(learnt[:, 0] / learnt[:, 2])
    several = voices.within(learnt, known, taught, True)
    assert np.array_equal(several[:, taught], learnt[:, taught])
    assert np.array_equal(several[:, ~taught], known[:, ~taught])


def test_each_of_several_labels_by_itself() -> None:
    rng = np.random.default_rng(3)
    right = rng.random((300, 3)) < 0.4
    known, learnt = (1 / (1 + np.exp(-(2 * right - 1 + rng.normal(size=right.shape)))) for _ in range(2))
    its, _ = voices.weigh(known, learnt, right, True)
    both = voices.mix(its, known, learnt, True)
    assert ((both > 0.5) == right).mean() > max(((one > 0.5) == right).mean() for one in (known, learnt))
    assert not np.allclose(both.sum(axis=1), 1)

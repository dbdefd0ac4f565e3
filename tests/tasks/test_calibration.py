"""From similarity to probability, on numbers."""

import numpy as np
import pytest

from labelloop.prompting import Constants, load_prompt
from labelloop.tasks.calibration import Prior, choose_one, choose_several, estimate_prior, evidence

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def constants() -> Constants:
    return load_prompt("classification/v1").constants


def prior_of(labels: int, residual: frozenset[int] = frozenset()) -> Prior:
    return estimate_prior(RNG.normal(0.1, 0.04, (16, labels)), RNG.normal(0.1, 0.06, (48, labels)), residual)


@pytest.mark.parametrize("labels", [1, 2, 100])
def test_probabilities_sum_to_one(constants: Constants, labels: int) -> None:
    similarities = RNG.normal(0.1, 0.1, (20, labels))
    chances = choose_one(evidence(similarities, prior_of(labels), constants), constants)
    np.testing.assert_allclose(chances.sum(axis=1), 1)


def test_a_text_that_says_nothing_leaves_all_labels_open(constants: Constants) -> None:
    prior = Prior(np.full(4, 0.1), 0.05)
    chances = choose_one(evidence(np.full((1, 4), 0.3), prior, constants), constants)
    np.testing.assert_allclose(chances, 0.25)


def test_more_evidence_more_confidence(constants: Constants) -> None:
    prior = Prior(np.zeros(3), 0.05)
    tops = [
        choose_one(evidence(np.array([[gap, 0.0, 0.0]]), prior, constants), constants)[0, 0] for gap in (0, 0.1, 0.3)
    ]
    assert tops[0] == pytest.approx(1 / 3) and tops[0] < tops[1] < tops[2]


def test_an_encoder_with_a_narrow_range_gets_the_same_probabilities(constants: Constants) -> None:
    """Some encoders' cosines lie between 0.7 and 0.9: shifted and shrunken similarities mean the same."""
    plain, everyday, texts = (RNG.normal(0.1, 0.06, (n, 5)) for n in (16, 48, 10))
    wide = choose_one(evidence(texts, estimate_prior(plain, everyday), constants), constants)
    narrow_prior = estimate_prior(0.8 + plain / 4, 0.8 + everyday / 4)
    np.testing.assert_allclose(choose_one(evidence(0.8 + texts / 4, narrow_prior, constants), constants), wide)


def test_a_label_that_is_like_everything_is_held_back(constants: Constants) -> None:
    similarities = np.array([[0.30, 0.28]])
    even = choose_one(evidence(similarities, Prior(np.array([0.1, 0.1]), 0.05), constants), constants)
    hub = choose_one(evidence(similarities, Prior(np.array([0.3, 0.1]), 0.05), constants), constants)
    assert even[0].argmax() == 0 and hub[0].argmax() == 1


def test_no_row_depends_on_another(constants: Constants) -> None:
    similarities, prior = RNG.normal(0.1, 0.1, (30, 6)), prior_of(6)
    whole = evidence(similarities, prior, constants)
    for row in (0, 7, 29):
        alone = evidence(similarities[row : row + 1], prior, constants)
        np.testing.assert_array_equal(whole[row : row + 1], alone)


def test_other_wins_only_where_nothing_fits(constants: Constants) -> None:
    prior = Prior(np.array([0.1, 0.1, 0.0]), 0.05, frozenset({2}))
    chances = choose_one(evidence(np.array([[0.4, 0.1, 0.9], [0.1, 0.1, 0.0]]), prior, constants), constants)
    assert chances[0].argmax() == 0 and chances[1].argmax() == 2


def test_several_or_none(constants: Constants) -> None:
    prior = Prior(np.full(3, 0.1), 0.05)
    similarities = np.array([[0.5, 0.48, 0.1], [0.5, 0.1, 0.1], [-0.3, -0.3, -0.3]])
    chances = choose_several(evidence(similarities, prior, constants), similarities, prior, constants)
    assert (chances >= 0.5).tolist() == [[True, True, False], [True, False, False], [False, False, False]]


def test_each_label_has_its_own_threshold(constants: Constants) -> None:
    similarities = np.array([[0.12, 0.12]])
    prior = Prior(np.array([0.05, 0.6]), 0.05)
    chances = choose_several(evidence(similarities, prior, constants), similarities, prior, constants)
    assert chances[0, 0] >= 0.5 > chances[0, 1]


def test_one_label_alone_is_certain_among_one(constants: Constants) -> None:
    prior = prior_of(1)
    assert choose_one(evidence(np.array([[0.2]]), prior, constants), constants).tolist() == [[1.0]]


def test_a_single_checkbox_needs_evidence(constants: Constants) -> None:
    prior = estimate_prior(RNG.normal(0.1, 0.04, (16, 1)), RNG.normal(0.1, 0.06, (48, 1)))
    similarities = np.array([[0.5], [0.1], [-0.2]])
    chances = choose_several(evidence(similarities, prior, constants), similarities, prior, constants)
    assert chances[0, 0] > 0.7 and chances[1, 0] < 0.5 and chances[2, 0] < 0.1

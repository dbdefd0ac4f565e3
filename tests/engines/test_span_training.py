"""Passages in their contexts, trained by the real starter encoder: as they are trained, so they are served."""

from pathlib import Path

import numpy as np
import pytest

from labelloop.engines import adapter_files
from labelloop.engines.adapted import adapted
from labelloop.engines.adapter_files import About
from labelloop.engines.adapters import Sizes
from labelloop.engines.encoder import Encoder
from labelloop.engines.scale import Scale
from labelloop.engines.span_training import Place, SpanCourse, vectors_of
from labelloop.engines.training import Recipe

TEXTS = ["Anna Berg met Oslo Group in Rome.", "Tom left Paris.", "  Nothing here. "]
PLACES = [
    *(Place(0, ((0, 9),)), Place(0, ((14, 24),)), Place(0, ((28, 32),)), Place(1, ((0, 3),)), Place(1, ((9, 14),))),
    Place(0, ((0, 9), (9, 14), (14, 24))),
]
RIGHT = np.eye(2, dtype=bool)[[0, 1, 1, 0, 1, 0]]
RECIPE = Recipe(sizes=Sizes(layers=1, rank=4), rate=3e-3, batch=4, longest=64)
LABELS = [["a city"], ["a person"]]  # the wrong way round: there is something to learn


def course_of(encoder: Encoder, texts: list[str] = TEXTS, places: list[Place] = PLACES) -> SpanCourse:
    return SpanCourse(encoder, texts, places, encoder.meanings(LABELS), RECIPE)


def scale() -> Scale:
    return Scale(20.0, np.zeros(2), np.full(2, np.nan))


def test_what_is_trained_is_what_serves(encoder: Encoder, tmp_path: Path) -> None:
    course = course_of(encoder)
    *_, pupil = course.train(range(6), RIGHT, scale(), 6)
    trained = course.read(pupil, range(6))
    folder = adapter_files.save(
        About(method="lora", base=encoder.revision, sizes=RECIPE.sizes), pupil.weights, tmp_path
    )
    served = vectors_of(adapted(encoder, folder).tokens(TEXTS), PLACES)
    np.testing.assert_allclose(served, trained, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(served, axis=1), 1, atol=1e-5)
    assert np.abs(served - vectors_of(encoder.tokens(TEXTS), PLACES)).max() > 1e-2


def test_passages_come_near_to_their_labels(encoder: Encoder) -> None:
    course, meanings = course_of(encoder), encoder.meanings(LABELS)

    def margin(vectors: np.ndarray) -> float:
        near = vectors @ meanings.T
        return float((near[RIGHT] - near[~RIGHT]).mean())

    *_, pupil = course.train(range(6), RIGHT, scale(), 12)
    assert margin(course.read(pupil, range(6))) > margin(vectors_of(encoder.tokens(TEXTS), PLACES)) + 0.05


def test_rows_are_read_in_the_order_in_which_they_are_asked(encoder: Encoder) -> None:
    course = course_of(encoder)
    pupil = next(course.train(range(6), RIGHT, scale(), 1))
    whole = course.read(pupil, range(6))
    np.testing.assert_allclose(course.read(pupil, [4, 0, 2]), whole[[4, 0, 2]], atol=1e-5)
    assert course.read(pupil, []).shape == (0, whole.shape[1])


def test_a_long_text_is_trained_in_windows(encoder: Encoder) -> None:
    """Wherever a passage stands in a long text, it is found in the window that holds it whole."""
    text = " ".join(f"In year {number} Tom Hill went to Rome." for number in range(60))
    starts = [at for at in range(len(text)) if text.startswith("Tom Hill", at)]
    places = [Place(0, ((at, at + 8),)) for at in starts]
    course = SpanCourse(encoder, [text], places, encoder.meanings(LABELS), RECIPE)
    assert course.steps(range(60)) > 0
    pupil = next(course.train(range(60), np.eye(2, dtype=bool)[[1] * 60], scale(), 1))
    found = course.read(pupil, range(60))
    usual = vectors_of(encoder.tokens(["In year 7 Tom Hill went to Rome."]), [Place(0, ((10, 18),))])
    assert (found @ usual[0]).min() > 0.4


def test_steps_count_texts_and_not_passages(encoder: Encoder) -> None:
    many = Recipe(fewest_steps=1, epochs=4, batch=2)
    course = SpanCourse(encoder, TEXTS, PLACES, encoder.meanings(LABELS), many)
    assert course.steps(range(6)) == 4  # two of the texts have passages


def test_where_no_token_stands_nothing_is_said(encoder: Encoder) -> None:
    blank = [Place(2, ((0, 1),)), Place(1, ((0, 3),))]
    assert np.abs(vectors_of(encoder.tokens(TEXTS), blank)[0]).max() == 0
    course = course_of(encoder, places=blank)
    pupil = next(course.train([0, 1], np.eye(2, dtype=bool), scale(), 1))
    assert np.isfinite(course.read(pupil, [0, 1])).all()


@pytest.mark.parametrize("label", [0, 1])
def test_the_same_rows_and_seed_train_the_same(encoder: Encoder, label: int) -> None:
    right = np.eye(2, dtype=bool)[[label, 1 - label, 1, 0, 1, 0]]
    found = []
    for _ in range(2):
        course = course_of(encoder)
        *_, pupil = course.train(range(6), right, scale(), 2, seed=3)
        found.append(course.read(pupil, range(6)))
    np.testing.assert_array_equal(found[0], found[1])

"""What each token means in its context, and where it stands: with the real starter model."""

import numpy as np
import pytest

from labelloop.engines.encoder import Encoder
from labelloop.engines.offsets import locate, owners
from labelloop.errors import ModelError


def test_tokens_stand_where_they_are_in_the_text(encoder: Encoder) -> None:
    text = "  Anna lives in\tNew York.\n"
    (found,) = encoder.tokens([text])
    assert [text[start:end] for start, end in found.offsets] == ["Anna", "lives", "in", "New", "York", "."]
    assert found.vectors.shape == (6, 384) and found.vectors.dtype == np.float32


def test_vectors_depend_on_the_context_and_not_on_the_batch(encoder: Encoder) -> None:
    texts = ["The bank of the river.", "The bank gave him a loan.", "x"]
    together = encoder.tokens(texts)
    for text, found in zip(texts, together, strict=True):
        np.testing.assert_allclose(encoder.tokens([text])[0].vectors, found.vectors, atol=1e-5)
    river, loan = together[0].vectors[1], together[1].vectors[1]
    assert river @ loan < 0.95 * np.linalg.norm(river) * np.linalg.norm(loan)


def test_the_mean_of_the_tokens_is_the_direction_of_the_text(encoder: Encoder) -> None:
    """Mean pooling also counts the special tokens, so the directions are close, not equal."""
    text = "Heavy rain is expected in the north tomorrow, the weather service said."
    mean = encoder.tokens([text])[0].vectors.mean(axis=0)
    assert mean / np.linalg.norm(mean) @ encoder.embed([text])[0] > 0.98


def test_every_token_of_a_long_text_has_a_vector_from_the_window_where_it_is_further_inside(encoder: Encoder) -> None:
    words = [f"word{index % 97}" for index in range(400)]
    text = " ".join(words)
    (found,) = encoder.tokens([text])
    assert encoder.windows([text])[0] >= 3
    letters = "".join(text[start:end] for start, end in found.offsets)
    assert letters == "".join(words)
    assert (np.linalg.norm(found.vectors, axis=1) > 0).all()
    first = encoder._contexts([encoder._cut(locate(encoder._tokenizer, [text])[0].ids)[0]], 1.0)[0][1:-1]
    np.testing.assert_allclose(found.vectors[:150], first[:150], atol=1e-5)
    assert not np.allclose(found.vectors[len(first) - 2], first[-2], atol=1e-3)


@pytest.mark.parametrize("before", ["\ud83d\ude42", "\ud83d", "\ude42\ud83d", "\U0001f642", "E\u0301", "\ufeff"])
def test_offsets_are_those_of_the_text_as_it_was_given(encoder: Encoder, before: str) -> None:
    text = f"{before} fine {before} day"
    (found,) = encoder.tokens([text])
    parts = [text[start:end] for start, end in found.offsets]
    assert [part for part in parts if part.isascii() and len(part) > 2] == ["fine", "day"] and parts[-1] == "day"
    assert {part for part in parts if not part.isascii()} <= {before}


def test_the_models_own_prompt_is_no_part_of_the_text(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_prompt", "query: ")
    (found,) = encoder.tokens(["hello world"])
    assert found.offsets.tolist() == [[0, 5], [6, 11]] and len(found.vectors) == 2


def test_texts_without_words_have_no_tokens(encoder: Encoder) -> None:
    assert encoder.tokens([]) == []
    assert [len(found.offsets) for found in encoder.tokens(["", "  \n", "a"])] == [0, 0, 1]
    assert [found.vectors.shape for found in encoder.tokens(["", "a"])] == [(0, 384), (1, 384)]


def test_a_tokenizer_that_does_not_tell_offsets_is_refused() -> None:
    with pytest.raises(ModelError, match=r"SlowTokenizer.*tokenizer\.json"):
        locate(type("SlowTokenizer", (), {"is_fast": False})(), ["a"])


def test_each_token_belongs_to_the_window_whose_middle_is_nearest() -> None:
    starts = [0, 4, 9]
    chosen = owners(starts, 8, 17)
    middles = np.array(starts) + 3.5
    distances = np.abs(np.arange(17)[:, None] - middles)
    assert (distances[np.arange(17), chosen] == distances.min(axis=1)).all()
    assert all(starts[window] <= token < starts[window] + 8 for token, window in enumerate(chosen))

"""The cloze engine, with small masked models that are made and trained here."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from labelloop import engines
from labelloop.engines import Vectors
from labelloop.engines.cloze import Cloze, _Gap
from labelloop.engines.identity import identify
from labelloop.errors import ModelError
from labelloop.settings import Settings
from support import tiny_models

TEXTS = ["we loved every minute", "we hated every minute", "rain"]
WORDS = ["great", "terrible", "not so good"]
TOLD = [[f"It was ⟦{word}⟧."] for word in WORDS]
CORPUS = [*TEXTS, *(f"It was {word}." for word in WORDS), "It was very much fun.", "It is about the weather."] * 3


def make(kind: str = "Bert", vocabulary: int = 90) -> Cloze:
    tokenizer = (tiny_models.byte_bpe if kind == "Roberta" else tiny_models.wordpiece)(CORPUS, vocabulary)
    return Cloze(tiny_models.build(kind, "ForMaskedLM", tokenizer), tokenizer)


def by_hand(engine: Cloze, text: str, word: str, pattern: str = "It was {}.") -> float:
    """The mean log-probability of the word's tokens from left to right, one plain forward pass of the model each."""
    tokenizer, before = engine._tokenizer, pattern.index("{}") + len(text) + 1
    encoded = tokenizer(f"{text} {pattern.format(word)}", return_offsets_mapping=True)
    end = before + len(word)
    its = [i for i, (left, right) in enumerate(encoded["offset_mapping"]) if left < end and right > before]
    total = 0.0
    for place in its:
        ids = [
            tokenizer.mask_token_id if i in its and i >= place else one for i, one in enumerate(encoded["input_ids"])
        ]
        with torch.inference_mode():
            logits = engine._model(torch.tensor([ids])).logits[0, place]
        total += float(torch.log_softmax(logits, dim=-1)[encoded["input_ids"][place]])
    return total / len(its)


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "DebertaV2"])
def test_scores_are_those_of_one_plain_pass_per_token(kind: str) -> None:
    engine = make(kind)
    tokens = [len(words) for _, words, _ in engine._filled([told for (told,) in TOLD])]
    assert max(tokens) > 2, "words of several tokens are what this test is about"
    scores = engine.rank(TEXTS, TOLD)
    for text, row in zip(TEXTS, scores, strict=True):
        for word, score in zip(WORDS, row, strict=True):
            assert score == pytest.approx(by_hand(engine, text, word), abs=1e-4)


@pytest.mark.parametrize("kind", ["Bert", "Roberta"])
@pytest.mark.parametrize("words", [("great", "terrible"), ("very much fun", "not so good")])
def test_a_trained_model_fills_in_the_word_that_fits(kind: str, words: tuple[str, str]) -> None:
    engine = make(kind, 500)
    tokens = {len(its) for _, its, _ in engine._filled([f"It was ⟦{word}⟧." for word in words])}
    assert tokens == {len(words[0].split())}, "the number of masks must not give the answer away"
    lines = [(f"{text} It was ___.", word) for text, word in zip(TEXTS, words, strict=False)]
    tiny_models.train_masks(engine._model, engine._tokenizer, lines, 120)
    scores = engine.rank(TEXTS[:2], [[f"It was ⟦{word}⟧."] for word in words])
    assert scores[0, 0] > scores[0, 1] + 1 and scores[1, 1] > scores[1, 0] + 1


def test_labels_of_one_token_cost_one_pass_and_shared_beginnings_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make(vocabulary=300)
    asked: list[int] = []
    forward = engine._forward
    monkeypatch.setattr(engine, "_forward", lambda rows: (asked.append(len(rows)), forward(rows))[1])
    engine.rank(TEXTS, TOLD[:2])
    assert sum(asked) == len(TEXTS)
    asked.clear()
    engine.rank(TEXTS, [["It was ⟦not so good⟧."], ["It was ⟦not so great⟧."]])
    assert sum(asked) == 3 * len(TEXTS)


def test_the_head_sees_only_the_gaps() -> None:
    engine = make()
    shapes: list[tuple[int, ...]] = []
    engine._model.cls.register_forward_hook(lambda _head, _arguments, output: shapes.append(tuple(output.shape[:2])))
    engine.rank(TEXTS, TOLD)
    assert shapes and all(tokens == 1 for _, tokens in shapes)


def test_no_score_depends_on_other_texts_or_labels() -> None:
    engine = make()
    texts = [*TEXTS, "rain and " * 200]
    together = engine.rank(texts, TOLD)
    for text, row in zip(texts, together, strict=True):
        for told, score in zip(TOLD, row, strict=True):
            assert engine.rank([text], [told])[0, 0] == pytest.approx(score, abs=1e-4)


def test_a_long_text_is_read_in_windows_with_the_whole_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make(vocabulary=300)
    text = "we hated every minute " * 40
    seen: list[tuple[int, float]] = []
    forward = engine._forward

    def watched(rows: Sequence[tuple[list[int], _Gap, Sequence[int]]]) -> list[Vectors]:
        values = forward(rows)
        assert all(len(window) + gap.size + 2 <= 128 for window, gap, _ in rows)
        seen.extend((len(window), float(value[0])) for (window, _, _), value in zip(rows, values, strict=True))
        return values

    monkeypatch.setattr(engine, "_forward", watched)
    score = engine.rank([text], [["It was ⟦great⟧."]])[0, 0]
    assert engine.windows([text]) == [len(seen)] and len(seen) > 2
    assert score == pytest.approx(np.average([v for _, v in seen], weights=[n for n, _ in seen]), abs=1e-5)


def test_a_verbalization_without_marks_is_all_words() -> None:
    engine = make()
    np.testing.assert_allclose(engine.rank(TEXTS, [["It was great."]]), engine.rank(TEXTS, [["⟦It was great.⟧"]]))


def test_a_label_is_the_mean_over_its_verbalizations() -> None:
    engine = make()
    both = engine.rank(TEXTS, [[TOLD[0][0], TOLD[2][0]]])[:, 0]
    np.testing.assert_allclose(both, engine.rank(TEXTS, [TOLD[0], TOLD[2]]).mean(axis=1), atol=1e-5)


def test_what_cannot_be_asked_is_named() -> None:
    engine = make()
    with pytest.raises(ModelError, match=r"no token for the label words.*Give the label other words"):
        engine.rank(TEXTS, [["It was ⟦\u0007⟧."]])
    with pytest.raises(ValueError, match="at least one verbalization"):
        engine.rank(TEXTS, [[]])
    assert engine.rank([], TOLD).shape == (0, 3) and engine.rank(TEXTS, []).shape == (3, 0)


def test_half_a_surrogate_pair_does_not_lose_the_batch() -> None:
    assert np.isfinite(make("Roberta").rank(["\ud83d broken", "fine"], [["It is ⟦\ude42⟧."], TOLD[0]])).all()


def test_it_loads_from_a_folder_and_refuses_a_model_without_the_head(tmp_path: Path) -> None:
    engine = make()
    folder = tiny_models.save(engine._model, engine._tokenizer, tmp_path / "model")
    loaded = engines.load("cloze", folder, identify(folder), Settings(device="cpu"))
    np.testing.assert_allclose(loaded.rank(TEXTS, TOLD), engine.rank(TEXTS, TOLD), atol=1e-5)
    other = tiny_models.build("Bert", "ForSequenceClassification", engine._tokenizer)
    folder = tiny_models.save(other, engine._tokenizer, tmp_path / "other")
    with pytest.raises(ModelError, match=r"no weights for .*cls.*masked language model"):
        engines.load("cloze", folder, identify(folder), Settings(device="cpu"))


def test_a_tokenizer_without_a_mask_is_refused(tmp_path: Path) -> None:
    engine = make()
    engine._tokenizer.mask_token = None
    folder = tiny_models.save(engine._model, engine._tokenizer, tmp_path / "model")
    with pytest.raises(ModelError, match="no mask token"):
        engines.load("cloze", folder, identify(folder), Settings(device="cpu"))

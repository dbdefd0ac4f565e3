"""The cross-encoder engine, with small models that are made here and read real pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from labelloop import engines
from labelloop.engines import batching
from labelloop.engines.batching import CPU_BUDGET
from labelloop.engines.crossencoder import CrossEncoder, odds
from labelloop.engines.identity import identify
from labelloop.errors import ModelError
from labelloop.settings import Settings
from support import tiny_models

TEXTS = ["the team won the match", "the band played a song", "rain and wind", "a goal in the last minute of the match"]
LABELS = [["It is about sports."], ["It is about music."]]
NLI = {0: "contradiction", 1: "entailment", 2: "neutral"}
CORPUS = [*TEXTS, "It is about sports.", "It is about music.", "It is about the weather in the north."]
SCRIPT = [  # entails its own statement and contradicts the other
    (text, label[0], mine == index)
    for text, mine in zip(TEXTS[:2], (0, 1), strict=True)
    for index, label in enumerate(LABELS)
]


def make(kind: str = "Bert", id2label: dict[int, str] | None = None, seed: int = 0) -> CrossEncoder:
    tokenizer = (tiny_models.byte_bpe if kind == "Roberta" else tiny_models.wordpiece)(CORPUS)
    changes = {"id2label": NLI if id2label is None else id2label}
    return CrossEncoder(tiny_models.build(kind, "ForSequenceClassification", tokenizer, seed, **changes), tokenizer)


def by_hand(engine: CrossEncoder, first: str, second: str) -> np.ndarray:
    """The logits of one pair as transformers itself computes them."""
    with torch.inference_mode():
        return engine._model(**engine._tokenizer(first, second, return_tensors="pt")).logits[0].numpy()


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "DebertaV2"])
def test_scores_are_the_log_odds_that_transformers_computes(kind: str) -> None:
    engine = make(kind)
    scores = engine.rank(TEXTS, LABELS)
    for text, row in zip(TEXTS, scores, strict=True):
        for label, score in zip(LABELS, row, strict=True):
            logits = by_hand(engine, text, label[0])
            assert score == pytest.approx(logits[1] - logits[0], abs=1e-5)


def test_a_reranker_reads_the_query_first_and_gives_its_logit() -> None:
    engine = make(id2label={0: "LABEL_0"})
    scores = engine.rank(TEXTS, LABELS)
    assert scores[1, 0] == pytest.approx(by_hand(engine, LABELS[0][0], TEXTS[1])[0], abs=1e-5)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], (2, 0)),
        (["entailment", "neutral", "contradiction"], (0, 2)),
        (["not_entailment", "entailment"], (1, 0)),
        (["entailment", "non-entailment"], (0, 1)),
        (["score"], None),
    ],
)
def test_the_order_of_the_labels_is_read_from_the_model(names: list[str], expected: tuple[int, int] | None) -> None:
    assert odds(dict(enumerate(names))) == expected


@pytest.mark.parametrize("names", [["LABEL_0", "LABEL_1", "LABEL_2"], ["positive", "negative"], ["entailment", "x"]])
def test_a_classifier_of_another_kind_is_refused(names: list[str]) -> None:
    with pytest.raises(ModelError, match=rf"{names[0]}.*neither an NLI model nor a reranker.*id2label"):
        odds(dict(enumerate(names)))


@pytest.mark.parametrize("kind", ["Bert", "Roberta"])
@pytest.mark.parametrize("id2label", [NLI, {0: "entailment", 1: "not_entailment"}, {0: "relevance"}])
def test_a_trained_model_ranks_the_label_that_fits(kind: str, id2label: dict[int, str]) -> None:
    engine = make(kind, id2label)
    no, yes = {3: (0, 1), 2: (1, 0), 1: (-3.0, 3.0)}[len(id2label)]
    pairs = [(label, text) if len(id2label) == 1 else (text, label) for text, label, _ in SCRIPT]
    tiny_models.train_pairs(engine._model, engine._tokenizer, pairs, [yes if fits else no for *_, fits in SCRIPT], 120)
    scores = engine.rank(TEXTS[:2], LABELS)
    assert scores[0, 0] > scores[0, 1] + 2 and scores[1, 1] > scores[1, 0] + 2


def test_a_label_is_the_mean_over_its_verbalizations_and_equal_ones_are_read_once() -> None:
    engine = make()
    both = engine.rank(TEXTS, [["It is about sports.", "It is about music."], ["It is about music."]])
    np.testing.assert_allclose(both[:, 0], engine.rank(TEXTS, LABELS).mean(axis=1), atol=1e-6)
    with pytest.raises(ValueError, match="at least one verbalization"):
        engine.rank(TEXTS, [["a"], []])


def test_no_score_depends_on_other_texts_or_labels() -> None:
    engine = make()
    texts = [*TEXTS, "the match " * 300, ""]
    together = engine.rank(texts, [*LABELS, ["It is about the weather in the north."]])
    for text, row in zip(texts, together, strict=True):
        for label, score in zip(LABELS, row, strict=False):
            assert engine.rank([text], [label])[0, 0] == pytest.approx(score, abs=1e-4)


def test_nothing_to_do_gives_empty_results() -> None:
    engine = make()
    assert engine.rank([], LABELS).shape == (0, 2) and engine.rank(TEXTS, []).shape == (4, 0)
    assert engine.windows([]) == [] and engine.token_counts(["rain"]) == [4]


def test_a_long_text_is_read_in_windows_with_the_whole_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make()
    text = "the band played a song " * 100
    seen: list[list[int]] = []
    join = engine._frame.join
    monkeypatch.setattr(engine._frame, "join", lambda *pair: (seen.append(pair[0]), join(*pair))[1])
    (scores,) = engine.rank([text], LABELS[:1])
    assert engine.windows([text]) == [len(seen)] and len(seen) > 3
    hypothesis = engine._tokenizer(LABELS[0][0], add_special_tokens=False).input_ids
    assert all(len(window) + len(hypothesis) + 3 <= 128 for window in seen)
    windows = list(seen)
    by_window = [engine._forward([(window, hypothesis)])[0] for window in windows]
    assert scores[0] == pytest.approx(np.average(by_window, weights=[len(window) for window in windows]), abs=1e-5)


def test_a_hypothesis_longer_than_what_is_kept_free_gets_its_room_and_one_that_fills_the_model_is_named() -> None:
    engine = make()
    long = "It is about the match " * 15
    assert np.isfinite(engine.rank(["the match " * 100], [[long], LABELS[0]])).all()
    with pytest.raises(ModelError, match=r"told in \d+ tokens.*Shorten"):
        engine.rank(["rain"], [[long * 3]])


def test_memory_does_not_grow_with_the_number_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make()
    listed: list[int] = []
    cut = batching.batches
    monkeypatch.setattr(
        batching, "batches", lambda lengths, budget: (listed.append(len(lengths)), cut(lengths, budget))[1]
    )
    sizes: list[int] = []

    def forward(pairs: list[tuple[list[int], list[int]]]) -> np.ndarray:
        sizes.append(len(pairs) * max(len(window) + len(other) + 3 for window, other in pairs))
        return np.zeros(len(pairs), np.float32)

    monkeypatch.setattr(engine, "_forward", forward)
    scores = engine.rank([f"text {index}" for index in range(1000)], [[f"label {index}"] for index in range(50)])
    assert scores.shape == (1000, 50)
    assert max(listed) <= batching.MOST_PAIRS and sum(listed) == 50_000 and max(sizes) <= CPU_BUDGET


def test_half_a_surrogate_pair_does_not_lose_the_batch() -> None:
    assert np.isfinite(make().rank(["\ud83d broken", "fine"], [["\ude42"], ["fine"]])).all()


def test_it_loads_from_a_folder(tmp_path: Path) -> None:
    engine = make()
    folder = tiny_models.save(engine._model, engine._tokenizer, tmp_path / "model")
    loaded = engines.load("crossencoder", folder, identify(folder), Settings(device="cpu"))
    np.testing.assert_allclose(loaded.rank(TEXTS, LABELS), engine.rank(TEXTS, LABELS), atol=1e-5)


def test_a_model_without_the_head_is_refused_rather_than_guessing(tmp_path: Path) -> None:
    tokenizer = tiny_models.wordpiece(CORPUS)
    folder = tiny_models.save(tiny_models.build("Bert", "ForMaskedLM", tokenizer), tokenizer, tmp_path / "model")
    with pytest.raises(ModelError, match=r"no weights for .*classifier.*NLI or as a reranker"):
        engines.load("crossencoder", folder, identify(folder), Settings(device="cpu"))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    engine = make()
    folder = tiny_models.save(engine._model, engine._tokenizer, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights"):
        engines.load("crossencoder", folder, identify(folder), Settings(device="cpu"))

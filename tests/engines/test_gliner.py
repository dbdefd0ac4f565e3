"""The gliner engine: with a stand-in for the package, and with the real one where it is installed."""

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from labelloop import engines
from labelloop.engines.gliner import LEAST, Gliner
from labelloop.engines.identity import identify
from labelloop.errors import ModelError
from labelloop.settings import Settings
from support import tiny_models

REAL = find_spec("gliner") is not None
STAND_IN = str(Path(__file__).parents[1] / "support" / "stand_in")
TEXT = "Personally met Locations and Personnel"
LABELS = ["person", "location"]


def write(folder: Path, **changes: object) -> str:
    tokenizer = tiny_models.wordpiece([TEXT, "rain and wind"] * 3)
    tokenizer.save_pretrained(folder)
    described = {"max_len": 16, "model_name": "tiny", "encoder_config": {"max_position_embeddings": 130}} | changes
    (folder / "gliner_config.json").write_text(json.dumps(described))
    (folder / "model.safetensors").write_bytes(b"")
    return str(folder)


def load(folder: str) -> Gliner:
    engine = engines.load("gliner", folder, identify(folder), Settings(device="cpu"))
    assert isinstance(engine, Gliner)
    return engine


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(STAND_IN)
    for name in [name for name in sys.modules if name.split(".")[0] == "gliner"]:
        monkeypatch.delitem(sys.modules, name)
    yield
    sys.modules.pop("gliner", None)


@pytest.fixture
def engine(stand_in: None, tmp_path: Path) -> Gliner:
    return load(write(tmp_path))


def test_spans_are_characters_with_the_index_of_their_label(engine: Gliner) -> None:
    (found,) = engine.spans([TEXT], LABELS)
    assert [(TEXT[start:end], LABELS[label], score) for start, end, label, score in found] == [
        ("Personally", "person", 0.5),
        ("Locations", "location", 0.45),
        ("Personnel", "person", 0.45),
    ]
    assert all(score >= LEAST for *_, score in found)


def test_a_long_text_is_read_in_windows_and_every_span_is_told_once(engine: Gliner) -> None:
    text = " ".join(f"rain Personnel{index}" for index in range(60))
    (found,) = engine.spans([text], LABELS)
    assert [text[start:end] for start, end, *_ in found] == [f"Personnel{index}" for index in range(60)]
    asked = [part for texts, _ in engine._model.asked for part in texts]
    assert len(asked) > 7 and all(len(part.split()) <= 16 for part in asked)


def test_windows_also_fit_the_tokens_that_the_model_reads(stand_in: None, tmp_path: Path) -> None:
    engine = load(write(tmp_path, max_len=1000))
    text = "unbelievably Personnel " * 60
    (found,) = engine.spans([text], LABELS)
    assert len(found) == 60
    for texts, labels in engine._model.asked:
        for part in texts:
            assert len(engine._tokenizer(" ".join([*labels, part])).input_ids) <= 128


def test_many_labels_are_asked_in_groups(engine: Gliner) -> None:
    labels = [f"word{index} and wind" for index in range(40)]
    assert engine.spans([TEXT], [*labels, "person"])[0][0][2] == 40
    assert len(engine._model.asked) > 1
    assert [label for _, group in engine._model.asked for label in group] == [*labels, "person"]
    with pytest.raises(ModelError, match="Give it a shorter name"):
        engine.spans([TEXT], ["rain and " * 60])


def test_answers_keep_the_order_of_the_texts_and_do_not_depend_on_the_batch(engine: Gliner) -> None:
    texts = ["rain", TEXT, "", "Personnel " * 40, "  "]
    together = engine.spans(texts, LABELS)
    assert together == [engine.spans([text], LABELS)[0] for text in texts]
    assert [len(found) for found in together] == [0, 3, 0, 40, 0]
    assert engine.spans([], LABELS) == [] and engine.spans([TEXT], []) == [[]]


def test_of_spans_that_overlap_the_likelier_stays(engine: Gliner) -> None:
    (found,) = engine.spans(["Personally"], ["person", "personal", "person"])
    assert found == [(0, 10, 0, 0.5)]


def test_offsets_are_those_of_the_text_as_it_was_given(engine: Gliner) -> None:
    text = "\ud83d\ude42 \ud83d Personnel"
    ((start, end, _, _),) = engine.spans([text], LABELS)[0]
    assert text[start:end] == "Personnel"


def test_a_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "gliner", None)
    with pytest.raises(ModelError, match=r'needs the package gliner.*pip install "gliner>=0\.2\.29,<0\.3"'):
        load(write(tmp_path))


def test_code_and_pickles_of_its_own_are_refused(stand_in: None, tmp_path: Path) -> None:
    named = {"auto_map": {"AutoModel": "evil/repo--modeling.Evil"}, "max_position_embeddings": 130}
    with pytest.raises(ModelError, match="names code of its own"):
        load(write(tmp_path, encoder_config=named))
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights"):
        load(write_again(tmp_path))
    (tmp_path / "other.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        load(write_again(tmp_path))


def write_again(folder: Path) -> str:
    write(folder)
    (folder / "model.safetensors").unlink()
    return str(folder)


@pytest.mark.skipif(not REAL, reason="the package gliner is not installed")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
@pytest.mark.parametrize("span_mode", ["markerV0", "token_level"])
def test_the_real_package_loads_and_marks_spans(kind: str, span_mode: str, tmp_path: Path) -> None:
    """A random model: what it marks has no meaning, but loading, windows and offsets are real."""
    from gliner import GLiNER

    tokenizer = tiny_models.wordpiece([TEXT, "rain and wind"] * 3)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    body = tiny_models.SIZES | {"model_type": kind, "vocab_size": len(tokenizer), "relative_attention": True}
    made = GLiNER.from_config(
        {
            "model_name": str(tmp_path / "tokenizer"),
            "encoder_config": body,
            "hidden_size": 32,
            "max_len": 16,
            "span_mode": span_mode,
        },
        backbone_from_pretrained=False,
    )
    made.save_pretrained(tmp_path / "model", safe_serialization=True)
    engine = load(str(tmp_path / "model"))
    texts = [TEXT, "Personnel rain " * 40, "", "\ud83d\ude42 wind"]
    found = engine.spans(texts, [*LABELS, "weather"])
    assert len(found) == 4 and not found[2]
    for text, spans in zip(texts, found, strict=True):
        for start, end, label, score in spans:
            assert 0 <= start < end <= len(text) and text[start:end].strip() == text[start:end]
            assert label in range(3) and LEAST <= score <= 1
        assert all(one[1] <= after[0] for one, after in pairwise(spans))
    expected = made.inference([TEXT], [*LABELS, "weather"], threshold=LEAST)[0]
    assert [(span["start"], span["end"]) for span in expected] == [span[:2] for span in found[0]]
    assert max(start for start, *_ in found[1]) > 300, "the end of the long text is read, too"

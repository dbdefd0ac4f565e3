"""The starter writer's GGUF, unpacked once."""

import json
import logging
from pathlib import Path

import pytest
from safetensors import safe_open

from labelloop.engines import starter, unpacked
from labelloop.engines.causal import Causal
from labelloop.errors import ModelError
from labelloop.settings import Settings


def test_the_unpacked_weights_are_those_of_the_gguf(writer: Causal) -> None:
    from gguf import GGUFReader
    from gguf.quants import dequantize

    folder = Settings().cache_dir / unpacked.starter_name()
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    read = {tensor.name: tensor for tensor in GGUFReader(starter.causal_gguf()).tensors}
    pairs = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.layers.3.mlp.down_proj.weight": "blk.3.ffn_down.weight",
        "model.layers.29.input_layernorm.weight": "blk.29.attn_norm.weight",
    }
    with safe_open(folder / "model.safetensors", "np") as found:
        for ours, theirs in pairs.items():
            tensor = read[theirs]
            assert (found.get_tensor(ours) == dequantize(tensor.data, tensor.tensor_type)).all()


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that were written: unpacking itself takes a minute, and is what the starter's tests run on."""
    written: list[Path] = []

    def write(gguf: Path, folder: Path) -> None:
        written.append(folder)
        (folder / "config.json").write_text("{}")
        (folder / "unpacked-from").write_text(gguf.name)

    monkeypatch.setattr(unpacked, "_write", write)
    return written


def test_it_is_unpacked_once_and_appears_whole(tmp_path: Path, packed: list[Path]) -> None:
    settings = Settings(cache_dir=tmp_path / "cache")
    first = unpacked.unpack(Path("a.gguf"), "a-1", settings)
    assert unpacked.unpack(Path("a.gguf"), "a-1", settings) == first == tmp_path / "cache" / "a-1"
    assert len(packed) == 1 and packed[0] != first and not packed[0].exists()
    assert unpacked.is_unpacked("a-1", settings)


def test_half_an_unpacked_folder_is_made_again(tmp_path: Path, packed: list[Path]) -> None:
    (tmp_path / "a-1").mkdir()
    (tmp_path / "a-1" / "old").write_text("")
    folder = unpacked.unpack(Path("a.gguf"), "a-1", Settings(cache_dir=tmp_path))
    assert (folder / "config.json").is_file() and not (folder / "old").exists() and len(packed) == 1


def test_without_a_cache_folder_it_lies_in_a_temporary_one(
    tmp_path: Path, packed: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        folder = unpacked.unpack(Path("a.gguf"), "a-1", Settings(cache_dir=tmp_path / "file"))
    assert (folder / "config.json").is_file() and tmp_path not in folder.parents
    assert "Set LABELLOOP_CACHE_DIR" in caplog.text


def test_a_folder_may_hold_one_gguf(tmp_path: Path) -> None:
    assert unpacked.only_gguf(tmp_path) is None
    (tmp_path / "a.gguf").write_text("")
    assert unpacked.only_gguf(tmp_path) == tmp_path / "a.gguf"
    (tmp_path / "b.gguf").write_text("")
    with pytest.raises(ModelError, match=r"several GGUF files \(a.gguf, b.gguf\)"):
        unpacked.only_gguf(tmp_path)
    (tmp_path / "model.safetensors").write_text("")
    assert unpacked.only_gguf(tmp_path) is None

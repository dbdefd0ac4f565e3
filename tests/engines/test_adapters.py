"""Adapters on the real starter encoder: each method learns, is saved and read back, and leaves its base alone."""

import json
import threading
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from labelloop.engines import adapter_files, adapters, load
from labelloop.engines.adapted import adapted
from labelloop.engines.adapter_files import About
from labelloop.engines.adapters import METHODS, MethodName, Sizes
from labelloop.engines.encoder import Encoder
from labelloop.engines.halves import Upper
from labelloop.engines.identity import identify
from labelloop.engines.scale import Scale
from labelloop.engines.training import Course, Recipe
from labelloop.errors import ModelError
from labelloop.settings import Settings
from support import tiny_models

TEXTS = ["It rains in Spain.", "The goalkeeper saved it.", "Heavy snow and strong wind.", "They won the final 3:1."]
RIGHT = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], bool)
LABELS = [["sports"], ["weather"]]  # the wrong way round: there is something to learn
SCALE = Scale(10.0, np.zeros(2), np.full(2, np.nan))
SIZES = Sizes(layers=2, rank=4, alpha=8, width=8, length=4)
NEW = ["A storm is coming.", "He scored twice.", "A text of more words, so that the two are read in batches. " * 8]


def learn(encoder: Encoder, method: str, steps: int = 8, rate: float = 3e-3, seed: int = 0):
    """The course and its pupil after the last step."""
    recipe = Recipe(method=method, sizes=SIZES, rate=rate, batch=4)
    course = Course(encoder, TEXTS, encoder.meanings(LABELS), False, recipe)
    *_, pupil = course.train(range(4), RIGHT, SCALE, steps, seed)
    return course, pupil


def margin(encoder: Encoder, vectors: np.ndarray) -> float:
    """By how much texts are nearer to their own label than to the other one, on average."""
    similarities = vectors @ encoder.meanings(LABELS).T
    return float((similarities[RIGHT] - similarities[~RIGHT]).mean())


def saved(encoder: Encoder, method: str, parent: Path, seed: int = 0) -> Path:
    _, pupil = learn(encoder, method, steps=3, seed=seed)
    return adapter_files.save(About(method=method, base=encoder.revision, sizes=SIZES), pupil.weights, parent)


def test_every_method_has_a_name_that_settings_may_say() -> None:
    assert set(METHODS) == set(get_args(MethodName))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_learns_is_saved_and_read_back_the_same(encoder: Encoder, method: str, tmp_path: Path) -> None:
    before = encoder.embed(NEW)
    course, pupil = learn(encoder, method, rate=3e-2 if method in {"ia3", "bitfit"} else 3e-3)
    assert margin(encoder, course.read(pupil, range(4))) > margin(encoder, encoder.embed(TEXTS)) + 0.02
    folder = adapter_files.save(About(method=method, base=encoder.revision, sizes=SIZES), pupil.weights, tmp_path)
    its = adapted(encoder, folder)
    np.testing.assert_allclose(its.embed(TEXTS), course.read(pupil, range(4)), atol=1e-5)
    assert np.abs(its.embed(NEW) - before).max() > 1e-3
    np.testing.assert_array_equal(encoder.embed(NEW), before)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"prompt_tuning", "prefix_tuning"}))
def test_before_the_first_step_an_adapter_changes_nothing(encoder: Encoder, method: str) -> None:
    model = adapters.branch(encoder.model)
    adapters.attach(model, method, SIZES)
    np.testing.assert_allclose(Encoder(model).embed(NEW), encoder.embed(NEW), atol=1e-5)


@pytest.mark.parametrize("method", ["lora", "ia3", "bottleneck", "bitfit"])
def test_the_base_lies_in_memory_once(encoder: Encoder, method: str, tmp_path: Path) -> None:
    base = {weight.data_ptr() for weight in encoder.model.parameters()}
    own = [w for w in adapted(encoder, saved(encoder, method, tmp_path)).model.parameters() if w.data_ptr() not in base]
    assert 0 < sum(weight.numel() for weight in own) < 300_000


def tiny(kind: str, folder: Path, longest: int = 64, **changes: int) -> Encoder:
    """An encoder of another family with random weights."""
    make = tiny_models.wordpiece if kind in {"MPNet", "DistilBert"} else tiny_models.byte_bpe
    tokenizer = make(TEXTS * 3, 300)
    tokenizer.model_max_length = longest
    if kind == "DistilBert":
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    model = tiny_models.build(kind, "Model", tokenizer, **changes)
    name = tiny_models.save(model, tokenizer, folder)
    made = load("encoder", name, identify(name), Settings(device="cpu"))
    assert isinstance(made, Encoder)
    return made


FAMILIES: dict[str, dict[str, int]] = {
    "Roberta": {},
    "MPNet": {},
    "DistilBert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    "Qwen3": {"num_key_value_heads": 2, "head_dim": 16},
}


@pytest.mark.parametrize("kind", FAMILIES)
def test_other_families_of_models(kind: str, tmp_path: Path) -> None:
    """Their halves are the whole, and each method trains or says why it cannot."""
    encoder = tiny(kind, tmp_path / "model", **FAMILIES[kind])
    before = encoder.embed(TEXTS)
    refused = set()
    for method in METHODS:
        recipe = Recipe(method=method, sizes=Sizes(layers=1, length=2), rate=1e-9, batch=4)
        course = Course(encoder, TEXTS, encoder.meanings(LABELS), False, recipe)
        try:
            pupil = next(course.train(range(4), RIGHT, SCALE, 1))
        except ModelError as error:
            assert "has no place for" in str(error)
            refused.add(method)
            continue
        if method not in {"prompt_tuning", "prefix_tuning"}:
            np.testing.assert_allclose(course.read(pupil, range(4)), before, atol=1e-5)
    assert refused <= {"ia3", "bitfit"}
    np.testing.assert_array_equal(encoder.embed(TEXTS), before)


def test_no_room_for_a_prompt(tmp_path: Path) -> None:
    full = tiny("Roberta", tmp_path / "full", longest=128)
    with pytest.raises(ModelError, match="no room for 4 vectors"):
        adapters.attach(adapters.branch(full.model), "prompt_tuning", SIZES)


def test_one_layer_at_the_top_or_all_of_them(encoder: Encoder) -> None:
    def count(layers: int) -> int:
        model = adapters.branch(encoder.model)
        return len(adapters.attach(model, "lora", Sizes(layers=layers)))

    assert (count(1), count(2), count(0)) == (12, 24, 72)


def test_only_the_layers_that_train_are_read_again(encoder: Encoder) -> None:
    """The lower half is read once; both halves together are the model."""
    course = Course(encoder, TEXTS, encoder.meanings(LABELS), False, Recipe(sizes=SIZES, rate=1e-12, batch=4))
    pupil = next(course.train(range(4), RIGHT, SCALE, 1))
    np.testing.assert_allclose(course.read(pupil, range(4)), encoder.embed(TEXTS), atol=1e-5)
    lower = next(adapters.named_layers(adapters.transformer_of(encoder.model)))[1]
    seen: list[int] = []
    hook = lower.register_forward_hook(lambda *_: seen.append(1))
    course.read(pupil, range(4))
    hook.remove()
    assert not seen


def test_a_step_reads_short_texts_apart_from_long_ones_and_learns_the_same(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [text if place % 2 else f"{text} " * 40 for place, text in enumerate([*TEXTS, *TEXTS])]
    right, recipe = np.tile(RIGHT, (2, 1)), Recipe(sizes=SIZES, batch=8, dropout=0)
    found, tokens = [], []
    for budget in (2048, 1 << 20):
        monkeypatch.setattr(Encoder, "budget", budget)
        course = Course(encoder, texts, encoder.meanings(LABELS), False, recipe)
        steps = course.train(range(8), right, SCALE, 2)
        pupil = next(steps)
        assert course.read(pupil, []).shape == (0, 384)
        monkeypatch.setattr(Upper, "__call__", counted(Upper.__call__, read := []))
        *_, pupil = steps
        monkeypatch.undo()
        tokens.append(sum(read))
        found.append(course.read(pupil, range(8)))
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
    assert tokens[0] < 0.7 * tokens[1]


def counted(call, read: list[int]):  # type: ignore[no-untyped-def]
    """The call, which writes down how many tokens it reads, padding included."""

    def its(upper, ids, states):  # type: ignore[no-untyped-def]
        read.append(len(ids) * max(map(len, ids)))
        return call(upper, ids, states)

    return its


def test_the_same_seed_makes_the_same_adapter(encoder: Encoder, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    one, other = saved(encoder, "lora", tmp_path / "a"), saved(encoder, "lora", tmp_path / "b")
    assert one.name == other.name
    assert saved(encoder, "lora", tmp_path / "a", seed=1).name != one.name
    assert torch.equal(torch.random.get_rng_state(), before), "training must not move the process's random numbers"


def test_to_stop_is_not_to_ask_for_the_next_step(encoder: Encoder) -> None:
    recipe = Recipe(sizes=SIZES, batch=4)
    course = Course(encoder, TEXTS, encoder.meanings(LABELS), False, recipe)
    steps = course.train(range(4), RIGHT, SCALE, 100)
    assert [next(steps).done for _ in range(3)] == [1, 2, 3]
    steps.close()
    assert not encoder.model.training


def test_two_adapters_answer_at_once_and_those_longest_unused_go(encoder: Encoder, tmp_path: Path) -> None:
    folders = [saved(encoder, method, tmp_path) for method in ("lora", "bottleneck")]
    alone = [adapted(encoder, folder).embed(NEW) for folder in folders]
    found: dict[int, np.ndarray] = {}

    def ask(which: int) -> None:
        found[which] = adapted(encoder, folders[which % 2]).embed(NEW)

    threads = [threading.Thread(target=ask, args=(which,)) for which in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for which in range(6):
        np.testing.assert_allclose(found[which], alone[which % 2], atol=1e-6)
    first = adapted(encoder, folders[0])
    assert adapted(encoder, folders[0]) is first
    adapted(encoder, folders[1], most_bytes=1000)
    assert adapted(encoder, folders[0]) is not first


def test_an_adapter_is_named_by_what_it_holds(encoder: Encoder, tmp_path: Path) -> None:
    folder = saved(encoder, "lora", tmp_path)
    assert len(folder.name) == 64 and sorted(one.name for one in folder.iterdir()) == [
        "adapter.json",
        "adapter.safetensors",
    ]
    assert [one.name for one in tmp_path.iterdir()] == [folder.name]
    assert saved(encoder, "lora", tmp_path) == folder


def rewritten(folder: Path, **changes: object) -> Path:
    """The folder with another description, under the name that is right for it."""
    about = json.loads((folder / "adapter.json").read_text()) | changes
    told = json.dumps(about).encode()
    body = (folder / "adapter.safetensors").read_bytes()
    made = folder.parent / adapter_files._sha(told, body)
    made.mkdir()
    (made / "adapter.json").write_bytes(told)
    (made / "adapter.safetensors").write_bytes(body)
    return made


def test_damaged_adapters_are_refused(encoder: Encoder, tmp_path: Path) -> None:
    folder = saved(encoder, "lora", tmp_path, seed=7)  # which nobody has loaded yet
    body = (folder / "adapter.safetensors").read_bytes()
    (folder / "adapter.safetensors").write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(ModelError, match="its files have changed"):
        adapted(encoder, folder)
    (folder / "adapter.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        adapted(encoder, folder)
    with pytest.raises(ModelError, match="cannot be read"):
        adapted(encoder, tmp_path / "nowhere")


def test_foreign_adapters_are_refused(encoder: Encoder, tmp_path: Path) -> None:
    folder = saved(encoder, "lora", tmp_path)
    with pytest.raises(ModelError, match=r"trained on another==1.*LABELLOOP_ENCODER"):
        adapted(encoder, rewritten(folder, base="another==1"))
    with pytest.raises(ModelError, match="method"):
        adapted(encoder, rewritten(folder, method="magic"))
    with pytest.raises(ModelError, match="format"):
        adapted(encoder, rewritten(folder, format=2))
    with pytest.raises(ModelError, match="does not have the weights of bitfit"):
        adapted(encoder, rewritten(folder, method="bitfit"))
    with pytest.raises(ModelError, match="does not have the weights of lora"):
        adapted(encoder, rewritten(folder, sizes={**SIZES.model_dump(), "rank": 5}))


def test_weights_that_are_no_numbers_are_refused(encoder: Encoder, tmp_path: Path) -> None:
    folder = saved(encoder, "bitfit", tmp_path)
    weights = load_file(folder / "adapter.safetensors")
    weights[next(iter(weights))][0] = float("nan")
    save_file(weights, folder / "adapter.safetensors")
    with pytest.raises(ModelError, match="no numbers"):
        adapted(encoder, rewritten(folder))


def test_an_unknown_method_names_the_known_ones(encoder: Encoder) -> None:
    with pytest.raises(ModelError, match=r"no adapter method 'magic'.*lora"):
        adapters.attach(adapters.branch(encoder.model), "magic", SIZES)

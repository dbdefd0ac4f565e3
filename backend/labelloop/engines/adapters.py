"""Adapters: small trained weights on a model. What each method adds to it, and how models share their base.

An adapted model is a branch of its base: a second tree of modules over the same weights, with what was trained as its
only own ones. So many stand beside each other for the memory of their adapters, none disturbs another, and to go from
one to the next costs nothing.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from transformers import PreTrainedModel

from labelloop.errors import ModelError

Model = TypeVar("Model", bound=nn.Module)
MethodName = Literal["lora", "dora", "ia3", "prompt_tuning", "prefix_tuning", "bottleneck", "bitfit", "full"]


class Sizes(BaseModel):
    """How large an adapter is. ``layers``: how many of the model's layers it touches, counted from the last; 0 is all.
    ``rank``: of lora and dora, whose updates are scaled by ``alpha / rank``. ``width``: of a bottleneck. ``length``:
    vectors of a prompt or a prefix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: int = Field(2, ge=0)
    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    width: int = Field(32, ge=1)
    length: int = Field(8, ge=1)


Attach = Callable[[nn.Module, list[tuple[str, nn.Module]], Sizes], None]
METHODS: dict[str, Attach] = {}


def method(name: MethodName) -> Callable[[Attach], Attach]:
    """Registers a function that adds trainable weights to a transformers model, all others being frozen. It is given
    the model, the layers that it may touch with their names, first to last, and the sizes; what it adds must leave the
    model's output (nearly) as it is. It raises ModelError where the model has no place for it."""

    def register(attach: Attach) -> Attach:
        METHODS[name] = attach
        return attach

    return register


def branch(model: Model) -> Model:
    """A model of its own over the very weights of ``model``, frozen: only its tree of modules is new. Milliseconds.

    Args:
        model: of sentence-transformers, or of transformers.
    """
    shared: list[Any] = [*model.parameters(), *model.buffers(), getattr(model, "tokenizer", None)]
    made: Model = copy.deepcopy(model, {id(one): one for one in shared})
    return made.requires_grad_(False)


def attach(model: nn.Module, name: str, sizes: Sizes, seed: int = 0) -> dict[str, nn.Parameter]:
    """Adds the untrained weights of a method to a branch, and gives them by name. The same seed gives the same ones.

    Raises:
        ModelError: there is no such method, or it does not fit the model.
    """
    if name not in METHODS:
        raise ModelError(f"There is no adapter method {name!r}.", f"Known methods: {', '.join(METHODS)}.")
    transformer = transformer_of(model)
    touched = list(named_layers(transformer))[-sizes.layers :]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        METHODS[name](transformer, touched, sizes)
    _check_room(model, sizes.length if hasattr(transformer, "prompts") else 0)
    own = {name: weight for name, weight in transformer.named_parameters() if weight.requires_grad}
    for weight in own.values():  # not the model as a whole: one that is quantized cannot be moved
        weight.data = weight.data.to(transformer.device)
    model.eval()
    return own


def _check_room(model: Any, length: int) -> None:
    """Raises ModelError: a text as long as the model reads and a prompt before it are more than it has places for."""
    places = getattr(transformer_of(model).config, "max_position_embeddings", math.inf) - 2  # RoBERTa's begin at 2
    if length and min(model.max_seq_length or places, places) + length > places:
        raise ModelError(
            f"The encoder reads {places} tokens, and leaves no room for {length} vectors before them.",
            "Choose lora, or an encoder whose max_seq_length is smaller than what it could read.",
        )


def transformer_of(model: Any) -> Any:
    """The transformers model inside, or the model where it is one itself.

    Raises:
        ModelError: there is none.
    """
    if isinstance(model, PreTrainedModel):
        return model
    found = getattr(model[0], "auto_model", None)
    if found is None:
        raise ModelError(
            f"An encoder of {type(model[0]).__name__} has no layers to adapt.",
            "Choose an encoder that is a transformer (LABELLOOP_ENCODER), such as starter.",
        )
    return found


def named_layers(transformer: Any) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a transformers model, first to last.

    Raises:
        ModelError: it has none that can be told.
    """
    wanted = getattr(transformer.config, "num_hidden_layers", 0)
    for name, module in transformer.named_modules():
        if isinstance(module, nn.ModuleList) and wanted and len(module) == wanted:
            yield from ((f"{name}.{place}", layer) for place, layer in enumerate(module))
            return
    raise _misfit(transformer, "adapters: its layers cannot be told")


def _misfit(transformer: Any, what: str) -> ModelError:
    kind = getattr(transformer.config, "model_type", type(transformer).__name__)
    return ModelError(f"The model (a {kind} model) has no place for {what}.", "Choose lora, or another model.")


@method("lora")
def _lora(transformer: nn.Module, layers: list[tuple[str, nn.Module]], sizes: Sizes) -> None:
    """Products of two narrow matrices beside every linear map (Hu et al. 2022)."""
    _beside_linear_maps(transformer, layers, sizes, dora=False)


@method("dora")
def _dora(transformer: nn.Module, layers: list[tuple[str, nn.Module]], sizes: Sizes) -> None:
    """As lora, with the length of each row of the sum trained by itself (Liu et al. 2024)."""
    _beside_linear_maps(transformer, layers, sizes, dora=True)


def _beside_linear_maps(transformer: Any, layers: list[tuple[str, nn.Module]], sizes: Sizes, dora: bool) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    wanted = [f"{name}.{inner}" for name, layer in layers for inner, one in layer.named_modules() if _linear(one)]
    if not wanted:
        raise _misfit(transformer, "lora: its layers have no linear maps")
    config = LoraConfig(r=sizes.rank, lora_alpha=sizes.alpha, target_modules=wanted, use_dora=dora)
    inject_adapter_in_model(config, transformer)


@method("ia3")
def _ia3(transformer: Any, layers: list[tuple[str, nn.Module]], sizes: Sizes) -> None:
    """One factor for each number that keys, values and the inner feed-forward layer give (Liu et al. 2022)."""
    from peft import IA3Config, inject_adapter_in_model
    from peft.utils import constants

    kind = transformer.config.model_type
    ends = constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING.get(kind)
    if ends is None:
        raise _misfit(transformer, "ia3: which of its maps are keys, values and feed-forward is not known")
    forward = constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING[kind]
    names = [f"{name}.{inner}" for name, layer in layers for inner, one in layer.named_modules() if _linear(one)]
    chosen = [name for name in names if name.endswith(tuple(ends)) and not name.endswith("attention.output.dense")]
    inner = [name for name in chosen if name.endswith(tuple(forward))]
    inject_adapter_in_model(IA3Config(target_modules=chosen, feedforward_modules=inner), transformer)


@method("bottleneck")
def _bottleneck(transformer: Any, layers: list[tuple[str, nn.Module]], sizes: Sizes) -> None:
    """A small network behind each layer, added to what the layer gives (Houlsby et al. 2019; Pfeiffer et al. 2021 leave
    the one behind attention out)."""
    for _, layer in layers:
        layer.bottleneck = _Bottleneck(transformer.config.hidden_size, sizes.width)
        layer.register_forward_hook(lambda its, _, out: _with_first(out, its.bottleneck(_first(out))))


@method("prompt_tuning")
def _prompt_tuning(transformer: Any, layers: list[tuple[str, nn.Module]], sizes: Sizes) -> None:
    """Trained vectors that stand before the words of each text (Lester et al. 2021)."""
    _prompted(transformer, [], sizes.length)


@method("prefix_tuning")
def _prefix_tuning(transformer: Any, layers: list[tuple[str, nn.Module]], sizes: Sizes) -> None:
    """Trained vectors before the words, and others in their place at each layer, which makes its keys and values of
    them (Li and Liang 2021; deep prompts as Liu et al. 2022 have them, which need no access to the attention)."""
    _prompted(transformer, layers, sizes.length)


@method("bitfit")
def _bitfit(transformer: nn.Module, layers: list[tuple[str, nn.Module]], sizes: Sizes) -> None:
    """The biases alone (Ben Zaken et al. 2022)."""
    if not _own(layers, lambda name: name.endswith("bias")):
        raise _misfit(transformer, "bitfit: its layers have no biases")


@method("full")
def _full(transformer: nn.Module, layers: list[tuple[str, nn.Module]], sizes: Sizes) -> None:
    """Every weight of the layers."""
    _own(layers, lambda name: True)


def _linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def _own(layers: list[tuple[str, nn.Module]], wanted: Callable[[str], bool]) -> int:
    """Gives the branch weights of its own, and says how many."""
    count = 0
    for _, layer in layers:
        for module in layer.modules():
            for name, weight in module.named_parameters(recurse=False):
                if wanted(name):
                    setattr(module, name, nn.Parameter(weight.detach().clone()))
                    count += 1
    return count


class _Bottleneck(nn.Module):
    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(size, width), nn.Linear(width, size)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.up(nn.functional.gelu(self.down(states.to(self.down.weight.dtype))))
        return states + added.to(states.dtype)


def _prompted(transformer: Any, layers: list[tuple[str, nn.Module]], length: int) -> None:
    words = transformer.get_input_embeddings()
    if transformer.can_generate():
        raise _misfit(transformer, "prompts and prefixes: what it keeps of texts while it writes has no room for them")
    if "inputs_embeds" not in signature(transformer.forward).parameters:
        raise _misfit(transformer, "prompts and prefixes: it is not read as words with vectors before them")
    rows = torch.randint(words.weight.shape[0], ((1 + len(layers)) * length,))
    started = words.weight[rows.to(words.weight.device)].detach().clone()  # as words are: Lester et al. 2021
    prompts = nn.Parameter(started.reshape(1 + len(layers), length, -1))
    transformer.register_parameter("prompts", prompts)

    plain = transformer.forward

    def prompted(input_ids: torch.Tensor, attention_mask: torch.Tensor, **given: Any) -> Any:
        vectors = words(input_ids)
        if given.get("token_type_ids") is not None:
            given["token_type_ids"] = nn.functional.pad(given["token_type_ids"], (length, 0))
        out = plain(
            inputs_embeds=torch.cat([prompts[0].expand(len(vectors), -1, -1), vectors], dim=1),
            attention_mask=nn.functional.pad(attention_mask, (length, 0), value=1),
            **given,
        )
        out.last_hidden_state = out.last_hidden_state[:, length:]
        if out.get("hidden_states") is not None:
            out.hidden_states = tuple(states[:, length:] for states in out.hidden_states)
        return out

    transformer.forward = prompted  # sentence-transformers calls it by name, past any hook
    for place, (_, layer) in enumerate(layers):

        def deeper(_: nn.Module, args: tuple[Any, ...], place: int = place) -> tuple[Any, ...]:
            states = args[0]
            own = prompts[1 + place].expand(len(states), -1, -1)
            return torch.cat([own, states[:, length:]], dim=1), *args[1:]

        layer.register_forward_pre_hook(deeper)


def _first(out: Any) -> torch.Tensor:
    states: torch.Tensor = out[0] if isinstance(out, tuple) else out
    return states


def _with_first(out: Any, states: torch.Tensor) -> Any:
    return (states, *out[1:]) if isinstance(out, tuple) else states

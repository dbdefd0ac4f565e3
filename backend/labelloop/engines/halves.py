"""A transformer in two halves: the lower layers, which are frozen and read each text once, and the upper, which train.

What a frozen layer gives for a text never changes, so it is computed once and kept; a step of training then costs the
upper layers alone. The model itself runs both times, so masks, positions and pooling are its own: in the lower half it
is stopped at the border, in the upper half its first layers hand on what they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from labelloop.engines.adapters import branch, named_layers, transformer_of
from labelloop.engines.batching import batches

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class Stop(Exception):
    """The border is reached."""


def stop_before(layer: nn.Module, see: Callable[[torch.Tensor], None]) -> None:
    """Makes a layer tell what goes into it, and end the pass there with ``Stop``."""

    def stop(_: nn.Module, args: tuple[Any, ...]) -> None:
        see(args[0])
        raise Stop

    layer.register_forward_pre_hook(stop)


def begin_at(
    layers: Sequence[nn.Module], count: int, states: Callable[[], torch.Tensor], run: Callable[[], object]
) -> None:
    """Makes the first ``count`` layers do nothing, and the next one read ``states``. ``run``: the model once, on
    anything."""
    tuples = _gives_tuple(layers[0], run)
    for layer in layers[:count]:
        layer.forward = _hand_on_in_tuple if tuples else _hand_on
    layers[count].register_forward_pre_hook(lambda _, args: (states(), *args[1:]))


class Lower:
    """The first ``count`` layers of a model, which stays as it is and may serve meanwhile."""

    def __init__(self, model: SentenceTransformer, count: int, budget: int) -> None:
        self._model, self._budget = branch(model), budget
        self._seen = torch.empty(0)
        _, border = list(named_layers(transformer_of(self._model)))[count]
        stop_before(border, self._see)

    def read(self, ids: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """Per text (n_tokens, d) what goes into the layer behind the border, where the model lies."""
        found: list[torch.Tensor] = [self._seen] * len(ids)
        for batch in batches([len(its) for its in ids], self._budget):
            with torch.no_grad(), suppress(Stop):
                self._model(padded(self._model, [ids[index] for index in batch]))
            for index, states in zip(batch, self._seen, strict=True):
                found[index] = states[: len(ids[index])].clone()
        return found

    def _see(self, states: torch.Tensor) -> None:
        self._seen = states


class Upper:
    """The layers of a branch from ``count`` on. The branch can no longer be used without it."""

    def __init__(self, model: SentenceTransformer, count: int, dropout: float = 0.0) -> None:
        self._model, self._count = model, count
        self._states = torch.empty(0)
        layers = [layer for _, layer in named_layers(transformer_of(model))]
        if count:
            shortest = padded(model, [model.tokenizer("a")["input_ids"]])
            begin_at(layers, count, lambda: self._states, lambda: model(shortest))
        for module in transformer_of(model).modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout

    @contextmanager
    def training(self, seed: int) -> Iterator[None]:
        """What runs inside has dropout, which the seed alone decides."""
        device = self._model.device
        self._model.train()
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(seed)
                yield
        finally:
            self._model.eval()

    def __call__(self, ids: Sequence[Sequence[int]], states: Sequence[torch.Tensor]) -> torch.Tensor:
        """(n_texts, d) vectors of length 1, with gradients. ``states``: of ``Lower.read``; unused where all layers
        train."""
        vectors: torch.Tensor = self._model(self._features(ids, states))["sentence_embedding"]
        return nn.functional.normalize(vectors.float(), dim=1)

    def tokens(self, ids: Sequence[Sequence[int]], states: Sequence[torch.Tensor]) -> torch.Tensor:
        """(n_texts, n_tokens, d) of the last layer, special tokens and padding included, with gradients."""
        contexts: torch.Tensor = self._model[0](self._features(ids, states))["token_embeddings"]
        return contexts.float()

    def _features(self, ids: Sequence[Sequence[int]], states: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """What the model reads of the texts, whose states at the border lie ready for it."""
        features = padded(self._model, ids)
        if self._count:
            width = features["attention_mask"].shape[1]
            pad = [nn.functional.pad(its, (0, 0, 0, width - len(its))) for its in states]
            self._states = torch.stack(pad)
        return features


def padded(model: SentenceTransformer, ids: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """What the model reads, of token ids with special ones."""
    features = model.tokenizer.pad({"input_ids": [list(its) for its in ids]}, return_tensors="pt")
    return {name: tensor.to(model.device) for name, tensor in features.items()}


def _gives_tuple(layer: nn.Module, run: Callable[[], object]) -> bool:
    """Layers of some models give their states in a tuple."""
    seen: list[bool] = []
    hook = layer.register_forward_hook(lambda _, __, out: seen.append(isinstance(out, tuple)))
    try:
        with torch.no_grad():
            run()
    finally:
        hook.remove()
    return seen[0]


def _hand_on(states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return states


def _hand_on_in_tuple(states: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor]:
    return (states,)

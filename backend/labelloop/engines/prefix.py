"""What texts have in common is read once: key/value caches of their beginnings, kept from call to call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from labelloop.engines.recent import Recent

LEAST = 32  # tokens; to read a shorter beginning by itself costs about as much as it saves
LONG = 2048  # tokens; of longer beginnings one is kept, since each may fill a good part of a GPU
Ids = tuple[int, ...]
States = list[tuple[torch.Tensor, torch.Tensor]]  # of each layer (1, heads, tokens, d) keys and values


class Prefixes:
    """The beginnings that were used last, for one model."""

    def __init__(self, model: Any, size: int = 4) -> None:
        self._model = model
        self._states: Recent[Ids, States] = Recent(size)
        self._long: Recent[Ids, States] = Recent(1)

    def cache(self, ids: Ids, rows: int) -> DynamicCache | None:
        """A cache that holds ``ids`` for each of ``rows`` rows; None for none. The caller holds the model's lock."""
        if not ids:
            return None
        kept = self._long if len(ids) > LONG else self._states
        states = kept.get([ids], lambda _: [self._compute(ids)])[0]
        return DynamicCache(
            [(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)) for keys, values in states]
        )

    def forget(self) -> None:
        self._states, self._long = Recent(self._states.size), Recent(1)

    def _compute(self, ids: Ids) -> States:
        read = torch.tensor([ids], device=self._model.device)
        with torch.inference_mode():
            cache = self._model(input_ids=read, past_key_values=DynamicCache(), use_cache=True, **last(self._model, 1))
        return [(layer.keys, layer.values) for layer in cache.past_key_values.layers]


def common(rows: Sequence[Ids]) -> int:
    """How many first tokens all rows share."""
    first, last = min(rows), max(rows)
    return next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(map(len, rows)))


def last(model: Any, count: int) -> dict[str, int]:
    """The argument that makes the model compute the logits of its last ``count`` places only, where it knows one: over
    whole texts, with a vocabulary of 250,000, they would fill gigabytes."""
    import inspect

    return {"logits_to_keep": count} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}

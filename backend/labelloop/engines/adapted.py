"""Engines with adapters, that share the weights of one base: several stand ready, the ones used last stay."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import torch

from labelloop.engines import adapter_files, adapters
from labelloop.engines.causal import Causal
from labelloop.engines.encoder import Encoder
from labelloop.errors import ModelError

Base = TypeVar("Base", Encoder, Causal)


class _Ready(NamedTuple):
    engine: Any
    size: int


_ready: WeakKeyDictionary[Any, OrderedDict[str, _Ready]] = WeakKeyDictionary()
_lock = threading.Lock()


def adapted(base: Base, folder: Path, most_bytes: int = sys.maxsize) -> Base:
    """An engine that reads texts as the adapter in ``folder`` makes ``base`` read them; ``base`` stays as it is.

    The first call reads the adapter, not the base; later ones give the same object. Both, and others, may be asked in
    turn or at once.

    Args:
        most_bytes: of all adapters on this base; where there are more, those that were longest not asked for go.

    Raises:
        ModelError: the adapter is missing or damaged, is for another model, or its weights are not those of its method.
    """
    with _lock:
        ready = _ready.setdefault(base, OrderedDict())
        if folder.name not in ready:
            ready[folder.name] = _load(base, folder)
        ready.move_to_end(folder.name)
        while len(ready) > 1 and sum(one.size for one in ready.values()) > most_bytes:
            ready.popitem(last=False)
        found: Base = ready[folder.name].engine
        return found


def made_ready(base: Base, folder: Path, most_bytes: int) -> Callable[[], Base]:
    """``adapted``, asked once now, so that what is wrong is told, and again at each call: whoever held the engine
    itself would keep it beyond ``most_bytes``. Raises as ``adapted``."""
    engine = partial(adapted, base, folder, most_bytes)
    engine()
    return engine


def with_weights(
    base: Base, method: str, sizes: adapters.Sizes, weights: Mapping[str, torch.Tensor], name: str
) -> Base:
    """An engine beside ``base``, over its weights, with those of an adapter. ``name``: of the adapter.

    Raises:
        ModelError: the weights are not those of the method in these sizes.
    """
    model = adapters.branch(base.model)
    own = adapters.attach(model, method, sizes)
    if {name: weight.shape for name, weight in own.items()} != {name: one.shape for name, one in weights.items()}:
        raise ModelError(
            f"The adapter {name} does not have the weights of {method} in these sizes.",
            "Train a new one; it may come from another version of this package.",
        )
    with torch.no_grad():
        for part, weight in own.items():
            weight.copy_(weights[part])
            weight.requires_grad_(False)
    return base.beside(model, f"{base.revision}+{name}")


def _load(base: Base, folder: Path) -> _Ready:
    about, weights = adapter_files.read(folder)
    if about.base != base.revision:
        raise ModelError(
            f"The adapter {folder} was trained on {about.base}, and this {about.engine} is {base.revision}.",
            "Bring that model back (LABELLOOP_ENCODER, LABELLOOP_WRITER), or train a new adapter.",
        )
    size = sum(weight.numel() * weight.element_size() for weight in weights.values())
    return _Ready(with_weights(base, about.method, about.sizes, weights, folder.name), size)

"""Encoders with adapters, that share the weights of one base: several stand ready, the ones used last stay."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch

from labelloop.engines import adapter_files, adapters
from labelloop.engines.encoder import Encoder
from labelloop.errors import ModelError


class _Ready(NamedTuple):
    encoder: Encoder
    size: int


_ready: WeakKeyDictionary[Encoder, OrderedDict[str, _Ready]] = WeakKeyDictionary()
_lock = threading.Lock()


def adapted(base: Encoder, folder: Path, most_bytes: int = sys.maxsize) -> Encoder:
    """An encoder that reads texts as the adapter in ``folder`` makes ``base`` read them; ``base`` stays as it is.

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
        return ready[folder.name].encoder


def _load(base: Encoder, folder: Path) -> _Ready:
    about, weights = adapter_files.read(folder)
    if about.base != base.revision:
        raise ModelError(
            f"The adapter {folder} was trained on {about.base}, and this encoder is {base.revision}.",
            "Bring that encoder back (LABELLOOP_ENCODER), or train a new adapter.",
        )
    model = adapters.branch(base.model)
    own = adapters.attach(model, about.method, about.sizes)
    if {name: weight.shape for name, weight in own.items()} != {name: one.shape for name, one in weights.items()}:
        raise ModelError(
            f"The adapter {folder} does not have the weights of {about.method} in these sizes.",
            "Train a new one; it may come from another version of this package.",
        )
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(weights[name])
            weight.requires_grad_(False)
    size = sum(weight.numel() * weight.element_size() for weight in own.values())
    return _Ready(Encoder(model, f"{base.revision}+{folder.name}"), size)

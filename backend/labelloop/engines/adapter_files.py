"""Adapters on disk: a folder named by the sha256 of what it holds, read whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from labelloop.engines.adapters import MethodName, Sizes
from labelloop.errors import ModelError

if TYPE_CHECKING:
    import torch

WEIGHTS, ABOUT = "adapter.safetensors", "adapter.json"
_REMEDY = "Take it from where it was trained once more, or train a new one."


class About(BaseModel):
    """What an adapter is. ``engine``, ``base``: the engine and the revision of the model that it was trained on, on
    which alone it means something. ``trained``: on what and how, as the task that trained it needs and tells it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    engine: Literal["encoder", "causal"] = "encoder"
    method: MethodName
    base: str
    sizes: Sizes
    trained: dict[str, JsonValue] = {}


def save(about: About, weights: Mapping[str, torch.Tensor], parent: Path) -> Path:
    """Writes the folder ``parent/<sha256>`` and gives it; the same adapter is written once, and never half."""
    from safetensors.torch import save as as_bytes

    body = as_bytes({name: weight.detach().cpu().contiguous() for name, weight in sorted(weights.items())})
    told = (json.dumps(about.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / _sha(told, body)
    if folder.is_dir():
        return folder
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=parent))
    try:
        (making / ABOUT).write_bytes(told)
        (making / WEIGHTS).write_bytes(body)
        making.chmod(0o755)
        making.replace(folder)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        if not folder.is_dir():  # somebody else was first
            raise
    return folder


def read(folder: Path) -> tuple[About, dict[str, torch.Tensor]]:
    """What ``save`` wrote, its weights on the CPU.

    Raises:
        ModelError: it is not there, is not what its name says, or is no adapter that this version knows.
    """
    try:
        told, body = (folder / ABOUT).read_bytes(), (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise ModelError(f"The adapter {folder} cannot be read: {error.strerror or error}.", _REMEDY) from error
    if _sha(told, body) != folder.name:
        raise ModelError(f"The adapter {folder} is not what its name says: its files have changed.", _REMEDY)
    return _about(told, folder), _weights(body, folder)


def _about(told: bytes, folder: Path) -> About:
    try:
        return About.model_validate_json(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(f"The adapter {folder} is none of ours: {ABOUT}: {where}: {first['msg']}.", _REMEDY) from error


def _weights(body: bytes, folder: Path) -> dict[str, Any]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        weights: dict[str, Any] = load(body)
    except SafetensorError as error:
        raise ModelError(f"The adapter {folder} has no readable weights: {error}.", _REMEDY) from error
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise ModelError(f"The adapter {folder} has weights that are no numbers: {name}.", _REMEDY)
    return weights


def _sha(told: bytes, body: bytes) -> str:
    return hashlib.sha256(b"%d\0" % len(told) + told + body).hexdigest()

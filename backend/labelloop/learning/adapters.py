"""Adapters in the store: small trained weights, fetched by their SHA-256 on whatever machine serves them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from labelloop.errors import ModelError
from labelloop.learning.store import Store
from labelloop.learning.tables import AdapterRow


def keep(store: Store, content: bytes, about: Mapping[str, Any]) -> str:
    """Stores an adapter, whole or not at all; returns its sha. The same content is stored once."""
    sha = hashlib.sha256(content).hexdigest()
    with store.session() as session:
        if session.get(AdapterRow, sha) is None:
            session.add(AdapterRow(sha=sha, about=dict(about), content=content))
    return sha


def fetch(store: Store, sha: str, folder: Path) -> Path:
    """The adapter as a file in ``folder``, from there if it is there and whole, else from the store.

    Raises:
        ModelError: the store has no such adapter, or what it has is not what was trained.
    """
    place = folder / f"{sha}.safetensors"
    if place.is_file() and _sha(place.read_bytes()) == sha:
        return place
    with store.session() as session:
        row = session.get(AdapterRow, sha)
        content = None if row is None else row.content
    if content is None or _sha(content) != sha:
        what = "is not in the store" if content is None else "is damaged in the store"
        raise ModelError(
            f"The adapter {sha[:12]} {what}.",
            "Serve another version: `labelloop versions PROJECT` lists them, `labelloop rollback PROJECT` goes back.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{sha}.{uuid4().hex}.new"
    new.write_bytes(content)
    new.replace(place)  # whoever reads meanwhile finds all of it or none
    return place


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

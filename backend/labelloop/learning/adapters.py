"""Adapters in the store: small trained weights, fetched by their sha on whatever machine serves them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from labelloop.errors import ModelError
from labelloop.learning.store import Store
from labelloop.learning.tables import AdapterRow
from labelloop.words import Bundle

ABOUT, WEIGHTS = "adapter.json", "adapter.safetensors"


def keep(store: Store, folder: Path) -> None:
    """Stores the adapter in a folder, which is named by its sha, whole or not at all; the same one is stored once."""
    about, content = (folder / ABOUT).read_text(), (folder / WEIGHTS).read_bytes()
    with store.session() as session:
        if session.get(AdapterRow, folder.name) is None:
            session.add(AdapterRow(sha=folder.name, about=about, content=content))


def fetch(store: Store, bundle: Bundle, parent: Path) -> None:
    """Brings the adapters of a bundle to this machine: those that do not lie in ``parent``. Whether one is whole is
    asked when it is loaded (``engines.adapter_files``).

    Raises:
        ModelError: the store has no such adapter.
    """
    for sha in wanted(bundle):
        if not (parent / sha).is_dir():
            _fetch(store, sha, parent)


def wanted(bundle: Bundle) -> list[str]:
    """The shas of a bundle's adapters."""
    return list(dict.fromkeys(plan.adapter for plan in bundle.plans if plan.adapter))


def drop(shas: Iterable[str], parent: Path) -> None:
    """Removes adapters from this machine, so that they are fetched anew."""
    for sha in shas:
        shutil.rmtree(parent / sha, ignore_errors=True)


def _fetch(store: Store, sha: str, parent: Path) -> None:
    with store.session() as session:
        row = session.get(AdapterRow, sha)
        content = None if row is None else (row.about, row.content)
    if content is None:
        raise ModelError(
            f"The adapter {sha[:12]} is not in the store.",
            "Serve another version: `labelloop versions PROJECT` lists them, `labelloop rollback PROJECT` goes back.",
        )
    parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=parent))
    try:
        (making / ABOUT).write_text(content[0])
        (making / WEIGHTS).write_bytes(content[1])
        making.rename(parent / sha)  # whoever reads meanwhile finds all of it or none
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        if not (parent / sha).is_dir():  # another process was first
            raise

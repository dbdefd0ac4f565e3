"""Adapters in the store: small trained weights, fetched by their sha on whatever machine serves them."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import IntegrityError

from labelloop.errors import ModelError
from labelloop.learning.store import Store
from labelloop.learning.tables import AdapterRow
from labelloop.words import Bundle

log = logging.getLogger(__name__)

ABOUT, WEIGHTS = "adapter.json", "adapter.safetensors"


def sha_of(about: bytes, content: bytes) -> str:
    """The name of an adapter: the checksum of all that it is, as ``engines.adapter_files`` makes it."""
    return hashlib.sha256(b"%d\0" % len(about) + about + content).hexdigest()


def keep(store: Store, folder: Path) -> None:
    """Stores the adapter in a folder, which is named by its sha, whole or not at all; the same one is stored once."""
    about, content = (folder / ABOUT).read_text(), (folder / WEIGHTS).read_bytes()
    with suppress(IntegrityError), store.session() as session:  # somebody else was first with the same
        if session.get(AdapterRow, folder.name) is None:
            session.add(AdapterRow(sha=folder.name, about=about, content=content))


def fetch(store: Store, bundle: Bundle, parent: Path, check: Callable[[Path], object]) -> None:
    """Brings the adapters of a bundle to ``parent``, on this machine. One that lies there damaged is fetched anew.

    Args:
        check: raises ModelError where the adapter in a folder is not whole.

    Raises:
        ModelError: the store has no such adapter, or what it has is damaged, too.
    """
    for sha in dict.fromkeys(plan.adapter for plan in bundle.plans if plan.adapter):
        place = parent / sha
        if place.is_dir():
            try:
                check(place)
                continue
            except ModelError as error:
                log.warning("it is fetched anew: %s", error)
                shutil.rmtree(place)
        _fetch(store, sha, parent)
        check(place)


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

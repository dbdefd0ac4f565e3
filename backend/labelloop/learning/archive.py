"""The file of a backup: a zip of rows as JSON and adapters as they are, each with its checksum, for every database.

``manifest.json``            ``Manifest``
``tables/<table>.jsonl``     one row a line, by column name; times as ISO 8601 in UTC
``adapters/<sha>/<file>``    ``adapter.json`` and ``adapter.safetensors``, of which the folder's name is the checksum
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from labelloop.errors import LabelLoopError, RequestError
from labelloop.learning.adapters import ABOUT, WEIGHTS, sha_of
from labelloop.learning.database import to_json

MANIFEST = "manifest.json"
_BLOCK = 1 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError, OSError)

Row = dict[str, Any]
Tick = Callable[[int], object]
"""Is told how many rows and adapters are done since it was last told."""


class TableNote(BaseModel):
    """``sha256``: of the table's lines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    sha256: str


class Manifest(BaseModel):
    """What a backup holds. ``revision``: the schema of its rows. ``adapters``: by sha. ``left_out``: those that were
    damaged in the store itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    labelloop: str
    made_at: datetime
    revision: str
    tables: dict[str, TableNote]
    adapters: list[str]
    left_out: list[str] = []

    @property
    def size(self) -> int:
        """Rows and adapters, which is what progress counts."""
        return sum(table.rows for table in self.tables.values()) + len(self.adapters)


class Writer:
    """Fills the zip of a backup."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.tables: dict[str, TableNote] = {}
        self.adapters: list[str] = []

    def add_table(self, name: str, rows: Iterable[Row]) -> None:
        number, checksum = 0, hashlib.sha256()
        with self._archive.open(f"tables/{name}.jsonl", "w", force_zip64=True) as member:
            for row in rows:
                line = (to_json(row) + "\n").encode()
                member.write(line)
                checksum.update(line)
                number += 1
        self.tables[name] = TableNote(rows=number, sha256=checksum.hexdigest())

    def add_adapter(self, sha: str, about: str, content: bytes) -> None:
        self._archive.writestr(f"adapters/{sha}/{ABOUT}", about.encode())
        self._archive.writestr(f"adapters/{sha}/{WEIGHTS}", content, zipfile.ZIP_STORED)
        self.adapters.append(sha)

    def add_manifest(self, manifest: Manifest) -> None:
        self._archive.writestr(MANIFEST, manifest.model_dump_json(indent=1) + "\n")


@contextmanager
def writing(path: Path, force: bool, verify: Callable[[Path], object]) -> Iterator[Writer]:
    """Writes a backup that only this user may read; it appears whole, at the end, or not at all.

    Args:
        verify: is given what was written, before it appears.

    Raises:
        RequestError: there is a file already and ``force`` is not set, or there is no such folder.
        LabelLoopError: the disk refuses.
    """
    if path.exists() and not force:
        raise RequestError(f"{path} is there already.", "Name another file, or give --force.")
    if path.is_dir() or not path.parent.is_dir():
        raise RequestError(f"{path} is no place for a file.", "Name a file in a folder that exists.")
    part: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
        part = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                yield Writer(archive)
            file.flush()
            os.fsync(file.fileno())
        verify(part)
        part.replace(path)
    except OSError as error:
        raise LabelLoopError(f"The backup cannot be written to {path.parent}: {error.strerror or error}.") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def read(path: Path) -> Manifest:
    """The manifest of a backup. Only ``check`` reads the rest.

    Raises:
        RequestError: it is none, is damaged, or was made by a newer LabelLoop.
    """
    with _opened(path) as archive:
        told = json.loads(archive.read(MANIFEST))
        if isinstance(told, dict) and isinstance(told.get("format"), int) and told["format"] > 1:
            raise RequestError(
                f"{path} was made by a newer LabelLoop ({told.get('labelloop')}), in a form that this one cannot read.",
                "Restore it with that version.",
            )
        try:
            return Manifest.model_validate(told)
        except ValidationError as error:
            first = error.errors()[0]
            raise _damaged(path, f"{MANIFEST}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def check(path: Path, manifest: Manifest, columns: Mapping[str, set[str]], tick: Tick = lambda _: None) -> None:
    """Reads all of a backup.

    Args:
        columns: of each table, as the schema of the backup has them.

    Raises:
        RequestError: something is missing, is not what its checksum says, or has other tables or columns.
    """
    if manifest.tables.keys() != columns.keys():
        raise _damaged(path, f"it has other tables than schema {manifest.revision}")
    with _opened(path) as archive:
        for name, table in manifest.tables.items():
            checksum, number = hashlib.sha256(), 0
            for line in _lines(archive, name):
                checksum.update(line)
                number += 1
                if (row := json.loads(line)).keys() != columns[name]:
                    raise _damaged(path, f"row {number} of {name} has other columns: {', '.join(row)}")
                tick(1)
            if number != table.rows or checksum.hexdigest() != table.sha256:
                raise _damaged(path, f"the rows of {name} are not what their checksum says")
        for sha in manifest.adapters:
            about, content = adapter(archive, sha)
            if sha_of(about, content) != sha:
                raise _damaged(path, f"the adapter {sha[:12]} is not what its checksum says")
            tick(1)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, for ``rows`` and ``adapter``. Raises RequestError where it is damaged."""
    with _opened(path) as archive:
        yield archive


def rows(archive: zipfile.ZipFile, table: str) -> Iterator[Row]:
    for line in _lines(archive, table):
        yield json.loads(line)


def adapter(archive: zipfile.ZipFile, sha: str) -> tuple[bytes, bytes]:
    """(what it is, weights)."""
    return archive.read(f"adapters/{sha}/{ABOUT}"), archive.read(f"adapters/{sha}/{WEIGHTS}")


def _lines(archive: zipfile.ZipFile, table: str) -> Iterator[bytes]:
    with archive.open(f"tables/{table}.jsonl") as member:
        yield from member


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except LabelLoopError:
        raise
    except FileNotFoundError:
        raise RequestError(f"There is no file {path}.") from None
    except _DAMAGED as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _damaged(path: Path, why: str) -> RequestError:
    return RequestError(f"{path} is no whole backup of LabelLoop: {why}.", "Nothing was changed. Take another backup.")

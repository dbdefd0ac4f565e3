"""What of a training was done when it was stopped or its process died: kept on disk until the training ends."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT_S = 86_400.0  # what nobody has taken up for so long was trained otherwise since


@dataclass(frozen=True)
class Unfinished:
    """Named arrays of one training, in one file."""

    path: Path

    @classmethod
    def of(cls, folder: Path, told: Sequence[str]) -> Unfinished:
        """Of the training that is ``told`` so: all that decides what it makes, so that nothing else is taken up."""
        digest = hashlib.sha256("\0".join(told).encode("utf-8", "surrogatepass")).hexdigest()
        for other in folder.glob("*.npz"):
            if time.time() - other.stat().st_mtime > _KEPT_S:
                other.unlink(missing_ok=True)
        return cls(folder / f"{digest}.npz")

    def read(self) -> dict[str, NDArray[Any]]:
        """What was kept; nothing where there is none, or it is damaged."""
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                return {name: found[name] for name in found.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return {}

    def keep(self, name: str, array: NDArray[Any]) -> None:
        """Adds an array to what is kept, all or nothing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        known: dict[str, Any] = {**self.read(), name: array}
        handle, making = tempfile.mkstemp(dir=self.path.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **known)
        Path(making).replace(self.path)

    def drop(self) -> None:
        """The training is at its end."""
        self.path.unlink(missing_ok=True)

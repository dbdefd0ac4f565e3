"""Changes single values of labelloop.toml and leaves the rest, comments included, as the operator wrote it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from labelloop.errors import SettingsError


def config_path() -> Path:
    """Where labelloop.toml lies, or would."""
    return Path(os.environ.get("LABELLOOP_CONFIG", "labelloop.toml")).absolute()


def set_values(path: Path, values: Mapping[tuple[str, ...], Any]) -> None:
    """Sets values by their place, such as ("fields", "topic", "prompt"); the file is made where it is missing.

    Raises:
        SettingsError: the file is no TOML, has something else in that place, or cannot be written.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        document = tomlkit.parse(text)
        _set(document, values)
        path.write_text(tomlkit.dumps(document), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be changed: {error}.") from None
    except (TOMLKitError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{path} cannot be changed: {error}.", "It must be TOML with tables such as [fields.topic]."
        ) from None


def shown(values: Mapping[tuple[str, ...], Any]) -> str:
    """The lines that ``set_values`` would write into an empty file."""
    document = tomlkit.document()
    _set(document, values)
    return tomlkit.dumps(document).strip()


def _set(document: tomlkit.TOMLDocument, values: Mapping[tuple[str, ...], Any]) -> None:
    for place, value in values.items():
        table: Any = document
        for depth, name in enumerate(place[:-1]):
            if name not in table:
                table[name] = tomlkit.table(is_super_table=depth < len(place) - 2)
            table = table[name]
        table[place[-1]] = value

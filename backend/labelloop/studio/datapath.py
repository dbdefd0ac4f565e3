"""How a tag's ``value`` names task data: "$text", "$a.b", "$items[0].text", "Title: $title"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# The editor's own idea of a variable (ASCII only).
VARIABLE = re.compile(r"\$[A-Za-z0-9_\[\].{}]+")
_STEPS = re.compile(r"[^.\[\]]+")
UNNAMED = "$undefined$"  # under this key Label Studio keeps data that was imported without a name


class MissingKey(Exception):
    """``args[0]`` is the key that the data lacks; ``null``: it is there, and holds nothing."""

    def __init__(self, key: str, null: bool) -> None:
        super().__init__(key)
        self.null = null


def key_of(value: str) -> str:
    """What ``Source.key`` holds for a tag's value: "text" for "$text"; a template ("Title: $title") as it stands;
    "" for fixed text, which is the same in every task."""
    value = value.strip()
    found = VARIABLE.search(value)
    if found is None:  # "$текст": the editor knows no such variable, but nothing else can be meant
        return value[1:] if value.startswith("$") and len(value) > 1 else ""
    return value[1:] if found.group() == value else value


def is_template(key: str) -> bool:
    return VARIABLE.search(key) is not None


def lookup(data: Mapping[str, Any], path: str) -> Any:
    """The value at ``path``, which may be a plain key, even one with dots, or steps into dicts and lists.

    Raises:
        MissingKey: there is none, or it is null.
    """
    found: Any = data.get(path)
    there = False
    if found is None:
        found = data
        for step in _STEPS.findall(path) or [path]:
            if isinstance(found, Mapping):
                there = step in found
                found = found.get(step)
            elif isinstance(found, list) and step.isascii() and step.isdigit() and int(step[:9]) < len(found):
                there = True
                found = found[int(step[:9])]
            else:
                there = False
                found = None
    if found is None and set(data) == {UNNAMED}:
        found = data[UNNAMED]
    if found is None:
        raise MissingKey(path, null=there or path in data)
    return found

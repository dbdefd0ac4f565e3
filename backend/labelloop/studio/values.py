"""What a task's data holds for an object tag: the value behind its key, or the text behind the address there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from labelloop.errors import ItemError
from labelloop.studio.datapath import VARIABLE, MissingKey, is_template, lookup
from labelloop.words import Source

Fetch = Callable[[str], str]
"""The text behind an address; raises ItemError where this one cannot be read."""


def read_value(source: Source, data: Mapping[str, Any], fetch: Fetch | None) -> Any:
    """What the tag is given to show.

    Raises:
        ItemError: a key is missing or null, or an address cannot be read; names the key.
    """
    try:
        value = _value(source, data)
    except MissingKey as missing:
        if missing.null:
            raise ItemError(
                f"The item's '{missing.args[0]}', which <{source.tag} name=\"{source.name}\"> shows, is null.",
                "Put a value there.",
            ) from None
        present = ", ".join(sorted(map(str, data))[:10]) or "nothing"
        raise ItemError(
            f"The item's data has no '{missing.args[0]}', which <{source.tag} name=\"{source.name}\"> shows.",
            f"It has: {present}.",
        ) from None
    return _behind(source, value, fetch) if source.value_type == "url" else value


def text_of(sources: Iterable[Source], data: Mapping[str, Any]) -> str:
    """What an item holds for these objects in one string, the same in whatever order they come; of a text behind an
    address that address, of what is missing nothing."""
    found: dict[str, str] = {}
    for source in sources:
        with suppress(MissingKey):
            found[source.key] = plain(_value(source, data))
    return "\n".join(found[key] for key in sorted(found))


def _value(source: Source, data: Mapping[str, Any]) -> Any:
    """Raises MissingKey."""
    if is_template(source.key):
        return VARIABLE.sub(lambda found: plain(lookup(data, found.group()[1:])), source.key)
    return lookup(data, source.key)


def _behind(source: Source, address: Any, fetch: Fetch | None) -> str:
    """The text behind an address in the data. What the editor takes for none is none."""
    if not isinstance(address, str) or not address.startswith(("/", "http://", "https://")):
        raise ItemError(
            f"The item's '{source.key}' is no address; <{source.tag} name=\"{source.name}\"> loads its text from one.",
            'Put an address there, or remove valueType="url" from the label config.',
        )
    if fetch is None:
        raise ItemError(
            f"The item's '{source.key}' is an address. Text behind an address is read only when a project that is "
            "connected with a token is pre-annotated.",
            "Run `labelloop connect` with a token; then `labelloop preannotate`.",
        )
    return fetch(address)


def plain(value: Any) -> str:
    """Numbers as they are written, lists of such one a line, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str | int | float) for part in value):
        return "\n".join(plain(part) for part in value)
    return json.dumps(value, ensure_ascii=False, default=str)

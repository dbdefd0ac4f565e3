"""The text that a model reads of an item: markup stripped, dialogues as lines, several objects one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labelloop.errors import ItemError
from labelloop.studio.datapath import VARIABLE, MissingKey, is_template, lookup
from labelloop.studio.markup import html_to_text
from labelloop.studio.options import labels_for
from labelloop.words import Field, Source, pose

Fetch = Callable[[str], str]
"""The text behind an address; raises ItemError where this one cannot be read."""


def render(field: Field, data: Mapping[str, Any], fetch: Fetch | None = None) -> str:
    """What a person sees of ``data`` next to this control, as plain text; objects are joined by an empty line.

    For a dynamic field it is ``words.pose`` of this text and the item's labels.

    Args:
        fetch: reads the text behind an address, where an object has valueType="url". Without one there is no network.

    Raises:
        ItemError: a key is missing or null, or a dialogue, the labels or an address have another form; names the key.
    """
    if not isinstance(data, Mapping):
        raise ItemError("The item's data is not an object.", 'Give {"data": {...}} as Label Studio exports it.')
    text = "\n\n".join(text for source in field.sources if (text := _read(source, data, fetch)))
    return pose(text, labels_for(field, data)) if field.dynamic else text


def render_all(
    fields: Sequence[Field], data: Mapping[str, Any], fetch: Fetch | None = None, limit: int | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """(text by field name, by field name why there is none): a field that cannot be read spoils no other.

    ``limit``: characters; a longer text is refused, never cut.
    """
    texts: dict[str, str] = {}
    problems: dict[str, str] = {}
    for field in fields:
        try:
            text = render(field, data, fetch)
            if limit is not None and len(text) > limit:
                raise ItemError(f"The text has {len(text)} characters; the limit is {limit}", "(max_text_chars).")
            texts[field.name] = text
        except ItemError as error:
            problems[field.name] = str(error)
    return texts, problems


def _read(source: Source, data: Mapping[str, Any], fetch: Fetch | None) -> str:
    try:
        if is_template(source.key):
            value: Any = VARIABLE.sub(lambda found: _plain(lookup(data, found.group()[1:])), source.key)
        else:
            value = lookup(data, source.key)
    except MissingKey as missing:
        present = ", ".join(sorted(map(str, data))[:10]) or "nothing"
        raise ItemError(
            f"The item's data has no '{missing.args[0]}', which <{source.tag} name=\"{source.name}\"> shows.",
            f"It has: {present}.",
        ) from None
    if source.value_type == "url":
        value = _behind(source, value, fetch)
    if source.tag in {"Paragraphs", "Chat"}:
        return _dialogue(source, value)
    return html_to_text(_plain(value)) if source.tag == "HyperText" else _plain(value)


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


def _plain(value: Any) -> str:
    """Numbers as they are written, lists of such one a line, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str | int | float) for part in value):
        return "\n".join(_plain(part) for part in value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _dialogue(source: Source, value: Any) -> str:
    """ "Author: text" lines. A plain text, or a list of texts, is taken as it is.

    Raises:
        ItemError: it is no list of utterances, or no utterance has the text's key.
    """
    if isinstance(value, str):
        try:
            parsed = json.loads(value) if value.lstrip().startswith("[") else None
        except (ValueError, RecursionError):
            parsed = None
        value = parsed if isinstance(parsed, list) else value.splitlines()
    if not isinstance(value, list):
        raise ItemError(
            f"The item's '{source.key}' is no list of utterances.",
            f'<{source.tag}> shows a list of objects with "{source.name_key}" and "{source.text_key}".',
        )
    lines = []
    for utterance in value:
        if not isinstance(utterance, Mapping):
            lines.append(_plain(utterance))
        elif utterance.get(source.text_key) is not None:
            author = utterance.get(source.name_key)
            text = _plain(utterance[source.text_key])
            lines.append(f"{_plain(author)}: {text}" if author not in (None, "") else text)
    if value and not lines:
        raise ItemError(
            f"No utterance of the item's '{source.key}' has '{source.text_key}'.",
            f'Name the key of the text in the label config: textKey=... of <Paragraphs name="{source.name}">.'
            if source.tag == "Paragraphs"
            else "Each message of a <Chat> has its text there.",
        )
    return "\n".join(lines)

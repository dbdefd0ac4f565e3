"""The text that a model reads of an item: markup stripped, dialogues as lines, several objects one after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.errors import ItemError
from labelloop.studio.datapath import VARIABLE, MissingKey, is_template, lookup
from labelloop.studio.markup import html_to_text
from labelloop.words import Field, Source


def render(field: Field, data: Mapping[str, Any]) -> str:
    """What a person sees of ``data`` next to this control, as plain text; objects are joined by an empty line.

    Raises:
        ItemError: a key is missing or null, or a dialogue has another form; names the key.
    """
    if not isinstance(data, Mapping):
        raise ItemError("The item's data is not an object.", 'Give {"data": {...}} as Label Studio exports it.')
    return "\n\n".join(text for source in field.sources if (text := _read(source, data)))


def render_all(fields: Sequence[Field], data: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """(text by field name, by field name why there is none): a field that cannot be read spoils no other."""
    texts: dict[str, str] = {}
    problems: dict[str, str] = {}
    for field in fields:
        try:
            texts[field.name] = render(field, data)
        except ItemError as error:
            problems[field.name] = str(error)
    return texts, problems


def _read(source: Source, data: Mapping[str, Any]) -> str:
    try:
        if source.tag == "Paragraphs":
            return _dialogue(source, lookup(data, source.key))
        if is_template(source.key):
            text = VARIABLE.sub(lambda found: _plain(lookup(data, found.group()[1:])), source.key)
        else:
            text = _plain(lookup(data, source.key))
    except MissingKey as missing:
        present = ", ".join(sorted(map(str, data))[:10]) or "nothing"
        raise ItemError(
            f"The item's data has no '{missing.args[0]}', which <{source.tag} name=\"{source.name}\"> shows.",
            f"It has: {present}.",
        ) from None
    return html_to_text(text) if source.tag == "HyperText" else text


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
        except ValueError:
            parsed = None
        value = parsed if isinstance(parsed, list) else value.splitlines()
    if not isinstance(value, list):
        raise ItemError(
            f"The item's '{source.key}' is no list of utterances.",
            f'<Paragraphs> shows a list of objects with "{source.name_key}" and "{source.text_key}".',
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
            f'Name the key of the text in the label config: textKey=... of <Paragraphs name="{source.name}">.',
        )
    return "\n".join(lines)

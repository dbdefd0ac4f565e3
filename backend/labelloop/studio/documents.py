"""The documents of an item: per object its plain text, and where each character of it stands for the editor.

A region's position has a form of its own on every object tag; ``value`` and ``span`` translate, both ways and exactly.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeGuard

from labelloop.errors import ItemError
from labelloop.studio.hypertext import HyperText
from labelloop.studio.markup import html_to_text
from labelloop.studio.utf16 import points, units
from labelloop.studio.values import Fetch, plain, read_value
from labelloop.words import Field, Passage, Source

_SURROGATES = re.compile(r"[\ud800-\udfff]")  # halves of pairs, which UTF-8 cannot carry


class Document(Protocol):
    """One object of an item.

    ``text``: what models read; spans are indices into it (code points, end exclusive). ``marked``: whether regions can
    stand on it at all; ``unmarked``: (start, end) of what people read of it but cannot mark.
    """

    text: str

    @property
    def marked(self) -> bool: ...

    @property
    def unmarked(self) -> tuple[tuple[int, int], ...]: ...

    def value(self, start: int, end: int) -> dict[str, Any] | None:
        """The position of ``text[start:end]`` as the editor stores it in a region's value, without "text".

        None where no region can stand there.
        """

    def span(self, value: Mapping[str, Any]) -> tuple[int, int] | None:
        """(start, end) of a stored position, the inverse of ``value``; None where it is none, or lies outside."""


class PlainText:
    """A <Text>. The editor counts code points here, as Python does; a "\\r\\n" counts two."""

    marked = True
    unmarked = ()

    def __init__(self, text: str) -> None:
        self.text = _whole(text)

    def value(self, start: int, end: int) -> dict[str, Any] | None:
        return {"start": start, "end": end} if 0 <= start < end <= len(self.text) else None

    def span(self, value: Mapping[str, Any]) -> tuple[int, int] | None:
        start, end = value.get("start"), value.get("end")
        if not _is_index(start) or not _is_index(end) or not 0 <= start < end <= len(self.text):
            return None
        return start, end


class Dialogue:
    """A <Paragraphs>. A position is the index of an utterance, as text, and offsets in it in UTF-16 units.

    Args:
        turns: per utterance its author ("" for none), its text, and its index in the data; None where the editor would
            not show it.
    """

    def __init__(self, turns: Sequence[tuple[str, str, int | None]]) -> None:
        lines: list[str] = []
        self._starts: list[int] = []  # of the text of each utterance
        self._turns: list[tuple[str, int | None]] = []
        place = 0
        for author, text, index in ((_whole(author), _whole(text), index) for author, text, index in turns):
            lead = f"{author}: " if author else ""
            lines.append(lead + text)
            self._starts.append(place + len(lead))
            self._turns.append((text, index))
            place += len(lead) + len(text) + 1
        self.text = "\n".join(lines)
        begins = zip(self._starts, lines, self._turns, strict=True)
        leads = ((start + len(text) - len(line), start) for start, line, (text, _) in begins)
        self.unmarked = tuple((begin, end) for begin, end in leads if begin < end)
        self._by_index = {index: turn for turn, (_, index) in enumerate(self._turns) if index is not None}
        self.marked = bool(self._by_index)

    def value(self, start: int, end: int) -> dict[str, Any] | None:
        """None too where it is not within the words of one utterance."""
        turn = bisect_right(self._starts, start) - 1
        if turn < 0 or not start < end:
            return None
        text, index = self._turns[turn]
        first, last = start - self._starts[turn], end - self._starts[turn]
        if index is None or last > len(text):
            return None
        place = {"start": str(index), "end": str(index)}
        return {**place, "startOffset": units(text[:first]), "endOffset": units(text[:last])}

    def span(self, value: Mapping[str, Any]) -> tuple[int, int] | None:
        ends = []
        for key in ("start", "end"):
            index, offset = value.get(key), value.get(f"{key}Offset")
            if not isinstance(index, str) or not (index.isascii() and index.isdigit() and len(index) < 10):
                return None
            turn = self._by_index.get(int(index))
            if turn is None or not _is_index(offset):
                return None
            text = self._turns[turn][0]
            if not 0 <= offset <= units(text):
                return None
            ends.append(self._starts[turn] + points(text, offset))
        return (ends[0], ends[1]) if ends[0] < ends[1] else None


class Unmarked:
    """An object that no region can stand on: a <Chat>, or data in a form that the editor does not show."""

    marked = False

    def __init__(self, text: str, unmarked: tuple[tuple[int, int], ...] = ()) -> None:
        self.text = text
        self.unmarked = unmarked

    def value(self, start: int, end: int) -> dict[str, Any] | None:
        return None

    def span(self, value: Mapping[str, Any]) -> tuple[int, int] | None:
        return None


class Documents:
    """The documents of one item, each made when it is first asked for.

    Args:
        fetch: as for ``render``.
    """

    def __init__(self, fields: Sequence[Field], data: Mapping[str, Any], fetch: Fetch | None = None) -> None:
        self._sources = {one.name: one for field in fields for one in (*field.query, *field.sources)}
        self._data, self._fetch = data, fetch
        self._known: dict[str, Document | ItemError] = {}

    def read(self, source: Source) -> Document:
        """The document of an object.

        Raises:
            ItemError: its data is missing, or has another form; names the key.
        """
        if source.name not in self._known:
            try:
                self._known[source.name] = document(source, read_value(source, self._data, self._fetch))
            except ItemError as error:
                self._known[source.name] = error
        found = self._known[source.name]
        if isinstance(found, ItemError):
            raise found
        return found

    def find(self, name: Any) -> Document | None:
        """The document of the object called ``name``; None where there is none, or it cannot be read."""
        source = self._sources.get(name) if isinstance(name, str) else None
        try:
            return None if source is None or source.tag == "List" else self.read(source)
        except ItemError:
            return None

    def entries(self, source: Source) -> tuple[Passage, ...]:
        """The entries of a <List>: each by its id, with its title, body and html as text.

        Raises:
            ItemError: its data is missing, or no list of objects with an "id"; names the key.
        """
        return entries(source, read_value(source, self._data, self._fetch))


def document(source: Source, value: Any) -> Document:
    """The document of a value that an object tag shows. Raises ItemError where a dialogue has another form."""
    if source.tag == "HyperText":
        return HyperText(shown(value), source.inline)
    if source.tag == "Text":
        return PlainText(shown(value))
    return _dialogue(source, value)


def shown(value: Any) -> str:
    """A value as the editor writes it out (JavaScript's String): true, 5, "a,b" for a list; an object as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ",".join("" if one is None else shown(one) for one in value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return plain(value)


def turns_of(source: Source, value: Any) -> list[tuple[str, str, int | None]]:
    """Author, text and index of each utterance. A plain text, or a list of texts, is taken line by line.

    Raises:
        ItemError: it is no list of utterances, or no utterance has the text's key.
    """
    is_shown = isinstance(value, list)  # the editor shows neither JSON in a text nor lines
    if isinstance(value, str):
        try:
            parsed = json.loads(value) if value.lstrip().startswith("[") else None
        except (ValueError, RecursionError):
            parsed = None
        is_shown = source.value_type == "url" and isinstance(parsed, list)
        value = parsed if isinstance(parsed, list) else value.splitlines()
    if not isinstance(value, list):
        raise ItemError(
            f"The item's '{source.key}' is no list of utterances.",
            f'<{source.tag}> shows a list of objects with "{source.name_key}" and "{source.text_key}".',
        )
    first = value[0] if value else None
    is_shown = is_shown and isinstance(first, Mapping) and source.name_key in first and source.text_key in first
    turns: list[tuple[str, str, int | None]] = []
    for index, utterance in enumerate(value):
        if not isinstance(utterance, Mapping):
            turns.append(("", plain(utterance), None))
        elif utterance.get(source.text_key) is not None:
            author, text = utterance.get(source.name_key), utterance[source.text_key]
            is_text = is_shown and (isinstance(text, str) or (isinstance(text, int) and not isinstance(text, bool)))
            name = plain(author) if author not in (None, "") else ""
            turns.append((name, plain(text), index if is_text else None))
    if value and not turns:
        raise ItemError(
            f"No utterance of the item's '{source.key}' has '{source.text_key}'.",
            f'Name the key of the text in the label config: textKey=... of <Paragraphs name="{source.name}">.'
            if source.tag == "Paragraphs"
            else "Each message of a <Chat> has its text there.",
        )
    return turns


def _dialogue(source: Source, value: Any) -> Document:
    dialogue = Dialogue(turns_of(source, value))
    return dialogue if source.tag == "Paragraphs" else Unmarked(dialogue.text, dialogue.unmarked)


def entries(source: Source, value: Any) -> tuple[Passage, ...]:
    """The entries of a <List> in the order of the data. Raises ItemError where the data has another form."""
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise ItemError(f"The item's '{source.key}' is no list of objects, which <List> shows.", _LIST)
    found: dict[str, Passage] = {}
    for entry in value:
        name = entry.get("id")
        if name is None or isinstance(name, list | dict):
            raise ItemError(f"An entry of the item's '{source.key}' has no 'id'.", _LIST)
        texts = [plain(entry[key]) for key in ("title", "body", "text") if entry.get(key) is not None]
        if entry.get("html") is not None:
            texts.append(html_to_text(plain(entry["html"])))
        key = _whole(shown(name))
        if key in found:
            raise ItemError(f"Two entries of the item's '{source.key}' have the id {key!r}.", _LIST)
        found[key] = Passage(name=key, text=_whole("\n".join(text for text in texts if text.strip())))
    return tuple(found.values())


_LIST = 'It shows a list of objects such as {"id": "a", "title": "...", "body": "..."}, each with an id of its own.'


def _whole(text: str) -> str:
    return _SURROGATES.sub("\ufffd", text)


def _is_index(number: Any) -> TypeGuard[int]:
    return isinstance(number, int) and not isinstance(number, bool)

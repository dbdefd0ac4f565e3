"""Asking a writer for JSON about texts: windows, schemas, and what is read of a reply, also of one that broke off."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from labelloop.engines import Ask, Manner, Writer, Written
from labelloop.tasks import windows
from labelloop.tasks.asking import LEAST_ROOM, ask_all, measure
from labelloop.tasks.structure_prompt import StructurePrompt
from labelloop.words import Label

NO_ROOM = "What is asked leaves no room for the text in the model."
Entry = Mapping[str, Any]


def offered(labels: Sequence[Label], nothing: Collection[str]) -> dict[str, Label]:
    """The labels by the names that a model is told: as shown, with their whole path where two are shown alike."""
    left = [one for one in labels if one.text.casefold() not in nothing and one.path[-1].casefold() not in nothing]
    names = Counter(one.text for one in left)
    return {one.text if names[one.text] == 1 else " > ".join(one.path): one for one in left}


def lines(names: Mapping[str, Label]) -> list[str]:
    """A line for each label, with its hint."""
    return [f"{name}: {one.description}" if one.description else name for name, one in names.items()]


def schema(name: str, properties: Mapping[str, Any]) -> str:
    """The JSON schema of {name: [entries with these properties]}. The order of keys is that of the reply."""
    entry = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    many = {"type": "array", "items": entry}
    whole = {"type": "object", "properties": {name: many}, "required": [name], "additionalProperties": False}
    return json.dumps(whole, ensure_ascii=False)


def entries(reply: str, name: str) -> list[Entry] | None:
    """The complete entries of a reply {name: [...]}, also where it broke off within the list, or stands between other
    words, or is the bare list; None where it has no list."""
    key = reply.find(json.dumps(name))
    at = reply.find("[", max(key, 0)) + 1
    if not at:
        return None
    decoder = json.JSONDecoder()
    found: list[Entry] = []
    while True:
        try:
            entry, at = decoder.raw_decode(reply, _skip(reply, at))
        except ValueError:
            return found  # the end of the list, or of the reply
        if isinstance(entry, Mapping):
            found.append(entry)


def _skip(reply: str, at: int) -> int:
    while at < len(reply) and (reply[at].isspace() or reply[at] == ","):
        at += 1
    return at


@dataclass
class Piece:
    """A window of a text that is asked about. ``owner``: whose text. ``schema``: that its reply keeps to. ``about``:
    what the kind needs to read the reply. ``start``: of the window in the text. ``written``: the reply, once it came;
    None where the engine could not give one."""

    owner: int
    text: str
    start: int
    ask: Ask
    schema: str
    most: int
    about: Any = None
    written: Written | None = None


@dataclass
class Facts:
    """What happened to the pieces of one item, for its provenance. ``reason``: why nothing can be said."""

    counts: Counter[str] = field(default_factory=Counter)
    reason: str = ""

    @property
    def provenance(self) -> dict[str, Any]:
        return {name: count for name, count in self.counts.items() if count}


def cut(text: str, writer: Writer, prompt: StructurePrompt, without: Ask) -> list[tuple[int, int]]:
    """Windows of the text that fit beside what else is asked (``without`` the text); none where nothing fits."""
    (size,) = measure(writer, [text])
    (rest,) = writer.sizes([without])
    free = writer.room - rest
    room = min(free, prompt.window or free)
    while room > 0 and room + prompt.length.of(room) > free:  # a shorter window needs a shorter reply
        room -= 1
    if size <= room:
        return [(0, len(text))]
    return windows.cut(text, room, partial(measure, writer)) if room >= LEAST_ROOM else []


def write(pieces: Sequence[Piece], writer: Writer) -> None:
    """Asks for the replies, those of one schema and length together. A piece that the engine refuses stays without."""
    groups: dict[tuple[str, int], list[Piece]] = {}
    for piece in pieces:
        groups.setdefault((piece.schema, piece.most), []).append(piece)
    for (wanted, most), its in groups.items():
        found = ask_all(writer, [piece.ask for piece in its], Manner(max_tokens=most, schema=wanted))
        for piece, (replies, _) in zip(its, found, strict=True):
            piece.written = next(iter(replies), None)


def read(piece: Piece, name: str, facts: Facts) -> list[Entry]:
    """The entries of a piece's reply; counts what was wrong with it."""
    facts.counts["windows"] += 1
    found = None if piece.written is None else entries(piece.written.text, name)
    if found is None:
        facts.counts["unread"] += 1
        return []
    facts.counts["truncated"] += bool(piece.written and not piece.written.finished)
    return found


def settle(facts: Facts) -> None:
    """Where no reply of the item could be read, there is no answer."""
    if facts.counts["unread"] and facts.counts["unread"] == facts.counts["windows"]:
        facts.reason = "The model did not reply in the form that was asked for."

"""What one value of a region must be: labels that its control offers, a step of its scale, texts, a list's order."""

from __future__ import annotations

import reprlib
from collections.abc import Set
from typing import Any

from labelloop.errors import ItemError
from labelloop.studio.documents import Documents
from labelloop.studio.stored import LIST, columns, step
from labelloop.words import Field, Path


class Refused(Exception):
    """Why a region is dropped."""


def check_value(field: Field, content: Any, labels: Set[Path], documents: Documents | None) -> Any:
    """What is stored of a control that is answered once for the whole item, as Label Studio expects it.

    Raises:
        Refused: it is none of the control's.
    """
    if field.tag == "TextArea":
        return _texts(field, content)
    if field.tag == "Ranker":
        return _order(field, content, documents)
    if field.tag == "Pairwise":  # the editor shows nothing at all for any other word
        if not isinstance(content, str) or (content,) not in labels:
            raise Refused(f"{field.name} has no side {short(content)}")
        return content
    return check_labels(field, content, labels)


def check_labels(field: Field, content: Any, labels: Set[Path]) -> Any:
    """The labels or the number of a choice, a tree or a scale. Raises Refused as ``check_value``."""
    if field.ordinal:
        steps = {step(path) for path in labels}
        if isinstance(content, bool) or not isinstance(content, int | float) or content not in steps:
            raise Refused(f"{short(content)} is no step of {field.name}")
        return int(content) if float(content).is_integer() else float(content)
    if not isinstance(content, list) or not content:
        raise Refused(f"{field.name} needs a list of labels, not {short(content)}")
    paths = [_path(field, entry) for entry in content]
    unknown = [path for path in paths if path not in labels]
    if unknown:
        raise Refused(f"{field.name} has no label {short(' > '.join(unknown[0]))}")
    if len(set(paths)) != len(paths):
        raise Refused(f"{field.name} has a label twice")
    if len(paths) > 1 and not field.multiple:
        raise Refused(f"{field.name} takes one label, not {len(paths)}")
    return [list(path) if field.nested else path[-1] for path in paths]


def _path(field: Field, entry: Any) -> Path:
    steps = entry if field.nested else [entry]
    if not isinstance(steps, list) or not all(isinstance(one, str) for one in steps):
        raise Refused(f"{short(entry)} is no label of {field.name}")
    return tuple(steps)


def _texts(field: Field, content: Any) -> list[str]:
    if not isinstance(content, list) or not content:
        raise Refused(f"{field.name} needs a list of texts, not {short(content)}")
    for text in content:
        if not isinstance(text, str) or not text.strip() or not is_text(text):
            raise Refused(f"{short(text)} is no text for {field.name}")
    return list(content)


def _order(field: Field, content: Any, documents: Documents | None) -> dict[str, list[str]]:
    """Every entry of the list once, in columns that the control has; the editor breaks on any other entry."""
    try:
        listed = documents.entries(field.sources[0]) if documents is not None else None
    except ItemError:
        listed = None
    if listed is None:
        raise Refused(f"{field.name} orders a list that the task does not have")
    if not isinstance(content, dict) or not content:
        raise Refused(f"{field.name} needs columns of entries, not {short(content)}")
    known, seen = {passage.name for passage in listed}, set()
    allowed = {*columns(field), LIST} if field.labels and not field.rest else set(columns(field))
    for column, entries in content.items():
        if column not in allowed:
            raise Refused(f"{field.name} has no column {short(column)}")
        if not isinstance(entries, list):
            raise Refused(f"a column of {field.name} is no list but {kind_of(entries)}")
        for entry in entries:
            if not isinstance(entry, str) or entry not in known or entry in seen:
                raise Refused(f"{short(entry)} is no entry of the list of {field.name}, or is there twice")
            seen.add(entry)
    if seen != known:
        raise Refused(f"{field.name} leaves out {len(known - seen)} entries of its list")
    return {column: list(entries) for column, entries in content.items()}


def is_probability(score: Any) -> bool:
    return isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1  # NaN is not


def sendable(text: str) -> bool:
    """Whether it can be an id or a version: half a surrogate pair or a NUL would lose the whole batch."""
    return bool(text) and text.isprintable()


def is_text(text: str) -> bool:
    """Whether JSON in UTF-8 can carry it, and PostgreSQL store it."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def short(thing: Any) -> str:
    try:
        text = reprlib.repr(thing)
        return text if len(text) <= 80 else f"{text[:80]}..."
    except ValueError:  # an integer of thousands of digits
        return f"something of the type {type(thing).__name__}"


def kind_of(thing: Any) -> str:
    return "missing" if thing is None else f"of the type {type(thing).__name__}"

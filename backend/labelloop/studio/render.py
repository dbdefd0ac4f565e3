"""The text that a model reads of an item: markup stripped, dialogues as lines, several objects one after the other.

A structured field gets a ``Reading`` instead, whose passages are the item's documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from labelloop.errors import ItemError
from labelloop.studio.documents import Documents, turns_of
from labelloop.studio.markup import html_to_text
from labelloop.studio.options import labels_for
from labelloop.studio.stored import SPAN_TAGS
from labelloop.studio.values import Fetch, plain, read_value
from labelloop.words import Field, Passage, Reading, Source, Span, pose

__all__ = ["Fetch", "render", "render_all"]


def render(field: Field, data: Mapping[str, Any], fetch: Fetch | None = None) -> str:
    """What a person sees of ``data`` next to this control, as plain text; objects are joined by an empty line.

    For a dynamic field it is ``words.pose`` of this text and the item's labels; for a structured one the dump of a
    ``Reading``.

    Args:
        fetch: reads the text behind an address, where an object has valueType="url". Without one there is no network.

    Raises:
        ItemError: a key is missing or null, or a dialogue, a list, the labels or an address have another form; names
            the key.
    """
    if not isinstance(data, Mapping):
        raise ItemError("The item's data is not an object.", 'Give {"data": {...}} as Label Studio exports it.')
    if field.structured:
        return reading(field, Documents([field], data, fetch), [field]).dump()
    text = "\n\n".join(text for source in field.sources if (text := _read(source, data, fetch)))
    return pose(text, labels_for(field, data)) if field.dynamic else text


def render_all(
    fields: Sequence[Field],
    data: Mapping[str, Any],
    fetch: Fetch | None = None,
    limit: int | None = None,
    documents: Documents | None = None,
    given: Mapping[str, tuple[Span, ...]] | None = None,
) -> tuple[dict[str, str], dict[str, str]]:
    """(text by field name, by field name why there is none): a field that cannot be read spoils no other.

    ``limit``: characters; a longer text is refused, never cut. ``documents``: of this item, where they are needed again
    for its prediction. ``given``: by field name the regions that are there already, for ``Reading.given``.
    """
    texts: dict[str, str] = {}
    problems: dict[str, str] = {}
    if documents is None and isinstance(data, Mapping):
        documents = Documents(fields, data, fetch)
    for field in fields:
        try:
            if field.structured and documents is not None:
                read = reading(field, documents, fields, (given or {}).get(field.name, ()))
                length = len(read.query) + sum(len(passage.text) for passage in read.passages)
                text = read.dump()
            else:
                text = render(field, data, fetch)
                length = len(text)
            if limit is not None and length > limit:
                raise ItemError(f"The text has {length} characters; the limit is {limit}", "(max_text_chars).")
            texts[field.name] = text
        except ItemError as error:
            problems[field.name] = str(error)
    for field in fields:
        if field.regions_of and set(field.regions_of) <= problems.keys() and not (given or {}).get(field.name):
            texts.pop(field.name, None)
            problems.setdefault(field.name, problems[field.regions_of[0]])
    return texts, problems


def reading(field: Field, documents: Documents, fields: Sequence[Field], given: tuple[Span, ...] = ()) -> Reading:
    """What a model reads of an item for a structured field: the documents of its sources, and the query's text.

    Args:
        fields: all of the config, among them those whose regions it needs.

    Raises:
        ItemError: an object of either cannot be read, or regions are to be marked where none can stand; names the key.
    """
    passages: list[Passage] = []
    for source in field.sources:
        if source.tag == "List":
            passages.extend(documents.entries(source))
            continue
        document = documents.read(source)
        if field.tag in SPAN_TAGS and document.text.strip() and not document.marked:
            raise ItemError(
                f"No region can stand in the item's '{source.key}', which <{source.tag} name=\"{source.name}\"> shows.",
                "The editor does not show such data as it is: see its form in Label Studio's documentation.",
            )
        passages.append(Passage(name=source.name, text=document.text, unmarked=document.unmarked))
    queries = []
    for one in fields:
        if one.name in field.regions_of and one.query:
            with suppress(ItemError):  # then that field has no answer, and so no regions
                queries.append((one.name, _query(one, documents)))
    return Reading(passages=tuple(passages), query=_query(field, documents), given=given, queries=tuple(queries))


def _query(field: Field, documents: Documents) -> str:
    return "\n\n".join(text for source in field.query if (text := documents.read(source).text))


def _read(source: Source, data: Mapping[str, Any], fetch: Fetch | None) -> str:
    value = read_value(source, data, fetch)
    if source.tag in {"Paragraphs", "Chat"}:
        return "\n".join(f"{author}: {text}" if author else text for author, text, _ in turns_of(source, value))
    return html_to_text(plain(value)) if source.tag == "HyperText" else plain(value)

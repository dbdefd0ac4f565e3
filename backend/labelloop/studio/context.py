"""What an interactive call brings along: regions that a person marked in the editor before asking for help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labelloop.studio.checks import sendable
from labelloop.studio.documents import Documents
from labelloop.studio.stored import SPAN_TAGS, VALUE_KEYS
from labelloop.words import Field, Span

_SPANS = {tag.lower() for tag in SPAN_TAGS}


def selected_texts(context: Any, fields: Sequence[Field], documents: Documents) -> dict[str, str]:
    """By field name, the selected passage of the object that the field reads; no entry where none is selected.

    ``context``: what Label Studio sends as ``params.context``: ``{"result": [regions]}``. Of several regions the last
    counts, the newest. A region without its text is cut out of its object by its position. Anything else is ignored:
    the context helps, and never spoils an answer. Structured fields read their objects whole.
    """
    passages: dict[str, str] = {}
    for region, value in _marked(context):
        passage = (
            value["text"] if isinstance(value.get("text"), str) else _standing(value, region["to_name"], documents)
        )
        if passage.strip():
            passages[region["to_name"]] = passage
    return {
        field.name: passages[source.name]
        for field in fields
        for source in field.sources
        if source.name in passages and not field.dynamic and not field.structured
    }


def given_spans(context: Any, fields: Sequence[Field], documents: Documents) -> dict[str, tuple[Span, ...]]:
    """By the name of a field that relates or describes regions, those that are there already, with their ids.

    They are what is related and described then; a region that no field knows, or that stands nowhere, is ignored.
    """
    known = {field.name: field for field in fields if field.tag in SPAN_TAGS}
    spans: dict[str, Span] = {}
    for region, value in _marked(context):
        name, region_id = region.get("from_name"), region.get("id")
        field = known.get(name) if isinstance(name, str) else None
        if field is None or not isinstance(region_id, str) or not sendable(region_id) or region_id in spans:
            continue
        span = _span(region_id, field, region["to_name"], value, documents)
        if span is not None:
            spans[region_id] = span
    return {
        field.name: found
        for field in fields
        if field.regions_of and (found := tuple(span for span in spans.values() if _concerns(field, span)))
    }


def _span(region_id: str, field: Field, source: str, value: Mapping[str, Any], documents: Documents) -> Span | None:
    labels = value.get(VALUE_KEYS[field.tag])
    label = next((one.path for one in field.labels if isinstance(labels, list) and one.path[-1] in labels), None)
    document = documents.find(source)
    place = document.span(value) if document is not None else None
    if document is None or label is None or place is None or source not in {one.name for one in field.sources}:
        return None
    text = document.text[place[0] : place[1]]
    return Span(field=field.name, source=source, start=place[0], end=place[1], text=text, label=label, id=region_id)


def _concerns(field: Field, span: Span) -> bool:
    return span.field in field.regions_of and (not field.region_labels or span.label[-1] in field.region_labels)


def _marked(context: Any) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each marked span of the context, with its value."""
    regions = context.get("result") if isinstance(context, Mapping) else None
    for region in regions if isinstance(regions, list) else ():
        value = region.get("value") if isinstance(region, Mapping) else None
        if isinstance(value, Mapping) and isinstance(region.get("to_name"), str) and region.get("type") in _SPANS:
            yield region, value


def _standing(value: Mapping[str, Any], name: str, documents: Documents) -> str:
    document = documents.find(name)
    place = document.span(value) if document is not None else None
    return document.text[place[0] : place[1]] if document is not None and place is not None else ""

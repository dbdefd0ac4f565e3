"""Annotations as answers: what a person's result says of each field. The inverse of ``results``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from labelloop.studio.acceptance import regions_of
from labelloop.studio.conditions import shown
from labelloop.studio.documents import Documents
from labelloop.studio.options import fields_for
from labelloop.studio.stored import LIST, SPAN_TAGS, VALUE_KEYS, step
from labelloop.studio.values import Fetch
from labelloop.words import Answer, Field, Link, Path, Remark, Span

Region = Mapping[str, Any]


class Unreadable(Exception):
    """A region stands nowhere in its text, so what was said of the field is not known."""


def read_annotation(
    fields: Sequence[Field], data: Mapping[str, Any], result: Any, fetch: Fetch | None = None
) -> dict[str, Answer]:
    """What a submitted annotation says, by field name; a field that it leaves unsaid is not there.

    Fields that mark or relate always say something: without a region, that there is none. A choice, a number, a text,
    an order or a remark that is not there is unsaid, and so is what the other answers hide. Labels that the field does
    not have (any more) are left out; a choice of such alone is unsaid; one that was renamed is the label that it is by
    now (``Field.formerly``). Where a region stands nowhere in its text, its
    field is unsaid altogether: a part would read as the whole.

    Args:
        fields: of the config, all of them: relations and conditions reach from one to another.
        data: the item's.
        result: the annotation's regions, in whatever shape Label Studio has stored them.
        fetch: as for ``render``; without it, spans on texts behind addresses are unsaid.
    """
    fields = fields_for(fields, data)
    reader = _Reader(fields, regions_of(result), Documents(fields, data, fetch))
    found: dict[str, Answer] = {}
    for field in fields:
        try:
            answer = reader.read(field)
        except Unreadable:
            continue
        if answer is not None:
            found[field.name] = answer
    seen = shown(fields, list(found.values()))
    return {name: answer for name, answer in found.items() if name in seen}


def essence(answer: Answer) -> Hashable:
    """What two people's answers must have in common to be equal: all but scores, ids of regions, and order of sets."""
    return (
        frozenset(answer.labels),
        frozenset(map(_place, answer.spans)),
        frozenset(_ends(link) for link in answer.links),
        frozenset((_place(one.span), frozenset(one.labels), one.texts) for one in answer.remarks),
        tuple(" ".join(text.split()) for text in answer.texts),
        tuple((bucket, entries) for bucket, entries in answer.order if entries),
    )


def _place(span: Span) -> Hashable:
    return span.field, span.source, span.start, span.end, span.label


def _ends(link: Link) -> Hashable:
    ends = (_place(link.head), _place(link.tail))
    if link.direction == "bi":
        return frozenset(ends), link.label
    return (ends if link.direction == "right" else ends[::-1]), link.label


class _Reader:
    """Reads one result."""

    def __init__(self, fields: Sequence[Field], regions: Sequence[Region], documents: Documents) -> None:
        self._known = {field.name: field for field in fields}
        self._regions = regions
        self._documents = documents
        self._spans: dict[str, tuple[Span, ...] | None] = {}

    def read(self, field: Field) -> Answer | None:
        """The field's answer; None where it is unsaid. Raises Unreadable."""
        if field.kind == "relations":
            return _said(field, links=tuple(self._links(field)))
        if field.tag in SPAN_TAGS:
            return _said(field, spans=self._marked(field))
        if field.kind == "remarks":
            remarks = tuple(self._remarks(field))
            return _said(field, remarks=remarks) if remarks else None
        contents = [content for region in self._of(field) if (content := _content(field, region)) is not None]
        if not contents:
            return None
        readers: dict[str, Callable[[Field, Any], Answer | None]] = {"TextArea": _texts, "Ranker": _order}
        return readers.get(field.tag, _labels)(field, contents[-1])  # the editor keeps one of each control

    def _of(self, field: Field) -> list[Region]:
        return [region for region in self._regions if region.get("from_name") == field.name]

    def _marked(self, field: Field) -> tuple[Span, ...]:
        """The spans of a field, in the order of its texts. Raises Unreadable."""
        if field.name not in self._spans:
            try:
                self._spans[field.name] = tuple(self._find(field))
            except Unreadable:
                self._spans[field.name] = None
        found = self._spans[field.name]
        if found is None:
            raise Unreadable
        return found

    def _find(self, field: Field) -> list[Span]:
        paths = {former[-1]: path for former, path in field.formerly}
        paths |= {label.path[-1]: label.path for label in field.labels}
        places = {source.name: place for place, source in enumerate(field.sources)}
        spans: dict[Hashable, Span] = {}
        for region in self._of(field):
            labels = _content(field, region)
            known = [paths[one] for one in labels if isinstance(one, str) and one in paths] if _is_list(labels) else []
            if not known or region.get("to_name") not in places:
                continue
            document = self._documents.find(region["to_name"])
            place = document.span(region["value"]) if document is not None else None
            if document is None or place is None:
                raise Unreadable
            source, text = region["to_name"], document.text[place[0] : place[1]]
            name = region["id"] if isinstance(region.get("id"), str) else ""
            for path in known:
                span = Span(
                    field=field.name, source=source, start=place[0], end=place[1], text=text, label=path, id=name
                )
                spans.setdefault(_place(span), span)
        return sorted(spans.values(), key=lambda one: (places[one.source], one.start, one.end, one.label))

    def _by_id(self, field: Field) -> dict[str, Span]:
        """The regions that a field relates or describes, by id. Raises Unreadable."""
        marking = [self._known[name] for name in field.regions_of if name in self._known]
        found: dict[str, Span] = {}
        for span in (span for one in marking for span in self._marked(one)):
            if span.id and (not field.region_labels or span.label[-1] in field.region_labels):
                found.setdefault(span.id, span)
        return found

    def _links(self, field: Field) -> list[Link]:
        spans = self._by_id(field)
        offered = {label.path[-1] for label in field.labels}
        links: dict[Hashable, Link] = {}
        for region in self._regions:
            ends = [region.get("from_id"), region.get("to_id")]
            if region.get("type") != "relation" or not all(isinstance(one, str) and one in spans for one in ends):
                continue
            direction = region.get("direction")
            direction = direction if direction in ("left", "bi") else "right"
            given = [one for one in region.get("labels") or () if isinstance(one, str)]
            given = [field.today((one,))[-1] for one in given]
            labels = [one for one in given if one in offered] if offered and given else [""]
            for label in labels:
                link = Link(head=spans[str(ends[0])], tail=spans[str(ends[1])], label=label, direction=direction)
                links.setdefault(_ends(link), link)
        return list(links.values())

    def _remarks(self, field: Field) -> list[Remark]:
        spans = self._by_id(field)
        found: dict[str, Remark] = {}
        for region in self._of(field):
            content, name = _content(field, region), region.get("id")
            answer = _labels(field, content) if content is not None else None
            if answer is not None and isinstance(name, str) and name in spans:
                found[name] = Remark(span=spans[name], labels=answer.labels)
        return list(found.values())


def _content(field: Field, region: Region) -> Any:
    """What the region's value holds for this control; None where it holds nothing."""
    value = region.get("value")
    if not isinstance(value, Mapping):
        return None
    key = VALUE_KEYS[field.tag]
    return value.get(key if key in value else str(region.get("type")))


def _is_list(thing: Any) -> bool:
    return isinstance(thing, list)


def _labels(field: Field, content: Any) -> Answer | None:
    """Of a choice, a tree, a scale or a side: those labels that the field has, in the order in which they stand."""
    known = {label.path for label in field.labels}
    paths: list[Path]
    if field.ordinal:
        number = not isinstance(content, bool) and isinstance(content, int | float)
        paths = [label.path for label in field.labels if number and step(label.path) == content][:1]
    else:
        entries = content if _is_list(content) else [content]
        steps = [one if _is_list(one) else [one] for one in entries]
        paths = [path for one in steps if (path := field.today(tuple(map(str, one)))) in known]
    paths = list(dict.fromkeys(paths))
    return _said(field, labels=tuple(paths if field.multiple else paths[:1])) if paths else None


def _texts(field: Field, content: Any) -> Answer | None:
    given = content if _is_list(content) else [content]
    texts = tuple(one for one in given if isinstance(one, str) and one.strip())
    return _said(field, texts=texts) if texts else None


def _order(field: Field, content: Any) -> Answer | None:
    """The columns as ``Answer.order`` names them: "" for the list itself."""
    if not isinstance(content, Mapping):
        return None
    itself = field.name if not field.labels else LIST
    names = [label.path[-1] for label in field.labels]
    ranked = sorted(content, key=lambda one: names.index(one) if one in names else len(names))
    order = tuple(
        ("" if column == itself else str(column), tuple(map(str, content[column])))
        for column in ranked
        if _is_list(content[column]) and (column == itself or column in names)
    )
    return _said(field, order=order) if any(entries for _, entries in order) else None


def _said(field: Field, **content: Any) -> Answer:
    return Answer(field=field.name, score=1.0, **{"labels": (), **content})

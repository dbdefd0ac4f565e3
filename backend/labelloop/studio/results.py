"""Answers as result regions of Label Studio 1.23.2."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.errors import ItemError
from labelloop.studio.conditions import shown
from labelloop.studio.documents import Documents
from labelloop.studio.opinion import KNOWN_GAPS, import_refuses, second_opinion
from labelloop.studio.stored import SPAN_TAGS, VALUE_KEYS, columns, stored
from labelloop.studio.validator import validate
from labelloop.words import Answer, Field, Link, Path, Span

__all__ = ["KNOWN_GAPS", "import_refuses", "prediction", "second_opinion", "validate"]

_Key = tuple[str, str, int, int, Path]


def prediction(
    fields: Sequence[Field], answers: Sequence[Answer], version: str, documents: Documents | None = None
) -> dict[str, Any]:
    """The prediction of one item: {"result": [regions], "score": float, "model_version": version}.

    An answer with a reason, with nothing in it, or of a control that the other answers hide, gives no region. A span
    that is related or described is a region too, under its own id where it has one. The prediction's score is the least
    of the answered fields' scores, 0.0 where no field is answered. ``validate`` decides what of it may leave.

    Args:
        fields: with the item's own labels where they are dynamic.
        documents: of the item; without them no span has a position.

    Raises:
        ValueError: an answer is for none of the fields.
    """
    known = {field.name: field for field in fields}
    for answer in answers:
        if answer.field not in known:
            raise ValueError(f"an answer is for the field {answer.field!r}, which is not among {sorted(known)}")
    seen = shown(fields, answers)
    given = [answer for answer in answers if answer.reason is None and answer.field in seen]
    regions = _Regions({name: known[name] for name in seen}, version, documents)
    regions.keep_ids(given)
    for answer in given:
        field = known[answer.field]
        for span in answer.spans:
            regions.mark(span)
        if field.kind not in {"relations", "remarks"} and field.tag not in SPAN_TAGS:
            regions.add(field, answer)
    for answer in given:
        for remark in answer.remarks:
            content = {VALUE_KEYS[known[answer.field].tag]: stored(known[answer.field], remark.labels)}
            if remark.labels and (place := regions.mark(remark.span)) is not None:
                regions.describe(place, known[answer.field], content, remark.score)
    links = [(known[answer.field], link) for answer in given for link in answer.links]
    result = regions.with_relations(links)
    scores = [answer.score for answer in given]
    return {"result": result, "score": min(scores, default=0.0), "model_version": version}


class _Regions:
    """The regions of a prediction, in the order in which the editor hands them back: what describes a region after it,
    relations last."""

    def __init__(self, known: Mapping[str, Field], version: str, documents: Documents | None) -> None:
        self._known, self._version, self._documents = known, version, documents
        self._groups: dict[_Key | str, list[dict[str, Any]]] = {}
        self._ids: dict[_Key, str] = {}

    def keep_ids(self, answers: Sequence[Answer]) -> None:
        """Remembers the ids of regions that are there already, so that an equal span found anew becomes no second."""
        for answer in answers:
            spans = [span for link in answer.links for span in (link.head, link.tail)]
            spans += [*answer.spans, *(remark.span for remark in answer.remarks)]
            for span in spans:
                if span.id:
                    self._ids.setdefault(_key(span), span.id)

    def add(self, field: Field, answer: Answer) -> None:
        """The one region of a control that is answered once for the whole item."""
        value: Any
        if field.tag == "TextArea":
            value = [text for text in answer.texts if text.strip()] or None
        elif field.tag == "Ranker":
            value = self._order(field, answer)
        else:
            value = stored(field, answer.labels) if answer.labels else None
        if value is not None or answer.labels:
            region_id = identify(self._version, field.name)
            self._groups[field.name] = [_region(region_id, field, field.to_name, value, answer.score)]

    def can_mark(self, span: Span) -> bool:
        """Whether people see its control, and could mark it: not the name of a speaker, nor from one utterance into the
        next. What lies outside its text can be "marked": it is a mistake, which the validator reports."""
        span = self._trimmed(span)
        field = self._known.get(span.field)
        if field is None or field.tag not in SPAN_TAGS:
            return False
        document = self._documents.find(span.source) if self._documents is not None else None
        if document is None or not 0 <= span.start < span.end <= len(document.text):
            return True
        return document.value(span.start, span.end) is not None

    def mark(self, span: Span) -> _Key | None:
        """The region of a span, made where it is not there yet; None where it cannot be marked."""
        span = self._trimmed(span)
        key = _key(span)
        if key not in self._groups:
            if not self.can_mark(span):
                return None
            region_id = self._ids.get(key) or identify(self._version, *map(str, key[:4]), *key[4])
            document = self._documents.find(span.source) if self._documents is not None else None
            position = document.value(span.start, span.end) if document is not None else None
            region = _region(region_id, self._known[span.field], span.source, [span.label[-1]], span.score)
            region["value"] = {**(position or {}), "text": span.text, **region["value"]}
            self._groups[key] = [region]
        return key

    def describe(self, key: _Key, field: Field, content: dict[str, Any], score: float) -> None:
        """What a control of single regions says of one: an item under the region's own id, with its position."""
        marked = self._groups[key][0]
        position = {name: one for name, one in marked["value"].items() if name not in VALUE_KEYS.values()}
        text = {"text": marked["value"]["text"]}
        item = _region(marked["id"], field, field.to_name, None, score)
        self._groups[key].append({**item, "value": {**position, **text, **content}})

    def with_relations(self, links: Sequence[tuple[Field, Link]]) -> list[dict[str, Any]]:
        """All regions, then the relations; those of one pair and direction are one item with several labels."""
        relations: dict[tuple[str, str, str], dict[str, Any]] = {}
        for field, link in links:
            if not self.can_mark(link.head) or not self.can_mark(link.tail):
                continue
            head, tail = self.mark(link.head), self.mark(link.tail)
            assert head is not None
            assert tail is not None
            ends = (self._groups[head][0]["id"], self._groups[tail][0]["id"])
            empty = {"from_id": ends[0], "to_id": ends[1], "type": "relation", "direction": link.direction}
            item = relations.setdefault((*ends, link.direction), empty)
            labels = item.setdefault("labels", []) if field.labels and link.label else []
            if link.label not in labels and (field.multiple or not labels):
                labels.append(link.label)
        return [region for group in self._groups.values() for region in group] + list(relations.values())

    def _trimmed(self, span: Span) -> Span:
        """The span without white space at its ends, as people mark; unchanged where there is nothing else in it, and
        where a person marked it."""
        document = self._documents.find(span.source) if self._documents is not None else None
        if span.id or document is None or not 0 <= span.start < span.end <= len(document.text):
            return span
        inside = document.text[span.start : span.end]
        if not inside.strip():
            return span
        start = span.start + len(inside) - len(inside.lstrip())
        return span.model_copy(update={"start": start, "end": start + len(inside.strip()), "text": inside.strip()})

    def _order(self, field: Field, answer: Answer) -> dict[str, list[str]] | None:
        """Every column with its entries; what the answer leaves out stands at the end of the last column."""
        if not answer.order:
            return None
        order: dict[str, list[str]] = {name: [] for name in columns(field)}
        last = columns(field)[-1]
        for bucket, entries in answer.order:
            order.setdefault(bucket or last, []).extend(entries)
        try:
            known = self._documents.entries(field.sources[0]) if self._documents is not None else ()
        except ItemError:
            known = ()
        placed = {entry for entries in order.values() for entry in entries}
        order[last].extend(passage.name for passage in known if passage.name not in placed)
        return order


def identify(*parts: str) -> str:
    """Ten characters, the same for equal parts: to score an item again changes nothing but the answer."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:10]


def _region(region_id: str, field: Field, to_name: str, value: Any, score: float) -> dict[str, Any]:
    return {
        "id": region_id,
        "from_name": field.name,
        "to_name": to_name,
        "type": field.tag.lower(),
        "value": {VALUE_KEYS[field.tag]: value},
        "score": score,
    }


def _key(span: Span) -> _Key:
    return span.field, span.source, span.start, span.end, span.label

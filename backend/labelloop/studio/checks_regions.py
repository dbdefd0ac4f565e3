"""What a span, a remark on one, and a relation between two must be."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from labelloop.studio.checks import Refused, check_labels, is_text, short
from labelloop.studio.documents import Documents
from labelloop.studio.stored import VALUE_KEYS
from labelloop.words import Field, Path

_DIRECTIONS = frozenset({"right", "left", "bi"})


def check_span(
    field: Field, to_name: str, value: Mapping[Any, Any], labels: Set[Path], documents: Documents | None
) -> dict[str, Any]:
    """The value of a marked span: its position in the form that the editor keeps, its text and its label.

    Raises:
        Refused: it stands nowhere in the object, its text is another, or the control has no such label.
    """
    document = documents.find(to_name) if documents is not None else None
    if document is None:
        raise Refused(f"{field.name} marks {to_name}, which cannot be read")
    span = document.span(value)
    position = document.value(*span) if span is not None else None
    if span is None or position is None:
        raise Refused(f"{field.name} marks what does not stand in {to_name}")
    text = document.text[span[0] : span[1]]
    if value.get("text", text) != text:
        raise Refused(f"{field.name} marks {short(value['text'])}, and there stands {short(text)}")
    if not text.strip() or not is_text(text):
        raise Refused(f"{field.name} marks no words")
    key = VALUE_KEYS[field.tag]
    stored = check_labels(field, value[key], labels)
    return {**position, "text": text, key: stored}


def check_remark(
    field: Field, value: Mapping[Any, Any], marked: Mapping[str, Any], labels: Set[Path]
) -> dict[str, Any]:
    """The value of what describes a region: that region's position and text, and the labels or the number.

    Raises:
        Refused: the control does not describe this region, or has no such label.
    """
    own = VALUE_KEYS[field.tag]
    allowed = {*field.regions_of}
    if marked["from_name"] not in allowed or marked["to_name"] != field.to_name:
        raise Refused(f"{field.name} does not describe regions of {marked['from_name']}")
    [(marks, label)] = [
        (key, one) for key, one in marked["value"].items() if key in VALUE_KEYS.values() and key != "text"
    ]
    if field.region_labels and not set(label) & set(field.region_labels):
        raise Refused(f"{field.name} does not describe regions labelled {short(label)}")
    position = {key: one for key, one in marked["value"].items() if key != marks}
    for key, one in position.items():
        if key in value and value[key] != one:
            raise Refused(f"{field.name} describes a region that stands elsewhere")
    return {**position, own: check_labels(field, value[own], labels)}


def check_relation(field: Field | None, item: Mapping[Any, Any], regions: Mapping[str, Any]) -> dict[str, Any]:
    """A relation between two regions that leave; one to a region that does not leaves the whole editor blank.

    Raises:
        Refused: it is none, or the config has no such relation.
    """
    if field is None:
        raise Refused("no control relates regions")
    ends = [item.get("from_id"), item.get("to_id")]
    marked = [regions[one][0] if isinstance(one, str) and one in regions else None for one in ends]
    if any(one is None or one["from_name"] not in field.regions_of for one in marked):
        raise Refused(f"it relates {short(ends[0])} to {short(ends[1])}, and not both are marked")
    if ends[0] == ends[1]:
        raise Refused("it relates a region to itself")
    direction = item.get("direction")
    if not isinstance(direction, str) or direction not in _DIRECTIONS:
        raise Refused(f"its direction is {short(direction)}, not right, left or bi")
    good = {"from_id": ends[0], "to_id": ends[1], "type": "relation", "direction": direction}
    labels = item.get("labels")
    if labels is None or labels == []:
        return good
    offered = {label.path[-1] for label in field.labels}
    if not isinstance(labels, list) or not all(isinstance(one, str) and one in offered for one in labels):
        raise Refused(f"{field.name} has no label {short(labels)}")
    if len(set(labels)) != len(labels):
        raise Refused(f"{field.name} has a label twice")
    return {**good, "labels": list(labels)}

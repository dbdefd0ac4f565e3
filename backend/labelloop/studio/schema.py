"""From label config to fields: which controls can be filled, with which labels, from which data, and why others not.

The meaning of tags and attributes is that of Label Studio 1.23.2's editor, which shows the predictions.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from labelloop.studio import config_xml, datapath
from labelloop.studio.conditions import conditions_of, never_shown
from labelloop.studio.config_xml import attr, flag, place, tag, value
from labelloop.studio.controls import FILLED, TEXTS, is_control, is_object, why_not
from labelloop.studio.labels import READERS, Offer, Skip
from labelloop.studio.options import field_for, fields_for
from labelloop.studio.render import render
from labelloop.words import Field, Source

__all__ = ["Schema", "field_for", "fields_for", "read_config", "render"]

_TITLES = ("title", "header", "question", "placeholder")


@dataclass(frozen=True)
class Schema:
    """``fields`` in the order of the config; ``skipped``: name of a control that is left to people -> why."""

    fields: tuple[Field, ...]
    skipped: dict[str, str]


def read_config(label_config: str) -> Schema:
    """The fields of a label config. What cannot be filled is skipped with a reason in plain words.

    Raises:
        ConfigError: no XML, unsafe XML, too large, or without <View> around it; says where.
    """
    root = config_xml.parse(label_config)
    objects = {attr(node, "name"): node for node in root.iter() if is_object(node)}
    controls = {attr(node, "name"): node for node in root.iter() if is_control(node)}
    uses = Counter(attr(node, "name") for node in root.iter() if is_object(node) or is_control(node))
    fields: list[Field] = []
    skipped: dict[str, str] = {}
    for node in root.iter():
        if not is_control(node):
            continue
        name = attr(node, "name")
        try:
            if not name:
                raise Skip("it has no name")
            if uses[name] > 1:
                raise Skip(f'{uses[name]} tags are called "{name}"')
            fields.append(_field(node, name, objects, controls, uses))
        except Skip as reason:
            skipped[name or place(node)] = str(reason)
    hidden = never_shown(fields)
    return Schema(tuple(field for field in fields if field.name not in hidden), skipped | hidden)


def _field(node: Any, name: str, objects: dict[str, Any], controls: dict[str, Any], uses: Counter[str]) -> Field:
    """Raises Skip where the control cannot be filled."""
    kind = tag(node)
    if kind not in READERS:
        raise Skip(why_not(node, objects))
    if any(tag(around) == "repeater" for around in node.iterancestors()):
        raise Skip("it is repeated over a list of the task's data (<Repeater>), which comes later")
    for per in ("perRegion", "perItem"):
        if flag(node, per):
            raise Skip(f"it belongs to single regions or items of a task ({per}), which comes later")
    conditions = conditions_of(node, controls)
    sources = _sources(node, objects, uses)
    offer: Offer = READERS[kind](node)
    if len(offer.labels) < 2 and not offer.dynamic:
        raise Skip(f"it offers {len(offer.labels) or 'no'} label{'s' if not offer.labels else ''}: nothing to choose")
    return Field(
        name=name,
        tag=FILLED[kind],
        kind="classification",
        to_name=sources[0].name,
        labels=offer.labels,
        sources=sources,
        multiple=offer.multiple,
        ordinal=offer.ordinal,
        nested=offer.nested,
        question=_question(node),
        dynamic=offer.dynamic,
        conditions=conditions,
    )


def _sources(node: Any, objects: dict[str, Any], uses: Counter[str]) -> tuple[Source, ...]:
    names = [name for name in (part.strip() for part in attr(node, "toName").split(",")) if name]
    if not names:
        raise Skip("it has no toName: Label Studio takes no predictions for it")
    sources = []
    for name in dict.fromkeys(names):
        if name not in objects:
            raise Skip(f'its toName is "{name}", and no object has this name')
        if uses[name] > 1:
            raise Skip(f'{uses[name]} tags are called "{name}", which it reads')
        sources.append(_source(objects[name], name))
    return tuple(sources)


def _source(node: Any, name: str) -> Source:
    kind = tag(node)
    if kind not in TEXTS:
        raise Skip(f'it reads <{node.tag} name="{name}">: only Text, HyperText, Paragraphs and Chat can be read')
    if attr(node, "resolver"):
        raise Skip(f'"{name}" is read from a table (resolver="{attr(node, "resolver")}"), which comes later')
    if attr(node, "encoding", "none").lower() not in {"none", ""}:
        raise Skip(f'"{name}" is encoded (encoding="{attr(node, "encoding")}"), which comes later')
    key = datapath.key_of(value(node))
    if not key:
        raise Skip(f'"{name}" shows fixed text, the same for every task')
    keys = ("role", "content") if kind == "chat" else ("author", "text")
    behind = kind != "chat" and attr(node, "valueType").lower() == "url"
    return Source(
        name=name,
        tag=TEXTS[kind],
        key=key,
        name_key=(attr(node, "nameKey") if kind == "paragraphs" else "") or keys[0],
        text_key=(attr(node, "textKey") if kind == "paragraphs" else "") or keys[1],
        value_type="url" if behind else "text",
    )


def _question(node: Any) -> str:
    """The control's title: an attribute of its own, else the nearest <Header> before it that heads no other control.

    A container with no other control in it counts as the control itself, so its header or panel title is found too.
    """
    for name in _TITLES:
        if own := _fixed(attr(node, name)):
            return own
    while node is not None:
        for before in node.itersiblings(preceding=True):
            if any(is_control(inner) for inner in before.iter()):
                return ""
            if tag(before) == "header" and (text := _fixed(value(before))):
                return text
        around = node.getparent()
        if around is None or sum(is_control(inner) for inner in around.iter()) > 1:
            return ""
        if tag(around) == "panel" and (text := _fixed(value(around))):
            return text
        node = around
    return ""


def _fixed(text: str) -> str:
    """``text`` on one line, "" where it is filled in from a task's data."""
    return "" if datapath.VARIABLE.search(text) else " ".join(text.split())

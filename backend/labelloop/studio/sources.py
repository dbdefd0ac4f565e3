"""Which objects of a config a control reads, and the words that stand with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labelloop.studio import datapath
from labelloop.studio.config_xml import attr, flag, tag, value
from labelloop.studio.controls import TEXTS, is_control
from labelloop.studio.directions import Directions
from labelloop.studio.labels import Skip
from labelloop.studio.questions import Asked
from labelloop.words import Source

_TITLES = ("title", "header", "question", "placeholder")


@dataclass(frozen=True)
class Config:
    """The tags of a config by name. ``uses``: how many have each name. ``asked``: the question, where there is one.
    ``directions``: what people say fields are for."""

    objects: Mapping[str, Any]
    controls: Mapping[str, Any]
    uses: Counter[str]
    asked: Asked | None
    directions: Directions = field(default_factory=dict)


def sources_of(node: Any, config: Config) -> tuple[Source, ...]:
    """The objects of a control's toName, in its order. Raises Skip where one is missing or cannot be read."""
    names = [name for name in (part.strip() for part in attr(node, "toName").split(",")) if name]
    if not names:
        raise Skip("it has no toName: Label Studio takes no predictions for it")
    sources = []
    for name in dict.fromkeys(names):
        if name not in config.objects:
            raise Skip(f'its toName is "{name}", and no object has this name')
        if config.uses[name] > 1:
            raise Skip(f'{config.uses[name]} tags are called "{name}", which it reads')
        sources.append(source_of(config.objects[name], name))
    return tuple(sources)


def source_of(node: Any, name: str) -> Source:
    """An object as what a field reads. Raises Skip where it cannot be read, or is the same for every task."""
    kind = tag(node)
    if kind not in TEXTS:
        raise Skip(f'it reads <{node.tag} name="{name}">: only Text, HyperText, Paragraphs and Chat can be read')
    if attr(node, "resolver"):
        raise Skip(
            f'"{name}" is read from a table (resolver="{attr(node, "resolver")}"), which LabelLoop does not read'
        )
    if attr(node, "encoding", "none").lower() not in {"none", ""}:
        raise Skip(f'"{name}" is encoded (encoding="{attr(node, "encoding")}")')
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
        inline=kind == "hypertext" and flag(node, "inline"),
    )


def question_of(node: Any) -> str:
    """The control's title: an attribute of its own, else the nearest <Header> before it that heads no other control.

    A container with no other control in it counts as the control itself, so its header or panel title is found too.
    """
    for name in _TITLES:
        if own := fixed(attr(node, name)):
            return own
    return heading_of(node)


def heading_of(node: Any) -> str:
    """The words that stand over a control, whatever its own attributes say; see ``question_of``."""
    while node is not None:
        for before in node.itersiblings(preceding=True):
            if any(is_control(inner) for inner in before.iter()):
                return ""
            if tag(before) == "header" and (text := fixed(value(before))):
                return text
        around = node.getparent()
        if around is None or sum(is_control(inner) for inner in around.iter()) > 1:
            return ""
        if tag(around) == "panel" and (text := fixed(value(around))):
            return text
        node = around
    return ""


def fixed(text: str) -> str:
    """``text`` on one line, "" where it is filled in from a task's data."""
    return "" if datapath.VARIABLE.search(text) else " ".join(text.split())

"""From label config to fields: which controls can be filled, with which labels, from which data, and why others not.

The meaning of tags and attributes is that of Label Studio 1.23.2's editor, which shows the predictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labelloop.settings import Direction
from labelloop.studio import config_xml
from labelloop.studio.conditions import never_shown
from labelloop.studio.config_xml import attr, flag, place, tag
from labelloop.studio.controls import SPANS, is_control, is_object
from labelloop.studio.directions import direction_of, notes
from labelloop.studio.fields import field_of, relations_field
from labelloop.studio.fields import why as why_its_kind
from labelloop.studio.labels import Skip
from labelloop.studio.options import field_for, fields_for
from labelloop.studio.questions import find_question
from labelloop.studio.renamed import knowing_former, lost
from labelloop.studio.render import render
from labelloop.studio.sources import Config
from labelloop.words import Field

__all__ = ["Schema", "field_for", "fields_for", "read_config", "render"]


@dataclass(frozen=True)
class Schema:
    """``fields`` in the order of the config; ``skipped``: name of a control that is left to people -> why.

    ``why``: name of a field -> why it is of its kind. ``corrections``: name of a TextArea -> the direction that would
    have it otherwise: filled, or left to people. ``notes``: what of the directions has no effect, in sentences.
    """

    fields: tuple[Field, ...]
    skipped: dict[str, str]
    why: dict[str, str] = field(default_factory=dict)
    corrections: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_config(label_config: str, directions: Mapping[str, Direction] | None = None) -> Schema:
    """The fields of a label config. What cannot be filled is skipped with a reason in plain words.

    Args:
        directions: what people say fields are for, by the control's name; "*" for all (``Settings.fields`` will do).

    Raises:
        ConfigError: no XML, unsafe XML, too large, or without <View> around it; says where.
    """
    root = config_xml.parse(label_config)
    objects = {attr(node, "name"): node for node in root.iter() if is_object(node)}
    controls = {attr(node, "name"): node for node in root.iter() if is_control(node)}
    config = Config(
        objects,
        controls,
        Counter(attr(node, "name") for node in root.iter() if is_object(node) or is_control(node)),
        find_question(objects),
        directions or {},
    )
    found: dict[int, Field] = {}
    skipped: dict[str, str] = {}
    why: dict[str, str] = {}
    corrections: dict[str, dict[str, Any]] = {}
    nodes = list(root.iter())
    for per_region in (False, True):  # what describes regions needs to know whose
        for number, node in enumerate(nodes):
            if not is_control(node) or flag(node, "perRegion") != per_region:
                continue
            name = attr(node, "name")
            try:
                if not name:
                    raise Skip("it has no name")
                if config.uses[name] > 1:
                    raise Skip(f'{config.uses[name]} tags are called "{name}"')
                found[number], why[name] = field_of(node, name, config, _marking(found.values()))
                if tag(node) == "textarea":
                    corrections[name] = {"task": "people"}
            except Skip as reason:
                skipped[name or place(node)] = str(reason)
                if reason.correction:
                    corrections[name] = reason.correction
    for number, node in enumerate(nodes):
        if tag(node) == "relations":
            name = next(name for name in _relation_names() if name not in config.uses and name not in skipped)
            try:
                if direction_of(config.directions, name).task == "people":
                    raise Skip("its direction leaves it to people")
                found[number] = relations_field(node, name, _marking(found.values()))
                why[name] = why_its_kind(found[number])
            except Skip as reason:
                skipped[name] = str(reason)
            break  # the editor knows one
    fields = [found[number] for number in sorted(found)]
    hidden = never_shown(fields)
    hidden |= {
        field.name: f'it describes regions of "{field.regions_of[0]}", which are left to people'
        for field in fields
        if field.regions_of and not set(field.regions_of) - hidden.keys()
    }
    renamed = {field.name: direction_of(config.directions, field.name).renamed for field in fields}
    left = [
        knowing_former(_without(field, hidden), renamed[field.name]) for field in fields if field.name not in hidden
    ]
    tags = {name: str(node.tag) for name, node in controls.items()}
    tags |= {field.name: field.tag for field in left if field.kind == "relations"}
    return Schema(
        tuple(left),
        skipped | hidden,
        {field.name: why[field.name] for field in left},
        corrections,
        (
            *notes(config.directions, tags),
            *(note for field in left if field.name in config.directions for note in lost(field, renamed[field.name])),
        ),
    )


def _without(field: Field, hidden: dict[str, str]) -> Field:
    """The field without the hidden ones among those whose regions it describes."""
    return field.model_copy(update={"regions_of": tuple(one for one in field.regions_of if one not in hidden)})


def _marking(fields: Iterable[Field]) -> list[Field]:
    return [field for field in fields if field.tag.lower() in SPANS]


def _relation_names() -> Iterator[str]:
    yield "relations"
    yield from (f"relations_{number}" for number in range(2, 1_000_000))

"""Controls that are shown under a condition: what visibleWhen and its kin mean, and which controls an item shows.

The meaning is that of Label Studio 1.23.2's editor, which neither shows nor submits the answer of a hidden control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.studio.config_xml import attr, flag, tag, value
from labelloop.studio.labels import Skip
from labelloop.words import Answer, Condition, Field, Path

_HIDING = frozenset({"view", "choices", "taxonomy", "textarea"})  # the editor ignores visibleWhen on other tags
_WITH_CHOICES = frozenset({"choices", "taxonomy"})


def conditions_of(node: Any, controls: Mapping[str, Any], per_region: bool = False) -> tuple[Condition, ...]:
    """What must hold for a control to be shown: its own condition and those of the tags around it.

    Args:
        controls: the control tags by name.
        per_region: it belongs to single regions, so that a selected region is no condition; see ``region_limits``.

    Raises:
        Skip: it is shown only with a region, or the condition can never hold, or it depends on a choice per region.
    """
    found: list[Condition] = []
    for around in (node, *node.iterancestors()):
        if per_region and attr(around, "visibleWhen") == "region-selected":
            continue
        if tag(around) in _HIDING and (condition := _condition(around, controls)) is not None:
            if condition.control == attr(node, "name"):
                raise Skip("it is shown only under a condition on itself")
            found.append(condition)
    return tuple(dict.fromkeys(found))


def _condition(node: Any, controls: Mapping[str, Any]) -> Condition | None:
    when, values = attr(node, "visibleWhen"), attr(node, "whenChoiceValue")
    if when == "region-selected":
        raise Skip(
            'it is shown only while a region is selected (visibleWhen="region-selected"), yet belongs to the whole task'
        )
    if not when and values:
        return Condition(labels=(values,))
    if when not in {"choice-selected", "choice-unselected"}:
        return None  # no region is selected when a task is opened, and other words mean nothing to the editor
    name = attr(node, "whenTagName")
    labels = tuple(values.split(",")) if values else ()
    if name:
        if name not in controls or tag(controls[name]) not in _WITH_CHOICES:
            raise Skip(f'its visibleWhen refers to "{name}", and no Choices or Taxonomy has this name')
        if flag(controls[name], "perRegion"):
            if when == "choice-unselected":
                return None  # no region is selected when a task is opened
            raise Skip(f'it is shown only when a choice of "{name}" is selected for a single region')
        labels = tuple(dict.fromkeys(_stored(controls[name], label) for label in labels))
    return Condition(control=name, labels=labels, selected=when == "choice-selected")


def region_limits(node: Any) -> tuple[str, tuple[str, ...]]:
    """Which regions a control of single regions is shown for: (of which control, with which stored labels).

    "" and () where any will do.

    Raises:
        Skip: there can be no such region.
    """
    control, labels = "", None
    for around in (node, *node.iterancestors()):
        selected = tag(around) in _HIDING and attr(around, "visibleWhen") == "region-selected"
        if selected and (name := attr(around, "whenTagName")):
            if control and control != name:
                raise Skip(f'it is shown only for regions of "{control}" that are also regions of "{name}"')
            control = name
        if (selected or around is node) and (values := attr(around, "whenLabelValue")):
            allowed = dict.fromkeys((values, *values.split(",")))  # a label may have a comma in its name
            labels = allowed if labels is None else {one: None for one in labels if one in allowed}
            if not labels:
                raise Skip("it is shown only for regions with two labels at once")
    return control, tuple(labels or ())


def _stored(control: Any, label: str) -> str:
    """What is stored for a label that the condition names by what it shows or by what it stores."""
    for node in control.iter():
        if tag(node) == "choice" and label in {value(node), attr(node, "alias")}:
            return attr(node, "alias") or value(node)
    return label


def never_shown(fields: Sequence[Field]) -> dict[str, str]:
    """The fields that are shown only by choices that no field makes, by name with the reason; also indirectly."""
    hidden: dict[str, str] = {}
    while True:
        left = {field.name for field in fields} - hidden.keys()
        found = {
            field.name: f'it is shown only when a choice of "{condition.control}" is selected, which is left to people'
            for field in fields
            if field.name in left
            for condition in field.conditions
            if condition.selected and condition.control and condition.control not in left
        }
        if not found:
            return hidden
        hidden |= found


def shown(fields: Sequence[Field], answers: Sequence[Answer]) -> set[str]:
    """The names of the fields that a person sees when these answers are filled in.

    A condition on a hidden control's choice does not hold, and neither does one that depends on itself.
    """
    known = {field.name: field for field in fields}
    chosen = {answer.field: answer.labels for answer in answers if answer.reason is None and answer.labels}
    verdicts: dict[str, bool] = {}

    def is_shown(name: str) -> bool:
        if name not in verdicts:
            verdicts[name] = False  # what is asked for while it is being decided depends on itself
            verdicts[name] = all(holds(condition, name) for condition in known[name].conditions)
        return verdicts[name]

    def holds(condition: Condition, asking: str) -> bool:
        if condition.control:
            by = [condition.control]
        else:
            by = [field.name for field in fields if _is_choices(field) and field.name != asking]
        met = any(
            other in known
            and other in chosen
            and _selects(known[other], chosen[other], condition.labels)
            and is_shown(other)
            for other in by
        )
        return met == condition.selected

    return {name for name in known if is_shown(name)}


def _is_choices(field: Field) -> bool:
    return field.tag == "Choices" and not field.structured


def _selects(field: Field, chosen: Sequence[Path], labels: Sequence[str]) -> bool:
    return not labels or any(_is_selected(field, chosen, label) for label in labels)


def _is_selected(field: Field, chosen: Sequence[Path], label: str) -> bool:
    """Whether a label, by its last step, is among the chosen; an inner node of Choices is when all its leaves are."""
    if any(path and path[-1] == label for path in chosen):
        return True
    if field.dynamic and any(one.text == label for one in field.labels if one.path in chosen):
        return True
    leaves = [one.path for one in field.labels if label in one.path[:-1]] if field.tag == "Choices" else []
    return bool(leaves) and all(path in chosen for path in leaves)

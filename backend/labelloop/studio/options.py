"""The labels that an item brings itself: <Choices value="$options">, as Label Studio 1.23.2's editor reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labelloop.errors import ItemError
from labelloop.studio.datapath import VARIABLE, MissingKey, lookup
from labelloop.studio.markup import html_to_text
from labelloop.words import Field, Label, Path

MAX_LABELS = 500

_Line = tuple[Label, ...]
_FORM = 'Label Studio shows a list of objects such as {"value": "A", "alias": "a", "hint": "..."} there.'


def field_for(field: Field, data: Mapping[str, Any]) -> Field:
    """The field with the labels that it has for this item: its own, then those under its ``dynamic`` key.

    Raises:
        ItemError: the key is missing, or holds something else than options, or too few or too many; names the key.
    """
    return field.model_copy(update={"labels": labels_for(field, data)}) if field.dynamic else field


def fields_for(fields: Sequence[Field], data: Mapping[str, Any]) -> tuple[Field, ...]:
    """Each field with its labels for this item; where they cannot be read, with its own only."""
    found = []
    for field in fields:
        try:
            found.append(field_for(field, data))
        except ItemError:
            found.append(field)  # it has no answer either: rendering it gives this error as the reason
    return tuple(found)


def labels_for(field: Field, data: Mapping[str, Any]) -> tuple[Label, ...]:
    """The labels of ``field_for``. Raises ItemError as it does."""
    try:
        options = lookup(data, field.dynamic)
    except MissingKey:
        if len(field.labels) > 1:
            return field.labels  # the editor shows those of the config then
        raise ItemError(f"The item's data has no '{field.dynamic}', where '{field.name}' finds its labels.") from None
    labels: dict[Path, Label] = {label.path: label for label in field.labels}
    for line in _lines(field, options):
        path = tuple(step.path[0] for step in line)
        label = Label(path=path, text=" > ".join(step.text for step in line), description=line[-1].description)
        labels.setdefault(path, label)
        if len(labels) > MAX_LABELS:
            raise ItemError(f"The item's '{field.dynamic}' has too many labels.", f"At most {MAX_LABELS} are ranked.")
    if len(labels) < 2:
        raise ItemError(
            f"The item's '{field.dynamic}' gives '{field.name}' "
            f"{len(labels) or 'no'} label{'s' if not labels else ''}: nothing to choose.",
            _FORM if not labels else "",
        )
    return tuple(labels.values())


def _lines(field: Field, options: Any) -> Iterator[_Line]:
    """Each option with those above it, outermost first: leaves where the field is nested, else the outermost."""
    stack: list[tuple[Any, _Line]] = [(option, ()) for option in reversed(_listed(field, options))]
    while stack:
        option, above = stack.pop()
        line = (*above, _label(field, option))
        inner = _listed(field, option.get("children")) if field.nested and option.get("children") else []
        stack.extend((child, line) for child in reversed(inner))
        if not inner:
            yield line


def _listed(field: Field, options: Any) -> list[Any]:
    if not isinstance(options, list):
        raise ItemError(f"The item's '{field.dynamic}' is no list of labels.", _FORM)
    return options


def _label(field: Field, option: Any) -> Label:
    """One option. The editor spreads it over a <Choice>, so a text alone, or a number as its value, shows nothing."""
    shown = option.get("value") if isinstance(option, Mapping) else None
    if not isinstance(shown, str) or not shown:
        raise ItemError(f"A label in the item's '{field.dynamic}' has no text as its 'value'.", _FORM)
    if VARIABLE.search(shown):
        raise ItemError(f"The label {shown!r} in the item's '{field.dynamic}' holds a variable of Label Studio's.")
    stored = _text(field, option, "alias") or shown
    html = html_to_text(_text(field, option, "html"))
    text = " ".join((html or shown).split()) or stored
    if not all(_is_unicode(part) for part in (stored, text)):
        raise ItemError(f"A label in the item's '{field.dynamic}' is no valid Unicode.")
    return Label(path=(stored,), text=text, description=_text(field, option, "hint").strip())


def _text(field: Field, option: Mapping[str, Any], name: str) -> str:
    found = option.get(name)
    if found is not None and (not isinstance(found, str) or not _is_unicode(found)):
        raise ItemError(f"The '{name}' of a label in the item's '{field.dynamic}' is no text.", _FORM)
    return found or ""


def _is_unicode(text: str) -> bool:
    """Whether it has no halves of surrogate pairs, which JSON may bring."""
    return not any("\ud800" <= character <= "\udfff" for character in text)

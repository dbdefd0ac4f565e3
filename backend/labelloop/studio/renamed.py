"""Labels that have another name by now: which label of a field is meant by a name that is stored still."""

from __future__ import annotations

from collections.abc import Mapping

from labelloop.words import Field, Path


def knowing_former(field: Field, renamed: Mapping[str, str]) -> Field:
    """The field with the former names of its labels.

    A name that the field has (still, or again) means itself. One that was renamed several times is followed to the name
    of today; where that is none of the field's, nothing is renamed. Steps of a scale have no names.

    Args:
        renamed: from former names to later ones, as they are stored; the steps of a path are joined by " > ".
    """
    if field.ordinal or not renamed:
        return field
    known = {label.path for label in field.labels}
    found = []
    for name in renamed:
        last = name
        while _path(field, last) not in known and last in renamed:
            last = renamed[last]
        if last != name and _path(field, last) in known:
            found.append((_path(field, name), _path(field, last)))
    return field.model_copy(update={"formerly": tuple(sorted(found))})


def lost(field: Field, renamed: Mapping[str, str]) -> list[str]:
    """What of ``renamed`` leads to no label of the field, in sentences."""
    known = {label.path for label in field.labels} | {former for former, _ in field.formerly}
    return [
        f'"{name}" of "{field.name}" is renamed to "{now}", which the label config does not have'
        for name, now in renamed.items()
        if _path(field, name) not in known
    ]


def _path(field: Field, name: str) -> Path:
    return tuple(name.split(" > ")) if field.nested else (name,)

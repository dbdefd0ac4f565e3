"""Directions: what a person says a field is for, in labelloop.toml or in the extra_params of the model connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from labelloop.errors import RequestError
from labelloop.settings import Direction, FieldSetting, Settings

MOST_CHARS = 4000
"""Of one text in extra_params: what is longer is no instruction but a document."""
_SERVER = frozenset({"engine", "model", "revision"})
_FORM = 'Give {"fields": {"<control>": {"task": "summarisation", "options": {"words": "30"}}}}.'

Directions = Mapping[str, Direction]


def read_extra(extra_params: Any) -> dict[str, Direction]:
    """The directions in a connection's extra_params: an object, or JSON of one, with them under "fields" or as it is.

    Raises:
        RequestError: it is something else, or has an unknown key or value; names it.
    """
    if isinstance(extra_params, str):
        if not extra_params.strip():
            return {}
        try:
            extra_params = json.loads(extra_params)
        except (ValueError, RecursionError) as error:
            raise RequestError(f"The extra params are not JSON: {error}.", _FORM) from None
    if extra_params in (None, {}, []):
        return {}
    if not isinstance(extra_params, Mapping):
        raise RequestError("The extra params are no object.", _FORM)
    fields = extra_params
    if "fields" in extra_params:
        if others := sorted(str(key) for key in extra_params if key != "fields"):
            raise RequestError(f"The extra params have the unknown key {others[0]!r} beside 'fields'.", _FORM)
        fields = extra_params["fields"] or {}
    if not isinstance(fields, Mapping):
        raise RequestError("'fields' of the extra params is no object.", _FORM)
    return {str(name): _direction(str(name), told) for name, told in fields.items()}


def _direction(name: str, told: Any) -> Direction:
    where = f"The extra params of the field {name!r}"
    if not isinstance(told, Mapping):
        raise RequestError(f"{where} are no object.", _FORM)
    if chosen := sorted(_SERVER & {str(key) for key in told}):
        raise RequestError(
            f"{where} choose the {chosen[0]}, which only LabelLoop's operator does.",
            f"Set it there: fields.{name}.{chosen[0]} in labelloop.toml.",
        )
    plain = dict(told)
    if isinstance(plain.get("options"), Mapping):  # JSON has numbers, and a number of words is one
        plain["options"] = {key: _text(value) for key, value in plain["options"].items()}
    if isinstance(plain.get("inputs"), str):
        plain["inputs"] = [plain["inputs"]]
    try:
        found = Direction.model_validate(plain)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise RequestError(f"{where} are wrong: {wrong}.", _FORM) from None
    texts = {"instruction": found.instruction, **found.options, **found.renamed}
    if long := next((key for key, text in texts.items() if len(text) > MOST_CHARS), ""):
        raise RequestError(f"{where}: {long} has {len(texts[long])} characters; at most {MOST_CHARS} are taken.")
    return found


def _text(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(map(str, value))
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def directed(settings: Settings, extra: Directions) -> Settings:
    """The settings with a connection's directions over those of ``fields``; engines and models stay the operator's."""
    if not extra:
        return settings
    fields = dict(settings.fields)
    for name, told in extra.items():
        own = fields.get(name) or FieldSetting()
        fields[name] = own.model_copy(update=_over(own, told))
    return settings.model_copy(update={"fields": fields})


def direction_of(directions: Directions, name: str) -> Direction:
    """What is said of a field: by its name, over what is said of all ("*")."""
    general, own = directions.get("*"), directions.get(name)
    if general is None or own is None:
        return own or general or Direction()
    return Direction(**{key: getattr(general, key) for key in Direction.model_fields} | _over(general, own))


def _over(under: Direction, told: Direction) -> dict[str, Any]:
    """What a direction says, to be put over another one; of the options and renamed labels each by itself."""
    each = ("options", "renamed")
    said = {key: value for key in Direction.model_fields if (value := getattr(told, key)) and key not in each}
    return {**said, **{key: {**getattr(under, key), **getattr(told, key)} for key in each}}


def notes(directions: Directions, tags: Mapping[str, str]) -> list[str]:
    """What of the directions has no effect on a config, in sentences.

    Args:
        tags: of the config's controls, by name.
    """
    found = []
    for name, told in directions.items():
        said = [key for key in Direction.model_fields if getattr(told, key)]
        if not said or name == "*":
            continue
        if name not in tags:
            known = f"its controls: {_listed(tags)}" if tags else "it has no controls"
            found.append(f'there are directions for "{name}", which the label config does not have ({known})')
        elif tags[name].lower() != "textarea" and (
            idle := [key for key in said if key not in {"prompt", "task", "precision", "renamed"}]
        ):
            found.append(f'the {_listed(idle)} of "{name}" have no effect: <{tags[name]}> is not written')
        elif tags[name].lower() != "textarea" and told.task not in {"", "people"}:
            found.append(f'the task of "{name}" has no effect: only a TextArea has to be told its task')
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)

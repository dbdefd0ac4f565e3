"""What LabelLoop makes of a label config: per control its task kind, who serves it, and why; no model is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from labelloop.errors import LabelLoopError
from labelloop.settings import Settings
from labelloop.studio.schema import Schema
from labelloop.tasks import plan
from labelloop.words import Field

_BARE = re.compile(r"[A-Za-z0-9_-]+")  # a TOML key that needs no quotation marks


def explain(schema: Schema, settings: Settings) -> dict[str, Any]:
    """JSON values: "fields" with what each is and why ("precision": the one that is wished of it, None where none is),
    "left_to_people" with the reasons, and "notes".

    A TextArea has a "correction": the one line that would have it otherwise, for labelloop.toml ("toml") and for the
    extra params of the model connection ("extra_params").
    """
    return {
        "fields": [_field(one, schema, settings) for one in schema.fields],
        "left_to_people": [
            {"name": name, "why": reason, **_correction(schema, name)} for name, reason in schema.skipped.items()
        ],
        "notes": list(schema.notes),
    }


def _field(field: Field, schema: Schema, settings: Settings) -> dict[str, Any]:
    return {
        "name": field.name,
        "tag": field.tag,
        "kind": field.kind,
        **_served(field, settings),
        "reads": [source.name for source in field.sources],
        "query": [source.name for source in field.query],
        "labels": len(field.labels),
        "options": dict(field.options),
        "why": schema.why.get(field.name, ""),
        **_correction(schema, field.name),
    }


def _served(field: Field, settings: Settings) -> dict[str, Any]:
    """Engine, model, prompt and wished precision; or, in "problem", why there are none."""
    try:
        its = plan(field, settings)
    except LabelLoopError as error:
        return {"engine": "", "model": "", "prompt": "", "precision": None, "problem": str(error)}
    told = {"engine": its.engine, "model": its.model, "prompt": its.prompt}
    return {**told, "precision": its.precision, "problem": ""}


def _correction(schema: Schema, name: str) -> dict[str, Any]:
    told = schema.corrections.get(name)
    return (
        {} if told is None else {"correction": {"toml": toml_line(name, told), "extra_params": as_params(name, told)}}
    )


def toml_line(name: str, told: Mapping[str, Any]) -> str:
    """A direction of one key as a line of labelloop.toml: fields.note.task = "summarisation"."""
    keys, value = ["fields", name], dict(told)
    while isinstance(value, dict):
        [(key, value)] = value.items()
        keys.append(key)
    dotted = ".".join(key if _BARE.fullmatch(key) else json.dumps(key) for key in keys)
    return f"{dotted} = {json.dumps(value)}"


def as_params(name: str, told: Mapping[str, Any]) -> str:
    """The same as extra params."""
    return json.dumps({"fields": {name: dict(told)}}, ensure_ascii=False)

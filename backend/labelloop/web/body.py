"""Request bodies: read as JSON within the limits, checked against a model, refused in words."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from flask import g, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labelloop.errors import RequestError
from labelloop.settings import Settings

Model = TypeVar("Model", bound=BaseModel)


def refusal(error: str, detail: str) -> dict[str, str]:
    """The body of every answer that is an error; ``request_id`` names the request in the log."""
    return {"error": error, "detail": detail, "request_id": g.get("request_id", "")}


class Body(BaseModel):
    """A request's body. Fields that it does not know are ignored: Label Studio's next version may send more."""

    model_config = ConfigDict(extra="ignore", strict=True)


class SetupBody(Body):
    """POST /setup: which project asks, and its label config."""

    project: str | int = Field(description='"<id>.<created_at in Unix seconds>"', examples=["12.1795440943"])
    label_config: str = Field(alias="schema", description="the project's label config (XML)")
    extra_params: Any = Field(
        None,
        description="what its owner says single fields are for, or JSON of it",
        examples=[{"fields": {"summary": {"task": "summarisation", "options": {"words": "30"}}}}],
    )


class PredictBody(Body):
    """POST /predict: the tasks to answer. Each task is judged by itself, so any JSON is let in here."""

    tasks: list[Any] = Field(description='Label Studio tasks: {"id": 1, "data": {...}}')
    project: str | int | None = Field(None, description="as in /setup; may be left out where the address has a key")
    label_config: str | None = Field(None, description="the label config, where it is not that of the last /setup")
    params: dict[str, Any] | None = Field(None, description='"context": what an interactive call has selected')


class WebhookBody(Body):
    """POST /webhook: an event. The keys beside these differ from action to action."""

    model_config = ConfigDict(extra="allow", strict=True)

    action: str = Field(min_length=1, max_length=60, examples=["ANNOTATION_CREATED"])
    project: Any = None


class ValidateBody(Body):
    """POST /validate: a label config to look at."""

    config: str = Field(description="a label config (XML)")


def read(model: type[Model], settings: Settings) -> Model:
    """The request's body as ``model``.

    Raises:
        RequestError: it is not JSON, no object, too deep, or a field is missing or of the wrong type; names the field.
    """
    try:
        value = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The body is not JSON: {error}.", "Send a JSON object.") from None
    if not isinstance(value, dict):
        raise RequestError("The body is not a JSON object.", 'Send {"...": ...}.')
    if _deeper_than(value, settings.max_depth):
        raise RequestError(
            f"The body is nested deeper than {settings.max_depth} levels.", "Flatten it, or raise LABELLOOP_MAX_DEPTH."
        )
    try:
        return model.model_validate(value)
    except ValidationError as error:
        wrong: dict[str, list[str]] = {}
        for one in error.errors():  # a field that may be of two types has an error for each
            wrong.setdefault(str(one["loc"][0]), []).append(one["msg"][:1].lower() + one["msg"][1:])
        told = "; ".join(f"'{name}': {' or '.join(reasons)}" for name, reasons in wrong.items())
        raise RequestError(f"The body is not as expected: {told}.", "/openapi.json describes every route.") from None


def _deeper_than(value: Any, limit: int) -> bool:
    """Level by level, so that a hostile depth costs no stack."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for one in level
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True

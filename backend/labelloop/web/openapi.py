"""/openapi.json, generated from the routes: their rules, docstrings and body models. Nothing is described twice."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify
from pydantic.json_schema import models_json_schema

from labelloop import __version__
from labelloop.web.body import Body

blueprint = Blueprint("openapi", __name__)

_ERROR = {
    "type": "object",
    "required": ["error", "detail", "request_id"],
    "properties": {
        "error": {"type": "string", "description": "what is wrong"},
        "detail": {"type": "string", "description": "what to do about it"},
        "request_id": {"type": "string", "description": "the log's name for this request"},
    },
}
_REF = "#/components/schemas/{model}"
_ERRORS = {"400": "The request is not as expected.", "401": "The key is refused.", "413": "The request is too large.",
           "503": "Something is down; Retry-After says when to ask again."}  # fmt: skip


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """This description."""
    return jsonify(describe(current_app._get_current_object()))  # type: ignore[attr-defined]


def describe(app: Flask) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an app."""
    models: dict[str, type[Body]] = {}
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        takes: type[Body] | None = getattr(view, "takes", None)
        if takes:
            models[takes.__name__] = takes
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = re.sub(r"<(\w+)>", r"{\1}", rule.rule)
            paths.setdefault(path, {})[method.lower()] = _operation(path, method, view, takes)
    _, definitions = models_json_schema([(model, "validation") for model in models.values()], ref_template=_REF)
    schemas = {"Error": _ERROR, **definitions.get("$defs", {})}
    return {
        "openapi": "3.1.0",
        "info": {"title": "LabelLoop", "version": __version__, "description": "A Label Studio ML backend for text."},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas},
    }


def _operation(path: str, method: str, view: Any, takes: type[Body] | None) -> dict[str, Any]:
    summary, _, description = (view.__doc__ or "").strip().partition("\n")
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_"),
        "summary": summary,
        "responses": {"200": {"description": "As the summary says."}},
    }
    if description.strip():
        operation["description"] = " ".join(description.split())
    if "{key}" in path:
        operation["parameters"] = [{"name": "key", "in": "path", "required": True, "schema": {"type": "string"}}]
    if takes:
        content = {"application/json": {"schema": {"$ref": _REF.format(model=takes.__name__)}}}
        operation["requestBody"] = {"required": True, "content": content}
        error = {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}}
        for status, meaning in _ERRORS.items():
            operation["responses"][status] = {"description": meaning, "content": error}
    return operation

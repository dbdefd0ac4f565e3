"""Label Studio's ML backend API, as version 1.23.2 speaks it: /health, /setup, /predict, /webhook, /versions, /."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Blueprint, Response, current_app, jsonify, request

from labelloop import __version__
from labelloop.service import Backend
from labelloop.web.auth import project_of
from labelloop.web.body import Body, PredictBody, SetupBody, WebhookBody, read

View = TypeVar("View", bound=Callable[..., Any])
blueprint = Blueprint("protocol", __name__)


def backend() -> Backend:
    return cast(Backend, current_app.extensions["labelloop"])


def both(path: str, takes: type[Body] | None = None, **options: Any) -> Callable[[View], View]:
    """Registers a route with the key in its path and without. ``takes``: the model of its body, for /openapi.json."""

    def register(view: View) -> View:
        view.__dict__.setdefault("takes", takes)
        blueprint.add_url_rule(f"/k/<key>{path}", view_func=view, **options)
        blueprint.add_url_rule(path, view_func=view, defaults={"key": None}, **options)
        return view

    return register


@both("/health")
@both("/")
def health(key: str | None) -> Response:
    """Says that this process lives. Loads nothing, asks nobody."""
    return jsonify({"status": "UP", "model_class": "LabelLoop", "version": __version__})


@both("/setup", methods=["POST"], takes=SetupBody)
def setup(key: str | None) -> Response:
    """Binds the key to its project, reads the label config, and names the version that serves it."""
    body = read(SetupBody, backend().settings)
    whose = backend().connection(key, project_of(body.project))
    # Label Studio sends null where its owner has emptied them, older callers send nothing
    extra = (body.extra_params or {}) if "extra_params" in body.model_fields_set else None
    version = backend().setup(whose, body.label_config, extra)
    return jsonify({"model_version": version.name})


@both("/versions")
def versions(key: str | None) -> Response:
    """Names every version of the connection, oldest first."""
    project = request.args.get("project")
    known = backend().store.versions(backend().connection(key, project_of(project) if project else None).id)
    return jsonify({"versions": [version.name for version in known]})


@both("/predict", methods=["POST"], takes=PredictBody)
def predict(key: str | None) -> Response:
    """One prediction a task, in order. A task without one gets ``{"error": ...}``, which Label Studio skips."""
    body = read(PredictBody, backend().settings)
    whose = backend().connection(key, None if body.project is None else project_of(body.project))
    context = (body.params or {}).get("context")
    version, results = backend().predict(whose, body.tasks, body.label_config, context)
    return jsonify({"results": results, "model_version": version.name})


@both("/webhook", methods=["POST"], takes=WebhookBody)
def webhook(key: str | None) -> tuple[Response, int]:
    """Stores the event, then answers, then starts what follows from it."""
    action, how = backend().receive(key, read(WebhookBody, backend().settings).model_dump())
    return jsonify({"status": how, "action": action}), 201

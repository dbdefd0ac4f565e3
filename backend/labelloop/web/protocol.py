"""Label Studio's ML backend API, as version 1.23.2 speaks it: /health, /setup, /predict, /webhook, /versions, /."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field
from typing import Any, cast

from flask import Blueprint, Response, current_app, jsonify, request

from labelloop import __version__
from labelloop.errors import ConfigError, ItemError, LabelLoopError, RequestError
from labelloop.learning.store import Connection, Store, Version
from labelloop.learning.versions import version_for
from labelloop.scoring import push
from labelloop.scoring.queues import Scoring
from labelloop.settings import Settings
from labelloop.studio.results import prediction, validate
from labelloop.studio.schema import render
from labelloop.web.auth import connection_of, project_of
from labelloop.web.events import reduce_event
from labelloop.words import Bundle

log = logging.getLogger(__name__)
blueprint = Blueprint("protocol", __name__)


@dataclass
class Backend:
    """What the routes share. ``waiting`` bounds the threads that wait for answers, so that /health always has one."""

    settings: Settings
    store: Store
    scoring: Scoring
    waiting: threading.BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = threading.BoundedSemaphore(min(self.settings.max_waiting, self.settings.web_threads - 2))

    def connection(self, key: str | None, project: tuple[int, int] | None) -> Connection:
        return connection_of(self.store, key, project, self.settings.require_key)


def backend() -> Backend:
    return cast(Backend, current_app.extensions["labelloop"])


def _body() -> dict[str, Any]:
    """The request's JSON object.

    Raises:
        RequestError: the body is not one.
    """
    try:
        body = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The body is not JSON: {error}.", "Send a JSON object.") from None
    if not isinstance(body, dict):
        raise RequestError("The body is not a JSON object.", 'Send {"...": ...}.')
    return body


def _both(path: str, **options: Any) -> Any:
    """Registers a route with the key in its path and without."""

    def register(view: Any) -> Any:
        blueprint.add_url_rule(f"/k/<key>{path}", view_func=view, **options)
        blueprint.add_url_rule(path, view_func=view, defaults={"key": None}, **options)
        return view

    return register


@_both("/health")
@_both("/")
def health(key: str | None) -> Response:
    """Says that this process lives. Loads nothing, asks nobody."""
    return jsonify({"status": "UP", "model_class": "LabelLoop", "version": __version__})


@_both("/setup", methods=["POST"])
def setup(key: str | None) -> Response:
    """Binds the key to its project, reads the label config, and names the version that serves it."""
    body = _body()
    config = body.get("schema")
    if not isinstance(config, str):
        raise RequestError("The field 'schema' is missing.", "Send the project's label config as a string.")
    connection = backend().connection(key, project_of(body.get("project")))
    version = _serving(connection, config)
    return jsonify({"model_version": version.name})


@_both("/versions")
def versions(key: str | None) -> Response:
    """Names every version of the connection, oldest first."""
    project = request.args.get("project")
    connection = backend().connection(key, project_of(project) if project else None)
    return jsonify({"versions": [version.name for version in backend().store.versions(connection.id)]})


@_both("/predict", methods=["POST"])
def predict(key: str | None) -> Response:
    """One prediction a task, in order. A task without one gets ``{"error": ...}``, which Label Studio skips."""
    body = _body()
    tasks = body.get("tasks")
    if not isinstance(tasks, list):
        raise RequestError("The field 'tasks' is missing or not a list.", 'Send {"tasks": [{"id": 1, "data": {...}}]}.')
    connection = backend().connection(key, project_of(body["project"]) if body.get("project") else None)
    config = body.get("label_config")
    if config is not None and not isinstance(config, str):
        raise RequestError("The field 'label_config' is not a string.")
    version = backend().store.champion(connection.id)
    if version is None or (config and config != connection.label_config):
        if not (config or connection.label_config):
            raise RequestError("This connection has no label config yet.", "Call /setup first, or send 'label_config'.")
        version = _serving(connection, config or connection.label_config)
    return jsonify({"results": _predict(tasks, version), "model_version": version.name})


def _serving(connection: Connection, config: str) -> Version:
    """The version for this config; where it is new and we hold a token, the project is pre-annotated anew."""
    here = backend()
    former = here.store.champion(connection.id)
    version = version_for(here.store, connection, config, here.settings)
    if former is not None and former.id != version.id:
        _push_quietly(connection)
    return version


def _push_quietly(connection: Connection) -> None:
    """Asks for a push. What it needs may be down, and nothing is lost then: the next push finds the same tasks."""
    here = backend()
    if not (connection.token and connection.server_url):
        return
    try:
        push.start(connection.id, here.settings, here.store, here.scoring)
    except LabelLoopError as error:
        log.warning("connection %d: no push was started: %s", connection.id, error)


def _predict(tasks: list[Any], version: Version) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = [{} for _ in tasks]
    rendered: dict[int, dict[str, str]] = {}
    for index, task in enumerate(tasks):
        texts, problem = _render(task, version.bundle)
        if texts:
            rendered[index] = texts
        else:
            results[index] = {"error": problem}
    if not rendered:
        return results
    here = backend()
    single = len(tasks) == 1
    wait = here.settings.interactive_wait_s if single else here.settings.batch_wait_s
    may_wait = here.waiting.acquire(blocking=False)
    try:
        answers = here.scoring.score(
            version.bundle, list(rendered.values()), "interactive" if single else "predict", wait if may_wait else 0.0
        )
    finally:
        if may_wait:
            here.waiting.release()
    for index, found in zip(rendered, answers, strict=True):
        if found is None:
            results[index] = {"error": "The answer is not ready yet; ask again in a moment."}
        elif all(answer.reason for answer in found):
            results[index] = {"error": "; ".join(f"{answer.field}: {answer.reason}" for answer in found)}
        else:
            clean, dropped = validate(prediction(version.bundle.fields, found, version.name), version.bundle.fields)
            for reason in dropped:
                log.warning("a region was dropped: %s", reason)
            results[index] = clean
    return results


def _render(task: Any, bundle: Bundle) -> tuple[dict[str, str], str]:
    """(text by field name, why there is none)."""
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict):
        return {}, "The task has no 'data' object."
    texts: dict[str, str] = {}
    problems: list[str] = []
    for one in bundle.fields:
        try:
            texts[one.name] = render(one, data)
        except ItemError as error:
            problems.append(f"{one.name}: {error}")
    return texts, "; ".join(problems) or "No control of this project can be filled."


@_both("/webhook", methods=["POST"])
def webhook(key: str | None) -> tuple[Response, int]:
    """Stores the event, then answers, then starts what follows from it."""
    body = _body()
    action, project, event = reduce_event(body)
    here = backend()
    connection = here.connection(key, None if key else project)
    if connection.project_id is not None and project is not None and project[0] != connection.project_id:
        raise RequestError("This event belongs to another project than this address.")
    new = here.store.add_event(connection.id, action, event)
    try:
        if new and action == "PROJECT_UPDATED" and event.get("label_config"):
            _serving(connection, event["label_config"])
        elif new and action == "TASKS_CREATED":
            _push_quietly(connection)
    except ConfigError as error:
        log.warning("connection %d: the changed label config cannot be read: %s", connection.id, error)
    return jsonify({"status": "stored" if new else "known", "action": action}), 201

"""/status: what is connected, which controls are filled or left to people and why, and how the queues stand."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from labelloop import __version__
from labelloop.errors import UnavailableError
from labelloop.learning.store import Connection, Store
from labelloop.web.protocol import backend

blueprint = Blueprint("status", __name__)


def describe(store: Store, one: Connection) -> dict[str, Any]:
    """One connection, as /status and `labelloop status` show it."""
    version = store.champion(one.id)
    labels = store.count_labels(one.id)
    return {
        "connection": one.id,
        "project": one.project_id,
        "title": one.title,
        "server": one.server_url,
        "push": bool(one.token and one.server_url),
        "version": version.name if version else None,
        "versions": [known.name for known in store.versions(one.id)],
        "fields": [
            {"name": plan.field.name, "tag": plan.field.tag, "kind": plan.field.kind, "engine": plan.engine,
             "model": plan.model, "labels": len(plan.field.labels)}
            for plan in (version.bundle.plans if version else ())
        ],
        "left_to_people": version.skipped if version else {},
        "labels": {**labels.how, "ground_truth": labels.ground_truth},
    }  # fmt: skip


@blueprint.get("/k/<key>/status")
def connection_status(key: str) -> Response:
    """The connection of this key."""
    return jsonify({**describe(backend().store, backend().connection(key)), "queues": _queues()})


@blueprint.get("/status")
def status() -> Response:
    """The processes and queues; connections only where calls without a key are let in."""
    here = backend()
    known = [describe(here.store, one) for one in here.store.connections()] if not here.settings.require_key else None
    answer: dict[str, Any] = {"version": __version__, "queues": _queues()}
    if known is not None:
        answer["connections"] = known
    return jsonify(answer)


def _queues() -> dict[str, Any]:
    try:
        return backend().scoring.status()
    except UnavailableError as error:
        return {"error": str(error)}

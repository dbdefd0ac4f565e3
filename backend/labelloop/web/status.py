"""/status: what is connected, which controls are filled or left to people and why, and how the queues stand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, request

from labelloop import __version__
from labelloop.errors import UnavailableError
from labelloop.learning import blind, observed, refreshes
from labelloop.learning.store import Connection, Store, Version
from labelloop.scoring import refresh
from labelloop.settings import Settings
from labelloop.web import page
from labelloop.web.protocol import backend

blueprint = Blueprint("status", __name__)


def describe(store: Store, one: Connection, version: Version | None, settings: Settings) -> dict[str, Any]:
    """One connection, and the version that serves it. "blind": the share of its tasks that are shown without a
    suggestion, and since when; or null."""
    labels = store.count_labels(one.id)
    share = blind.slice_of(one, settings).share
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
        "blind": {"share": share, "since": one.blind_since.isoformat()} if share and one.blind_since else None,
        "labels": {**labels.how, "ground_truth": labels.ground_truth},
    }  # fmt: skip


@blueprint.get("/k/<key>/status")
def connection_status(key: str) -> Response:
    """The connection of this key; a browser is shown a page.

    JSON, unless the request accepts text/html rather.
    """
    one, store = backend().connection(key), backend().store
    version = store.champion(one.id)
    told = {**describe(store, one, version, backend().settings), "training": _training(one), "queues": _queues()}
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
        answer = jsonify(told)
    else:
        agreement, blocks = observed.agreement(store, one.id), observed.agreement_blocks(store, one.id)
        shown = page.render(told, version, agreement, blocks, refreshes.listed(store, one.id, most=8))
        answer = Response(shown, content_type="text/html; charset=utf-8")
        answer.headers.update(page.HEADERS)
    answer.headers["Vary"] = "Accept"
    return answer


@blueprint.post("/k/<key>/refresh")
def start_refresh(key: str) -> tuple[Response, int]:
    """Has every control of the connection trained that can be; its status says how far that is."""
    return jsonify({"training": backend().train(backend().connection(key), "api")}), 202


@blueprint.get("/status")
def status() -> Response:
    """The processes and queues; connections only where calls without a key are let in."""
    here = backend()
    known = None
    if not here.settings.require_key:
        known = [
            describe(here.store, one, here.store.champion(one.id), here.settings) for one in here.store.connections()
        ]
    answer: dict[str, Any] = {"version": __version__, "queues": _queues()}
    if known is not None:
        answer["connections"] = known
    return jsonify(answer)


def _training(one: Connection) -> list[dict[str, Any]]:
    try:
        found = refresh.progress(backend().scoring.redis, one.id)
    except UnavailableError as error:
        return [{"error": str(error)}]
    return [{**asdict(its), "eta_s": its.eta_s} for its in found]


def _queues() -> dict[str, Any]:
    try:
        return backend().scoring.status()
    except UnavailableError as error:
        return {"error": str(error)}

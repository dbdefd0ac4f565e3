"""The routes of label-studio-ml that Label Studio 1.23.2 never calls: older servers and scripts do."""

from __future__ import annotations

from flask import Response, jsonify

from labelloop.studio.schema import read_config
from labelloop.web.body import ValidateBody, WebhookBody, read, refusal
from labelloop.web.protocol import backend, blueprint, both, webhook

__all__ = ["blueprint"]  # the protocol's, with these routes added


@both("/train", methods=["POST"], takes=WebhookBody)
def train(key: str | None) -> tuple[Response, int]:
    """The old name of /webhook; "Start training" arrives as an event."""
    return webhook(key)


@both("/validate", methods=["POST"], takes=ValidateBody)
def validate_config(key: str | None) -> Response:
    """Says which controls of a label config would be filled, and why others are left to people."""
    schema = read_config(read(ValidateBody, backend().settings).config, backend().settings.fields)
    fields = [{"name": one.name, "tag": one.tag, "labels": len(one.labels)} for one in schema.fields]
    return jsonify({"fields": fields, "left_to_people": schema.skipped})


@both("/job_status", methods=["GET", "POST"])
def job_status(key: str | None) -> Response:
    """What runs for this connection: its push, if there is one."""
    whose = backend().connection(key)
    pushes = [one for one in backend().scoring.status()["pushes"] if one["connection_id"] == whose.id]
    return jsonify({"job_status": "running" if pushes else "idle", "pushes": pushes})


@both("/delete", methods=["POST", "DELETE"])
def delete(key: str | None) -> Response:
    """Label Studio forgot the backend. Nothing is deleted here: labels outlive a click."""
    return jsonify({"status": "kept", "connection": backend().connection(key).id})


@both("/duplicate_model", methods=["POST"])
def duplicate_model(key: str | None) -> tuple[Response, int]:
    """A copied project needs an address of its own, which only this machine's operator can make."""
    backend().connection(key)
    detail = "Run `labelloop connect` for the new project; its labels stay apart from this one's."
    return jsonify(refusal("An address serves one project.", detail)), 409

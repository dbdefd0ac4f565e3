"""Webhook bodies reduced to what learning needs: Label Studio also sends the project's token and much else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from labelloop.errors import RequestError

LARGEST = 2**31 - 1
"""The largest project id that Label Studio gives."""

_ANNOTATION = (
    *("id", "task", "result", "was_cancelled", "ground_truth", "created_at", "updated_at", "lead_time"),
    *("completed_by", "updated_by", "parent_prediction", "parent_annotation", "unique_id"),
)
# These say nothing that tells a second event from a repeated delivery of the first, so the time of arrival has to.
_REPEATABLE = {"START_TRAINING", "PROJECT_UPDATED"}


def reduce_event(body: Mapping[str, Any]) -> tuple[str, tuple[int, int] | None, dict[str, Any]]:
    """(action, (project id, created_at in Unix seconds), what is stored) of a webhook's body.

    ``annotations``: the annotations, whichever of the two keys and forms they came under. ``tasks``: id and, beside an
    annotation, the data with its time. ``label_config``: of PROJECT_UPDATED.

    Raises:
        RequestError: there is no action.
    """
    action = body.get("action")
    if not isinstance(action, str) or not 0 < len(action) <= 60 or not action.isprintable():
        raise RequestError("The field 'action' is missing.", "Label Studio's webhooks name their action.")
    project = body.get("project")
    kept: dict[str, Any] = {}
    annotations = _listed(body, "annotation") + _listed(body, "annotations")
    if annotations:
        kept["annotations"] = [{name: one[name] for name in _ANNOTATION if name in one} for one in annotations]
    names = ("id", "data", "updated_at") if annotations else ("id",)
    tasks = _listed(body, "task") + _listed(body, "tasks")
    if tasks:
        kept["tasks"] = [{name: one[name] for name in names if name in one} for one in tasks]
    if action == "PROJECT_UPDATED" and isinstance(project, dict) and isinstance(project.get("label_config"), str):
        kept["label_config"] = project["label_config"]
    if action in _REPEATABLE:
        kept["arrived"] = time.time()
    return action, identify(project), kept


def identify(project: Any) -> tuple[int, int] | None:
    """(id, created_at in Unix seconds) of a webhook's project; created_at is 0 where it cannot be read.

    Raises:
        RequestError: the id is none that Label Studio gives.
    """
    if not isinstance(project, dict) or not isinstance(project.get("id"), int):
        return None
    if not 0 < project["id"] <= LARGEST:
        raise RequestError("The project's id in 'project' is no number of a project.")
    try:
        created_at = int(datetime.fromisoformat(str(project.get("created_at"))).timestamp())
    except ValueError:
        created_at = 0
    return project["id"], created_at


def same_project(project: Any) -> dict[str, Any]:
    """What ``identify`` needs of a webhook's project, and nothing else: the rest holds a token."""
    return (
        {name: project[name] for name in ("id", "created_at") if name in project} if isinstance(project, dict) else {}
    )


def _listed(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = body.get(name)
    found = value if isinstance(value, list) else [value]
    return [one for one in found if isinstance(one, dict)]

"""The demo's project: messages to a made-up lamp shop, its label config, and the check of what was predicted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

import httpx

TITLE = "Customer messages (LabelLoop demo)"
DESCRIPTION = "What people write to a shop for lamps. Written for this demo; no label was given to the model."
CONFIG = Path(__file__).with_name("config.xml")
MESSAGES = Path(__file__).with_name("messages.jsonl")
_PAGE = 500
_HIDDEN = (
    *("inner_id", "completed_at", "cancelled_annotations", "total_predictions", "annotators", "annotations_results"),
    *("annotations_ids", "predictions_results", "predictions_model_versions", "file_upload", "storage_filename"),
    *("created_at", "updated_at", "updated_by", "avg_lead_time", "draft_exists"),
)
_VIEW = {  # the tab of the Data Manager: the text in full, and how sure the model is
    "title": "Least certain first",
    "hiddenColumns": {area: [f"tasks:{column}" for column in _HIDDEN] for area in ("explore", "labeling")},
    "columnsWidth": {"tasks:id": 80, "tasks:predictions_score": 170, "tasks:data.text": 720},
    "ordering": ["tasks:predictions_score"],
    "type": "list",
    "target": "tasks",
}


class Studio(Protocol):
    """Whoever calls Label Studio's API for us; raises StudioError where the answer is an error."""

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response: ...


def texts() -> list[dict[str, str]]:
    """The task data of the demo; what a person would answer stays in the file, for `labelloop evaluate`."""
    lines = MESSAGES.read_text(encoding="utf-8").splitlines()
    return [{"text": json.loads(line)["text"]} for line in lines]


def find_or_create(studio: Studio) -> int:
    """The project's id; a project that exists is taken as it is, unless it has no tasks."""
    found = studio.request("GET", "/api/projects", params={"page_size": 1000}).json()["results"]
    project = next((one for one in found if one["title"] == TITLE), None)
    if project is None:
        body = {"title": TITLE, "description": DESCRIPTION, "label_config": CONFIG.read_text(encoding="utf-8")}
        project = studio.request("POST", "/api/projects/", json=body).json()
        studio.request("POST", "/api/dm/views", json={"project": project["id"], "data": _VIEW})
    project_id = int(project["id"])
    if not project.get("task_number"):
        studio.request("POST", f"/api/projects/{project_id}/import", json=texts())
    return project_id


def read_tasks(studio: Studio, project_id: int) -> list[dict[str, Any]]:
    """Every task with its predictions, by id."""
    tasks: list[dict[str, Any]] = []
    while True:
        page = {"project": project_id, "fields": "all", "page": len(tasks) // _PAGE + 1, "page_size": _PAGE}
        answer = studio.request("GET", "/api/tasks", params=page).json()
        tasks += answer["tasks"]
        if len(tasks) >= answer["total"] or not answer["tasks"]:
            return sorted(tasks, key=lambda task: int(task["id"]))


def problems(label_config: str, tasks: list[dict[str, Any]], version: str) -> list[str]:
    """What is wrong with the predictions of ``version``: nothing, or one line for each thing.

    It reads the label config and the predictions by itself, apart from the code that made them.
    """
    controls = _controls(label_config)
    found: list[str] = []
    for task in tasks:
        held = [one for one in task["predictions"] if one["model_version"] == version]
        if len(held) != 1:
            found.append(f"task {task['id']} holds {len(held)} predictions of {version}, not one")
            continue
        if not _is_probability(held[0]["score"]):
            found.append(f"task {task['id']}: the score {held[0]['score']!r} is not in [0, 1]")
        filled = [region.get("from_name") for region in held[0]["result"]]
        for name, control in controls.items():
            if control["required"] and name not in filled:
                found.append(f"task {task['id']}: {name} is not filled in")
        if len(set(filled)) != len(filled):
            found.append(f"task {task['id']}: a control is filled in twice")
        for region in held[0]["result"]:
            if wrong := _wrong(region, controls):
                found.append(f"task {task['id']}: {wrong}")
    return found


def _controls(label_config: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for tag in ElementTree.fromstring(label_config).iter():
        if tag.tag not in {"Choices", "Rating"}:
            continue
        found[tag.attrib["name"]] = {
            "type": tag.tag.lower(),
            "to_name": tag.attrib["toName"],
            "required": tag.attrib.get("required") == "true",
            "single": tag.attrib.get("choice", "single").startswith("single"),
            "labels": {choice.attrib.get("alias") or choice.attrib["value"] for choice in tag.iter("Choice")},
            "most": int(tag.attrib.get("maxRating", 5)),
        }
    return found


def _wrong(region: dict[str, Any], controls: dict[str, dict[str, Any]]) -> str:
    control = controls.get(region.get("from_name", ""))
    if control is None:
        return f"there is no control {region.get('from_name')!r}"
    if (region.get("type"), region.get("to_name")) != (control["type"], control["to_name"]):
        return f"{region['from_name']} has type {region.get('type')!r} and to_name {region.get('to_name')!r}"
    if "score" in region and not _is_probability(region["score"]):
        return f"{region['from_name']} has the score {region['score']!r}"
    if control["type"] == "rating":
        rating = region["value"].get("rating")
        good = isinstance(rating, int) and not isinstance(rating, bool) and 1 <= rating <= control["most"]
        return "" if good else f"{region['from_name']} has the rating {rating!r}"
    chosen = region["value"].get("choices")
    if not isinstance(chosen, list) or not chosen or not all(isinstance(one, str) for one in chosen):
        return f"{region['from_name']} has the choices {chosen!r}"
    if unknown := set(chosen) - control["labels"]:
        return f"{region['from_name']} has unknown labels {sorted(unknown)}"
    if len(set(chosen)) != len(chosen) or (control["single"] and len(chosen) != 1):
        return f"{region['from_name']} has the choices {chosen!r}"
    return ""


def _is_probability(score: object) -> bool:
    return isinstance(score, int | float) and not isinstance(score, bool) and 0.0 <= score <= 1.0

"""What is kept of a webhook, and what is not."""

import json
from typing import Any

import pytest

from labelloop.errors import RequestError
from labelloop.learning.events import reduce_event
from labelloop.web.auth import project_of

PROJECT = {"id": 3, "created_at": "2026-11-23T13:41:38.744Z", "token": "SECRET", "label_config": "<View/>"}
ANNOTATION = {"id": 9, "task": 4, "result": [{"type": "choices"}], "was_cancelled": False, "draft_created_at": None}


def test_the_projects_token_and_unused_fields_are_dropped() -> None:
    body = {"action": "ANNOTATION_CREATED", "annotation": ANNOTATION, "task": {"id": 4, "data": {"text": "x"}, "x": 1}}
    action, project, kept = reduce_event({**body, "project": PROJECT})
    assert action == "ANNOTATION_CREATED"
    assert project == (3, 1795441298)
    assert "SECRET" not in json.dumps(kept)
    assert kept["tasks"] == [{"id": 4, "data": {"text": "x"}}]
    assert kept["annotations"] == [{"id": 9, "task": 4, "result": [{"type": "choices"}], "was_cancelled": False}]


@pytest.mark.parametrize("name", ["annotation", "annotations"])
def test_several_annotations_are_found_under_either_key(name: str) -> None:
    _, _, kept = reduce_event({"action": "ANNOTATIONS_CREATED", name: [{"id": 1}, {"id": 2}], "project": PROJECT})
    assert [one["id"] for one in kept["annotations"]] == [1, 2]


def test_new_tasks_are_kept_by_id_alone() -> None:
    _, _, kept = reduce_event({"action": "TASKS_CREATED", "tasks": [{"id": 1, "data": {"text": "long"}}]})
    assert kept == {"tasks": [{"id": 1}]}


def test_a_changed_config_is_kept_and_two_trainings_are_two_events() -> None:
    _, _, kept = reduce_event({"action": "PROJECT_UPDATED", "project": PROJECT})
    assert kept["label_config"] == "<View/>"
    _, _, first = reduce_event({"action": "START_TRAINING", "project": PROJECT})
    assert first["arrived"] > 0


@pytest.mark.parametrize("body", [{}, {"action": 5}, {"action": ""}, {"action": "x" * 100}])
def test_without_an_action_it_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="action"):
        reduce_event(body)


def test_the_projects_identity_is_read_as_label_studio_writes_it() -> None:
    assert project_of("12.1795440943") == (12, 1795440943)
    assert project_of("12") == (12, 0)
    assert project_of(12) == (12, 0)
    for wrong in (None, "", "a.b", "1.2.3", True, [], "-1", "1" * 20):
        with pytest.raises(RequestError, match="project"):
            project_of(wrong)

"""What LabelLoop itself predicts for each kind of control: pushed, shown in the real editor, submitted unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.editor import Editor
from support.round_trip_cases import Case
from support.running import Running
from support.structure import PEOPLE, SAMPLES, Item, Json, Sample, told
from support.waiting import until

MakeProject = Callable[..., Any]


def stored_prediction(task: Json, version: str) -> list[Json]:
    """The regions of the one prediction that a task has."""
    (held,) = task["predictions"]
    assert held["model_version"] == version
    return list(held["result"])


def marked(result: list[Json]) -> tuple[str, ...]:
    """The passages that the editor must highlight."""
    spans = [one for one in result if one["type"].endswith("labels")]
    return tuple(one["value"]["text"] for one in spans)


@pytest.mark.browser
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_what_is_pushed_is_shown_and_submitted_unchanged(
    running: Running, editor: Editor, project: MakeProject, sample: Sample
) -> None:
    made = project(sample.config, [{"data": item.data} for item in sample.items])
    connected = running.connect(made)
    done = running.preannotate(connected)
    assert (done.state, done.done, done.failed, done.dropped) == ("done", len(sample.items), 0, 0), done
    for task, item in zip(made.tasks(), sample.items, strict=True):
        result = stored_prediction(task, connected.version.name)
        check_meaning(sample, item, result)
        case = Case(sample.name, sample.config, item.data, result, marked=marked(result), **(item.seen or {}))
        editor.open(made.id, task["id"])
        editor.show(case)
        assert editor.submit(task["id"]) == result
        assert not editor.errors


def check_meaning(sample: Sample, item: Item, result: list[Json]) -> None:
    words = told(result)
    if not item.says:
        assert words == []
        return
    assert set(item.says) <= set(words)
    assert {one["from_name"] for one in result if one["type"] != "relation"} == set(sample.controls)


def test_what_a_person_has_marked_is_related_and_described_under_its_own_id(
    running: Running, project: MakeProject
) -> None:
    text = PEOPLE.items[0].data["text"]
    drawn = []
    for region, part, label in [("mine", "Berlin", "Place"), ("yours", "Peter Schmidt", "Person")]:
        place = {"start": text.index(part), "end": text.index(part) + len(part), "text": part}
        head = {"id": region, "from_name": "ner", "to_name": "text", "type": "labels", "origin": "manual"}
        drawn.append(head | {"value": place | {"labels": [label]}})
    made = project(PEOPLE.config, [{"data": PEOPLE.items[0].data}])
    running.connect(made)
    [row] = running.studio.request("GET", f"/api/ml?project={made.id}").json()
    changed = {"url": row["url"], "project": made.id, "is_interactive": True}
    running.studio.request("PATCH", f"/api/ml/{row['id']}", json=changed)
    body = {"task": made.tasks()[0]["id"], "context": {"result": drawn}}

    def ask() -> list[Json]:
        """What is answered; nothing while the model of the labels is being made, which takes longer than a person."""
        answer = running.studio.request("POST", f"/api/ml/{row['id']}/interactive-annotating", json=body, timeout=110)
        return list(answer.json().get("data", {}).get("result", ()))

    result = until(ask, 200)
    marked = {one["id"]: one["value"]["text"] for one in result if one.get("from_name") == "ner"}
    assert marked["mine"] == "Berlin" and marked["yours"] == "Peter Schmidt"
    assert len(set(marked.values())) == len(marked), "a region that is there already has been marked anew"
    relations = [one for one in result if one["type"] == "relation"]
    assert [(one["from_id"], one["labels"], one["to_id"]) for one in relations] == [("yours", ["lives in"], "mine")]
    assert {one["id"] for one in result if one.get("from_name") == "mood"} == {"mine", "yours"}

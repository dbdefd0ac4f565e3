"""Text boxes that LabelLoop writes into: filled in the real Label Studio, shown in its editor, submitted unchanged; and
directions that a project's owner gives there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labelloop.errors import RequestError
from support.editor import Editor
from support.round_trip_cases import Case
from support.running import Running
from support.structure import Json
from support.written import KINDS, WRITTEN

MakeProject = Callable[..., Any]
NOTE = '<View><Text name="text" value="$text"/><TextArea name="note" toName="text"/></View>'
TOLD = {"fields": {"note": {"task": "summarisation", "options": {"sentences": "1"}}}}
TEXT = "The shop closes at noon on Sundays. Everybody who works there has the afternoon off and goes to the sea."


def texts(result: list[Json]) -> dict[str, list[str]]:
    return {one["from_name"]: one["value"]["text"] for one in result}


def the_row(running: Running, project: Any) -> Json:
    (row,) = running.studio.request("GET", f"/api/ml?project={project.id}").json()
    return dict(row)


@pytest.mark.browser
def test_summary_translation_and_answer_are_written_shown_and_submitted(
    running: Running, editor: Editor, project: MakeProject
) -> None:
    made = project(WRITTEN.config, [{"data": item.data} for item in WRITTEN.items])
    connected = running.connect(made)
    assert {field.name: field.kind for field in connected.schema.fields} == KINDS
    assert set(connected.schema.skipped) == {"remarks"}
    done = running.preannotate(connected)
    assert (done.state, done.done, done.failed, done.dropped) == ("done", len(WRITTEN.items), 0, 0), done
    for task, item in zip(made.tasks(), WRITTEN.items, strict=True):
        (held,) = task["predictions"]
        result, written = held["result"], texts(held["result"])
        assert held["model_version"] == connected.version.name
        assert set(written) == set(KINDS) and all(len(its) == 1 and its[0].strip() for its in written.values())
        shown = tuple(" ".join(written[name][0].split("\n")[:1]) for name in KINDS)
        editor.open(made.id, task["id"])
        editor.show(Case(WRITTEN.name, WRITTEN.config, item.data, result, reads=shown))
        assert editor.submit(task["id"]) == result
        assert not editor.errors


def test_directions_are_kept_in_label_studio_and_followed(running: Running, project: MakeProject) -> None:
    made = project(NOTE, [{"data": {"text": TEXT}}])
    connected = running.connect(made, extra_params=TOLD)
    assert the_row(running, made)["extra_params"] == TOLD
    assert running.preannotate(connected).done == 1
    (task,) = made.tasks()
    assert texts(task["predictions"][0]["result"])["note"][0].strip()
    again = running.connect(made)
    assert again.version.name == connected.version.name, "to connect again forgets no direction"
    assert the_row(running, made)["extra_params"] == TOLD


def test_what_is_wrong_with_extra_params_is_read_in_label_studio(running: Running, project: MakeProject) -> None:
    made = project(NOTE.replace('"note"', '"summary"'), [{"data": {"text": TEXT}}])
    connected = running.connect(made)
    row = the_row(running, made)
    wrong = {"url": row["url"], "project": made.id, "extra_params": {"fields": {"summary": {"task": "sing"}}}}
    answer = running.studio.request("PATCH", f"/api/ml/{row['id']}", json=wrong, check=False)
    assert answer.status_code == 400 and "extra params of the field" in answer.text and "task" in answer.text
    assert the_row(running, made)["readable_state"] == "Connected"
    assert the_row(running, made)["model_version"] == connected.version.name
    with pytest.raises(RequestError, match="task"):
        running.connect(made, extra_params=wrong["extra_params"])

"""Every form of prediction in the real editor: imported, shown as meant, submitted, and stored as it was predicted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labelloop.demo.environment import VERSION as MADE_FOR
from labelloop.demo.label_studio import LabelStudioServer
from labelloop.studio.client import StudioClient
from support.editor import VERSION, Editor
from support.round_trip import CASES, without
from support.round_trip_cases import Case, Json
from support.round_trip_traps import TRAPS, Trap
from support.waiting import until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def studio(label_studio: LabelStudioServer) -> Iterator[StudioClient]:
    with StudioClient(label_studio.url, label_studio.token) as client:
        yield client


def predicted(case: Case, task: int) -> Json:
    """The prediction that goes to Label Studio."""
    return {"task": task, "result": case.result, "score": 0.5, "model_version": VERSION}


@pytest.fixture(scope="module")
def made_for(label_studio: LabelStudioServer) -> bool:
    """Whether this is the release that LabelLoop is made for; the import of others drops less, or more."""
    return bool(label_studio.request("GET", "/api/version").json()["release"] == MADE_FOR)


def store(editor: Editor, studio: StudioClient, project: int, prediction: Json, posted: bool, made_for: bool) -> None:
    """Stores it over the road that takes it, after a look whether the other one still does not."""
    if posted and made_for:
        sent = editor.studio.request("POST", f"/api/projects/{project}/import/predictions", json=[prediction])
        assert sent.json()["created"] == 0, "bulk import takes it now: the detour can go"
        studio.add_prediction(prediction)
    else:
        done = studio.import_predictions(project, [prediction], checked=True)
        assert (done.created, done.refused) == (1, {})
        assert not (done.one_by_one and made_for), "a detour that nobody knew of"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_predicted_is_shown_and_comes_back_unchanged(
    editor: Editor, studio: StudioClient, case: Case, made_for: bool
) -> None:
    project, task = editor.make(case)
    store(editor, studio, project, predicted(case, task), case.posted, made_for)
    editor.open(project, task)
    editor.show(case)
    submitted = editor.submit(task)
    assert without(submitted, case.added) == without(case.result, case.added)
    assert not editor.errors


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.case.name)
def test_why_a_wrong_form_is_refused(editor: Editor, studio: StudioClient, trap: Trap, made_for: bool) -> None:
    project, task = editor.make(trap.case)
    store(editor, studio, project, predicted(trap.case, task), trap.case.posted, made_for)
    editor.open(project, task)
    if trap.blank:
        until(lambda: trap.blank in f"{editor.errors} {editor.read()}", 15)
        assert trap.case.data["t"] not in editor.read() if "t" in trap.case.data else "Title" not in editor.read()
        return
    editor.wait_until_ready(trap.case)
    if trap.refused:
        editor.press_submit()
        until(lambda: trap.refused in editor.dialog(), 15)
        assert not editor.annotations(task)
        return
    editor.show(trap.case)
    assert editor.marked() == list(trap.case.marked) and editor.ticked() == sorted(trap.case.ticked)
    assert not trap.unseen or trap.unseen not in editor.read()
    assert editor.submit(task) == trap.stored

"""The client against the real API: both token kinds, pages, samples, imports, predictions, backends and webhooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labelloop.demo.label_studio import LabelStudioServer
from labelloop.errors import RequestError, StudioError
from labelloop.offline import sample_project
from labelloop.studio import client as client_module
from labelloop.studio.client import StudioClient

FLAT = """<View><Text name="text" value="$text"/><Choices name="c" toName="text"><Choice value="A"/><Choice value="B"/>
</Choices></View>"""
NESTED = """<View><Text name="text" value="$text"/><Choices name="c" toName="text" allowNested="true">
<Choice value="A"><Choice value="A1"/></Choice><Choice value="B"/></Choices></View>"""

MakeProject = Callable[..., Any]


@pytest.fixture
def studio(label_studio: LabelStudioServer) -> Iterator[StudioClient]:
    with StudioClient(label_studio.url, label_studio.token) as client:
        yield client


def texts(count: int) -> list[dict[str, Any]]:
    return [{"data": {"text": f"text {number}"}} for number in range(count)]


def one(task: int, label: Any = "A", version: str = "v1-aaaaaaaa", score: float = 0.5) -> dict[str, Any]:
    region = {"id": "r1", "from_name": "c", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
    return {"task": task, "result": [region | {"score": score}], "score": score, "model_version": version}


def test_both_token_kinds_log_in(
    label_studio: LabelStudioServer, label_studio_executable: str, studio: StudioClient
) -> None:
    (installed,) = (Path(label_studio_executable).parent.parent).glob("lib/*/site-packages/label_studio-*.dist-info")
    assert studio.version() == installed.name.removeprefix("label_studio-").removesuffix(".dist-info")
    assert studio.check_login() == label_studio.email
    with StudioClient(label_studio.url, label_studio.legacy_token) as legacy:
        with pytest.raises(StudioError, match="switched legacy tokens off"):
            legacy.check_login()
        label_studio.allow_legacy_tokens(True)
        try:
            assert legacy.check_login() == label_studio.email
        finally:
            label_studio.allow_legacy_tokens(False)


def test_tokens_of_nobody(label_studio: LabelStudioServer) -> None:
    head, claims, _ = label_studio.token.split(".")
    for token, words in ((f"{head}.{claims}.forged", "SECRET_KEY"), ("0" * 40, "Copy it again")):
        with StudioClient(label_studio.url, token) as client, pytest.raises(StudioError) as caught:
            client.check_login()
        assert words in caught.value.remedy
        assert token not in str(caught.value)


def test_projects_by_id_and_title(studio: StudioClient, project: MakeProject) -> None:
    made = project(FLAT, texts(2), title="Letters, first half")
    found = studio.project(made.id)
    assert (found.id, found.title, found.task_count, found.label_config) == (made.id, made.title, 2, FLAT)
    assert studio.project(str(made.id)) == studio.project("Letters, first half") == found
    other = project(FLAT, title="Letters, first half")
    with pytest.raises(StudioError, match="2 projects are called") as caught:
        studio.project("Letters, first half")
    assert str(made.id) in caught.value.remedy
    assert str(other.id) in caught.value.remedy
    with pytest.raises(StudioError, match="no project 'Letters'") as caught:
        studio.project("Letters")
    assert "Letters, first half" in caught.value.remedy
    assert caught.value.http_status == 404


def test_pages_hold_every_task_once(studio: StudioClient, project: MakeProject) -> None:
    made = project(FLAT, texts(25))
    pages = list(studio.tasks(made.id, page_size=10))
    assert [len(page) for page in pages] == [10, 10, 5]
    ids = [task["id"] for page in pages for task in page]
    assert ids == [task["id"] for task in made.tasks()]
    assert pages[0][0]["data"] == {"text": "text 0"}
    assert pages[0][0]["annotations"] == pages[0][0]["predictions"] == []
    assert list(studio.tasks(project(FLAT).id)) == []
    asked = [ids[7], ids[3], 10**9, ids[7]]
    assert [task["id"] for task in studio.tasks_by_ids(made.id, asked)] == [ids[7], ids[3]]


def test_a_page_is_not_shifted_by_tasks_that_go(studio: StudioClient, project: MakeProject) -> None:
    made = project(FLAT, texts(9))
    ids = [task["id"] for task in made.tasks()]
    pages = studio.tasks(made.id, page_size=3)
    assert [task["id"] for task in next(pages)] == ids[:3]
    made.studio.request("DELETE", f"/api/tasks/{ids[0]}/")
    assert [task["id"] for page in pages for task in page] == ids[3:]


def test_which_tasks_lack_a_version(studio: StudioClient, project: MakeProject) -> None:
    made = project(FLAT, texts(6))
    ids = [task["id"] for task in made.tasks()]
    studio.import_predictions(made.id, [one(ids[0]), one(ids[1], version="v11-aaaaaaaa"), one(ids[2])])
    assert studio.task_ids_without(made.id, "v1-aaaaaaaa") == [ids[1], *ids[3:]]
    studio.import_predictions(made.id, [one(ids[4], score=0.2), one(ids[5], score=0.1)])
    studio.update_project(made.id, model_version="v1-aaaaaaaa")
    order = [ids[5], ids[4], ids[0], ids[2], ids[1], ids[3]]
    assert studio.task_ids_without(made.id, "v2-bbbbbbbb") == order, "the least certain first"


@pytest.mark.parametrize("read_all", [2000, 10])
def test_a_sample_is_drawn_from_the_whole_project(
    studio: StudioClient, project: MakeProject, monkeypatch: pytest.MonkeyPatch, read_all: int
) -> None:
    monkeypatch.setattr(client_module, "_READ_ALL", read_all)
    made = project(FLAT, texts(60))
    ids = [task["id"] for task in made.tasks()]
    samples = [[task["id"] for task in studio.sample_tasks(made.id, 20, seed)] for seed in range(3)]
    for sample in samples:
        assert len(sample) == len(set(sample)) == 20
        assert set(sample) <= set(ids)
    assert samples[0] == [task["id"] for task in studio.sample_tasks(made.id, 20, 0)]
    assert len({tuple(sorted(sample)) for sample in samples}) == 3
    assert set().union(*samples) & set(ids[:20])
    assert set().union(*samples) & set(ids[40:])
    assert len(studio.sample_tasks(made.id, 100)) == 60
    assert studio.sample_tasks(project(FLAT).id, 5) == []


def test_what_the_import_drops_is_found(studio: StudioClient, project: MakeProject) -> None:
    made = project(FLAT, texts(6))
    ids = [task["id"] for task in made.tasks()]
    done = studio.import_predictions(made.id, [one(ids[0]), one(ids[1], "Bogus"), one(ids[2]), one(ids[3], score=2)])
    assert done.created == 2
    assert set(done.refused) == {ids[1], ids[3]}
    assert {prediction["task"] for prediction in made.predictions()} == {ids[0], ids[2]}


def test_what_the_import_drops_is_posted_where_our_validator_has_passed_it(
    studio: StudioClient, project: MakeProject
) -> None:
    made = project(FLAT, texts(3))
    ids = [task["id"] for task in made.tasks()]
    done = studio.import_predictions(made.id, [one(ids[0]), one(ids[1], "Bogus"), one(ids[2])], checked=True)
    assert (done.created, done.refused) == (3, {})
    assert sorted(prediction["task"] for prediction in made.predictions()) == ids


def test_a_deleted_task_does_not_take_the_others_with_it(studio: StudioClient, project: MakeProject) -> None:
    made = project(FLAT, texts(8))
    ids = [task["id"] for task in made.tasks()]
    made.studio.request("DELETE", f"/api/tasks/{ids[5]}/")
    done = studio.import_predictions(made.id, [one(number) for number in ids])
    assert (done.created, set(done.refused)) == (7, {ids[5]})
    assert sorted(prediction["task"] for prediction in made.predictions()) == [*ids[:5], *ids[6:]]


def test_nested_choices_reach_the_project_although_the_import_drops_them(
    studio: StudioClient, project: MakeProject
) -> None:
    made = project(NESTED, texts(3))
    ids = [task["id"] for task in made.tasks()]
    done = studio.import_predictions(made.id, [one(number, ["A", "A1"]) for number in ids])
    assert (done.created, done.refused) == (3, {})
    stored = made.predictions()
    assert [prediction["result"][0]["value"] for prediction in stored] == [{"choices": [["A", "A1"]]}] * 3
    assert studio.import_predictions(made.id, [one(10**9, ["B"])]).refused.keys() == {10**9}


def test_predictions_are_added_replaced_and_removed(studio: StudioClient, project: MakeProject) -> None:
    made = project(FLAT, texts(1))
    (task,) = made.tasks()
    added = studio.add_prediction(one(task["id"]))
    assert [prediction["id"] for prediction in studio.predictions(made.id)] == [added["id"]]
    changed = studio.update_prediction(added["id"], one(task["id"], "B", score=0.25))
    assert (changed["id"], changed["score"]) == (added["id"], 0.25)
    assert studio.predictions(made.id)[0]["result"][0]["value"] == {"choices": ["B"]}
    studio.delete_prediction(added["id"])
    assert studio.predictions(made.id) == []


def test_webhooks_and_settings(studio: StudioClient, project: MakeProject) -> None:
    made = project(FLAT, texts(1))
    hook = studio.add_webhook(made.id, "http://127.0.0.1:9/k/x/webhook")
    assert (hook["send_payload"], hook["send_for_all_actions"], hook["is_active"]) == (True, True, True)
    assert not studio.update_webhook(hook["id"], hook["url"], is_active=False)["is_active"]
    assert [known["id"] for known in studio.webhooks(made.id)] == [hook["id"]]
    studio.delete_webhook(hook["id"])
    assert studio.webhooks(made.id) == []
    with pytest.raises(StudioError, match="Model version doesn't exist"):
        studio.update_project(made.id, model_version="v1-aaaaaaaa")
    studio.import_predictions(made.id, [one(made.tasks()[0]["id"])])
    changed = studio.update_project(made.id, sampling="Uncertainty sampling", model_version="v1-aaaaaaaa")
    assert (changed.sampling, changed.model_version) == ("Uncertainty sampling", "v1-aaaaaaaa")


def test_a_backend_that_does_not_answer(studio: StudioClient, project: MakeProject) -> None:
    made = project(FLAT)
    with pytest.raises(StudioError, match="cannot reach LabelLoop") as caught:
        studio.add_backend(made.id, "http://127.0.0.1:9/k/s3cr3t", "v1")
    assert "s3cr3t" not in str(caught.value)
    assert studio.backends(made.id) == []


def test_a_dry_run_reads_a_sample_and_writes_nothing(label_studio: LabelStudioServer, project: MakeProject) -> None:
    made = project(FLAT, texts(60))
    schema, sample, total = sample_project(str(made.id), label_studio.url, label_studio.token, 50)
    assert [field.name for field in schema.fields] == ["c"]
    assert (len({task["id"] for task in sample}), total) == (50, 60)
    assert made.predictions() == []
    assert label_studio.request("GET", f"/api/ml?project={made.id}").json() == []
    with pytest.raises(RequestError, match="no tasks yet"):
        sample_project(str(project(FLAT).id), label_studio.url, label_studio.token, 50)

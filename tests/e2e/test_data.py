"""What tasks bring, in the real Label Studio: uploaded texts, labels of their own, controls under a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labelloop.demo.browser import signed_in
from labelloop.demo.label_studio import LabelStudioServer
from labelloop.errors import ItemError, UnavailableError
from labelloop.studio.client import StudioClient
from labelloop.studio.results import prediction
from labelloop.studio.schema import fields_for, read_config
from labelloop.words import Answer
from support.editor import submit_button
from support.waiting import until

MakeProject = Callable[..., Any]

OWN = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="own" toName="text" value="$options" choice="multiple"><Choice value="None"/></Choices>
  <View visibleWhen="choice-selected" whenTagName="own" whenChoiceValue="Red wine">
    <Choices name="more" toName="text"><Choice value="dry"/><Choice value="sweet"/></Choices>
  </View>
  <View visibleWhen="choice-unselected" whenTagName="own" whenChoiceValue="Red wine">
    <Choices name="other" toName="text"><Choice value="hot"/><Choice value="cold"/></Choices>
  </View>
</View>
"""
DATA = {"text": "x", "options": [{"value": "Red wine", "alias": "red"}, {"value": "Tea", "hint": "hot"}]}


@pytest.fixture
def studio(label_studio: LabelStudioServer) -> Iterator[StudioClient]:
    with StudioClient(label_studio.url, label_studio.token) as client:
        yield client


def test_uploaded_texts_are_read_with_a_personal_access_token(
    label_studio: LabelStudioServer, studio: StudioClient, project: MakeProject
) -> None:
    made = project('<View><Text name="t" value="$t" valueType="url"/></View>')
    file = {"file": ("a.txt", "Grüße\nund mehr".encode(), "text/plain")}
    imported = label_studio.request("POST", f"/api/projects/{made.id}/import", files=file).json()
    (number,) = imported["file_upload_ids"]
    upload = label_studio.request("GET", f"/api/import/file-upload/{number}").json()
    address = f"/data/{upload['file']}"
    assert studio.read_text(address) == studio.read_text(label_studio.url + address) == "Grüße\nund mehr"
    with pytest.raises(ItemError):
        studio.read_text("/data/upload/1/missing.txt")


def answered(name: str, *labels: str) -> Answer:
    return Answer(field=name, labels=tuple((label,) for label in labels), score=0.5)


@pytest.mark.browser
def test_the_editor_shows_what_is_predicted_and_hides_what_is_not(
    label_studio: LabelStudioServer, studio: StudioClient, project: MakeProject
) -> None:
    made = project(OWN, [{"data": DATA}, {"data": DATA}, {"data": {"text": "x", "options": ["A", "B"]}}])
    ids = [task["id"] for task in made.tasks()]
    schema = read_config(OWN)
    fields = fields_for(schema.fields, DATA)
    rest = [answered("more", "dry"), answered("other", "cold")]
    predictions = [
        {"task": task, **prediction(fields, [answered("own", *labels), *rest], "v1-aaaaaaaa")}
        for task, labels in zip(ids, (("red", "None"), ("Tea",)), strict=False)
    ]
    assert [[one["from_name"] for one in made["result"]] for made in predictions] == [["own", "more"], ["own", "other"]]
    assert studio.import_predictions(made.id, predictions, schema.fields).created == 2
    studio.update_project(made.id, model_version="v1-aaaaaaaa")
    try:
        with signed_in(label_studio.url, label_studio.email, label_studio.password) as page:
            for task, ticked in zip(ids, ({"Red wine", "None", "dry"}, {"Tea", "cold"}), strict=False):
                page.goto(f"{label_studio.url}/projects/{made.id}/data?task={task}")
                for name in ticked:  # the editor ticks them one after the other
                    page.locator(f'input[name="{name}"]:checked').first.wait_for(state="attached")
                shown = {name for name in ("dry", "cold") if page.locator(f"input[name={name}]").first.is_visible()}
                assert shown == ticked & {"dry", "cold"}
                submit_button(page).click()
                until(lambda task=task: _annotations(label_studio, task))
                stored = {one["from_name"]: one["value"] for one in _annotations(label_studio, task)[0]["result"]}
                wanted = next(one["result"] for one in predictions if one["task"] == task)
                assert stored == {one["from_name"]: one["value"] for one in wanted}
            page.goto(f"{label_studio.url}/projects/{made.id}/data?task={ids[2]}")
            page.locator("input[name=None]").wait_for(state="attached")
            assert page.locator("input[name=A]").count() == 0  # a text alone becomes an option without words
    except UnavailableError as error:
        pytest.skip(str(error))


def _annotations(label_studio: LabelStudioServer, task: int) -> list[dict[str, Any]]:
    return list(label_studio.request("GET", f"/api/tasks/{task}/annotations").json())

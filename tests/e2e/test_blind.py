"""The blind slice in the real Label Studio: its tasks arrive empty, among the others, and their labels are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labelloop.learning import blind
from labelloop.learning.sync import sync
from labelloop.studio.client import StudioClient
from support.editor import Editor, submit_button
from support.running import Running

MakeProject = Callable[..., Any]
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="kind" toName="text"><Choice value="Zog"/>'
    '<Choice value="Bim"/></Choices></View>'
)
TEXTS = [
    f"The {thing} of {whose} {what}."
    for thing in ("room", "bed", "dog", "cat", "garden", "letter", "car", "boat", "coat", "house")
    for whose in ("Ada", "Bob", "Cem", "Dora", "Eve", "Finn", "Gus", "Hal", "Ida", "Jon", "Kim")
    for what in ("is warm", "was lost")
]


def test_they_arrive_empty_in_the_order_of_all_and_what_is_submitted_counts_as_given_blind(
    running: Running, project: MakeProject, editor: Editor
) -> None:
    made = project(CONFIG, [{"data": {"text": text}} for text in TEXTS])
    connected = running.connect(made)
    assert running.preannotate(connected).done == len(TEXTS) > blind.FEWEST
    connection = running.store.connection(connected.connection.id)
    its, fields = blind.slice_of(connection, running.settings), connected.version.bundle.fields
    tasks = made.tasks()
    unseen = [task["id"] for task in tasks if its.hides(fields, task["data"])]
    assert 0 < len(unseen) < 30
    assert [task["id"] for task in tasks if not task["predictions"][0]["result"]] == unseen
    assert running.preannotate(connected).skipped == len(TEXTS)
    scores = {task["id"]: task["predictions"][0]["score"] for task in tasks}
    assert scores[running.next_task(made)["id"]] == min(scores.values())
    assert all(scores[number] > 0 for number in unseen)

    editor.open(made.id, unseen[0])
    submit_button(editor.page).wait_for(timeout=60_000)
    editor.page.locator("input[name=Zog]").wait_for(state="attached")
    assert editor.ticked() == [] and not editor.errors
    editor.page.locator("label", has=editor.page.locator("input[name=Zog]")).first.click(timeout=30_000)
    assert len(editor.submit(unseen[0])) == 1
    seen = next(task for task in tasks if task["id"] not in unseen)
    running.submit(seen["id"], seen["predictions"][0]["result"], parent_prediction=seen["predictions"][0]["id"])
    with StudioClient(connection.server_url, connection.token) as studio:
        sync(running.store, connection, studio)
    found = running.store.examples(connection.id, fields[0], fields).found
    assert {one.item: its.example(fields, one) for one in found} == {unseen[0]: True, seen["id"]: False}
    (task,) = [one for one in made.tasks() if one["id"] == unseen[0]]
    assert len(task["predictions"]) == 1, "it was not asked for again"

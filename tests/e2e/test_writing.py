"""A project whose text boxes ask for a summary, a translation and an answer: pushed, shown in the editor, submitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.editor import Editor
from support.round_trip_cases import Case
from support.running import Running

CONFIG = """<View>
  <Header value="Report"/>
  <Text name="report" value="$report"/>
  <Header value="Question"/>
  <Text name="question" value="$question"/>
  <TextArea name="summary" toName="report" placeholder="Summarise in one sentence" maxSubmissions="1"/>
  <TextArea name="translation_german" toName="question" maxSubmissions="1"/>
  <TextArea name="answer" toName="report" maxSubmissions="1"/>
  <TextArea name="notes" toName="report" placeholder="Anything that we should know?"/>
</View>"""
DATA = {
    "report": "The old bridge over the Avon was closed on Monday after engineers found cracks in two of its pillars. "
    "The town council said that the repairs will take six weeks. Buses use the northern bridge until then.",
    "question": "How long will the repairs take?",
}


@pytest.mark.browser
def test_summary_translation_and_answer_are_filled_in_shown_and_submitted(
    running: Running, editor: Editor, project: Callable[..., Any]
) -> None:
    made = project(CONFIG, [{"data": DATA}])
    connected = running.connect(made)
    assert set(connected.schema.skipped) == {"notes"}, "a box for notes is not ours to fill"
    done = running.preannotate(connected)
    assert (done.state, done.done, done.failed, done.dropped) == ("done", 1, 0, 0), done
    (task,) = made.tasks()
    (held,) = task["predictions"]
    assert held["model_version"] == connected.version.name
    said = {one["from_name"]: one["value"]["text"] for one in held["result"]}
    assert set(said) == {"summary", "translation_german", "answer"}
    assert all(len(texts) == 1 and texts[0].strip() for texts in said.values())
    assert "six weeks" in said["answer"][0]
    assert len(said["summary"][0]) < len(DATA["report"])
    assert all(one["type"] == "textarea" and 0 <= one["score"] <= 1 for one in held["result"])
    editor.open(made.id, task["id"])
    editor.wait_until_ready(Case("written", CONFIG, DATA, held["result"]))
    read = editor.read()
    assert all(texts[0] in read for texts in said.values()), read
    assert editor.submit(task["id"]) == held["result"]
    assert not editor.errors

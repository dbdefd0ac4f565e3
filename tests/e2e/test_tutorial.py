"""docs/tutorial.md: its labels are given in a real Label Studio, and the next suggestion is as it says."""

import re
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from labelloop.cli import app
from labelloop.demo import project as demo
from labelloop.settings import get_settings
from support.documented import ROOT, blocks, commands
from support.running import Running
from support.waiting import until
from support.working import Project

PAGE = ROOT / "docs" / "tutorial.md"


@pytest.fixture
def project(running: Running) -> Iterator[Project]:
    found = Project(running.studio, demo.find_or_create(running.studio), demo.TITLE)
    yield found
    running.studio.request("DELETE", f"/api/projects/{found.id}/")


def test_what_the_tutorial_says_comes_about(
    running: Running, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.preannotate(running.connect(project))
    ids = {task["data"]["text"]: task["id"] for task in project.tasks()}
    named = re.findall(r"^> (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    first, second, third = (ids[text] for text in named)
    assert [topic(running, task) for task in (first, second, third)] == ["Broken product", "Broken product", "Payment"]
    advice = {"from_name": "topic", "to_name": "message", "type": "choices", "value": {"choices": ["Advice"]}}
    for task in (first, second):
        running.submit(task, [advice])
    until(lambda: topic(running, third) == "Advice", 60)
    monkeypatch.setenv("LABELLOOP_DATA_DIR", str(running.settings.data_dir))
    shown = {words[1]: output for words, output in followed("status", "versions")}  # more labels would be trained on
    assert f"{project.title} ({project.id}" in shown["status"] and "examples of topic: 2" in shown["status"]
    assert "serves" in shown["versions"]


def followed(*names: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(words, what it printed) of those commands of the page that are called so, in its order."""
    for block in blocks(PAGE):
        for command in commands(block) if block.language == "bash" else ():
            if command.words[0] == "labelloop" and command.words[1] in names:
                get_settings.cache_clear()
                done = CliRunner().invoke(app, command.words[1:], catch_exceptions=False)
                assert done.exit_code == 0, done.output
                yield command.words, " ".join(done.output.split())


def topic(running: Running, task: int) -> str:
    """What the newest prediction of a task says."""
    predictions = running.studio.request("GET", f"/api/tasks/{task}/").json()["predictions"]
    newest = max(predictions, key=lambda one: int(one["id"]))
    (region,) = [region for region in newest["result"] if region["from_name"] == "topic"]
    return str(region["value"]["choices"][0])

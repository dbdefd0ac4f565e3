"""`labelloop demo` as a person starts it: checks itself, shows filled-in tasks in a real browser, leaves no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from labelloop.demo.browser import signed_in
from labelloop.demo.label_studio import LabelStudioServer
from labelloop.demo.project import find_or_create, read_tasks
from labelloop.errors import UnavailableError
from labelloop.learning.store import Store
from support.editor import submit_button
from support.waiting import until

COMMAND = [sys.executable, "-m", "labelloop", "demo"]
READY = "stops everything; the next start goes on from here"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, label_studio_executable: str) -> Path:
    """The folder of one demo; each test after the first starts from what it finds."""
    return tmp_path_factory.mktemp("demo")


class Demo:
    """A demo that runs: its process, what it printed, and all processes that it had started when it was ready."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self.output = output
        until(lambda: READY in self.text() or process.poll() is not None, 180)
        assert process.poll() is None, self.text()
        self.started = self.children()

    def children(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def text(self) -> str:
        return self.output.read_text()

    def pid(self, *words: str) -> int:
        """The process with these words in its command, once it is there: a new one takes a moment to have its own."""

        def found() -> int | None:
            for one in self.children():
                with suppress(psutil.NoSuchProcess):  # it ended while we looked
                    if all(word in one.cmdline() for word in words):
                        return one.pid
            return None

        return int(until(found, 30))

    def ends(self) -> int:
        """Its exit code, once it has ended; every process that it started is gone then."""
        code = self.process.wait(60)
        _, alive = psutil.wait_procs(self.started, timeout=5)
        assert [one.cmdline() for one in alive] == []
        return code


@contextmanager
def _running(folder: Path) -> Iterator[Demo]:
    output = folder / "output.txt"
    environ = os.environ | {"LABELLOOP_DATA_DIR": str(folder), "COLUMNS": "120"}
    with output.open("wb") as file:
        process = subprocess.Popen(COMMAND, cwd=folder, env=environ, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield Demo(process, output)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def test_the_demo_checks_itself(folder: Path) -> None:
    environ = os.environ | {"LABELLOOP_DATA_DIR": str(folder)}
    done = subprocess.run(
        [*COMMAND, "--check"], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CHECK PASSED: each of 125 tasks holds one valid prediction of v1-" in done.stdout
    assert (folder / "demo" / "log" / "worker.log").is_file()


@pytest.mark.browser
def test_an_annotator_finds_the_task_filled_in_and_ctrl_c_stops_everything(folder: Path) -> None:
    no_browser = ""
    with _running(folder) as demo:
        studio = LabelStudioServer.running(folder / "demo" / "label-studio")
        store = Store(f"sqlite:///{folder}/demo/labelloop.db")
        try:
            assert studio.url in demo.text()
            assert studio.password in demo.text()
            with signed_in(studio.url, studio.email, studio.password) as page:
                _label_the_first_task(page, studio, store)
        except UnavailableError as error:
            no_browser = str(error)
        finally:
            store.close()
            studio.stop()
        demo.process.send_signal(signal.SIGINT)
        assert demo.ends() == 0, demo.text()
    if no_browser:
        pytest.skip(no_browser)


def _label_the_first_task(page: Any, studio: LabelStudioServer, store: Store) -> None:
    """What is ticked in the editor is what was predicted; Submit makes it a label, and LabelLoop hears of it."""
    project_id = find_or_create(studio)
    page.goto(f"{studio.url}/projects/{project_id}/data?labeling=1")
    page.locator("input[type=checkbox]:checked").first.wait_for(state="attached")
    text = page.locator(".message").inner_text().strip()
    task = next(one for one in read_tasks(studio, project_id) if one["data"]["text"] == text)
    assert task["predictions"][0]["score"] == min(
        one["predictions"][0]["score"] for one in read_tasks(studio, project_id)
    ), "the least certain task comes first"
    wanted = {choice for region in task["predictions"][0]["result"] for choice in region["value"].get("choices", [])}
    for name in wanted:  # the editor ticks them one after the other
        page.locator(f'input[type=checkbox][name="{name}"]:checked').wait_for(state="attached")
    ticked = {box.get_attribute("name") for box in page.locator("input[type=checkbox]:checked").all()}
    assert ticked == wanted
    submit_button(page).click()

    def annotations() -> list[dict[str, Any]]:
        return list(studio.request("GET", f"/api/tasks/{task['id']}/annotations").json())

    until(lambda: len(annotations()) == 1, 30)
    assert {region["origin"] for region in annotations()[0]["result"]} == {"prediction"}
    (connection,) = store.connections()
    until(
        lambda: "ANNOTATION_CREATED" in {action for _, action, _ in store.events(connection.id)},
        30,
    )


def test_a_crashed_process_is_started_again_and_one_that_keeps_crashing_stops_everything(folder: Path) -> None:
    with _running(folder) as demo:
        for crash in range(1, 5):
            os.kill(demo.pid("labelloop", "trainer"), signal.SIGKILL)
            if crash < 4:
                until(lambda crash=crash: demo.text().count("starting it again") == crash, 60)
                demo.started += demo.children()
        assert demo.ends() == 1
        assert "trainer ended" in demo.text()
        assert str(folder / "demo" / "log" / "trainer.log") in demo.text().replace("\n", "")

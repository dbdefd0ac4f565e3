"""Labels of a real Label Studio whose webhooks are lost, doubled and late: read back, the store equals its export."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from labelloop.cli import app
from labelloop.demo.label_studio import LabelStudioServer
from labelloop.learning.intake import read_time
from labelloop.learning.store import Connection, Store
from labelloop.learning.sync import sync
from labelloop.learning.tables import AnnotationRow, ItemRow
from labelloop.settings import Settings, get_settings
from labelloop.studio.client import StudioClient
from labelloop.studio.schema import read_config
from support.local_server import LocalServer
from support.waiting import until
from support.web import Web, close, make_web

CONFIG = """<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="Sport"/>
<Choice value="Art"/></Choices></View>"""
TASKS, ANNOTATIONS = 60, 100

MakeProject = Callable[..., Any]


class Mailbox(LocalServer):
    """Takes every webhook in and hands none on."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(201)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Silent."""

        super().__init__(Handler)

    def actions(self) -> set[str]:
        return {body["action"] for body in self.bodies}


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    made = make_web(Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1/0"))
    yield made
    close(made)


@pytest.fixture
def studio(label_studio: LabelStudioServer) -> Iterator[StudioClient]:
    with StudioClient(label_studio.url, label_studio.token) as client:
        yield client


def region(label: str) -> dict[str, Any]:
    return {"id": "r", "from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": [label]}}


class Working:
    """People who work in the project."""

    def __init__(self, server: LabelStudioServer, project: Any, dice: random.Random) -> None:
        self._server, self._project, self._dice = server, project, dice
        self.tasks = [task["id"] for task in project.tasks()]
        self.annotations: list[int] = []

    def annotate(self) -> None:
        body: dict[str, Any] = {"result": [region(self._dice.choice(["Sport", "Art"]))]}
        if self._dice.random() < 0.1:
            body["was_cancelled"] = True
        task = self._dice.choice(self.tasks)
        made = self._server.request("POST", f"/api/tasks/{task}/annotations/", json=body).json()
        self.annotations.append(made["id"])

    def change(self) -> None:
        body: dict[str, Any] = self._dice.choice(
            [{"result": [region("Art")]}, {"result": []}, {"was_cancelled": True}, {"ground_truth": True}]
        )
        self._server.request("PATCH", f"/api/annotations/{self._dice.choice(self.annotations)}/", json=body)

    def delete(self) -> None:
        gone = self.annotations.pop(self._dice.randrange(len(self.annotations)))
        self._server.request("DELETE", f"/api/annotations/{gone}/")

    def delete_task(self) -> None:
        task = self.tasks.pop(self._dice.randrange(len(self.tasks)))
        self._server.request("DELETE", f"/api/tasks/{task}/")
        left = {one["id"] for each in self._project.tasks() for one in each["annotations"]}
        self.annotations = [one for one in self.annotations if one in left]

    def act(self, action: str, tasks: list[int], **more: Any) -> None:
        """An action of the Data Manager on some tasks."""
        body = {"selectedItems": {"all": False, "included": tasks}, **more}
        self._server.request("POST", f"/api/dm/actions?id={action}&project={self._project.id}", json=body)

    def day(self) -> None:
        while len(self.annotations) < ANNOTATIONS:
            self.annotate()
            if self._dice.random() < 0.15:
                self.change()
        for _ in range(8):
            self.delete()
        for _ in range(2):
            self.delete_task()


def exported(server: LabelStudioServer, project: Any) -> dict[int, Any]:
    """By annotation id what Label Studio's export holds."""
    tasks = server.request("GET", f"/api/projects/{project.id}/export", params={"exportType": "JSON"}).json()
    return {
        one["id"]: (task["id"], task["data"], one["result"], one["completed_by"], one["was_cancelled"],
                    one["ground_truth"], read_time(one["updated_at"]))
        for task in tasks
        for one in task["annotations"]
    }  # fmt: skip


def stored(store: Store, connection: Connection) -> dict[int, Any]:
    with store.session() as session:
        items = session.scalars(select(ItemRow).where(ItemRow.connection_id == connection.id))
        data = {row.item_id: row.data for row in items}
        mine = (AnnotationRow.connection_id == connection.id, ~AnnotationRow.deleted)
        return {
            row.annotation_id: (row.item_id, data.get(row.item_id or 0), row.result, row.who, row.was_cancelled,
                                row.ground_truth, row.updated_at)
            for row in session.scalars(select(AnnotationRow).where(*mine))
        }  # fmt: skip


def test_webhooks_lost_doubled_and_late_then_read_back_equal_the_export(
    label_studio: LabelStudioServer, studio: StudioClient, project: MakeProject, mailbox: Mailbox, web: Web
) -> None:
    dice = random.Random(20)
    made = project(CONFIG, [{"data": {"text": f"text {number}"}} for number in range(TASKS)])
    web.project = f"{made.id}.{studio.project(made.id).created_at}"
    assert web.setup(CONFIG).status_code == 200
    connection = web.store.connection_of_key(web.key)
    assert connection is not None
    studio.add_webhook(made.id, f"{mailbox.url}/webhook")
    labelled = {"data": {"text": "labelled elsewhere"}, "annotations": [{"result": [region("Art")]}]}
    made.import_tasks([labelled, labelled])
    working = Working(label_studio, made, dice)
    predicted = working.tasks[:4]
    studio.import_predictions(
        made.id,
        [{"task": task, "result": [region("Sport")], "score": 0.5, "model_version": "v1"} for task in predicted],
    )
    working.act("predictions_to_annotations", predicted, model_version="v1")
    working.day()
    drafted = {"result": [region("Art")], "was_postponed": False}  # nobody has submitted it
    label_studio.request("POST", f"/api/tasks/{working.tasks[5]}/drafts", json=drafted)
    working.act("delete_tasks_annotations", working.tasks[:2])
    kinds = {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"}
    until(lambda: kinds | {"TASKS_CREATED", "TASKS_DELETED"} <= mailbox.actions(), 20)

    truth = exported(label_studio, made)
    assert len(truth) >= 80
    delivered = [body for body in mailbox.bodies if dice.random() >= 0.1]
    delivered += dice.sample(delivered, len(delivered) // 5)
    dice.shuffle(delivered)
    for body in delivered:
        assert web.post("/webhook", body).status_code == 201
    before = stored(web.store, connection)
    assert before != truth  # the imported annotations alone are told by no webhook
    done = sync(web.store, connection, studio, page_size=25)
    assert done.finished and done.changed
    assert stored(web.store, connection) == truth
    assert sync(web.store, connection, studio).changed == 0

    counts = web.store.count_labels(connection.id, read_config(CONFIG).fields)
    assert counts.how["skipped"] == sum(one[4] for one in truth.values())
    assert sum(counts.how.values()) == len(truth)
    assert counts.how["accepted"] >= 1
    labels = {task for task, _, result, _, skipped, *_ in truth.values() if result and not skipped}
    assert counts.examples == {"topic": len(labels)}

    working.delete_task()  # nobody hears of these
    working.delete()
    working.annotate()
    brief = sync(web.store, connection, studio, brief=True)
    assert brief.finished
    assert stored(web.store, connection) == exported(label_studio, made)
    assert sync(web.store, connection, studio, brief=True).changed == 0


def test_every_webhook_alone_gives_the_export(
    label_studio: LabelStudioServer, studio: StudioClient, project: MakeProject, mailbox: Mailbox, web: Web
) -> None:
    made = project(CONFIG, [{"data": {"text": f"text {number}"}} for number in range(4)])
    web.project = f"{made.id}.{studio.project(made.id).created_at}"
    web.setup(CONFIG)
    connection = web.store.connection_of_key(web.key)
    assert connection is not None
    studio.add_webhook(made.id, f"{mailbox.url}/webhook")
    working = Working(label_studio, made, random.Random(3))
    for _ in range(8):
        working.annotate()
        working.change()
    working.delete()
    until(lambda: len(mailbox.bodies) == 17, 20)
    for body in reversed(mailbox.bodies):
        web.post("/webhook", body)
    assert stored(web.store, connection) == exported(label_studio, made)
    assert sync(web.store, connection, studio).changed == 0


def test_the_command_reads_a_connected_project_back(
    label_studio: LabelStudioServer, studio: StudioClient, project: MakeProject, terminal: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made = project(CONFIG, [{"data": {"text": f"text {number}"}} for number in range(3)], title="To be read back")
    monkeypatch.setenv("LABELLOOP_DATA_DIR", str(terminal / "data"))
    get_settings.cache_clear()
    store = Store(get_settings().store_url)
    store.migrate()
    created_at = studio.project(made.id).created_at
    connection, _ = store.create_connection(label_studio.url, made.id, created_at, made.title, label_studio.token)
    working = Working(label_studio, made, random.Random(1))
    for _ in range(5):
        working.annotate()
    for command in (["sync", made.title], ["sync"]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert "annotated tasks read" in done.stdout
        assert stored(store, connection) == exported(label_studio, made)
    store.close()

"""People at work in a real Label Studio, where its webhooks go, and what it exports beside what our store holds."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from sqlalchemy import select

from labelloop.demo.label_studio import LabelStudioServer
from labelloop.learning.intake import read_time
from labelloop.learning.store import Connection, Store
from labelloop.learning.tables import AnnotationRow, ItemRow
from support.local_server import LocalServer

CONFIG = """<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="Sport"/>
<Choice value="Art"/></Choices></View>"""


@dataclass(frozen=True)
class Project:
    """A project of the test's own in the real Label Studio."""

    studio: LabelStudioServer
    id: int
    title: str

    def tasks(self, fields: str = "all") -> list[dict[str, Any]]:
        """Every task with its annotations and predictions, by id."""
        answer = self.studio.request(
            "GET", "/api/tasks", params={"project": self.id, "fields": fields, "page": 1, "page_size": 10_000}
        )
        return sorted(answer.json()["tasks"], key=lambda task: int(task["id"]))

    def predictions(self) -> list[dict[str, Any]]:
        """Every prediction of the project."""
        found = self.studio.request("GET", "/api/predictions", params={"project": self.id}).json()
        return list(found)

    def details(self) -> dict[str, Any]:
        """The project as its API shows it: ``model_version``, ``sampling``, ``created_at``, ..."""
        return dict(self.studio.request("GET", f"/api/projects/{self.id}").json())

    def import_tasks(self, tasks: Sequence[dict[str, Any]]) -> None:
        """Adds tasks: plain data, or ``{"data": ..., "predictions": ..., "annotations": ...}``."""
        self.studio.request("POST", f"/api/projects/{self.id}/import", json=list(tasks))


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


def region(label: str) -> dict[str, Any]:
    return {"id": "r", "from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": [label]}}


class Working:
    """People who work in the project."""

    def __init__(self, server: LabelStudioServer, project: Project, dice: random.Random) -> None:
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

    def day(self, annotations: int) -> None:
        """They annotate until there are so many, change some of them in between, and delete a few in the end."""
        while len(self.annotations) < annotations:
            self.annotate()
            if self._dice.random() < 0.15:
                self.change()
        for _ in range(8):
            self.delete()
        for _ in range(2):
            self.delete_task()


def exported(server: LabelStudioServer, project: Project) -> dict[int, Any]:
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

"""Labels of a real Label Studio whose webhooks are lost, doubled and late: read back, the store equals its export."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from labelloop.cli import app
from labelloop.demo.label_studio import LabelStudioServer
from labelloop.learning.store import Store
from labelloop.learning.sync import sync
from labelloop.settings import Settings, get_settings
from labelloop.studio.client import StudioClient
from labelloop.studio.schema import read_config
from support.waiting import until
from support.web import Web, close, make_web
from support.working import CONFIG, Mailbox, Working, exported, region, stored

TASKS = 60

MakeProject = Callable[..., Any]


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
    working.day(100)
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

"""Where backends stumble over the real Label Studio 1.23.2, and that LabelLoop, with everything running, does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from labelloop.connect import Connected, connect
from labelloop.demo.label_studio import LabelStudioServer, free_port
from labelloop.errors import StudioError
from labelloop.learning.store import Store
from labelloop.processes import Supervisor
from labelloop.scoring import push
from labelloop.scoring.queues import Scoring
from labelloop.settings import Settings
from labelloop.up import add_services
from support.samples import CHOICES
from support.waiting import until

TEXTS = [
    "Where is my parcel? The courier never came.",
    "I was charged twice on my credit card.",
    "I forgot my password and cannot log in.",
    "Thanks, all good.",
    "The driver left the box in the rain and the invoice shows shipping twice.",
    "Please send the invoice to my new address.",
]
TASKS = [{"data": {"text": text}} for text in TEXTS]

MakeProject = Callable[..., Any]


@dataclass
class Running:
    """LabelLoop as `labelloop up` runs it, next to the real Label Studio."""

    settings: Settings
    store: Store
    scoring: Scoring
    studio: LabelStudioServer

    def connect(self, project: Any, **options: Any) -> Connected:
        values = {"url": self.studio.url, "token": self.studio.token, "backend_url": None, "keep_sampling": False}
        return connect(self.settings, self.store, project=str(project.id), report=lambda _: None, **values | options)  # type: ignore[arg-type]

    def preannotate(self, connected: Connected) -> push.Progress:
        push.start(connected.connection.id, self.settings, self.store, self.scoring)
        return push.wait(connected.connection.id, self.scoring)

    def next_task(self, project: Any) -> dict[str, Any]:
        return dict(self.studio.request("GET", f"/api/projects/{project.id}/next").json())

    def submit(self, task: int, result: Any, **fields: Any) -> dict[str, Any]:
        body = {"result": result, **fields}
        return dict(self.studio.request("POST", f"/api/tasks/{task}/annotations/", json=body).json())

    def events(self, connected: Connected) -> list[tuple[str, dict[str, Any]]]:
        return [(action, event) for _, action, event in self.store.events(connected.connection.id)]


@pytest.fixture(scope="module")
def running(label_studio: LabelStudioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("traps")
    settings = Settings(data_dir=folder / "data", port=free_port())
    with Supervisor(folder / "log") as supervisor:
        settings = add_services(supervisor, settings)
        store = Store(settings.store_url)
        scoring = Scoring(settings.find_redis_url(), settings)
        yield Running(settings, store, scoring, label_studio)
        scoring.redis.close()
        store.close()


@pytest.fixture
def connected(running: Running, project: MakeProject) -> tuple[Any, Connected]:
    """A project with six tasks, connected but not pre-annotated."""
    made = project(CHOICES, TASKS)
    return made, running.connect(made)


def answers_of(project: Any) -> list[list[tuple[str, str]]]:
    return [
        [(one["model_version"], one["result"][0]["value"]["choices"][0]) for one in task["predictions"]]
        for task in project.tasks()
    ]


def test_trap_1_a_legacy_token_that_is_switched_off_is_named_and_a_personal_one_works(
    running: Running, project: MakeProject
) -> None:
    made = project(CHOICES, TASKS)
    with pytest.raises(StudioError) as refused:
        running.connect(made, token=running.studio.legacy_token)
    assert "legacy" in str(refused.value).lower() and "personal access token" in str(refused.value).lower()
    assert running.connect(made).version.name.startswith("v1-")


def test_trap_3_the_webhook_without_credentials_arrives_and_is_stored(
    running: Running, connected: tuple[Any, Connected]
) -> None:
    made, connection = connected
    task = made.tasks()[0]["id"]
    result = [{"from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": ["Delivery"]}}]
    annotation = running.submit(task, result)
    stored = until(lambda: [event for action, event in running.events(connection) if action == "ANNOTATION_CREATED"])
    assert stored[0]["annotations"][0]["id"] == annotation["id"]
    assert stored[0]["tasks"][0]["data"]["text"] == TEXTS[0]
    address = httpx.get(f"{running.settings.backend_url}/status").json()
    assert "connections" not in address  # without a key nothing of a project is shown
    assert httpx.post(f"{running.settings.backend_url}/webhook", json={"action": "X"}).status_code == 401


def test_trap_4_a_submit_is_not_held_up_while_the_worker_is_busy(
    running: Running, connected: tuple[Any, Connected]
) -> None:
    made, connection = connected
    bundle = connection.version.bundle
    busy = [{"topic": f"A long text number {n} about nothing. " * 40} for n in range(150)]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(running.scoring.score, bundle, busy, "predict", 120.0)
        task = made.tasks()[1]["id"]
        running.submit(task, [])
        seen = [action for action, _ in running.events(connection)]
        assert not waiting.done() and "ANNOTATION_CREATED" in seen  # stored before Label Studio answered the submit
        assert all(answer is not None for answer in waiting.result())


def test_trap_5_a_skipped_task_is_stored_as_skipped(running: Running, connected: tuple[Any, Connected]) -> None:
    made, connection = connected
    running.preannotate(connection)
    task = made.tasks()[0]
    running.submit(task["id"], task["predictions"][0]["result"], was_cancelled=True)
    stored = until(lambda: [event for action, event in running.events(connection) if action == "ANNOTATION_CREATED"])
    assert stored[0]["annotations"][0]["was_cancelled"] is True


def test_trap_7_batch_predictions_of_all_tasks_come_in_one_request_and_all_are_stored(
    running: Running, project: MakeProject
) -> None:
    made = project(CHOICES, [{"data": {"text": f"Message {n}: {TEXTS[n % 6]}"}} for n in range(120)])
    connection = running.connect(made)
    body = {"selectedItems": {"all": True, "excluded": []}}
    running.studio.request(
        "POST", f"/api/dm/actions?id=retrieve_tasks_predictions&project={made.id}", json=body, timeout=110
    )
    assert all([version for version, _ in held] == [connection.version.name] for held in answers_of(made))


def test_trap_8_health_and_setup_answer_while_everything_else_waits(
    running: Running, connected: tuple[Any, Connected]
) -> None:
    made, connection = connected
    [row] = running.studio.request("GET", f"/api/ml?project={made.id}").json()
    busy = [{"topic": f"Another long text number {n} about nothing. " * 40} for n in range(120)]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(running.scoring.score, connection.version.bundle, busy, "predict", 120.0)
        for _ in range(5):
            state = running.studio.request("GET", f"/api/ml/{row['id']}").json()
            assert state["readable_state"] == "Connected"
        assert not waiting.done()
        waiting.result()


def test_trap_9_opening_a_task_again_and_again_stores_one_prediction(
    running: Running, connected: tuple[Any, Connected]
) -> None:
    made, connection = connected
    for _ in range(3):
        task = running.next_task(made)
        assert [one["model_version"] for one in task["predictions"]] == [connection.version.name]
    assert max(len(held) for held in answers_of(made)) == 1


def test_trap_10_the_least_certain_task_comes_first_also_after_a_change_of_version(
    running: Running, connected: tuple[Any, Connected]
) -> None:
    made, connection = connected
    running.preannotate(connection)
    assert made.details()["sampling"] == "Uncertainty sampling"

    def least() -> int:
        """The id of the open task with the lowest score of the version that counts."""
        version, tasks = made.details()["model_version"], made.tasks()
        scores = {
            task["id"]: [one["score"] for one in task["predictions"] if one["model_version"] == version]
            for task in tasks
        }
        assert all(len(held) == 1 for held in scores.values())
        return min((task["id"] for task in tasks if not task["annotations"]), key=lambda task: scores[task][0])

    first = running.next_task(made)
    assert first["id"] == least()
    running.submit(first["id"], first["predictions"][0]["result"])  # else Label Studio keeps it for the same person
    assert running.next_task(made)["id"] == least()
    changed = CHOICES.replace('"Account" hint="log-in, password, profile"', '"Praise" hint="thanks, all good"')
    running.studio.request("PATCH", f"/api/projects/{made.id}", json={"label_config": changed})
    until(lambda: made.details()["model_version"] not in {"", connection.version.name}, 90)
    version = made.details()["model_version"]
    [row] = running.studio.request("GET", f"/api/ml?project={made.id}").json()
    assert row["title"] == row["model_version"] == version and version.startswith("v2-")
    kept = running.next_task(made)
    running.submit(kept["id"], [])
    assert running.next_task(made)["id"] == least()


def test_new_tasks_are_pre_annotated_without_being_asked(running: Running, connected: tuple[Any, Connected]) -> None:
    made, connection = connected
    running.preannotate(connection)
    made.import_tasks([{"data": {"text": "My card was charged for a parcel that never came."}}])
    until(lambda: all(answers_of(made)), 60)
    assert [[version for version, _ in held] for held in answers_of(made)] == [[connection.version.name]] * 7


def test_trap_6_no_label_that_the_config_lacks_ever_comes_from_us(
    running: Running, connected: tuple[Any, Connected]
) -> None:
    made, connection = connected
    running.preannotate(connection)
    labels = {"Delivery", "Payment", "Account"}
    assert {label for held in answers_of(made) for _, label in held} <= labels
    assert len(made.predictions()) == len(TASKS)

"""Where backends stumble over the real Label Studio 1.23.2, and that LabelLoop, with everything running, does not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from labelloop.connect import Connected
from labelloop.errors import StudioError
from support.running import Running
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

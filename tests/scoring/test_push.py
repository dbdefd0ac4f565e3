"""Pushes into a Label Studio that can fail on purpose: complete, once, resumable, plain about what went wrong."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from labelloop.errors import NoWorkerError, RequestError
from labelloop.learning.store import Store
from labelloop.scoring import push, wire
from labelloop.scoring.push import Progress
from labelloop.scoring.queues import Scoring
from labelloop.scoring.workplace import Workplace
from labelloop.settings import Settings
from labelloop.words import Bundle
from support.scoring import FakeEngine, fake_bundle
from support.studio_double import CREATED_AT_S, TOKEN, StudioDouble
from support.waiting import until

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"push_chunk": 10})


@pytest.fixture
def studio() -> Iterator[StudioDouble]:
    with StudioDouble() as double:
        yield double


@pytest.fixture
def own_store(settings: Settings) -> Iterator[Store]:
    store = Store(settings.store_url)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def connection(own_store: Store, studio: StudioDouble, bundle: Bundle) -> int:
    made, _ = own_store.create_connection(studio.url, 1, CREATED_AT_S, "Double", TOKEN)
    own_store.update_connection(made.id, backend_id=7)
    own_store.serve(made.id, bundle, {})
    return made.id


def version(store: Store, connection: int) -> str:
    champion = store.champion(connection)
    assert champion is not None
    return champion.name


def work(place: Workplace) -> None:
    """Takes push jobs off the queue until none waits, as a worker would."""
    while (job_id := place.redis.lpop(wire.rq_list("push"))) is not None:
        job = wire.rq_queue("push", place.redis).fetch_job(job_id.decode())
        assert job is not None
        job.perform()


def ended(connection: int, scoring: Scoring) -> Progress:
    found = push.progress(connection, scoring)
    assert found is not None and not found.running, found
    return found


def test_every_task_gets_one_valid_prediction_and_the_version_stands(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
) -> None:
    studio.add_tasks(*({"text": f"message {index % 20}"} for index in range(35)))
    push.start(connection, settings, own_store, scoring)
    work(place)
    name = version(own_store, connection)
    result = ended(connection, scoring)
    assert (result.state, result.total, result.done, result.skipped, result.failed) == ("done", 35, 35, 0, 0)
    assert all(studio.versions(task) == [name] for task in studio.tasks)
    assert all(0 <= one["score"] <= 1 and one["result"] for one in studio.predictions.values())
    assert studio.backend["title"] == studio.project["model_version"] == name
    assert len(engine.texts) == 2 * 20  # two fields; equal texts are scored once


def test_again_does_nothing_twice_and_finds_new_tasks(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
) -> None:
    studio.add_tasks({"text": "one"}, {"text": "two"})
    for _ in range(2):
        push.start(connection, settings, own_store, scoring)
        work(place)
    assert len(studio.predictions) == 2
    assert ended(connection, scoring).skipped == 2
    studio.add_tasks({"text": "three"})
    push.start(connection, settings, own_store, scoring)
    work(place)
    assert len(studio.predictions) == 3


def test_an_item_that_cannot_be_filled_is_reported_and_the_others_go_on(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
) -> None:
    _, missing, broken, _ = studio.add_tasks({"text": "a"}, {"other": 1}, {"text": "BOOM"}, {"text": "b"})
    push.start(connection, settings, own_store, scoring)
    work(place)
    result = ended(connection, scoring)
    assert (result.state, result.done, result.failed) == ("done", 2, 2)
    assert "text" in result.reasons[missing] and "breaks the engine" in result.reasons[broken]


def test_tasks_that_arrive_meanwhile_join_the_running_push(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
) -> None:
    studio.add_tasks({"text": "early"})
    first = push.start(connection, settings, own_store, scoring)
    again: list[str] = []

    def arrive(method: str, path: str) -> None:
        if path.endswith("import/predictions") and not again:
            studio.add_tasks({"text": "late"})
            again.append(push.start(connection, settings, own_store, scoring))

    studio.before = arrive
    work(place)
    assert again == [first]
    assert all(len(studio.versions(task)) == 1 for task in studio.tasks)
    assert ended(connection, scoring).done == 2


def test_another_version_takes_over_a_running_push(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
    bundle: Bundle,
) -> None:
    studio.add_tasks(*({"text": f"message {index}"} for index in range(25)))
    push.start(connection, settings, own_store, scoring)
    newer: list[str] = []

    def promote(method: str, path: str) -> None:
        if path.endswith("import/predictions") and not newer:
            newer.append(own_store.serve(connection, fake_bundle(*bundle.fields, prompt_hash="2"), {}).name)
            push.start(connection, settings, own_store, scoring)

    studio.before = promote
    work(place)
    result = ended(connection, scoring)
    assert (result.state, result.version, result.done) == ("done", newer[0], 25)
    assert all(studio.versions(task).count(newer[0]) == 1 for task in studio.tasks)
    assert studio.project["model_version"] == newer[0]


def test_a_label_studio_that_stumbles_is_tried_again(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
) -> None:
    studio.add_tasks({"text": "a"})
    stumbles = iter([500, 503])
    studio.before = lambda method, path: next(stumbles, None) if path.endswith("import/predictions") else None
    push.start(connection, settings, own_store, scoring)
    work(place)
    waiting = push.progress(connection, scoring)
    assert waiting is not None and waiting.running and "Trying again" in waiting.note
    assert push.sweep(place.redis) == 0  # not yet
    for _ in range(2):
        place.redis.hset(wire.PUSH.format(connection=connection), "retry_at", 0)
        assert push.sweep(place.redis) == 1
        work(place)
    assert ended(connection, scoring).state == "done"
    assert len(studio.predictions) == 1


def test_an_answer_that_got_lost_leaves_no_duplicate(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
) -> None:
    studio.add_tasks({"text": "a"}, {"text": "b"})
    lost = iter([502])
    studio.after = lambda method, path: next(lost, None) if path.endswith("import/predictions") else None
    push.start(connection, settings, own_store, scoring)
    work(place)
    place.redis.hset(wire.PUSH.format(connection=connection), "retry_at", 0)
    push.sweep(place.redis)
    work(place)
    assert ended(connection, scoring).done == 2
    assert len(studio.predictions) == 2


def test_the_older_of_two_predictions_is_kept(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
) -> None:
    (task,) = studio.add_tasks({"text": "a"})
    name = version(own_store, connection)
    for one in (name, "old", name):
        studio.store({"task": task, "result": [], "score": 0.5, "model_version": one})
    push.start(connection, settings, own_store, scoring)
    work(place)
    assert [(number, one["model_version"]) for number, one in studio.predictions.items()] == [(1, name), (2, "old")]


def test_a_refused_token_ends_the_push_with_its_remedy(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
) -> None:
    own_store.update_connection(connection, token="b" * 40)
    push.start(connection, settings, own_store, scoring)
    work(place)
    result = ended(connection, scoring)
    assert result.state == "failed" and "token" in result.error
    assert scoring.status()["pushes"] == []


def test_a_project_made_anew_under_the_same_id_is_left_alone(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
) -> None:
    studio.add_tasks({"text": "a"})
    studio.project["created_at"] = "2027-01-01T00:00:00Z"
    push.start(connection, settings, own_store, scoring)
    work(place)
    assert ended(connection, scoring).state == "failed"
    assert studio.predictions == {}


def test_a_model_version_that_a_person_chose_stays(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    place: Workplace,
    engine: FakeEngine,
) -> None:
    studio.add_tasks({"text": "a"})
    studio.project["model_version"] = "somebody-else's"
    push.start(connection, settings, own_store, scoring)
    work(place)
    assert ended(connection, scoring).state == "done"
    assert studio.project["model_version"] == "somebody-else's"
    assert studio.backend["title"] == version(own_store, connection)


def test_without_a_token_or_a_version_nothing_starts(
    settings: Settings, scoring: Scoring, own_store: Store, studio: StudioDouble
) -> None:
    bare, _ = own_store.create_connection(studio.url, 1, CREATED_AT_S, "Double", "")
    with pytest.raises(RequestError, match="no access token"):
        push.start(bare.id, settings, own_store, scoring)
    own_store.update_connection(bare.id, token=TOKEN)
    with pytest.raises(RequestError, match="no version"):
        push.start(bare.id, settings, own_store, scoring)
    configured = settings.model_copy(update={"label_studio_url": "http://elsewhere", "label_studio_token": TOKEN})
    own_store.update_connection(bare.id, token="")
    with pytest.raises(RequestError, match="no access token"):  # that token is for another server
        push.start(bare.id, configured, own_store, scoring)


def test_waiting_without_a_worker_ends(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push, "_NOBODY_S", 0.0)
    push.start(connection, settings, own_store, scoring)
    with pytest.raises(NoWorkerError):
        push.wait(connection, scoring)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_push_outlives_its_worker(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    start_worker: Start,
    moment: str,
) -> None:
    """Killed while Label Studio has not, or has just, stored the second chunk."""
    studio.add_tasks(*({"text": f"message {index}"} for index in range(35)))
    reached, go_on = threading.Event(), threading.Event()
    imports: list[str] = []

    def hang(method: str, path: str) -> None:
        if path.endswith("import/predictions"):
            imports.append(path)
            if len(imports) == 2:
                reached.set()
                go_on.wait(60)

    setattr(studio, moment, hang)
    first = start_worker(LABELLOOP_PUSH_CHUNK="10")
    push.start(connection, settings, own_store, scoring)
    assert reached.wait(30)
    first.send_signal(signal.SIGKILL)
    first.wait()
    go_on.set()
    seen: list[Progress] = []
    start_worker(LABELLOOP_PUSH_CHUNK="10")
    result = push.wait(connection, scoring, seen.append)
    assert (result.state, result.done, result.failed) == ("done", 35, 0)
    name = version(own_store, connection)
    assert all(studio.versions(task) == [name] for task in studio.tasks)
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def test_a_stopped_worker_leaves_the_push_to_the_next(
    settings: Settings,
    scoring: Scoring,
    own_store: Store,
    studio: StudioDouble,
    connection: int,
    start_worker: Start,
) -> None:
    studio.add_tasks(*({"text": f"message {index}"} for index in range(35)))
    first = start_worker(slow=0.03, LABELLOOP_PUSH_CHUNK="35")
    push.start(connection, settings, own_store, scoring)
    until(lambda: scoring.redis.keys("labelloop:answer:*"))
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert studio.predictions == {}
    start_worker(LABELLOOP_PUSH_CHUNK="35")
    assert push.wait(connection, scoring).state == "done"
    assert all(len(studio.versions(task)) == 1 for task in studio.tasks)

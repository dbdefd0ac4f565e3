"""Pushes into a Label Studio that can fail on purpose: complete, once, resumable, plain about what went wrong."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from labelloop.errors import NoWorkerError, RequestError
from labelloop.learning.store import Store
from labelloop.scoring import push, wire
from labelloop.scoring.measured import LOOKUPS, PUSHED, totals
from labelloop.scoring.push import Progress
from labelloop.scoring.queues import Scoring
from labelloop.scoring.wire import RedisBytes
from labelloop.scoring.workplace import Workplace, here
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
def working(place: Workplace, engine: FakeEngine) -> FakeEngine:
    """This process is a worker with the fake engine."""
    return engine


@dataclass
class Pushing:
    """A connection of the double's project, and what a test does with its pushes."""

    settings: Settings
    store: Store
    scoring: Scoring
    connection: int

    @property
    def redis(self) -> RedisBytes:
        return self.scoring.redis

    def start(self) -> str:
        return push.start(self.connection, self.settings, self.store, self.scoring)

    def work(self) -> None:
        """Takes push jobs off the queue until none waits, as a worker would."""
        while (job_id := self.redis.lpop(wire.rq_list("push"))) is not None:
            Job.fetch(job_id.decode(), connection=self.redis, serializer=JSONSerializer).perform()

    def retry_now(self) -> None:
        self.redis.hset(wire.PUSH.format(connection=self.connection), "retry_at", 0)

    def version(self) -> str:
        champion = self.store.champion(self.connection)
        assert champion is not None
        return champion.name

    def ended(self) -> Progress:
        found = push.progress(self.connection, self.scoring)
        assert found is not None and not found.running, found
        return found


@pytest.fixture
def pushing(settings: Settings, scoring: Scoring, studio: StudioDouble, bundle: Bundle) -> Iterator[Pushing]:
    store = Store(settings.store_url)
    store.migrate()
    made, _ = store.create_connection(studio.url, 1, CREATED_AT_S, "Double", TOKEN)
    store.update_connection(made.id, backend_id=7)
    store.serve(made.id, bundle, {})
    yield Pushing(settings, store, scoring, made.id)
    store.close()


def test_every_task_gets_one_valid_prediction_and_the_version_stands(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine
) -> None:
    studio.add_tasks(*({"text": f"message {index % 20}"} for index in range(35)))
    pushing.start()
    pushing.work()
    name = pushing.version()
    result = pushing.ended()
    assert (result.state, result.total, result.done, result.skipped, result.failed) == ("done", 35, 35, 0, 0)
    assert all(studio.versions(task) == [name] for task in studio.tasks)
    assert all(0 <= one["score"] <= 1 and one["result"] for one in studio.predictions.values())
    assert studio.backend["title"] == studio.project["model_version"] == name
    assert len(working.texts) == 2 * 20  # two fields; equal texts are scored once
    here().measured.hand_over(pushing.redis)
    found = totals(pushing.redis)
    assert found[PUSHED.name] == {("stored",): {"": 35}}
    assert found[LOOKUPS.name] == {("push", "miss"): {"": 40}, ("push", "hit"): {"": 30}}


def test_the_least_certain_tasks_come_first_and_the_former_version_stands_until_the_end(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine
) -> None:
    pushing.settings = here().settings = pushing.settings.model_copy(update={"push_chunk": 2})
    first, second, third, *new = studio.add_tasks(*({"text": f"message {index}"} for index in range(5)))
    for task, score in ((first, 0.9), (second, 0.5), (third, 0.2)):
        studio.store({"task": task, "score": score, "result": [], "model_version": "v0"})
    studio.store({"task": first, "score": 0.1, "result": [], "model_version": "before v0"})
    stood: list[tuple[str, str]] = []

    def after(method: str, path: str) -> None:
        if path.endswith("import/predictions"):
            stood.append((studio.backend["title"], studio.project["model_version"]))

    studio.after = after
    pushing.start()
    pushing.work()
    name = pushing.version()
    pushed = [one["task"] for one in studio.predictions.values() if one["model_version"] == name]
    assert pushed == [third, second, first, *new]
    assert stood == [("v0", "v0")] * 3
    assert studio.backend["title"] == studio.project["model_version"] == name


def test_again_does_nothing_twice_and_finds_new_tasks(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine
) -> None:
    studio.add_tasks({"text": "one"}, {"text": "two"})
    for _ in range(2):
        pushing.start()
        pushing.work()
    assert len(studio.predictions) == 2
    assert pushing.ended().skipped == 2
    studio.add_tasks({"text": "three"})
    pushing.start()
    pushing.work()
    assert len(studio.predictions) == 3


def test_an_item_that_cannot_be_filled_is_reported_and_the_others_go_on(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine
) -> None:
    _, missing, broken, _ = studio.add_tasks({"text": "a"}, {"other": 1}, {"text": "BOOM"}, {"text": "b"})
    pushing.start()
    pushing.work()
    result = pushing.ended()
    assert (result.state, result.done, result.failed) == ("done", 2, 2)
    assert "text" in result.reasons[missing] and "breaks the engine" in result.reasons[broken]


def test_tasks_that_arrive_meanwhile_join_the_running_push(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine
) -> None:
    studio.add_tasks({"text": "early"})
    first = pushing.start()
    again: list[str] = []

    def arrive(method: str, path: str) -> None:
        if path.endswith("import/predictions") and not again:
            studio.add_tasks({"text": "late"})
            again.append(pushing.start())

    studio.before = arrive
    pushing.work()
    assert again == [first]
    assert all(len(studio.versions(task)) == 1 for task in studio.tasks)
    assert pushing.ended().done == 2


def test_another_version_takes_over_a_running_push(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine, bundle: Bundle
) -> None:
    studio.add_tasks(*({"text": f"message {index}"} for index in range(25)))
    pushing.start()
    newer: list[str] = []

    def promote(method: str, path: str) -> None:
        if path.endswith("import/predictions") and not newer:
            newer.append(pushing.store.serve(pushing.connection, fake_bundle(*bundle.fields, prompt_hash="2"), {}).name)
            pushing.start()

    studio.before = promote
    pushing.work()
    result = pushing.ended()
    assert (result.state, result.version, result.done) == ("done", newer[0], 25)
    assert all(studio.versions(task).count(newer[0]) == 1 for task in studio.tasks)
    assert studio.project["model_version"] == newer[0]


def test_a_label_studio_that_stumbles_is_tried_again(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine
) -> None:
    studio.add_tasks({"text": "a"})
    stumbles = iter([500, 503])
    studio.before = lambda method, path: next(stumbles, None) if path.endswith("import/predictions") else None
    pushing.start()
    pushing.work()
    waiting = push.progress(pushing.connection, pushing.scoring)
    assert waiting is not None and waiting.running and "Trying again" in waiting.note
    assert push.sweep(pushing.redis) == 0  # not yet
    for _ in range(2):
        pushing.retry_now()
        assert push.sweep(pushing.redis) == 1
        pushing.work()
    assert pushing.ended().state == "done"
    assert len(studio.predictions) == 1


def test_an_answer_that_got_lost_leaves_no_duplicate(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine
) -> None:
    studio.add_tasks({"text": "a"}, {"text": "b"})
    lost = iter([502])
    studio.after = lambda method, path: next(lost, None) if path.endswith("import/predictions") else None
    pushing.start()
    pushing.work()
    pushing.retry_now()
    push.sweep(pushing.redis)
    pushing.work()
    assert pushing.ended().done == 2
    assert len(studio.predictions) == 2


def test_the_older_of_two_predictions_is_kept(pushing: Pushing, studio: StudioDouble, working: FakeEngine) -> None:
    (task,) = studio.add_tasks({"text": "a"})
    name = pushing.version()
    for one in (name, "old", name):
        studio.store({"task": task, "result": [], "score": 0.5, "model_version": one})
    pushing.start()
    pushing.work()
    assert [(number, one["model_version"]) for number, one in studio.predictions.items()] == [(1, name), (2, "old")]


def test_a_refused_token_ends_the_push_with_its_remedy(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine
) -> None:
    pushing.store.update_connection(pushing.connection, token="b" * 40)
    pushing.start()
    pushing.work()
    result = pushing.ended()
    assert result.state == "failed" and "token" in result.error
    assert pushing.scoring.status()["pushes"] == []


def test_a_project_made_anew_under_the_same_id_is_left_alone(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine
) -> None:
    studio.add_tasks({"text": "a"})
    studio.project["created_at"] = "2027-01-01T00:00:00Z"
    pushing.start()
    pushing.work()
    assert pushing.ended().state == "failed"
    assert studio.predictions == {}


def test_a_model_version_that_a_person_chose_stays(pushing: Pushing, studio: StudioDouble, working: FakeEngine) -> None:
    studio.add_tasks({"text": "a"})
    studio.project["model_version"] = "somebody-else's"
    pushing.start()
    pushing.work()
    assert pushing.ended().state == "done"
    assert studio.project["model_version"] == "somebody-else's"
    assert studio.backend["title"] == pushing.version()


def test_label_studio_may_ask_for_predictions_while_the_push_asks_it(
    pushing: Pushing, studio: StudioDouble, working: FakeEngine, bundle: Bundle
) -> None:
    """A project that evaluates predictions automatically does so before it hands out its tasks."""
    studio.add_tasks({"text": "a"})
    answered: list[object] = []

    def evaluate(method: str, path: str) -> None:
        if path == "/api/tasks":
            answered.extend(pushing.scoring.score(bundle, [{"topic": f"asked {len(answered)}"}], "predict", 20))

    studio.before = evaluate
    pushing.start()
    pushing.work()
    assert pushing.ended().state == "done"
    assert answered and None not in answered


def test_without_a_token_or_a_version_nothing_starts(pushing: Pushing, studio: StudioDouble) -> None:
    own_store, settings, scoring = pushing.store, pushing.settings, pushing.scoring
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


def test_waiting_without_a_worker_ends(pushing: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "_NOBODY_S", 0.0)
    pushing.start()
    with pytest.raises(NoWorkerError):
        push.wait(pushing.connection, pushing.scoring)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_push_outlives_its_worker(pushing: Pushing, studio: StudioDouble, start_worker: Start, moment: str) -> None:
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
    pushing.start()
    assert reached.wait(30)
    first.send_signal(signal.SIGKILL)
    first.wait()
    go_on.set()
    seen: list[Progress] = []
    start_worker(LABELLOOP_PUSH_CHUNK="10")
    result = push.wait(pushing.connection, pushing.scoring, seen.append)
    assert (result.state, result.done, result.failed) == ("done", 35, 0)
    name = pushing.version()
    assert all(studio.versions(task) == [name] for task in studio.tasks)
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def test_a_stopped_worker_leaves_the_push_to_the_next(
    pushing: Pushing, studio: StudioDouble, start_worker: Start
) -> None:
    studio.add_tasks(*({"text": f"message {index}"} for index in range(35)))
    first = start_worker(slow=0.03, LABELLOOP_PUSH_CHUNK="35")
    pushing.start()
    until(lambda: pushing.redis.keys("labelloop:answer:*"))
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert studio.predictions == {}
    start_worker(LABELLOOP_PUSH_CHUNK="35")
    assert push.wait(pushing.connection, pushing.scoring).state == "done"
    assert all(len(studio.versions(task)) == 1 for task in studio.tasks)

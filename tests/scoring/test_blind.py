"""Items of the blind slice get no suggestion on whatever road, are asked for once, and come when they would have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from labelloop.learning import blind
from labelloop.learning.blind import FEWEST
from labelloop.learning.store import Store, Version
from labelloop.scoring import freshen_steps, push, wire
from labelloop.scoring.queues import Scoring
from labelloop.scoring.wire import Epoch
from labelloop.scoring.workplace import Workplace
from labelloop.service import Backend
from labelloop.settings import Settings
from labelloop.studio.results import prediction
from labelloop.words import Bundle
from support.scoring import FakeEngine, answer, expected, fake_bundle, field
from support.studio_double import CREATED_AT_S, TOKEN, StudioDouble

TOPIC = field("topic", "Sport", "Art")
TEXTS = [f"{one} {other}" for one in "abcdefghijklmno" for other in "pqrstuvwxyzäöüß"]
Push = Callable[[], push.Progress]


@pytest.fixture
def bundle() -> Bundle:
    return fake_bundle(TOPIC)


@pytest.fixture
def studio() -> Iterator[StudioDouble]:
    with StudioDouble() as double:
        yield double


@pytest.fixture
def version(store: Store, studio: StudioDouble, bundle: Bundle) -> Version:
    made, _ = store.create_connection(studio.url, 1, CREATED_AT_S, "Double", TOKEN)
    store.update_connection(made.id, backend_id=7)
    return store.serve(made.id, bundle, {})


@pytest.fixture
def pushed(
    settings: Settings, store: Store, scoring: Scoring, place: Workplace, engine: FakeEngine, version: Version
) -> Push:
    def do() -> push.Progress:
        push.start(version.connection_id, settings, store, scoring)
        while (job := scoring.redis.lpop(wire.rq_list("push"))) is not None:
            Job.fetch(job.decode(), connection=scoring.redis, serializer=JSONSerializer).perform()
        ended = push.progress(version.connection_id, scoring)
        assert ended is not None and not ended.running
        return ended

    return do


def hidden(store: Store, version: Version, settings: Settings) -> set[str]:
    its = blind.slice_of(store.connection(version.connection_id), settings)
    return {text for text in TEXTS if its.hides([TOPIC], {"text": text})}


def empty(studio: StudioDouble, name: str) -> set[str]:
    held = [one for one in studio.predictions.values() if one["model_version"] == name]
    return {studio.tasks[one["task"]]["data"]["text"] for one in held if not one["result"]}


def test_a_push_stores_them_empty_once_with_their_scores_and_the_same_in_the_next_version(
    settings: Settings, store: Store, studio: StudioDouble, pushed: Push, version: Version
) -> None:
    studio.add_tasks(*({"text": text} for text in TEXTS))
    done = pushed()
    assert (done.state, done.done, done.failed) == ("done", len(TEXTS), 0)
    unseen = hidden(store, version, settings)
    assert 0 < len(unseen) < 0.12 * len(TEXTS) and empty(studio, version.name) == unseen
    assert {one["score"] for one in studio.predictions.values()} == {0.75}, "it comes when it would have come"
    again = pushed()
    assert again.skipped == len(TEXTS) == len(studio.predictions), "an empty prediction is one"
    later = store.serve(version.connection_id, fake_bundle(TOPIC, prompt_hash="2"), {})
    assert pushed().done == len(TEXTS) and empty(studio, later.name) == unseen


def test_a_small_project_has_none_until_it_has_grown_and_keeps_it_when_it_shrinks(
    settings: Settings, store: Store, studio: StudioDouble, pushed: Push, version: Version
) -> None:
    studio.add_tasks(*({"text": text} for text in TEXTS[:FEWEST]))
    assert pushed().done == FEWEST and empty(studio, version.name) == set()
    studio.add_tasks(*({"text": text} for text in TEXTS[FEWEST:]))
    pushed()
    unseen = hidden(store, version, settings)
    assert empty(studio, version.name) == unseen & set(TEXTS[FEWEST:])
    studio.tasks = {number: task for number, task in studio.tasks.items() if number <= 100}
    later = store.serve(version.connection_id, fake_bundle(TOPIC, prompt_hash="2"), {})
    pushed()
    assert empty(studio, later.name) == unseen & set(TEXTS[:100]) != set()


def test_it_can_be_switched_off(
    place: Workplace, studio: StudioDouble, pushed: Push, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "settings", place.settings.model_copy(update={"blind_share": 0.0}))
    studio.add_tasks(*({"text": text} for text in TEXTS))
    assert pushed().done == len(TEXTS) and empty(studio, version.name) == set()


@pytest.mark.parametrize("context", [None, {"result": []}])
def test_predict_answers_them_empty_with_the_version_also_when_somebody_asks(
    settings: Settings, store: Store, version: Version, bundle: Bundle, context: Any
) -> None:
    class Reader:
        """In place of queue and worker."""

        def score(self, bundle: Bundle, rendered: Any, *_: object) -> Any:
            return answer(bundle, rendered)

    backend = Backend(settings, store, Reader())  # type: ignore[arg-type]

    def ask(*texts: str) -> list[dict[str, Any]]:
        tasks = [{"data": {"text": text}} for text in texts]
        return backend.predict(store.connection(version.connection_id), tasks, None, context)[1]

    assert all(one["result"] for one in ask(*TEXTS)), "nobody has counted the tasks yet"
    blind.begin(store, store.connection(version.connection_id), FEWEST + 1, settings)
    unseen = hidden(store, version, settings)
    found = dict(zip(TEXTS, ask(*TEXTS), strict=True))
    assert {text for text, one in found.items() if not one["result"]} == unseen != set()
    assert {(one["score"], one["model_version"]) for one in found.values()} == {(0.75, version.name)}
    one = min(unseen)
    assert ask(one) == [{"result": [], "score": 0.75, "model_version": version.name}]


def test_freshen_withdraws_what_they_were_shown_and_shows_nothing_new(
    place: Workplace, engine: FakeEngine, store: Store, settings: Settings, version: Version
) -> None:
    blind.begin(store, store.connection(version.connection_id), FEWEST + 1, settings)
    unseen, seen = min(hidden(store, version, settings)), min(set(TEXTS) - hidden(store, version, settings))

    def task(number: int, text: str, score: float, *shown: str) -> dict[str, Any]:
        answers = [expected(TOPIC, text).model_copy(update={"labels": ((label,),)}) for label in shown]
        its = {**prediction([TOPIC], answers, version.name), "score": score}
        return {"id": number, "data": {"text": text}, "predictions": [{"id": 10 * number, **its}]}

    other = next(one.path[0] for one in TOPIC.labels if (one.path,) != expected(TOPIC, seen).labels)
    waiting = [
        task(1, unseen, 0.75, "Art"),  # from before the slice began
        task(2, unseen, 0.75),
        task(3, unseen, 0.4),  # the model is surer now
        task(4, seen, 0.75, other),
    ]
    stale = dict(freshen_steps._stale(place, version, Epoch(version.connection_id, 1), waiting))
    assert {number: (bool(one["result"]), one["score"]) for number, one in stale.items()} == {
        10: (False, 0.75),
        30: (False, 0.75),
        40: (True, 0.75),
    }
    held = freshen_steps._stale(place, version, Epoch(version.connection_id, 1), waiting, frozenset({"summary"}))
    assert {number for number, _ in held} == {10, 40}, "a part of the fields does not say how sure all are"

"""What is not sure enough for a wished precision: no region, asked for once, first in line, withdrawn later on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from labelloop import tasks
from labelloop.learning.store import Store, Version
from labelloop.scoring import freshen_steps, push, wire
from labelloop.scoring.queues import Scoring
from labelloop.scoring.wire import Epoch
from labelloop.scoring.workplace import Workplace
from labelloop.service import Backend
from labelloop.settings import Settings
from labelloop.studio.results import prediction, second_opinion
from labelloop.words import Answer, Bundle
from support.scoring import expected, fake_bundle, field
from support.studio_double import CREATED_AT_S, TOKEN, StudioDouble

WHY = {"withheld": {"Sport": "below the precision of 0.9 that is wished: needs 0.83"}}
TOPIC, TONE = field("topic", "Sport", "Art"), field("tone", "calm", "angry")


def withhold(bundle: Bundle, rendered: Sequence[Mapping[str, str]], *_: object) -> list[list[Answer]]:
    """Every answer is held back whose field is called topic, and all answers to texts that say "hard"."""
    return [
        [
            Answer(field=name, labels=(), score=0.3, provenance=WHY)
            if name == "topic" or "hard" in text
            else expected(TONE, text)
            for name, text in item.items()
        ]
        for item in rendered
    ]


@pytest.fixture
def bundle() -> Bundle:
    return fake_bundle(TOPIC, TONE)


@pytest.fixture
def place(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    monkeypatch.setattr(tasks, "answer", withhold)
    return place


@pytest.fixture
def studio() -> Iterator[StudioDouble]:
    with StudioDouble() as double:
        yield double


@pytest.fixture
def version(store: Store, studio: StudioDouble, bundle: Bundle) -> Version:
    made, _ = store.create_connection(studio.url, 1, CREATED_AT_S, "Double", TOKEN)
    store.update_connection(made.id, backend_id=7)
    return store.serve(made.id, bundle, {})


def fields(made: Mapping[str, Any]) -> list[str]:
    return [region["from_name"] for region in made["result"]]


def test_a_prediction_goes_out_without_it_and_with_its_score() -> None:
    sure = Answer(field="tone", labels=(("calm",),), score=0.95)
    held = Answer(field="topic", labels=(), score=0.3, provenance=WHY)
    made = prediction([TOPIC, TONE], [held, sure], "v1")
    assert (fields(made), made["score"]) == (["tone"], 0.3)
    nothing = prediction([TOPIC], [held], "v1")
    assert (nothing["result"], nothing["score"]) == ([], 0.3)
    config = (
        '<View><Text name="t" value="$text"/><Choices name="topic" toName="t"><Choice value="Sport"/></Choices></View>'
    )
    assert second_opinion(config, nothing) == []


def test_a_push_stores_it_once_among_the_others(
    settings: Settings, store: Store, scoring: Scoring, studio: StudioDouble, place: Workplace, version: Version
) -> None:
    easy, hard = studio.add_tasks({"text": "easy"}, {"text": "hard"})
    for again in (False, True):
        push.start(version.connection_id, settings, store, scoring)
        while (job := scoring.redis.lpop(wire.rq_list("push"))) is not None:
            Job.fetch(job.decode(), connection=scoring.redis, serializer=JSONSerializer).perform()
        ended = push.progress(version.connection_id, scoring)
        assert ended is not None and (ended.state, ended.failed) == ("done", 0)
        assert (ended.done, ended.skipped) == ((0, 2) if again else (2, 0))
    held = {one["task"]: one for one in studio.predictions.values()}
    assert len(studio.predictions) == 2
    assert (fields(held[easy]), held[easy]["score"]) == (["tone"], 0.3)
    assert (held[hard]["result"], held[hard]["score"]) == ([], 0.3)


def test_predict_answers_it_as_a_prediction_so_that_it_is_not_asked_again(settings: Settings, store: Store) -> None:
    class Reader:
        """In place of queue and worker."""

        def score(self, bundle: Bundle, rendered: Any, *_: object) -> list[list[Answer]]:
            return withhold(bundle, rendered)

    made = store.create_connection("", 1, 1, "", "")[0]
    version = store.serve(made.id, fake_bundle(TOPIC, TONE), {})
    backend = Backend(settings, store, Reader())  # type: ignore[arg-type]
    results = backend.predict(made, [{"data": {"text": text}} for text in ("easy", "hard")], None)[1]
    assert [fields(one) for one in results] == [["tone"], []]
    assert [(one["score"], one["model_version"]) for one in results] == [(0.3, version.name)] * 2


def test_freshen_withdraws_what_is_no_longer_sure_enough(place: Workplace, version: Version) -> None:
    def task(number: int, text: str, *shown: str, score: float = 0.9) -> dict[str, Any]:
        answers = [
            Answer(field=name, labels=(("calm" if name == "tone" else "Sport",),), score=score) for name in shown
        ]
        its = prediction([TOPIC, TONE], answers, version.name)
        return {"id": number, "data": {"text": text}, "predictions": [{"id": 10 * number, **its, "score": score}]}

    waiting = [
        task(1, "hard", "topic", "tone"),
        task(2, "hard", score=0.3),
        task(3, "hard", score=0.8),
        task(4, "easy", "topic", "tone"),
    ]
    stale = dict(freshen_steps._stale(place, version, Epoch(version.connection_id, 1), waiting))
    assert {number: (fields(one), one["score"]) for number, one in stale.items()} == {
        10: ([], 0.3),
        30: ([], 0.3),
        40: (["tone"], 0.3),
    }


def test_freshen_leaves_what_comes_out_empty_for_other_reasons(
    place: Workplace, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_: Bundle, rendered: Sequence[Mapping[str, str]], *__: object) -> list[list[Answer]]:
        return [[Answer(field=name, labels=(), score=0.3) for name in item] for item in rendered]

    monkeypatch.setattr(tasks, "answer", nothing)
    its = prediction([TOPIC], [Answer(field="topic", labels=(("Sport",),), score=0.9)], version.name)
    held = {"id": 1, "data": {"text": "easy"}, "predictions": [{"id": 10, **its}]}
    assert freshen_steps._stale(place, version, Epoch(version.connection_id, 1), [held]) == []

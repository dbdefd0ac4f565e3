"""What is made fresh after a label: which predictions are replaced, in what order, and when a newer label begins anew.
The real Label Studio is in tests/e2e/test_learning.py; here it is one that writes down what it is told."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop import tasks
from labelloop.learning.store import Store
from labelloop.scoring import freshen, freshen_steps, jobs, wire
from labelloop.scoring.workplace import Workplace
from labelloop.settings import Settings
from labelloop.studio.documents import Documents
from labelloop.studio.results import prediction
from labelloop.studio.schema import read_config
from labelloop.words import Answer, Bundle, Link, Span

CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="Zog"/>'
    '<Choice value="Bim"/></Choices></View>'
)
Json = dict[str, Any]


class Studio:
    """A project whose tasks hold a prediction each; ``replaced``: (prediction id, label, score), in order."""

    held: list[tuple[str, str, float]]
    replaced: list[tuple[int, str, float]]
    beside: list[Json] = []

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None: ...

    def project(self, _number: int) -> Any:
        return type("Project", (), {"sampling": "Uncertainty sampling"})

    def next_tasks(self, _project: int, version: str, count: int, *, uncertain: bool) -> list[Json]:
        assert uncertain and count in (50, 5)
        return [
            {
                "id": place,
                "data": {"text": text},
                "predictions": [
                    {
                        "id": 100 + place,
                        "model_version": version,
                        "score": score,
                        "result": [region(label), *self.beside],
                    }
                ],
            }
            for place, (text, label, score) in enumerate(self.held[:count])
        ]

    def update_prediction(self, number: int, prediction: Json) -> None:
        self.replaced.append((number, prediction["result"][0]["value"]["choices"][0], prediction["score"]))


def region(label: str) -> Json:
    return {"from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": [label]}}


@pytest.fixture
def connection(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(freshen_steps, "StudioClient", Studio)
    monkeypatch.setattr(freshen_steps, "_AT_ONCE", 1)
    monkeypatch.setattr(Studio, "replaced", [], raising=False)
    made = store.create_connection("http://studio", 3, 4, "p", "token")[0]
    store.serve(made.id, tasks.make_bundle(read_config(CONFIG).fields, settings), {})
    return made.id


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, float]]:
    """What the engines say now, by text."""
    said: dict[str, tuple[str, float]] = {}

    def answer(_bundle: Bundle, rendered: list[dict[str, str]], _settings: Settings, _memories: object) -> Any:
        found = [said[item["topic"]] for item in rendered]
        return [[Answer(field="topic", labels=((label,),), score=score)] for label, score in found]

    monkeypatch.setattr(tasks, "answer", answer)
    return said


def test_what_says_something_else_comes_first_and_what_is_the_same_is_left(
    place: Workplace, connection: int, says: dict[str, tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Studio.held = [("same", "Zog", 0.6), ("moved", "Zog", 0.6), ("other", "Zog", 0.6), ("sure", "Bim", 0.6)]
    says |= {"same": ("Zog", 0.62), "moved": ("Zog", 0.9), "other": ("Bim", 0.7), "sure": ("Zog", 0.8)}
    freshen.want(place.redis, connection)
    jobs.freshen()
    assert Studio.replaced == [(103, "Zog", 0.8), (102, "Bim", 0.7), (101, "Zog", 0.9)]


def test_a_relation_that_has_moved_to_other_regions_says_something_else(
    place: Workplace, connection: int, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = (
        '<View><Text name="text" value="$text"/><Labels name="who" toName="text"><Label value="Person"/></Labels>'
        '<Relations><Relation value="knows"/></Relations></View>'
    )
    bundle = tasks.make_bundle(read_config(config).fields, settings)
    store.serve(connection, bundle, {})
    data = {"text": "Ada Bob Cem"}
    spans = [
        Span(field="who", source="text", start=at, end=at + 3, text=data["text"][at : at + 3], label=("Person",))
        for at in (0, 4, 8)
    ]

    def answers(tail: Span) -> list[Answer]:
        link = Link(head=spans[0], tail=tail, label="knows")
        return [
            Answer(field="who", labels=(), score=0.9, spans=tuple(spans)),
            Answer(field="relations", labels=(), score=0.9, links=(link,)),
        ]

    def held(_studio: Studio, _project: int, version: str, _count: int, *, uncertain: bool) -> list[Json]:
        made = []
        for number, tail in enumerate(spans[1:]):
            shown = prediction(bundle.fields, answers(tail), version, Documents(bundle.fields, data))
            made.append({"id": number, "data": data, "predictions": [{**shown, "id": 100 + number}]})
        return made

    replaced: list[int] = []
    monkeypatch.setattr(Studio, "next_tasks", held)
    monkeypatch.setattr(Studio, "update_prediction", lambda _, number, its: replaced.append(number))
    monkeypatch.setattr(tasks, "answer", lambda _bundle, rendered, *_: [answers(spans[1]) for _ in rendered])
    freshen.want(place.redis, connection)
    jobs.freshen()
    assert replaced == [101]


def test_few_scores_are_moved_at_once(place: Workplace, connection: int, says: dict[str, tuple[str, float]]) -> None:
    Studio.held = [(f"text {number}", "Zog", 0.5) for number in range(30)]
    says |= {f"text {number}": ("Zog", 0.9) for number in range(30)}
    freshen.want(place.redis, connection)
    jobs.freshen()
    assert [number for number, *_ in Studio.replaced] == list(range(100, 112))


def test_labels_that_come_at_once_are_followed_by_one_run(place: Workplace, connection: int) -> None:
    for _ in range(5):
        freshen.want(place.redis, connection)
    assert place.redis.llen(wire.rq_list("predict")) == 1


def test_a_newer_label_begins_anew_after_a_few(
    place: Workplace,
    connection: int,
    says: dict[str, tuple[str, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Studio.held = [(f"text {number}", "Zog", 0.5) for number in range(20)]
    says |= {f"text {number}": ("Bim", 0.9) for number in range(20)}
    reads: list[int] = []
    usual = Studio.next_tasks

    def look(self: Studio, *arguments: Any, **options: Any) -> list[Json]:
        reads.append(len(Studio.replaced))
        if len(reads) == 1:
            freshen.want(place.redis, connection)  # somebody submits while the first run is at it
        else:
            Studio.held = [(text, "Bim", 0.9) for text, *_ in Studio.held]
        return usual(self, *arguments, **options)

    monkeypatch.setattr(Studio, "next_tasks", look)
    freshen.want(place.redis, connection)
    jobs.freshen()
    assert reads == [0, 8]


def test_texts_of_writers_stay_but_for_the_very_next_tasks(
    place: Workplace, store: Store, connection: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = CONFIG.replace("</View>", '<TextArea name="summary" toName="text"/></View>')
    store.serve(connection, tasks.make_bundle(read_config(both).fields, settings), {})
    old = {"from_name": "summary", "to_name": "text", "type": "textarea", "value": {"text": ["old"]}, "score": 0.4}
    monkeypatch.setattr(Studio, "beside", [old])
    asked: list[set[str]] = []

    def answer(_bundle: Bundle, rendered: list[dict[str, str]], _settings: Settings, _memories: object) -> Any:
        asked.extend(set(item) for item in rendered)
        made = {
            "topic": Answer(field="topic", labels=(("Bim",),), score=0.9),
            "summary": Answer(field="summary", labels=(), texts=("new",), score=0.6),
        }
        return [[made[name] for name in sorted(item, reverse=True)] for item in rendered]

    monkeypatch.setattr(tasks, "answer", answer)
    Studio.held = [(f"text {number}", "Zog", 0.5) for number in range(7)]
    freshen.want(place.redis, connection)
    jobs.freshen()
    assert [(number, label, score) for number, label, score in Studio.replaced[:7]] == [
        (100 + number, "Bim", 0.4) for number in range(7)
    ]
    assert [number for number, *_ in Studio.replaced[7:]] == list(range(100, 105))
    assert asked.count({"summary"}) == 5 and asked.count({"topic"}) == 7


def test_what_a_worker_was_at_when_it_died_is_done_by_the_next(
    place: Workplace, connection: int, says: dict[str, tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Studio.held = [("text", "Zog", 0.5)]
    says |= {"text": ("Bim", 0.9)}
    lease = wire.FRESHEN_LEASE.format(connection=connection)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:  # nothing of what a death leaves out is done
        killed.setattr(freshen_steps, "_freshen", die)
        killed.setattr(place.redis, "srem", lambda *_: 0)
        freshen.want(place.redis, connection)
        with pytest.raises(KeyboardInterrupt):
            jobs.freshen()
    place.redis.delete(wire.rq_list("predict"))
    place.redis.set(lease, "of the dead")
    assert not freshen.sweep(place.redis), "while its lease lasts it may live"
    freshen.want(place.redis, connection)
    jobs.freshen()  # the next worker comes back before the lease of the dead one ends
    assert Studio.replaced == []
    place.redis.delete(wire.rq_list("predict"), lease)
    assert freshen.sweep(place.redis) and not freshen.sweep(place.redis)
    assert place.redis.llen(wire.rq_list("predict")) == 1
    jobs.freshen()
    assert Studio.replaced == [(100, "Bim", 0.9)]
    place.redis.delete(wire.rq_list("predict"))
    assert not freshen.sweep(place.redis)


def test_without_a_token_nothing_is_asked(place: Workplace, store: Store, connection: int) -> None:
    store.update_connection(connection, token="")
    Studio.held = [("text", "Zog", 0.5)]
    freshen.want(place.redis, connection)
    jobs.freshen()
    assert Studio.replaced == []

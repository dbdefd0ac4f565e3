"""Pushes of tasks whose texts lie behind addresses or that bring labels of their own."""

from collections.abc import Iterator, Mapping, Sequence

import pytest

from labelloop import tasks
from labelloop.learning.store import Store
from labelloop.scoring.queues import Scoring
from labelloop.scoring.workplace import Workplace
from labelloop.settings import Settings
from labelloop.tasks import own_labels
from labelloop.words import Answer, Bundle, Reading, Source, Span
from support.scoring import answer, fake_bundle, field
from support.studio_double import CREATED_AT_S, TOKEN, StudioDouble

from .test_push import Pushing, studio

__all__ = ["studio"]

TOPIC = field("topic", "Sport", "Politics", "Weather")
BEHIND = Source(name="t", tag="Text", key="text", value_type="url")


def fake(
    bundle: Bundle, rendered: Sequence[Mapping[str, str]], settings: Settings, memories: object = None
) -> list[list[Answer]]:
    return own_labels.answer_each(bundle, rendered, answer)


@pytest.fixture
def pushing(
    settings: Settings,
    scoring: Scoring,
    studio: StudioDouble,  # the fixture of the other file
    place: Workplace,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Pushing]:
    monkeypatch.setattr(tasks, "answer", fake)
    store = Store(settings.store_url)
    store.migrate()
    made, _ = store.create_connection(studio.url, 1, CREATED_AT_S, "Double", TOKEN)
    store.update_connection(made.id, backend_id=7)
    yield Pushing(settings, store, scoring, made.id)
    store.close()


def serve(pushing: Pushing, **changes: object) -> None:
    pushing.store.serve(pushing.connection, fake_bundle(TOPIC.model_copy(update=changes)), {})


def test_texts_are_read_from_the_connected_label_studio_only(
    pushing: Pushing,
    studio: StudioDouble,
) -> None:
    serve(pushing, sources=(BEHIND,))
    studio.files = {"a.txt": "any message"}
    read, missing, elsewhere, api, plain = studio.add_tasks(
        {"text": "/data/upload/a.txt"},
        {"text": "/data/upload/b.txt"},
        {"text": "http://127.0.0.1:1/data/upload/a.txt"},
        {"text": f"{studio.url}/api/projects/1"},
        {"text": "any message"},
    )
    pushing.start()
    pushing.work()
    result = pushing.ended()
    assert (result.state, result.done, result.failed) == ("done", 1, 4)
    assert studio.versions(read) == [pushing.version()]
    assert "404" in result.reasons[missing] and "outside" in result.reasons[elsewhere]
    assert "no file" in result.reasons[api] and "no address" in result.reasons[plain]
    assert [path for _, path in studio.requests if path.startswith("/data")] == [
        "/data/upload/a.txt",
        "/data/upload/b.txt",
    ]


def test_a_label_studio_that_is_overloaded_meanwhile_fails_no_task(
    pushing: Pushing,
    studio: StudioDouble,
) -> None:
    serve(pushing, sources=(BEHIND,))
    studio.files = {"a.txt": "any message"}
    (task,) = studio.add_tasks({"text": "/data/upload/a.txt"})
    studio.before = lambda _method, path: 503 if path.startswith("/data") else None
    pushing.start()
    pushing.work()
    studio.before = lambda _method, _path: None
    pushing.retry_now()
    pushing.start()
    pushing.work()
    assert (pushing.ended().state, pushing.ended().failed, len(studio.versions(task))) == ("done", 0, 1)


def test_tasks_bring_their_labels(pushing: Pushing, studio: StudioDouble) -> None:
    serve(pushing, labels=(), dynamic="options")
    sets = [["red", "blue"], ["one", "two", "three"], ["blue", "red"], ["alone"]]
    ids = studio.add_tasks(*({"text": "same", "options": [{"value": name} for name in some]} for some in sets))
    pushing.start()
    pushing.work()
    result = pushing.ended()
    assert (result.done, result.failed) == (3, 1) and "'options'" in result.reasons[ids[3]]
    chosen = {one["task"]: one["result"][0]["value"]["choices"] for one in studio.predictions.values()}
    assert chosen == {ids[0]: ["red"], ids[1]: ["two"], ids[2]: ["blue"]}  # the text's length decides


def test_spans_stand_in_the_text_behind_an_address(
    pushing: Pushing, studio: StudioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mark(
        bundle: Bundle, rendered: Sequence[Mapping[str, str]], settings: Settings, memories: object = None
    ) -> list[list[Answer]]:
        found = []
        for item in rendered:
            text = Reading.model_validate_json(item["topic"]).passages[0].text
            start = text.index("Ada")
            place = {"source": "t", "start": start, "end": start + 3, "text": "Ada"}
            span = Span(field="topic", label=("Sport",), **place)
            found.append([Answer(field="topic", labels=(), score=0.5, spans=(span,))])
        return found

    monkeypatch.setattr(tasks, "answer", mark)
    page = Source(name="t", tag="HyperText", key="page", value_type="url")
    serve(pushing, sources=(page,), kind="entities", tag="HyperTextLabels")
    studio.files = {"a.html": "<p>one</p><p>\U0001f600 Ada"}
    studio.add_tasks({"page": "/data/upload/a.html"})
    pushing.start()
    pushing.work()
    assert pushing.ended().done == 1
    (stored,) = studio.predictions.values()
    assert stored["result"][0]["value"] == {
        **{"start": "/p[2]/text()[1]", "end": "/p[2]/text()[1]", "startOffset": 3, "endOffset": 6},
        **{"globalOffsets": {"start": 5, "end": 8}, "text": "Ada", "hypertextlabels": ["Sport"]},
    }
    assert [path for _, path in studio.requests if path.startswith("/data")] == ["/data/upload/a.html"]

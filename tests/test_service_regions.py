"""Spans and relations through the service: what /predict answers, with and without regions that a person marked."""

from pathlib import Path
from typing import Any

import pytest

from labelloop import offline
from labelloop.errors import RequestError
from labelloop.learning.store import Store
from labelloop.scoring.queues import Scoring
from labelloop.service import Backend
from labelloop.settings import Settings
from labelloop.studio.schema import read_config
from labelloop.words import Answer, Bundle, FieldPlan, Link, Reading, Span

CONFIG = """<View><Text name="text" value="$text"/><Labels name="ner" toName="text"><Label value="Person"/></Labels>
<Relations><Relation value="met"/></Relations></View>"""
FIELDS = read_config(CONFIG).fields
BUNDLE = Bundle(
    plans=tuple(
        FieldPlan(field=one, engine="none", model="none", revision="", prompt="none", prompt_hash="") for one in FIELDS
    )
)
TASK = {"data": {"text": "\U0001f600 Ada met Bob."}}


def person(text: str, words: str) -> Span:
    start = text.index(words)
    return Span(field="ner", source="text", start=start, end=start + len(words), text=words, label=("Person",))


class Reader:
    """In place of queue and worker: finds Ada and Bob, and that they met."""

    def __init__(self) -> None:
        self.read: list[dict[str, Reading]] = []

    def score(
        self, bundle: Bundle, rendered: Any, lane: str, wait_s: float, epoch: object = None
    ) -> list[list[Answer]]:
        answers = []
        for item in rendered:
            readings = {name: Reading.model_validate_json(text) for name, text in item.items()}
            self.read.append(readings)
            text = readings["ner"].passages[0].text
            found = (person(text, "Ada"), person(text, "Bob"))
            head, tail = readings["relations"].given[:2] or found
            link = Link(head=head, tail=tail, label="met")
            answers.append(
                [
                    Answer(field="ner", labels=(), score=0.75, spans=found),
                    Answer(field="relations", labels=(), score=0.5, links=(link,)),
                ]
            )
        return answers


def predict(settings: Settings, tasks: list[Any], context: Any = None) -> tuple[Reader, list[dict[str, Any]]]:
    store, reader = Store(settings.store_url), Reader()
    store.migrate()
    connection, _ = store.create_connection("", 1, 1, "", "")
    store.serve(connection.id, BUNDLE, {})
    scoring: Scoring = reader  # type: ignore[assignment]
    results = Backend(settings, store, scoring).predict(connection, tasks, None, context)[1]
    store.close()
    return reader, results


def test_spans_and_relations_are_answered(settings: Settings) -> None:
    _, (result, bad, _) = predict(settings, [TASK, {"data": {}}, TASK])
    ada, bob, relation = result["result"]
    assert ada["value"] == {"start": 2, "end": 5, "text": "Ada", "labels": ["Person"]}
    assert bob["value"] == {"start": 10, "end": 13, "text": "Bob", "labels": ["Person"]}
    assert (relation["from_id"], relation["to_id"], relation["labels"]) == (ada["id"], bob["id"], ["met"])
    assert result["score"] == 0.5
    assert "'text'" in bad["error"]


def test_regions_of_a_person_are_related_under_their_ids(settings: Settings) -> None:
    regions = [
        {"id": name, "from_name": "ner", "to_name": "text", "type": "labels", "value": value}
        for name, value in [
            ("mine", {"start": 10, "end": 13, "text": "Bob", "labels": ["Person"]}),
            ("yours", {"start": 2, "end": 5, "labels": ["Person"]}),
        ]
    ]
    reader, (result,) = predict(settings, [TASK], {"result": regions})
    assert [span.id for span in reader.read[0]["relations"].given] == ["mine", "yours"]
    assert reader.read[0]["ner"].given == ()
    assert sorted(region["id"] for region in result["result"][:-1]) == ["mine", "yours"]
    assert (result["result"][-1]["from_id"], result["result"][-1]["to_id"]) == ("mine", "yours")
    _, results = predict(settings, [TASK, TASK], {"result": regions})
    assert all("mine" not in str(one) for one in results)


def test_files_get_the_same_regions() -> None:
    answers = Reader().score(BUNDLE, [offline.render_all(FIELDS, TASK["data"])[0]], "push", 0)
    predicted = offline.Predicted(BUNDLE, "v1", read_config(CONFIG), answers, 1.0)
    (entry,) = offline.importable([TASK], predicted)
    assert [region["type"] for region in entry["predictions"][0]["result"]] == ["labels", "labels", "relation"]


def test_a_column_of_labels_does_not_evaluate_regions() -> None:
    remarks = FIELDS[0].model_copy(update={"kind": "remarks", "name": "tone"})
    with pytest.raises(RequestError, match="'tone' describes single regions"):
        offline.read_gold([TASK], remarks, "text")


def test_the_dry_run_shows_spans(tmp_path: Path) -> None:
    from rich.console import Console

    from labelloop.cli.look import _examples

    schema = read_config(CONFIG)
    answers = Reader().score(BUNDLE, [offline.render_all(FIELDS, TASK["data"])[0]], "push", 0)
    console = Console(width=150, file=(tmp_path / "shown").open("w+", encoding="utf-8"))
    console.print(_examples(schema, [TASK], answers))
    console.file.flush()
    shown = (tmp_path / "shown").read_text(encoding="utf-8")
    console.file.close()
    assert "2 entities: Ada (Person), Bob (Person)" in shown and "Ada met → Bob" in shown and "Ada met Bob." in shown

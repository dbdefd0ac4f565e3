"""Work done before becomes examples: exports and columns, twice the same, bad lines told and nothing else lost."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from labelloop.cli import app
from labelloop.errors import LabelLoopError, RequestError
from labelloop.importing import Imported, import_file
from labelloop.learning import blind
from labelloop.learning.intake import receive
from labelloop.learning.store import Connection, Store
from labelloop.learning.tables import now
from labelloop.learning.versions import version_for
from labelloop.settings import Settings, get_settings
from labelloop.studio.schema import read_config
from labelloop.words import Example
from support.labelling import Labelling, choice

CONFIG = """<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="Art"/>
<Choice value="Sport"/></Choices><Labels name="who" toName="text"><Label value="Person"/></Labels>
<Relations><Relation value="knows"/></Relations><Rating name="stars" toName="text" maxRating="3"/>
<Text name="q" value="$question"/><TextArea name="answer" toName="text"/></View>"""
FIELDS = {field.name: field for field in read_config(CONFIG).fields}


@pytest.fixture
def connection(store: Store) -> Connection:
    made = store.create_connection("http://ls", 3, 4, "Title", "")[0]
    return store.update_connection(made.id, label_config=CONFIG)


@pytest.fixture
def run(store: Store, connection: Connection, tmp_path: Path, settings: Settings) -> Any:
    def run(content: Any, name: str = "file.json", **options: Any) -> Imported:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return import_file(store, connection, path, settings, **options)

    return run


def found(store: Store, connection: Connection, name: str) -> list[Example]:
    return list(store.examples(connection.id, FIELDS[name], list(FIELDS.values())).found)


def labels(store: Store, connection: Connection, name: str = "topic") -> dict[str, str]:
    return {one.data["text"]: one.answer.labels[0][0] for one in found(store, connection, name)}


def task(text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, "data": {"text": text}, "annotations": list(annotations), "predictions": []}


def test_an_export_becomes_examples_once(store: Store, connection: Connection, run: Any) -> None:
    kept = {"result": [choice("Art", origin="prediction")], "parent_prediction": 4}
    export = [
        task("one", {"id": 1, "completed_by": 1, "result": [choice("Sport")], "ground_truth": True}),
        task("two", {"id": 2, "completed_by": 1, **kept}, {"id": 3, "completed_by": 2, "result": [choice("Sport")]}),
        task("three", {"id": 4, "completed_by": 1, "result": [choice("Art")], "was_cancelled": True}),
        task("four"),
    ]
    done = run(export)
    assert (done.tasks, done.labels, done.without, done.problems) == (4, 3, 1, [])
    assert done.changed > 0
    assert labels(store, connection).keys() == {"one", "two"}
    epoch = store.memory_epoch(connection.id)
    assert run(export).changed == 0
    assert store.memory_epoch(connection.id) == epoch
    counts = store.count_labels(connection.id, list(FIELDS.values()))
    assert counts.how == {"accepted": 1, "edited": 0, "rejected": 0, "by_hand": 2, "skipped": 1}
    assert (counts.ground_truth, counts.agreement["topic"]) == (1, 0.0)
    export[0]["annotations"][0]["result"] = [choice("Art")]
    assert run(export).changed == 1
    assert labels(store, connection)["one"] == "Art"


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_a_column_becomes_examples_of_its_field_alone(
    store: Store, connection: Connection, run: Any, tmp_path: Path, form: str
) -> None:
    rows = [{"text": "one", "gold": "sport"}, {"text": "two", "gold": "Art"}, {"text": "three", "gold": ""}]
    if form == "csv":
        with (tmp_path / "rows.csv").open("w") as file:
            writer = csv.DictWriter(file, ["text", "gold"])
            writer.writeheader()
            writer.writerows(rows)
        content: Any = (tmp_path / "rows.csv").read_text()
    else:
        content = rows if form == "json" else "\n".join(map(json.dumps, rows))
    done = run(content, f"file.{form}", field_name="topic", key="gold")
    assert (done.labels, done.without, done.problems) == (2, 1, [])
    assert labels(store, connection) == {"one": "Sport", "two": "Art"}
    assert found(store, connection, "topic")[0].data.keys() == {"text"}
    assert found(store, connection, "who") == []  # a column of topics does not say that nobody is named
    assert run(content, f"file.{form}", field_name="topic", key="gold").changed == 0
    run([{"text": "one", "stars": 2}], field_name="stars", key="stars")
    assert labels(store, connection, "stars") == {"one": "2"}
    assert labels(store, connection) == {"one": "Sport", "two": "Art"}


def test_bad_lines_are_told_and_nothing_else_is_lost(store: Store, connection: Connection, run: Any) -> None:
    lines = [
        json.dumps({"text": "one", "gold": "Art"}),
        "{ no json",
        "[1]",
        json.dumps({"text": "two", "gold": "Cooking"}),
        json.dumps({"gold": "Art"}),
        json.dumps({"text": "three", "gold": "Sport"}),
    ]
    done = run("\n".join(lines), "file.jsonl", field_name="topic", key="gold")
    assert labels(store, connection) == {"one": "Art", "three": "Sport"}
    assert len(done.problems) == 4
    assert "line 2" in done.problems[0] and "Cooking" in done.problems[2] and "text" in done.problems[3]
    export = [task("four", {"id": 1, "result": [choice("Art")]}), task("five", {"id": True, "result": []})]
    strange = {"id": 2, "result": [choice("Art", from_name="other")]}
    done = run([*export, task("six", strange), {"data": {"text": 5}, "annotations": "none"}])
    assert "task 2" in done.problems[0]
    assert labels(store, connection)["four"] == "Art"


def test_spans_relations_and_texts_come_from_columns_too(store: Store, connection: Connection, run: Any) -> None:
    ada, bob = ({"start": start, "end": start + 3, "label": "Person"} for start in (0, 8))
    rows = [{"text": "Ada met Bob", "who": [ada, bob]}, {"text": "Nobody", "who": []}, {"text": "x", "who": [bob]}]
    done = run(rows, field_name="who", key="who")
    assert len(done.problems) == 1
    people = {one.data["text"]: [span.text for span in one.answer.spans] for one in found(store, connection, "who")}
    assert people == {"Ada met Bob": ["Ada", "Bob"], "Nobody": []}
    run([{"text": "Ada met Bob", "pairs": [{"head": ada, "tail": bob, "label": "knows"}]}], field_name="relations",
        key="pairs")  # fmt: skip
    (one,) = found(store, connection, "relations")
    assert [(link.head.text, link.label, link.tail.text) for link in one.answer.links] == [("Ada", "knows", "Bob")]
    unnamed = [{"text": "Bob met", "pairs": [{"head": {"start": 0, "end": 3, "label": "Dog"}, "tail": ada}]}]
    with pytest.raises(RequestError, match="none of the labels that mark passages"):
        run(unnamed, field_name="relations", key="pairs")
    run([{"text": "In Rome.", "question": "Where?", "a": ["In Rome", "Rome"]}], field_name="answer", key="a")
    (one,) = found(store, connection, "answer")
    assert one.answer.texts == ("In Rome",)
    assert len(found(store, connection, "who")) == 2


def test_what_the_project_has_labelled_itself_is_passed_over(store: Store, connection: Connection, run: Any) -> None:
    studio = Labelling()
    studio.annotate(studio.add_task("one"), "Art")
    for action, body in studio.events:
        receive(store, connection.id, action, body)
    done = run([{"text": "one", "gold": "Sport"}, {"text": "two", "gold": "Sport"}], field_name="topic", key="gold")
    assert (done.known, done.labels) == (1, 1)
    assert labels(store, connection) == {"one": "Art", "two": "Sport"}


def test_a_text_that_the_project_labels_later_is_counted_once(store: Store, connection: Connection, run: Any) -> None:
    run([{"text": text, "gold": "Sport"} for text in ("one", "two")], field_name="topic", key="gold")
    studio = Labelling()
    made = [studio.annotate(studio.add_task("one"), "Art") for _ in range(2)]
    counted = []
    for action, body in studio.events:
        receive(store, connection.id, action, body)
        counted.append(store.count_labels(connection.id, list(FIELDS.values())).examples["topic"])
    assert counted == [2, 2, 2, 3], "the first task takes the place of what the file said, the second is one more"
    for annotation in made:
        studio.delete(annotation)
    for action, body in studio.events:
        receive(store, connection.id, action, body)
    assert store.count_labels(connection.id, list(FIELDS.values())).examples["topic"] == 2


def test_the_same_text_twice_is_two_peoples_word(store: Store, connection: Connection, run: Any) -> None:
    rows = [{"text": "one", "gold": label} for label in ("Art", "Sport", "Sport")]
    run(rows, field_name="topic", key="gold")
    (one,) = found(store, connection, "topic")
    assert (one.answer.labels, one.share) == ((("Sport",),), pytest.approx(2 / 3))
    assert run(rows, field_name="topic", key="gold").changed == 0


def test_what_cannot_be_imported_says_why(store: Store, run: Any, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(RequestError, match="holds no label"):
        run([{"text": "one"}])
    with pytest.raises(RequestError, match="No task has the column"):
        run([{"text": "one"}], field_name="topic", key="gold")
    with pytest.raises(RequestError, match="several controls"):
        run([{"text": "one", "gold": "Art"}], key="gold")
    fresh = store.create_connection("http://ls", 8, 4, "Title", "")[0]
    with pytest.raises(RequestError, match="no label config yet"):
        import_file(store, fresh, tmp_path / "file.json", settings)


def test_the_commands_import_and_show_what_people_said(terminal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_DATA_DIR", str(terminal / "data"))
    get_settings.cache_clear()
    store = Store(get_settings().store_url)
    store.migrate()
    made = store.create_connection("http://ls", 3, 4, "Letters", "")[0]
    version_for(store, made, CONFIG, get_settings())
    rows = [{"text": "one", "gold": "Art"}, {"text": "two", "gold": "Sport"}, {"text": "three", "gold": "Cooking"}]
    (terminal / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def run(*arguments: str) -> Result:
        done = CliRunner().invoke(app, list(arguments))
        assert isinstance(done.exception, (type(None), SystemExit, LabelLoopError)), done.exception
        return done

    command = ["import", "rows.jsonl", "--gold", "gold", "--field", "topic"]
    first = run(*command, "--project", "Letters")
    assert first.exit_code == 3 and "2 labels of 3 tasks: 4 changes" in first.stdout
    assert "nothing new" in run(*command, "--connection", str(made.id)).stdout
    shown = run("status").stdout  # Redis is not running: what is known without it is shown all the same
    assert "labels: 0 accepted unchanged, 0 edited, 0 rejected, 2 by hand, 0 skipped; 0 ground truth" in shown
    assert "examples of topic: 2" in shown and "blind slice" not in shown
    monkeypatch.setenv("LABELLOOP_BLIND_SHARE", "0.5")
    get_settings.cache_clear()
    blind.begin(store, made, blind.FEWEST + 1, get_settings())
    its, fields = blind.slice_of(store.connection(made.id), get_settings()), list(FIELDS.values())
    given = sum(its.hides(fields, {"text": row["text"]}) for row in rows[:2])
    told = f"blind slice: 50% of the tasks are shown without a suggestion since {now():%Y-%m-%d}; {given} labels"
    assert told in " ".join(run("status").stdout.split())
    assert isinstance(run(*command).exception, RequestError)
    assert isinstance(run("import", "rows.jsonl", "--project", "Letters", "--field", "topic").exception, RequestError)
    assert isinstance(run("sync").exception, RequestError)
    assert isinstance(run("sync", "Nowhere").exception, RequestError)
    store.close()


def test_other_columns_than_a_field_reads_make_no_other_item(store: Store, connection: Connection, run: Any) -> None:
    run([{"text": "one", "gold": "Art"}, {"text": "two", "gold": "Art"}], field_name="topic", key="gold")
    known = {"text": "one", "source": "web", "gold": "Art"}
    assert run([known], field_name="topic", key="gold").labels == 1
    assert len(found(store, connection, "topic")) == 2
    assert found(store, connection, "topic")[0].people == 1
    studio = Labelling()
    studio.annotate(studio.add_task("two"), "Sport")
    for action, body in studio.events:
        receive(store, connection.id, action, body)
    assert run([{"text": "two", "split": "test", "gold": "Art"}], field_name="topic", key="gold").known == 1
    counts = store.count_labels(connection.id, list(FIELDS.values()))
    assert counts.examples["topic"] == 2, "the task counts in place of the row"

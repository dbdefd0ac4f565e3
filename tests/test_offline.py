"""Files in and out: what is read, what is reported, and which label a gold value means."""

import json
from pathlib import Path
from typing import Any

import pytest

from labelloop import offline
from labelloop.errors import ConfigError, RequestError
from labelloop.settings import Settings
from labelloop.studio.schema import read_config
from labelloop.words import Field, Label, Source
from support.samples import CHOICES

GOOD = {"text": "Where is my parcel?", "topic": "Delivery"}


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json.dumps(GOOD) + "\n\n" + json.dumps({"id": 4, "data": GOOD}) + "\n"),
        ("a.json", json.dumps([GOOD, {"data": GOOD}])),
        ("a.csv", '\ufefftext,topic\n"Where is my parcel?",Delivery\n"Where is my parcel?",Delivery\n'),
    ],
)
def test_every_form_of_file_gives_the_same_tasks(name: str, content: str, tmp_path: Path) -> None:
    items = offline.read_items(written(tmp_path, name, content))
    assert [task["data"] for task in items.tasks] == [GOOD, GOOD]
    assert items.problems == []


def test_a_bad_line_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    lines = [json.dumps(GOOD), "{broken", "[1, 2]", '"text"', json.dumps({"text": "b"})]
    items = offline.read_items(written(tmp_path, "a.jsonl", "\n".join(lines)))
    assert len(items.tasks) == 2
    assert [problem.split(":")[0] for problem in items.problems] == ["line 2", "line 3", "line 4"]


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    text = "one\u2028two\x85three"
    items = offline.read_items(written(tmp_path, "a.jsonl", json.dumps({"text": text}, ensure_ascii=False)))
    assert items.tasks[0]["data"]["text"] == text


@pytest.mark.parametrize(
    ("content", "message"), [("", "empty"), ("nothing", "line 1"), ("[{]", "not JSON"), ("[]", "empty")]
)
def test_a_file_without_tasks_is_an_error(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        offline.read_items(written(tmp_path, "a.jsonl", content))


def test_missing_and_binary_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        offline.read_items(tmp_path / "none.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestError, match="not UTF-8"):
        offline.read_items(tmp_path / "b.jsonl")
    with pytest.raises(ConfigError, match="cannot be read"):
        offline.read_schema(tmp_path / "none.xml")


def test_a_config_without_anything_to_fill_says_why(tmp_path: Path) -> None:
    choices = '<Choices name="c" toName="i"><Choice value="a"/><Choice value="b"/></Choices>'
    config = f'<View><Image name="i" value="$i"/>{choices}</View>'
    with pytest.raises(ConfigError, match="c: "):
        offline.read_schema(written(tmp_path, "c.xml", config))


def field(*labels: Label, multiple: bool = False) -> Field:
    source = Source(name="t", tag="Text", key="text")
    return Field(
        name="f", tag="Choices", kind="classification", to_name="t", labels=labels, sources=(source,), multiple=multiple
    )


def gold(one: Field, *values: Any) -> list[Any]:
    return offline.read_gold([{"data": {"text": "x", "gold": value}} for value in values], one, "gold").labels


def test_gold_values_are_matched_by_stored_and_shown_names_whatever_the_case() -> None:
    one = field(Label(path=("pos",), text="Positive"), Label(path=("neg",), text="Negative"))
    assert gold(one, "pos", "Positive", " NEGATIVE ", ["neg"], "maybe", None) == [
        (("pos",),), (("pos",),), (("neg",),), (("neg",),), None, None,
    ]  # fmt: skip


def test_case_matters_where_two_labels_differ_by_it_alone() -> None:
    one = field(Label(path=("us",), text="us"), Label(path=("US",), text="US"))
    assert gold(one, "US", "us") == [(("US",),), (("us",),)]


def test_scales_take_numbers_and_paths_take_either_form() -> None:
    scale = field(*(Label(path=(str(step),), text=str(step)) for step in (1, 2, 3)))
    assert gold(scale, 2, "3", 1.0) == [(("2",),), (("3",),), (("1",),)]
    tree = field(Label(path=("A", "B"), text="A > B"), Label(path=("A", "C"), text="A > C"))
    assert gold(tree, "A > B", "c", [["A", "B"]]) == [(("A", "B"),), (("A", "C"),), (("A", "B"),)]


def test_several_labels_come_as_a_list_or_as_one_string() -> None:
    one = field(*(Label(path=(name,), text=name) for name in ("a", "b", "c, d")), multiple=True)
    assert gold(one, ["a", "b"], "a|b", "a, b", "c, d", []) == [
        (("a",), ("b",)), (("a",), ("b",)), (("a",), ("b",)), (("c, d",),), (),
    ]  # fmt: skip


def test_a_column_that_is_missing_or_foreign_is_an_error() -> None:
    one = field(Label(path=("a",), text="a"), Label(path=("b",), text="b"))
    with pytest.raises(RequestError, match="No value"):
        gold(one, "x", "y")
    with pytest.raises(RequestError, match="column 'other'"):
        offline.read_gold([{"data": {"text": "x"}}], one, "other")


def test_predictions_for_files_are_importable_and_bad_tasks_stay_without(settings: Settings) -> None:
    schema = read_config(CHOICES)
    texts = ["Where is my parcel? The courier never came.", "I forgot my password and cannot log in.", "   "]
    tasks: list[dict[str, Any]] = [{"id": place, "data": {"text": text}} for place, text in enumerate(texts)]
    tasks.append({"data": {"other": 1}})
    done: list[int] = []
    predicted = offline.predict(tasks, schema, settings, done.append)
    result = offline.importable(tasks, predicted)
    assert sum(done) == len(tasks)
    assert [entry["data"] for entry in result] == [task["data"] for task in tasks]
    chosen = [entry["predictions"][0]["result"][0]["value"]["choices"] for entry in result[:2]]
    assert chosen == [["Delivery"], ["Account"]]
    assert all(0 <= entry["predictions"][0]["score"] <= 1 for entry in result[:2])
    assert all("predictions" not in entry for entry in result[2:])
    reasons = [predicted.answers[2][0].reason, predicted.answers[3][0].reason]
    assert reasons[0] and "text" in str(reasons[1])


OWN = """
<View>
  <Chat name="chat" value="$messages"/>
  <Choices name="known" toName="chat"><Choice value="Delivery" alias="del"/><Choice value="Account"/></Choices>
  <View visibleWhen="choice-selected" whenTagName="known" whenChoiceValue="Delivery">
    <Choices name="own" toName="chat" value="$options"><Choice value="weather"/></Choices>
  </View>
  <Rating name="urgency" toName="chat" maxRating="3"/>
  <DateTime name="when" toName="chat"/>
</View>
"""


def said(text: str, *options: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"data": {"messages": [{"role": "user", "content": text}], "options": list(options), **more}}


def test_labels_of_each_task_and_hidden_controls(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, device="cpu")
    schema = read_config(OWN)
    assert [field.name for field in schema.fields] == ["known", "own", "urgency"] and list(schema.skipped) == ["when"]
    parcels, keys = {"value": "lost parcels", "alias": "lost"}, {"value": "forgotten passwords"}
    tasks = [
        said("Where is my parcel? The courier never rang the bell.", parcels, keys, gold="Lost parcels"),
        said("I forgot my password and cannot log in any more.", parcels, keys, gold="forgotten passwords"),
        said("My parcel was delivered to the wrong door by the courier."),
        {"data": {"options": [parcels, keys]}},
    ]
    predicted = offline.predict(tasks, schema, settings)
    shown = [one.get("predictions", [{"result": []}])[0] for one in offline.importable(tasks, predicted)]
    values = [{region["from_name"]: region["value"] for region in one["result"]} for one in shown]
    assert values[0].pop("urgency").keys() == {"rating"}
    assert values[0] == {"known": {"choices": ["del"]}, "own": {"choices": ["lost"]}}
    assert set(values[1]) == {"known", "urgency"} and values[1]["known"] == {"choices": ["Account"]}  # own is hidden
    assert set(values[2]) == {"known", "urgency"}  # one label is nothing to choose
    assert values[3] == {} and "'messages'" in str(predicted.answers[3][0].reason)
    assert "'options'" in str(predicted.answers[2][1].reason)
    own = predicted.answers[1][1]
    assert own.labels == (("forgotten passwords",),)  # answered, yet not shown, and its score does not count
    assert shown[1]["score"] == min(predicted.answers[1][0].score, predicted.answers[1][2].score)
    gold = offline.read_gold(tasks[:2], schema.fields[1], "gold")
    assert gold.labels == [(("lost",),), (("forgotten passwords",),)]

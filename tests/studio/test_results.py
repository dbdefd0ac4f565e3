"""What leaves: regions in the editor's formats, nothing else, whatever comes in."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from labelloop.studio.results import import_refuses, prediction, second_opinion, validate
from labelloop.studio.schema import read_config
from labelloop.words import Answer, Path
from studio.strategies import GARBAGE, PROBABILITIES, answers, configs

CONFIG = """<View><Text name="text" value="$text"/><HyperText name="page" value="$page"/>
<Choices name="topic" toName="text"><Choice value="Sport" alias="sp"/><Choice value="Art"/></Choices>
<Choices name="tone" toName="text" choice="multiple"><Choice value="Kind"/><Choice value="Rude"/></Choices>
<Choices name="nested" toName="page" allowNested="true"><Choice value="A"><Choice value="A1"/></Choice>
<Choice value="B"/></Choices>
<Taxonomy name="tree" toName="page,text"><Choice value="A"><Choice value="A1"/></Choice><Choice value="B"/></Taxonomy>
<Rating name="stars" toName="text" maxRating="4"/>
<Number name="half" toName="text" min="0" max="2" step="0.5"/></View>"""
FIELDS = read_config(CONFIG).fields
BY_NAME = {field.name: field for field in FIELDS}


def answered(name: str, *labels: Path, score: float = 0.5) -> Answer:
    return Answer(field=name, labels=labels, score=score)


@pytest.mark.parametrize(
    ("name", "labels", "kind", "value"),
    [
        ("topic", [("sp",)], "choices", {"choices": ["sp"]}),
        ("tone", [("Rude",), ("Kind",)], "choices", {"choices": ["Rude", "Kind"]}),
        ("nested", [("A", "A1")], "choices", {"choices": [["A", "A1"]]}),
        ("nested", [("B",)], "choices", {"choices": [["B"]]}),
        ("tree", [("A",), ("A", "A1")], "taxonomy", {"taxonomy": [["A"], ["A", "A1"]]}),
        ("stars", [("4",)], "rating", {"rating": 4}),
        ("half", [("1",)], "number", {"number": 1}),
        ("half", [("1.5",)], "number", {"number": 1.5}),
    ],
)
def test_each_control_gets_its_own_format(name: str, labels: list[Path], kind: str, value: dict[str, Any]) -> None:
    made = prediction(FIELDS, [answered(name, *labels, score=0.75)], "v1-abc")
    (region,) = made["result"]
    assert {key: region[key] for key in ("from_name", "to_name", "type", "value", "score")} == {
        "from_name": name,
        "to_name": BY_NAME[name].to_name,
        "type": kind,
        "value": value,
        "score": 0.75,
    }
    assert (made["score"], made["model_version"]) == (0.75, "v1-abc")
    assert validate(made, FIELDS) == (made, [])
    assert second_opinion(CONFIG, made) == []


def test_the_score_is_the_least_of_the_answered_fields() -> None:
    made = prediction(
        FIELDS,
        [
            answered("topic", ("sp",), score=0.9),
            answered("tone", score=0.4),
            Answer(field="stars", labels=(), score=0.0, reason="the text is empty"),
        ],
        "v1",
    )
    assert made["score"] == 0.4
    assert [region["from_name"] for region in made["result"]] == ["topic"]
    assert prediction(FIELDS, [], "v1") == {"result": [], "score": 0.0, "model_version": "v1"}


def test_region_ids_are_stable_and_distinct() -> None:
    both = [answered("topic", ("sp",)), answered("stars", ("1",))]
    ids = [region["id"] for region in prediction(FIELDS, both, "v1")["result"]]
    assert len(set(ids)) == 2
    assert [region["id"] for region in prediction(FIELDS, both, "v1")["result"]] == ids
    assert not set(ids) & {region["id"] for region in prediction(FIELDS, both, "v2")["result"]}


def test_an_answer_to_an_unknown_field_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="nobody"):
        prediction(FIELDS, [answered("nobody", ("sp",))], "v1")


def good() -> dict[str, Any]:
    made = prediction(
        FIELDS,
        [
            answered("topic", ("sp",)),
            answered("tone", ("Kind",)),
            answered("nested", ("A", "A1")),
            answered("tree", ("A", "A1")),
            answered("stars", ("2",)),
            answered("half", ("0.5",)),
        ],
        "v1",
    )
    return copy.deepcopy(made)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("topic", {"value": {"choices": ["Sport"]}}, "no label 'Sport'"),
        ("topic", {"value": {"choices": ["sp", "Art"]}}, "takes one label"),
        ("topic", {"value": {"choices": []}}, "list of labels"),
        ("topic", {"value": {"choices": "sp"}}, "list of labels"),
        ("topic", {"value": {"choices": [["sp"]]}}, "no label"),
        ("topic", {"value": {"labels": ["sp"]}}, "no 'choices'"),
        ("topic", {"value": None}, "no 'choices'"),
        ("topic", {"from_name": "other"}, "'other'"),
        ("topic", {"from_name": ["topic"]}, "no control"),
        ("topic", {"to_name": "page"}, "does not label 'page'"),
        ("topic", {"type": "Choices"}, "has the type choices"),
        ("topic", {"score": 1.01}, "from 0 to 1"),
        ("topic", {"score": -0.01}, "from 0 to 1"),
        ("topic", {"score": float("nan")}, "from 0 to 1"),
        ("topic", {"score": float("inf")}, "from 0 to 1"),
        ("topic", {"score": "0.5"}, "from 0 to 1"),
        ("topic", {"score": True}, "from 0 to 1"),
        ("topic", {"score": None}, "from 0 to 1"),
        ("tone", {"value": {"choices": ["Kind", "Kind"]}}, "a label twice"),
        ("nested", {"value": {"choices": ["A1"]}}, "no label"),
        ("nested", {"value": {"choices": [["A"]]}}, "no label 'A'"),
        ("tree", {"value": {"taxonomy": [["B", "A1"]]}}, "no label 'B > A1'"),
        ("tree", {"value": {"taxonomy": [["A", 1]]}}, "is no label"),
        ("stars", {"value": {"rating": 5}}, "5 is no step"),
        ("stars", {"value": {"rating": 0}}, "0 is no step"),
        ("stars", {"value": {"rating": 2.5}}, "2.5 is no step"),
        ("stars", {"value": {"rating": "2"}}, "'2' is no step"),
        ("stars", {"value": {"rating": True}}, "True is no step"),
        ("half", {"value": {"number": 2.5}}, "2.5 is no step"),
        ("half", {"value": {"number": 0.25}}, "0.25 is no step"),
    ],
)
def test_a_bad_region_is_dropped_alone_and_said(name: str, change: dict[str, Any], words: str) -> None:
    made = good()
    bad = next(region for region in made["result"] if region["from_name"] == name)
    bad.update(change)
    clean, reports = validate(made, FIELDS)
    assert [region["from_name"] for region in clean["result"]] == [one.name for one in FIELDS if one.name != name]
    assert len(reports) == 1
    assert words in reports[0]


def test_a_control_is_filled_once() -> None:
    made = good()
    made["result"].append(made["result"][0] | {"id": "again"})
    clean, reports = validate(made, FIELDS)
    assert clean == good()
    assert "already" in reports[0]


@pytest.mark.parametrize("identity", ["taken", "", None, 5, ["x"], "\ud800"])
def test_ids_are_made_distinct(identity: Any) -> None:
    made = good()
    made["result"][0]["id"] = "taken"
    made["result"][1]["id"] = identity
    clean, reports = validate(made, FIELDS)
    ids = [region["id"] for region in clean["result"]]
    assert len(set(ids)) == len(ids) == len(FIELDS)
    assert all(isinstance(one, str) and one for one in ids)
    assert "id" in reports[0]


def test_other_keys_do_not_leave() -> None:
    made = good() | {"id": 5, "task": 3}
    made["result"][0] |= {"origin": "prediction", "meta": {"text": ["secret"]}}
    made["result"][0]["value"]["start"] = 0
    assert validate(made, FIELDS) == (good(), [])


@pytest.mark.parametrize("score", [None, 2, float("nan"), "0.5", [], True])
def test_a_bad_score_becomes_the_least_of_the_regions(score: Any) -> None:
    clean, reports = validate(good() | {"score": score}, FIELDS)
    assert clean["score"] == 0.5
    assert len(reports) == 1


def test_a_number_too_long_to_print_is_no_obstacle() -> None:
    clean, reports = validate({"result": [10**5000], "score": 10**5000, "model_version": "v1"}, FIELDS)
    assert clean == {"result": [], "score": 0.0, "model_version": "v1"}
    assert len(reports) == 2


@pytest.mark.parametrize("version", [None, "", 5, "\ud800", "a\0b"])
def test_an_unusable_version_does_not_leave(version: Any) -> None:
    clean, reports = validate(good() | {"model_version": version}, FIELDS)
    assert "model_version" not in clean
    assert reports == ["it has no model_version"]


def test_another_object_of_the_control_may_be_named() -> None:
    made = good()
    tree = next(region for region in made["result"] if region["from_name"] == "tree")
    tree["to_name"] = "text"
    assert validate(made, FIELDS) == (made, [])


def test_only_nested_choices_have_to_go_round_the_import() -> None:
    assert import_refuses(prediction(FIELDS, [answered("nested", ("B",))], "v1"))
    assert not import_refuses(prediction(FIELDS, [answered("tree", ("B",)), answered("topic", ("sp",))], "v1"))
    assert not import_refuses(prediction(FIELDS, [], "v1"))


@pytest.mark.parametrize(
    "bad",
    [
        {"value": {"choices": ["Sport"]}},
        {"from_name": "other"},
        {"type": "rating"},
    ],
)
def test_the_second_opinion_objects_too(bad: dict[str, Any]) -> None:
    made = prediction(FIELDS, [answered("topic", ("sp",))], "v1")
    made["result"][0].update(bad)
    assert second_opinion(CONFIG, made)


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_our_predictions_please_both_validators(data: st.DataObject) -> None:
    config = data.draw(configs())
    fields = read_config(config).fields
    made = prediction(fields, data.draw(answers(fields)), "v1-abc")
    assert validate(made, fields) == (made, [])
    assert second_opinion(config, made) == []
    assert json.loads(json.dumps(made)) == made


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_comes_in_what_leaves_is_valid(data: st.DataObject) -> None:
    garbage = data.draw(GARBAGE)
    if data.draw(st.booleans()):  # nearly right: one place of a good prediction is garbage
        made = good()
        where = data.draw(st.sampled_from([made, *made["result"], *(region["value"] for region in made["result"])]))
        where[data.draw(st.sampled_from(sorted(where)))] = garbage
        garbage = made
    clean, reports = validate(garbage, FIELDS)
    assert validate(clean, FIELDS)[0] == clean
    assert second_opinion(CONFIG, clean) == []
    assert all(isinstance(report, str) and len(report) < 300 for report in reports)
    assert 0 <= clean["score"] <= 1
    json.dumps(clean, allow_nan=False).encode()


@given(st.lists(PROBABILITIES, min_size=1, max_size=4))
def test_scores_survive_json(scores: list[float]) -> None:
    names = ["topic", "stars", "half", "nested"][: len(scores)]
    labels = {"topic": ("sp",), "stars": ("1",), "half": ("0.5",), "nested": ("B",)}
    made = prediction(FIELDS, [answered(n, labels[n], score=s) for n, s in zip(names, scores, strict=True)], "v1")
    clean, reports = validate(json.loads(json.dumps(made)), FIELDS)
    assert (clean["score"], reports) == (min(scores), [])

"""Labels that each task brings: <Choices value="$options">."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import ItemError
from labelloop.studio.options import MAX_LABELS, field_for, fields_for
from labelloop.studio.render import render, render_all
from labelloop.studio.results import import_refuses, prediction, second_opinion, validate
from labelloop.studio.schema import read_config
from labelloop.words import Answer, Bundle, Field, FieldPlan, Label, fields_of, posed

TEXT = '<Text name="text" value="$text"/>'
AB = [{"value": "A"}, {"value": "B"}]


def dynamic(attributes: str = "", inner: str = "", value: str = "$options") -> Field:
    config = f'<View>{TEXT}<Choices name="c" toName="text" value="{value}" {attributes}>{inner}</Choices></View>'
    (field,) = read_config(config).fields
    return field


def test_labels_come_from_the_item() -> None:
    field = dynamic()
    assert (field.dynamic, field.labels, field.multiple) == ("options", (), False)
    options = [
        {"value": "Paris, $ or €", "id": 7, "background": "red"},
        {"value": "London", "alias": "ldn", "hint": " on the Thames "},
        {"value": "Rome", "html": "<b>Roma</b> &amp; more"},
        {"value": "Rome", "hint": "again: the editor ticks both"},
    ]
    assert field_for(field, {"options": options}).labels == (
        Label(path=("Paris, $ or €",), text="Paris, $ or €"),
        Label(path=("ldn",), text="London", description="on the Thames"),
        Label(path=("Rome",), text="Roma & more"),
    )


def test_static_labels_come_first_and_serve_alone_where_the_key_is_missing() -> None:
    field = dynamic('choice="multiple"', '<Choice value="None"/><Choice value="Unsure"/>')
    assert field.multiple
    names = [label.text for label in field_for(field, {"options": [{"value": "A"}, {"value": "None"}]}).labels]
    assert names == ["None", "Unsure", "A"]
    assert field_for(field, {"options": None}).labels == field.labels
    one = dynamic("", '<Choice value="None"/>')
    assert [label.text for label in field_for(one, {"options": [{"value": "A"}]}).labels] == ["None", "A"]


def test_nested_options_are_paths() -> None:
    tree = [{"value": "Animal", "alias": "an", "children": [{"value": "Cat"}, {"value": "Dog"}]}, {"value": "Stone"}]
    nested = field_for(dynamic('allowNested="true"'), {"options": tree})
    assert [label.path for label in nested.labels] == [("an", "Cat"), ("an", "Dog"), ("Stone",)]
    assert nested.labels[0].text == "Animal > Cat"
    flat = field_for(dynamic(), {"options": tree})
    assert [label.path for label in flat.labels] == [("an",), ("Stone",)]


def test_the_key_may_be_a_path() -> None:
    assert len(field_for(dynamic(value="$meta.options"), {"meta": {"options": AB}}).labels) == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "no 'options'"),
        ({"options": None}, "no 'options'"),
        ({"options": []}, "no labels"),
        ({"options": [{"value": "A"}]}, "1 label: nothing"),
        ({"options": [{"value": "A"}, {"value": "A"}]}, "1 label: nothing"),
        ({"options": ["A", "B"]}, "no text as its 'value'"),  # the editor shows two choices without words
        ({"options": [{"value": 1}, {"value": 2}]}, "no text as its 'value'"),
        ({"options": [{"value": ""}, {"value": "B"}]}, "no text as its 'value'"),
        ({"options": [{"text": "A"}, {"text": "B"}]}, "no text as its 'value'"),
        ({"options": [{"value": "A", "alias": 1}, {"value": "B"}]}, "'alias'"),
        ({"options": [{"value": "Under $50"}, {"value": "B"}]}, "variable"),
        ({"options": [{"value": "\ud800"}, {"value": "B"}]}, "Unicode"),
        ({"options": [{"value": "A", "hint": "\ud800"}, {"value": "B"}]}, "'hint'"),
        ({"options": "A,B"}, "no list"),
        ({"options": {"value": "A"}}, "no list"),
        ({"options": 5}, "no list"),
        ({"options": [None, None]}, "'value'"),
        ({"options": [{"value": str(number)} for number in range(MAX_LABELS + 1)]}, "too many"),
    ],
)
def test_options_that_cannot_be_ranked_are_refused_by_key(data: dict[str, Any], words: str) -> None:
    with pytest.raises(ItemError, match=words) as caught:
        field_for(dynamic(), data)
    assert "'options'" in caught.value.message
    texts, problems = render_all([dynamic()], {"text": "x", **data})
    assert texts == {} and "'options'" in problems["c"]
    assert fields_for([dynamic()], data) == (dynamic(),)


def test_as_many_labels_as_are_ranked() -> None:
    options = [{"value": str(number)} for number in range(MAX_LABELS)]
    assert len(field_for(dynamic(), {"options": options}).labels) == MAX_LABELS


def test_the_rendered_input_carries_the_labels() -> None:
    field, data = dynamic(), {"text": "Où? \ud83d", "options": [{"value": "ici", "hint": "là"}, {"value": "B"}]}
    rendered = render(field, data)
    assert posed(rendered) == ("Où? \ud83d", field_for(field, data).labels)
    assert fields_of([field], {"c": rendered}) == (field_for(field, data),)
    assert rendered == render(field, {"options": json.loads(json.dumps(data["options"])), "text": data["text"]})
    assert rendered != render(field, {**data, "options": AB})


@pytest.mark.parametrize(
    "rendered", ["Good morning.", "[]", "5", '{"text": "x"}', '{"text": "x", "labels": [["A"]]}', ""]
)
def test_what_carries_no_labels_is_refused(rendered: str) -> None:
    with pytest.raises(ValueError, match="dynamic field"):
        posed(rendered)


@pytest.mark.parametrize(("attributes", "nested"), [("", False), ('allowNested="true"', True)])
def test_the_validator_knows_the_labels_of_the_item(attributes: str, nested: bool) -> None:
    field = dynamic(attributes)
    own = (field_for(field, {"options": AB}),)
    made = prediction(own, [Answer(field="c", labels=(("A",),), score=0.5)], "v1")
    assert made["result"][0]["value"] == {"choices": [["A"]] if nested else ["A"]}
    assert validate(made, own) == (made, [])
    assert validate(made, (field_for(field, {"options": [{"value": "X"}, {"value": "Y"}]}),))[0]["result"] == []
    config = f'<View>{TEXT}<Choices name="c" toName="text" value="$options" {attributes}/></View>'
    assert second_opinion(config, made) == []


def test_labels_beside_those_of_the_config_are_posted_singly() -> None:
    field = dynamic("", '<Choice value="None"/>')
    config = f'<View>{TEXT}<Choices name="c" toName="text" value="$options"><Choice value="None"/></Choices></View>'
    own = (field_for(field, {"options": AB}),)
    for label, refused in (("A", True), ("None", False)):
        made = prediction(own, [Answer(field="c", labels=((label,),), score=0.5)], "v1")
        assert bool(second_opinion(config, made)) is import_refuses(made, (field,)) is refused
    assert not import_refuses(made, (dynamic(),))


def _bundle(field: Field) -> Bundle:
    plan = FieldPlan(field=field, engine="e", model="m", revision="r", prompt="p/v1", prompt_hash="0")
    return Bundle(plans=(plan,))


def test_bundles_without_dynamic_labels_or_conditions_keep_their_digest_and_load() -> None:
    config = f'<View>{TEXT}<Choices name="c" toName="text"><Choice value="A"/><Choice value="B"/></Choices></View>'
    bundle = _bundle(read_config(config).fields[0])
    stored = bundle.model_dump(mode="json")
    for younger in ("dynamic", "conditions"):
        del stored["plans"][0]["field"][younger]
    old = Bundle.model_validate_json(json.dumps(stored))
    assert old == bundle
    assert old.digest == bundle.digest == "506d7b07a603af3e1934fbc5803ec18b3c8d559fda70abd0651436c6efaff6c7"
    assert _bundle(dynamic()).digest != _bundle(dynamic(value="$other")).digest


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["value", "alias", "html", "hint", "children", "id"]), inner, max_size=4)
    ),
    max_leaves=12,
)
_OPTIONS = st.lists(
    st.fixed_dictionaries({"value": st.text(max_size=5)}, optional={"alias": st.text(max_size=3), "children": _VALUES}),
    max_size=5,
)


@given(_VALUES | _OPTIONS, st.booleans())
def test_any_data_gives_labels_or_an_item_error(options: Any, nested: bool) -> None:
    field = dynamic('allowNested="true"' if nested else "")
    try:
        labels = field_for(field, {"options": options}).labels
    except ItemError as error:
        assert "'options'" in error.message
        return
    assert 2 <= len(labels) <= MAX_LABELS and len({label.path for label in labels}) == len(labels)
    assert all(label.text and all(label.path) for label in labels)
    assert posed(render(field, {"text": "t", "options": options}))[1] == labels

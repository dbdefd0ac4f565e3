"""Controls under a condition: which are filled, which are hidden by the answers of others, which never shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.studio.conditions import shown
from labelloop.studio.results import prediction, second_opinion, validate
from labelloop.studio.schema import Schema, read_config
from labelloop.words import Answer, Condition, Field, Label, Path, Source

TEXT = '<Text name="text" value="$text"/>'
TWO = '<Choice value="A"/><Choice value="B"/>'
TYPE = (
    '<Choices name="type" toName="text"><Choice value="Good news" alias="good"/><Choice value="Bad"/>'
    '<Choice value="None"/></Choices>'
)


def read(inner: str) -> Schema:
    return read_config(f"<View>{TEXT}{inner}</View>")


def control(name: str, attributes: str = "", inner: str = TWO) -> str:
    return f'<Choices name="{name}" toName="text" {attributes}>{inner}</Choices>'


def answer(name: str, *labels: str | Path, score: float = 0.9) -> Answer:
    paths = tuple(label if isinstance(label, tuple) else (label,) for label in labels)
    return Answer(field=name, labels=paths, score=score)


def filled(schema: Schema, *answers: Answer) -> list[str]:
    made = prediction(schema.fields, answers, "v1")
    assert validate(made, schema.fields) == (made, [])
    return [region["from_name"] for region in made["result"]]


SELECTED = 'visibleWhen="choice-selected" whenTagName="type"'


@pytest.mark.parametrize(
    ("attributes", "label", "visible"),
    [
        (SELECTED, "Bad", True),
        (f'{SELECTED} whenChoiceValue="Bad"', "Bad", True),
        (f'{SELECTED} whenChoiceValue="Bad"', "None", False),
        (f'{SELECTED} whenChoiceValue="good,Bad"', "good", True),
        (f'{SELECTED} whenChoiceValue="Good news"', "good", True),  # named by what it shows, stored by its alias
        (f'{SELECTED} whenChoiceValue="Good"', "good", False),
        (f'{SELECTED} whenChoiceValue="Bad, None"', "None", False),  # the editor does not strip
        ('visibleWhen="choice-unselected" whenTagName="type" whenChoiceValue="Bad"', "Bad", False),
        ('visibleWhen="choice-unselected" whenTagName="type" whenChoiceValue="Bad"', "good", True),
        ('visibleWhen="choice-unselected" whenTagName="type"', "good", False),
        ('visibleWhen="choice-selected"', "None", True),
        ('visibleWhen="choice-selected" whenChoiceValue="Bad"', "None", False),
        ('whenChoiceValue="Bad"', "Bad", True),
        ('whenChoiceValue="Bad"', "None", False),
        ('visibleWhen="no-region-selected"', "None", True),
        ('visibleWhen="sometimes"', "None", True),
        ('VISIBLEWHEN="choice-selected" whentagname="type" WhenChoiceValue="Bad"', "Bad", True),
    ],
)
@pytest.mark.parametrize("where", ["control", "around", "far around"])
def test_an_answer_depends_on_the_choice_of_another(attributes: str, label: str, visible: bool, where: str) -> None:
    config = {
        "control": TYPE + control("c", attributes),
        "around": f"{TYPE}<View {attributes}>{control('c')}</View>",
        "far around": f"{TYPE}<View {attributes}><Collapse><Panel>{control('c')}</Panel></Collapse></View>",
    }[where]
    schema = read(config)
    assert schema.skipped == {}
    assert filled(schema, answer("type", label), answer("c", "A")) == (["type", "c"] if visible else ["type"])


def test_every_condition_around_a_control_must_hold() -> None:
    schema = read(
        TYPE + control("more") + f'<View {SELECTED} whenChoiceValue="Bad"><View visibleWhen="choice-selected" '
        f'whenTagName="more" whenChoiceValue="A">{control("c")}</View></View>'
    )
    assert len(schema.fields[2].conditions) == 2
    assert filled(schema, answer("type", "Bad"), answer("more", "A"), answer("c", "A")) == ["type", "more", "c"]
    assert filled(schema, answer("type", "Bad"), answer("more", "B"), answer("c", "A")) == ["type", "more"]
    assert filled(schema, answer("type", "good"), answer("more", "A"), answer("c", "A")) == ["type", "more"]


def test_what_a_hidden_control_would_show_is_hidden_too() -> None:
    schema = read(
        control("last", 'visibleWhen="choice-selected" whenTagName="middle" whenChoiceValue="A"')
        + control("middle", f'{SELECTED} whenChoiceValue="Bad"')
        + TYPE
        + control("instead", 'visibleWhen="choice-unselected" whenTagName="middle"')
    )
    rest = [answer("middle", "A"), answer("last", "B"), answer("instead", "A")]
    assert filled(schema, answer("type", "Bad"), *rest) == ["type", "middle", "last"]
    assert filled(schema, answer("type", "None"), *rest) == ["type", "instead"]


def test_the_score_of_a_hidden_answer_does_not_count() -> None:
    schema = read(TYPE + control("c", f'{SELECTED} whenChoiceValue="Bad"'))
    answers = [answer("type", "good", score=0.8), answer("c", "A", score=0.1)]
    assert prediction(schema.fields, answers, "v1")["score"] == 0.8
    assert prediction(schema.fields, [answer("type", "Bad", score=0.8), answers[1]], "v1")["score"] == 0.1


def test_a_choice_that_has_no_answer_is_not_selected() -> None:
    schema = read(TYPE + control("c", SELECTED) + control("d", 'visibleWhen="choice-unselected" whenTagName="type"'))
    failed = Answer(field="type", labels=(), score=0.0, reason="The text is empty.")
    assert filled(schema, failed, answer("c", "A"), answer("d", "A")) == ["d"]
    assert filled(schema, answer("c", "A"), answer("d", "A")) == ["d"]


def test_taxonomies_and_nested_choices_are_named_by_one_step() -> None:
    tree = '<Choice value="Animal"><Choice value="Cat"/><Choice value="Dog" alias="d"/></Choice><Choice value="Stone"/>'
    for tag, attributes in (("Taxonomy", ""), ("Choices", 'allowNested="true" choice="multiple"')):
        outer = f'<{tag} name="type" toName="text" {attributes}>{tree}</{tag}>'
        schema = read(outer + control("c", f'{SELECTED} whenChoiceValue="Dog"'))
        assert "c" in filled(schema, answer("type", ("Animal", "d")), answer("c", "A"))
        assert "c" not in filled(schema, answer("type", ("Animal", "Cat")), answer("c", "A"))
        inner = read(outer + control("c", f'{SELECTED} whenChoiceValue="Animal"'))
        assert "c" not in filled(inner, answer("type", ("Animal", "d")), answer("c", "A"))
        both = answer("type", ("Animal", "d"), ("Animal", "Cat"))  # ticks the inner choice; a taxonomy has its own
        assert ("c" in filled(inner, both, answer("c", "A"))) is (tag == "Choices")
    assert "c" in filled(
        read(
            f'<Taxonomy name="type" toName="text">{tree}</Taxonomy>'
            + control("c", f'{SELECTED} whenChoiceValue="Animal"')
        ),
        answer("type", ("Animal",)),
        answer("c", "A"),
    )


def test_ratings_know_no_condition_of_their_own() -> None:
    schema = read(
        f'{TYPE}<Rating name="own" toName="text" {SELECTED}/><View {SELECTED}><Rating name="in" toName="text"/></View>'
    )
    assert [len(field.conditions) for field in schema.fields] == [0, 0, 1]


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (control("c", 'visibleWhen="region-selected" whenLabelValue="PER"'), "while a region is selected"),
        (control("c", 'visibleWhen="region-selected" whenRole="user"'), "while a region is selected"),
        (control("c", 'visibleWhen="choice-selected" whenTagName="nobody"'), '"nobody"'),
        (control("c", 'visibleWhen="choice-unselected" whenTagName="nobody"'), '"nobody"'),
        (f'<Rating name="r" toName="text"/>{control("c", SELECTED.replace("type", "r"))}', "no Choices or Taxonomy"),
        (control("c", 'visibleWhen="choice-selected" whenTagName="c"'), "on itself"),
        (
            control("t", 'perRegion="true"') + control("c", SELECTED.replace("type", "t")),
            'choice of "t" is selected for a single region',
        ),
        (
            control("t", 'perRegion="true"')
            + control("m", SELECTED.replace("type", "t"))
            + control("c", SELECTED.replace("type", "m")),
            'choice of "m"',
        ),
    ],
)
def test_what_is_never_shown_with_our_answers_is_skipped(inner: str, words: str) -> None:
    schema = read(inner)
    assert words in schema.skipped["c"]
    assert "c" not in [field.name for field in schema.fields]


def test_unselected_choices_of_people_hide_nothing() -> None:
    schema = read(control("t", 'perRegion="true"') + control("c", 'visibleWhen="choice-unselected" whenTagName="t"'))
    assert filled(schema, answer("c", "A")) == ["c"]


def _field(name: str, conditions: tuple[Condition, ...]) -> Field:
    labels = tuple(Label(path=(label,), text=label) for label in "AB")
    source = Source(name="text", tag="Text", key="text")
    return Field(
        name=name,
        tag="Choices",
        kind="classification",
        to_name="text",
        labels=labels,
        sources=(source,),
        conditions=conditions,
    )


NAMES = ["a", "b", "c", "d"]
CONDITIONS = st.builds(
    Condition,
    control=st.sampled_from(["", *NAMES, "nobody"]),
    labels=st.lists(st.sampled_from("AB"), max_size=2).map(tuple),
    selected=st.booleans(),
)


@given(st.data())
def test_any_conditions_even_circular_ones_are_decided(data: st.DataObject) -> None:
    fields = tuple(_field(name, tuple(data.draw(st.lists(CONDITIONS, max_size=2)))) for name in NAMES)
    answers = [answer(name, data.draw(st.sampled_from("AB"))) for name in NAMES if data.draw(st.booleans())]
    seen = shown(fields, answers)
    for field in fields:
        for condition in field.conditions:
            if field.name in seen and condition.control:
                other: Any = next((one for one in answers if one.field == condition.control), None)
                met = (
                    condition.control in seen
                    and other is not None
                    and (not condition.labels or other.labels[0][0] in condition.labels)
                )
                assert met == condition.selected or not condition.selected
    made = prediction(fields, answers, "v1")
    assert {region["from_name"] for region in made["result"]} == seen & {one.field for one in answers}


def test_the_sdk_takes_what_is_left() -> None:
    inner = TYPE + control("c", f'{SELECTED} whenChoiceValue="Bad"')
    schema = read(inner)
    made = prediction(schema.fields, [answer("type", "good"), answer("c", "A")], "v1")
    assert second_opinion(f"<View>{TEXT}{inner}</View>", made) == []

"""The passage that a person selected: found where it is one, ignored where it is nothing of the kind."""

from typing import Any

import pytest

from labelloop.studio.context import given_spans, selected_texts
from labelloop.studio.documents import Documents
from labelloop.studio.schema import read_config
from support.samples import CHOICES

FIELDS = read_config(CHOICES).fields
DOCUMENTS = Documents(FIELDS, {"text": "The courier was late. I forgot my password."})


def region(value: Any, **other: Any) -> dict[str, Any]:
    return {"to_name": "text", "from_name": "span", "type": "labels", "value": value, **other}


def test_the_newest_passage_is_read_by_text_or_by_offsets() -> None:
    whole = {"result": [region({"text": "The courier"}), region({"start": 22, "end": 43})]}
    assert selected_texts(whole, FIELDS, DOCUMENTS) == {"topic": "I forgot my password."}
    assert selected_texts({"result": [region({"text": "late", "start": 0, "end": 3})]}, FIELDS, DOCUMENTS) == {
        "topic": "late"
    }


@pytest.mark.parametrize(
    "context",
    [
        None,
        5,
        [],
        {},
        {"result": None},
        {"result": "x"},
        {"result": [None, 5, {}]},
        {"result": [region(None)]},
        {"result": [region({"text": "  "})]},
        {"result": [region({"start": 3, "end": 1})]},
        {"result": [region({"start": 0, "end": 9999})]},
        {"result": [region({"start": "0", "end": "3"})]},
        {"result": [region({"text": "x"}, to_name="other")]},
        {"result": [region({"text": "x"}, to_name=["text"])]},
        {"result": [region({"choices": ["Delivery"]}, type="choices")]},
    ],
)
def test_what_is_no_selected_passage_changes_nothing(context: Any) -> None:
    assert selected_texts(context, FIELDS, DOCUMENTS) == {}


MARKED = read_config(
    """<View><Text name="text" value="$text"/><HyperText name="page" value="$page"/>
    <Labels name="span" toName="text"><Label value="Person" alias="PER"/><Label value="Place"/></Labels>
    <HyperTextLabels name="hyper" toName="page"><Label value="X"/></HyperTextLabels><Relations/>
    <Choices name="fame" toName="text" perRegion="true" whenLabelValue="PER"><Choice value="A"/><Choice value="B"/>
    </Choices>
    </View>"""
).fields
ITEM = Documents(MARKED, {"text": "\U0001f600 Ada in Rome", "page": "<p>Ada <b>Lovelace</b>"})
ADA = region({"start": 2, "end": 5, "text": "Ada", "labels": ["PER"]}, id="r1")
ROME = region({"start": 9, "end": 13, "labels": ["Place"]}, id="r2")
PAGE = {
    **{"start": "/p[1]/text()[1]", "end": "/p[1]/b[1]/text()[1]", "startOffset": 0, "endOffset": 8},
    "hypertextlabels": ["X"],
}


def test_marked_regions_are_given_to_what_relates_and_describes_them() -> None:
    page = region(PAGE, id="r3", to_name="page", from_name="hyper", type="hypertextlabels")
    given = given_spans({"result": [ADA, ROME, page]}, MARKED, ITEM)
    assert {name: [(one.id, one.text, one.label) for one in spans] for name, spans in given.items()} == {
        "relations": [("r1", "Ada", ("PER",)), ("r2", "Rome", ("Place",)), ("r3", "Ada Lovelace", ("X",))],
        "fame": [("r1", "Ada", ("PER",))],
    }


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": "r1"},
        {"id": "a\0"},
        {"from_name": "other"},
        {"from_name": ["span"]},
        {"to_name": "page"},
        {"value": {"start": 2, "end": 5, "labels": ["ZZZ"]}},
        {"value": {"start": 2, "end": 5}},
        {"value": {"start": 2, "end": 99, "labels": ["PER"]}},
        {"value": {"start": 2, "end": 5, "labels": [["PER"]]}},
    ],
)
def test_what_is_no_region_of_ours_is_not_given(change: dict[str, Any]) -> None:
    given = given_spans({"result": [ADA, {**ROME, **change}]}, MARKED, ITEM)
    assert [one.id for one in given["relations"]] == ["r1"]


def test_structured_fields_are_not_given_a_passage_for_their_text() -> None:
    assert selected_texts({"result": [ADA]}, MARKED, ITEM) == {}

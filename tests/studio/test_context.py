"""The passage that a person selected: found where it is one, ignored where it is nothing of the kind."""

from typing import Any

import pytest

from labelloop.studio.context import selected_texts
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

"""The forms that the round trip through the real editor proved right leave as they are; those proved wrong do not."""

from typing import Any

import pytest

from labelloop.studio.documents import Documents
from labelloop.studio.results import import_refuses, validate
from labelloop.studio.schema import read_config
from support.round_trip import CASES
from support.round_trip_cases import Case
from support.round_trip_traps import TRAPS, Trap

# Right for the editor, and yet not what we say.
OTHERWISE = {
    "labels-without-text": "the text is filled in",
    "hypertext-without-what-the-editor-adds": "text and globalOffsets are filled in",
    "hypertext-entities-and-line-breaks": "a no-break space is a space in the text that models read",
    "labels-two-on-one-passage": "we give a region one label",
    "relations-both-ways-and-backwards": "no labels is no key",
    "relations-without-labels": "without <Relations> we relate nothing",
    "paragraphs-over-utterances": "we mark nothing across utterances",
}


def checked(case: Case) -> tuple[Any, list[Any], list[str]]:
    fields = read_config(case.config).fields
    clean, reports = validate(
        {"result": case.result, "score": 0.5, "model_version": "v1"}, fields, Documents(fields, case.data)
    )
    return fields, clean["result"], reports


def is_filled(case: Case) -> bool:
    names = {field.name for field in read_config(case.config).fields}
    return all(one.get("from_name", next(iter(names), "")) in names for one in case.result)


@pytest.mark.parametrize("case", [one for one in CASES if is_filled(one)], ids=lambda case: case.name)
def test_what_the_editor_hands_back_unchanged_leaves_unchanged(case: Case) -> None:
    fields, result, reports = checked(case)
    if case.name in OTHERWISE:
        assert result != case.result
    else:
        assert (result, reports) == (case.result, [])
        assert import_refuses({"result": result}, fields) == case.posted


def test_most_forms_are_filled() -> None:
    assert sum(map(is_filled, CASES)) >= 39


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.case.name)
def test_what_the_editor_breaks_on_does_not_leave(trap: Trap) -> None:
    assert checked(trap.case)[1] != trap.case.result

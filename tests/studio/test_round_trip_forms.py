"""The forms that the round trip through the real editor proved right leave as they are; those proved wrong do not."""

import pytest

from labelloop.studio.documents import Documents
from labelloop.studio.results import import_refuses, validate
from labelloop.studio.schema import read_config
from support.round_trip import CASES, without
from support.round_trip_cases import Case, Json, related
from support.round_trip_traps import TRAPS, Trap

# Right for the editor, and yet not what we say: (place in the result, what leaves of it or None).
OTHERWISE: dict[str, tuple[int, Json | None]] = {
    "labels-two-on-one-passage": (0, None),  # a span has one label
    "relations-both-ways-and-backwards": (3, related("b", "a", "left")),  # no labels are no key, not an empty list
    "paragraphs-over-utterances": (0, None),  # a span lies within one utterance
    "hypertext-entities-and-line-breaks": (0, None),  # models read a no-break space as a space, and so we quote it
}
# Forms of controls that are left to people, for reasons that the schema gives.
NOT_FILLED = {
    *("number", "datetime", "datetime-in-the-format-of-the-config"),
    *("labels-of-the-task", "labels-of-the-task-beside-the-config", "taxonomy-on-passages"),
    *("textarea", "textarea-several", "textarea-of-several-lines"),
}


def ours(case: Case) -> list[Json]:
    """What of the case's result belongs to controls that we fill."""
    names = {field.name: field.kind for field in read_config(case.config).fields}
    relating = "relations" in names.values()
    return [one for one in case.result if (relating if one["type"] == "relation" else one["from_name"] in names)]


def checked(case: Case, result: list[Json]) -> tuple[list[Json], list[str]]:
    fields = read_config(case.config).fields
    made = {"result": result, "score": 0.5, "model_version": "v1"}
    clean, reports = validate(made, fields, Documents(fields, case.data))
    return clean["result"], reports


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_the_editor_hands_back_unchanged_leaves_unchanged(case: Case) -> None:
    result = ours(case)
    assert bool(result) != (case.name in NOT_FILLED)
    left, reports = checked(case, result)
    place, instead = OTHERWISE.get(case.name, (-1, None))
    wanted = [instead if index == place else one for index, one in enumerate(result)]
    assert without(left, case.added) == without([one for one in wanted if one is not None], case.added)
    assert len(reports) == (place >= 0 and instead is None)
    if left:
        assert import_refuses({"result": left}, read_config(case.config).fields) == case.posted


def test_what_the_editor_adds_is_there_when_it_leaves() -> None:
    for case in CASES:
        if case.added:
            (one,) = checked(case, case.result)[0]
            assert one["value"]["text"] == case.marked[0]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.case.name)
def test_what_the_editor_breaks_on_does_not_leave(trap: Trap) -> None:
    result = trap.case.result
    left, reports = checked(trap.case, result)
    if trap.case.name == "hypertext-without-xpath":
        assert left[0]["value"].items() > result[0]["value"].items()
        assert (left[0]["value"]["start"], left[0]["value"]["startOffset"]) == ("/p[1]/text()[1]", 4)
        assert (left[1:], reports) == (result[1:], [])
        return
    assert left == [one for place, one in enumerate(result) if place != trap.wrong]
    assert len(reports) == 1
    assert reports[0].startswith(f"region {trap.wrong}: ")

"""Forms that look right and are not: what Label Studio's editor makes of each, and so why the validator refuses it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from support.round_trip_cases import (
    ADA,
    BOB,
    CHOICE,
    LABELS,
    MEETING,
    RELATIONS,
    Case,
    Json,
    beside,
    marks,
    passage,
    region,
    related,
    whole,
)
from support.round_trip_cases import CLASSIFICATION as GOOD
from support.round_trip_cases import COMPARED as GOOD_COMPARED
from support.round_trip_markup import PLAIN_TURNS, dialogue, in_dialogue, on_page, page


@dataclass(frozen=True)
class Trap:
    """A wrong form. ``case.posted``: the bulk import drops it, so it comes in by /predict or the single call only.

    Either the editor breaks: ``blank`` is part of its error; or it does not let the annotator submit: ``refused`` is
    part of what it says; or it stores ``stored``, while what the case says is all that was seen, without ``unseen``. A
    right region beside the wrong one shows when the editor has drawn them. ``wrong``: the place of the wrong one.
    """

    case: Case
    stored: list[Json] | None = None
    blank: str = ""
    refused: str = ""
    unseen: str = ""
    wrong: int = 0


def _as_sent(case: Case, unseen: str = "") -> Trap:
    """Submitted as if a person had made it, though nobody could see it, or saw another thing."""
    return Trap(case, stored=case.result, unseen=unseen)


def _with(good: list[Case], name: str, new: str, value: Json, **changes: Any) -> Case:
    """The case of that name with another value."""
    case = next(one for one in good if one.name == name)
    seen: Json = {"ticked": (), "reads": (), "seen": (), "posted": False}
    return replace(case, name=new, result=[case.result[0] | {"value": value}], **(seen | changes))


_SMILE = "😀 Ada met Bob"
_SMILING_TURN = [{"author": "Eve", "text": _SMILE}]
_NEWS = on_page("/p[1]/text()[1]", "one Ada", "Ada")
_GREETED = in_dialogue(0, "Hello Ada", "Ada")
_HELLO = in_dialogue(0, "Hello Ada", "Hello", name="b")
_ONE = on_page("/p[1]/text()[1]", "one Ada", "one", name="b")
_NUMBER = '<Number name="number" toName="t" min="0" max="2"/>'
_ALIAS = '<Labels name="labels" toName="t"><Label value="Person" alias="PER"/></Labels>'
_WHEN = 'visibleWhen="region-selected" whenTagName="labels" whenLabelValue="Place"'
_HIDDEN = f'<Choices name="choices" toName="t" perRegion="true" {_WHEN}>{CHOICE}</Choices>'


def _beside_yes(case: Case) -> Case:
    """The case with another control, which is filled in."""
    control = '<Choices name="more" toName="t"><Choice value="Yes"/><Choice value="No"/></Choices></View>'
    yes = region("choices", {"choices": ["Yes"]}, "y", from_name="more")
    config = case.config.removesuffix("</View>") + control
    return replace(case, config=config, result=[*case.result, yes], ticked=(*case.ticked, "Yes"))


def _shifted(one: Json, by: int, *keys: str) -> Json:
    return one | {"value": one["value"] | {key: one["value"][key] + by for key in keys}}


def _valued(one: Json, value: Json) -> Json:
    return one | {"value": value}


TRAPS = [
    # Trap 11: the SDK's validator and the editor disagree
    _as_sent(_beside_yes(_with(GOOD, "choices-nested", "choices-nested-flat", {"choices": ["Cat"]}))),
    _as_sent(_beside_yes(_with(GOOD, "choices-nested", "choices-nested-flat-outermost", {"choices": ["Plants"]}))),
    Trap(
        dialogue(
            "paragraphs-by-integer",
            PLAIN_TURNS,
            _valued(_GREETED, _GREETED["value"] | {"start": 0, "end": 0}),
            _HELLO,
            marked=("Hello",),
        ),
        stored=[_valued(_GREETED, {"paragraphlabels": ["Person"]}), _HELLO],
    ),
    Trap(
        page(
            "hypertext-without-xpath",
            "<p>one Ada</p>",
            _valued(_NEWS, {"globalOffsets": {"start": 4, "end": 7}, "hypertextlabels": ["Person"]}),
            _ONE,
            marked=("one",),
            posted=True,
        ),
        stored=[_valued(_NEWS, {"hypertextlabels": ["Person"]}), _ONE],
    ),
    _as_sent(
        page(
            "hypertext-of-another-page",
            "<p>one Ada</p>",
            _valued(
                _NEWS,
                {key: held for key, held in _NEWS["value"].items() if key != "globalOffsets"}
                | {"start": "/p[2]/text()[1]", "end": "/p[2]/text()[1]"},
            ),
            _ONE,
            marked=("one",),
        )
    ),
    # Trap 12: an id that nothing has
    Trap(
        marks("relations-dangling", MEETING, ADA, related("a", "nobody"), controls=LABELS + RELATIONS, posted=True),
        blank="Failed to resolve reference 'nobody",
        wrong=1,
    ),
    Trap(
        _with(GOOD_COMPARED, "ranker", "ranker-unknown-entry", {"ranker": {"ranker": ["i2", "i9", "i1", "i3"]}}),
        blank="Cannot read properties of undefined (reading 'id')",
    ),
    Trap(
        _with(GOOD_COMPARED, "pairwise-left", "pairwise-neither", {"selected": "middle"}),
        blank="No matching type for union",
    ),
    # Offsets in the wrong unit
    _as_sent(
        marks("labels-in-utf-16", _SMILE, _shifted(passage(_SMILE, "Bob"), 1, "start", "end"), marked=("ob",)),
    ),
    Trap(
        dialogue(
            "paragraphs-in-code-points",
            _SMILING_TURN,
            _shifted(in_dialogue(0, _SMILE, "Bob"), -1, "startOffset", "endOffset"),
            marked=(" Bo",),
        ),
        stored=[
            _valued(
                in_dialogue(0, _SMILE, "Bob"),
                {
                    **{"start": "0", "end": "0", "startOffset": 10, "endOffset": 13},
                    **{"text": " Bo", "paragraphlabels": ["Person"]},
                },
            )
        ],
    ),
    # What is stored although nobody saw it, or lost although everybody did
    # A person's region would hold "PER"
    _as_sent(marks("labels-value-of-an-alias", MEETING, ADA, controls=_ALIAS, posted=True, marked=("Ada",))),
    Trap(
        marks(
            "per-region-of-another-label",
            MEETING,
            ADA,
            beside(ADA, "choices", "choices", ["Art"]),
            controls=LABELS + _HIDDEN,
            marked=("Ada",),
        ),
        stored=[ADA],
        wrong=1,
    ),
    Trap(
        marks(
            "relations-twice",
            MEETING,
            ADA,
            BOB,
            related("a", "b", labels=["met"]),
            related("a", "b", labels=["knows"]),
            controls=LABELS + RELATIONS,
            marked=("Ada", "Bob"),
        ),
        stored=[ADA, BOB, related("a", "b", labels=["met"])],
        wrong=3,
    ),
    Trap(
        marks(
            "relations-of-an-unknown-label",
            MEETING,
            ADA,
            BOB,
            related("a", "b", labels=["hates"]),
            controls=LABELS + RELATIONS,
            marked=("Ada", "Bob"),
        ),
        stored=[ADA, BOB, related("a", "b", labels=[])],
        wrong=2,
    ),
    _as_sent(
        _beside_yes(
            whole(
                "datetime-iso-despite-the-format",
                '<DateTime name="datetime" toName="t" only="date" format="%d.%m.%Y"/>',
                ("datetime", {"datetime": "2024-05-01"}),
            )
        ),
        unseen="2024",
    ),
    # What the annotator cannot submit
    Trap(
        whole("number-beyond-its-limit", _NUMBER, ("number", {"number": 3.5})),
        refused="Value must be less than or equal to 2",
    ),
    Trap(
        _with(GOOD, "choices", "choices-two-of-one", {"choices": ["Sport", "Art"]}),
        refused="exceed the maximum allowed (1)",
    ),
]

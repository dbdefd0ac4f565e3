"""Predictions in every form that Label Studio's editor shows and submits unchanged, and what is seen of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A prediction by hand, and what an annotator sees of it.

    ``picture``: the tag whose picture it is, or "". ``marked``: the highlighted passages in the order of the page, one
    for each line or element that a region touches. ``listed``: label and passage of regions in the list of regions, in
    its order. ``click``: the passage to click first, for what shows with a region.
    ``ticked``: names of the ticked boxes. ``reads``: texts and contents of input boxes, in the order of the page.
    ``seen``: selectors of what else must be there. ``posted``: the bulk import drops it, the single call keeps it.
    ``added``: keys that the editor adds to values when they are left out, all that may differ.
    """

    name: str
    config: str
    data: Json
    result: list[Json]
    picture: str = ""
    marked: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    click: str = ""
    ticked: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    posted: bool = False
    added: tuple[str, ...] = ()


def region(kind: str, value: Json, name: str = "a", to: str = "t", **more: Any) -> Json:
    """A region; its control is called as its type, its id is ``name``."""
    return {"id": name, "from_name": kind, "to_name": to, "type": kind, "value": value, "score": 0.5, **more}


def passage(text: str, part: str, label: str = "Person", name: str = "a", **more: Any) -> Json:
    """A region of Labels on Text: offsets in code points, which is what Python counts."""
    start = text.index(part)
    value = {"start": start, "end": start + len(part), "text": part, "labels": [label]}
    return region("labels", value, name, **more)


def beside(span: Json, kind: str, key: str, answer: Any) -> Json:
    """The region of a control for single regions: the span's id and place, and the answer."""
    place = {key: value for key, value in span["value"].items() if not isinstance(value, list)}
    return region(kind, place | {key: answer}, span["id"])


def related(head: str, tail: str, direction: str = "right", **labels: list[str]) -> Json:
    """A relation comes after the regions and has neither id nor score: the editor drops both."""
    return {"type": "relation", "from_id": head, "to_id": tail, "direction": direction, **labels}


MEETING = "Ada met Bob in Rome"
TEXT = '<Text name="t" value="$t"/>'
LABELS = '<Labels name="labels" toName="t"><Label value="Person"/><Label value="Place" background="green"/></Labels>'
CHOICE = '<Choice value="Sport"/><Choice value="Art"/>'
TREE = '<Choice value="Animals"><Choice value="Cat"/><Choice value="Dog"/></Choice><Choice value="Plants"/>'
ADA, BOB = passage(MEETING, "Ada"), passage(MEETING, "Bob", name="b")


def whole(
    name: str, controls: str, *values: tuple[str, Json], data: Json | None = None, objects: str = TEXT, **seen: Any
) -> Case:
    """A case of controls that answer for the whole text."""
    result = [region(kind, value, f"r{place}") for place, (kind, value) in enumerate(values)]
    return Case(name, f"<View>{objects}{controls}</View>", data or {"t": MEETING}, result, **seen)


def marks(
    name: str,
    text: Any,
    *regions: Json,
    controls: str = LABELS,
    more: str = "",
    data: Json | None = None,
    **seen: Any,
) -> Case:
    """A case of passages on Text, with controls above and more of them below."""
    return Case(name, f"<View>{controls}{TEXT}{more}</View>", {"t": text, **(data or {})}, list(regions), **seen)


CLASSIFICATION = [
    whole(
        "choices",
        f'<Choices name="choices" toName="t">{CHOICE}</Choices>',
        ("choices", {"choices": ["Art"]}),
        picture="choices",
        ticked=("Art",),
    ),
    whole(
        "choices-multiple-in-their-own-order",
        f'<Choices name="choices" toName="t" choice="multiple">{CHOICE}</Choices>',
        ("choices", {"choices": ["Art", "Sport"]}),
        ticked=("Sport", "Art"),
    ),
    whole(
        "choices-alias",
        '<Choices name="choices" toName="t"><Choice value="Sport" alias="s"/><Choice value="Art"/></Choices>',
        ("choices", {"choices": ["s"]}),
        ticked=("Sport",),
    ),
    whole(
        "choices-nested",
        f'<Choices name="choices" toName="t" allowNested="true" choice="multiple">{TREE}</Choices>',
        ("choices", {"choices": [["Animals", "Cat"], ["Plants"]]}),
        ticked=("Cat", "Plants"),
        posted=True,
    ),
    whole(
        "taxonomy",
        f'<Taxonomy name="taxonomy" toName="t">{TREE}</Taxonomy>',
        ("taxonomy", {"taxonomy": [["Animals", "Cat"], ["Plants"]]}),
        picture="taxonomy",
        reads=("Cat", "Plants"),
    ),
    whole(
        "rating",
        '<Rating name="rating" toName="t" maxRating="5"/>',
        ("rating", {"rating": 4}),
        picture="rating",
        seen=(".ant-rate-star-full >> nth=3", ".ant-rate-star-zero"),
    ),
    whole(
        "number",
        '<Number name="number" toName="t"/>',
        ("number", {"number": 3.5}),
        picture="number",
        reads=(MEETING, "3.5"),
    ),
    whole(
        "number-on-a-scale",
        '<Number name="number" toName="t" min="0" max="5" step="0.5"/>',
        ("number", {"number": 3.5}),
        reads=(MEETING, "3.5"),
    ),
    whole(
        "datetime",
        '<DateTime name="datetime" toName="t"/>',
        ("datetime", {"datetime": "2024-05-01T10:30"}),
        picture="datetime",
        reads=("2024-05-01", "10:30"),
    ),
    whole(
        "datetime-in-the-format-of-the-config",
        '<DateTime name="datetime" toName="t" only="date" format="%d.%m.%Y"/>',
        ("datetime", {"datetime": "01.05.2024"}),
        reads=("2024-05-01",),
    ),
]

_FAMILY = "👩‍👩‍👧"
_ODD = f"😀 Cafe\u0301,  Ada\tLovelace met Bob\r\nDylan {_FAMILY}\n <b>Eve</b> &amp; co"

LABELLED = [
    marks(
        "labels",
        MEETING,
        ADA,
        passage(MEETING, "Rome", "Place", "b"),
        picture="labels",
        marked=("Ada", "Rome"),
        listed=("Person Ada", "Place Rome"),
    ),
    marks(
        "labels-count-code-points",
        _ODD,
        *(
            passage(_ODD, part, name=f"p{place}")
            for place, part in enumerate(
                ("Cafe\u0301", "  Ada\tLovelace", "Bob\r\nDylan", _FAMILY, "Eve</b> &amp;"),
            )
        ),
        marked=("Cafe\u0301", "  Ada\tLovelace", "Bob", "Dylan", _FAMILY, "Eve</b> &amp;"),
    ),
    marks("labels-on-a-number", 12345, passage("12345", "23"), marked=("23",)),
    marks("labels-overlap", MEETING, passage(MEETING, "Ada met"), passage(MEETING, "met Bob", name="b")),
    marks(
        "labels-without-text",
        _ODD,
        region("labels", {"start": _ODD.index("Ada"), "end": _ODD.index("Ada") + 3, "labels": ["Person"]}),
        marked=("Ada",),
        added=("text",),
    ),
    marks(
        "labels-alias",
        MEETING,
        passage(MEETING, "Ada", "PER"),
        controls='<Labels name="labels" toName="t"><Label value="Person" alias="PER" hint="a human"/></Labels>',
        marked=("Ada",),
        listed=("Person Ada",),
    ),
    marks(
        "labels-two-on-one-passage",
        MEETING,
        region("labels", ADA["value"] | {"labels": ["Person", "Place"]}),
        controls=LABELS.replace("<Labels ", '<Labels choice="multiple" '),
        marked=("Ada",),
        listed=("Person, Place Ada",),
    ),
    marks(
        "labels-of-the-task",
        MEETING,
        passage(MEETING, "Ada", "p"),
        controls='<Labels name="labels" toName="t" value="$own"/>',
        data={"own": [{"value": "Poet", "alias": "p"}, {"value": "Town"}]},
        marked=("Ada",),
        listed=("Poet Ada",),
    ),
    marks(
        "labels-of-the-task-beside-the-config",
        MEETING,
        passage(MEETING, "Ada", "Poet"),
        controls=LABELS.replace("<Labels ", '<Labels value="$own" '),
        data={"own": [{"value": "Poet"}]},
        marked=("Ada",),
        listed=("Poet Ada",),
        posted=True,
    ),
    marks(
        "taxonomy-on-passages",
        MEETING,
        region("taxonomy", {"start": 0, "end": 3, "text": "Ada", "taxonomy": [["Animals", "Cat"]]}),
        controls=f'<Taxonomy name="taxonomy" toName="t" labeling="true">{TREE}</Taxonomy>',
        marked=("Ada",),
        listed=("Cat Ada",),
    ),
    Case(
        "labels-and-choices",
        f'<View>{LABELS}{TEXT}<Choices name="choices" toName="t">{CHOICE}</Choices></View>',
        {"t": MEETING},
        [region("choices", {"choices": ["Art"]}, "c"), ADA],
        marked=("Ada",),
        ticked=("Art",),
    ),
]

RELATIONS = '<Relations><Relation value="met"/><Relation value="knows"/></Relations>'
_TWO_TEXTS = '<Text name="u" value="$u"/><Labels name="more" toName="u"><Label value="Person"/></Labels>'
_ARROW = "svg text:text-is('met')"

RELATED = [
    marks(
        "relations",
        MEETING,
        ADA,
        BOB,
        related("a", "b", labels=["met"]),
        controls=LABELS + RELATIONS,
        picture="relations",
        marked=("Ada", "Bob"),
        seen=(_ARROW,),
    ),
    marks(
        "relations-both-ways-and-backwards",
        MEETING,
        ADA,
        BOB,
        related("a", "b", "bi", labels=["met", "knows"]),
        related("b", "a", "left", labels=[]),
        controls=LABELS + RELATIONS,
        marked=("Ada", "Bob"),
    ),
    marks("relations-without-a-tag", MEETING, ADA, BOB, related("a", "b"), marked=("Ada", "Bob")),
    marks(
        "relations-without-labels",
        MEETING,
        ADA,
        BOB,
        related("a", "b"),
        controls=LABELS + "<Relations/>",
        marked=("Ada", "Bob"),
    ),
    Case(
        "relations-between-two-texts",
        f"<View>{LABELS}{TEXT}{_TWO_TEXTS}{RELATIONS}</View>",
        {"t": MEETING, "u": "Bob left"},
        [
            ADA,
            passage("Bob left", "Bob", name="b") | {"from_name": "more", "to_name": "u"},
            related("a", "b", labels=["met"]),
        ],
        marked=("Ada", "Bob"),
        seen=(_ARROW,),
    ),
]

PER_REGION = (
    f'<Choices name="choices" toName="t" perRegion="true" choice="multiple">{CHOICE}</Choices>'
    '<TextArea name="textarea" toName="t" perRegion="true"/><Rating name="rating" toName="t" perRegion="true"/>'
    '<Number name="number" toName="t" perRegion="true" min="0" max="10"/>'
    f'<Taxonomy name="taxonomy" toName="t" perRegion="true">{TREE}</Taxonomy>'
)
_WHEN = 'visibleWhen="region-selected" whenTagName="labels" whenLabelValue="Person"'


def described(span: Json) -> list[Json]:
    """A span and what five controls say of it, in the order in which the editor keeps them."""
    return [
        span,
        beside(span, "choices", "choices", ["Sport", "Art"]),
        beside(span, "textarea", "text", ["a remark", "and more"]),
        beside(span, "rating", "rating", 2),
        beside(span, "number", "number", 7),
        beside(span, "taxonomy", "taxonomy", [["Animals", "Cat"]]),
    ]


DESCRIBED = [
    marks(
        "per-region",
        MEETING,
        *described(ADA),
        BOB,
        beside(BOB, "choices", "choices", ["Art"]),
        more=PER_REGION,
        picture="per-region",
        marked=("Ada", "Bob"),
        click="Ada",
        ticked=("Sport", "Art"),
        reads=("a remark", "and more", "Cat"),
        seen=(".ant-rate-star-full >> nth=1",),
    ),
    marks(
        "per-region-for-one-label-only",
        MEETING,
        ADA,
        beside(ADA, "choices", "choices", ["Art"]),
        more=f'<Choices name="choices" toName="t" perRegion="true" {_WHEN}>{CHOICE}</Choices>',
        marked=("Ada",),
        click="Ada",
        ticked=("Art",),
    ),
    marks(
        "per-region-within-a-view-for-one-label-only",
        MEETING,
        ADA,
        beside(ADA, "choices", "choices", ["Art"]),
        more=f'<View {_WHEN}><Choices name="choices" toName="t" perRegion="true">{CHOICE}</Choices></View>',
        marked=("Ada",),
        click="Ada",
        ticked=("Art",),
    ),
]

_PAIR = '<Text name="t" value="$t"/><Text name="u" value="$u"/><Pairwise name="pairwise" toName="t,u"/>'
_ANSWERS = {"t": "The first answer", "u": "The second answer"}
_LIST = '<List name="t" value="$found" title="Found"/>'
_FOUND = {"found": [{"id": f"i{n}", "title": f"Title {n}", "body": f"Body {n}"} for n in (1, 2, 3)]}
_NUMBERED = {"found": [{"id": n, "title": f"Title {n}", "html": f"<b>Body</b> {n}"} for n in (1, 2, 3)]}
_BUCKETS = (
    '<Ranker name="ranker" toName="t"><Bucket name="good" title="Good"/><Bucket name="bad" title="Bad"/></Ranker>'
)


def chosen_side(text: str) -> str:
    """The selector of the side of a Pairwise that is chosen: by its class, in 1.18 by its colour."""
    return f":is(.bg-primary-background, [style*='rgb(246, 255, 237)']):has-text('{text}')"


COMPARED = [
    *(
        whole(
            f"pairwise-{side}",
            "",
            ("pairwise", {"selected": side}),
            objects=_PAIR,
            data=_ANSWERS,
            picture=picture,
            seen=(chosen_side(text),),
        )
        for side, text, picture in (("left", "first", "pairwise"), ("right", "second", ""))
    ),
    whole(
        "ranker",
        '<Ranker name="ranker" toName="t"/>',
        ("ranker", {"ranker": {"ranker": ["i2", "i3", "i1"]}}),
        objects=_LIST,
        data=_FOUND,
        picture="ranker",
        reads=("Title 2", "Title 3", "Title 1"),
    ),
    whole(
        "ranker-of-numbered-entries",
        '<Ranker name="ranker" toName="t"/>',
        ("ranker", {"ranker": {"ranker": ["2", "3", "1"]}}),
        objects=_LIST,
        data=_NUMBERED,
        reads=("Title 2", "Title 3", "Title 1"),
    ),
    whole(
        "ranker-with-buckets",
        _BUCKETS,
        ("ranker", {"ranker": {"_": ["i3"], "good": ["i2"], "bad": ["i1"]}}),
        objects=_LIST,
        data=_FOUND,
        picture="ranker-with-buckets",
        reads=("Title 3", "Good", "Title 2", "Bad", "Title 1"),
    ),
    whole(
        "ranker-with-an-empty-bucket",
        _BUCKETS,
        ("ranker", {"ranker": {"good": ["i2", "i1", "i3"], "bad": []}}),
        objects=_LIST,
        data=_FOUND,
        reads=("Good", "Title 2", "Title 1", "Title 3", "Bad"),
    ),
]

WRITTEN = [
    whole(
        "textarea",
        '<TextArea name="textarea" toName="t"/>',
        ("textarea", {"text": ["Two people met."]}),
        picture="textarea",
        reads=(MEETING, "Two people met."),
    ),
    whole(
        "textarea-several",
        '<TextArea name="textarea" toName="t" editable="true"/>',
        ("textarea", {"text": ["one", "two", "one"]}),
        reads=("one", "two", "one"),
    ),
    whole(
        "textarea-of-several-lines",
        '<TextArea name="textarea" toName="t" rows="4" maxSubmissions="1" editable="true"/>',
        ("textarea", {"text": ["first 😀\n\n<b>last</b> &amp; "]}),
        reads=("first 😀", "<b>last</b> &amp;"),
    ),
    whole(
        "textarea-with-the-answer-to-a-question",
        '<TextArea name="textarea" toName="t"/>',
        ("textarea", {"text": ["in Rome"]}),
        objects='<Text name="question" value="$question"/>' + TEXT,
        data={"question": "Where did they meet?", "t": MEETING},
        reads=("Where did they meet?", MEETING, "in Rome"),
    ),
]

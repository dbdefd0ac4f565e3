"""Projects with a control of every kind, and tasks about which LabelLoop has something to say without any example."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from support.round_trip_cases import chosen_side

Json = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """A task. ``says``: what its prediction must hold at least, as ``told`` puts it; nothing: it must hold nothing.

    ``seen``: what the editor must show of it, as in a ``Case`` of the round trip.
    """

    data: Json
    says: tuple[str, ...] = ()
    seen: Json | None = None


@dataclass(frozen=True)
class Sample:
    """A project. ``controls``: those that its first item has an answer of."""

    name: str
    config: str
    controls: tuple[str, ...]
    items: tuple[Item, ...]


def told(result: list[Json]) -> list[str]:
    """A result in words: "Person: Ada", "Ada met Bob", "on Ada: Famous", or the name of a control and what it holds."""
    marked: dict[str, str] = {}
    words = []
    for one in result:
        if one["type"] == "relation":
            words.append(f"{marked[one['from_id']]} {' '.join(one['labels'])} {marked[one['to_id']]}")
            continue
        value, region = one["value"], one["id"]
        (content,) = [held for key, held in value.items() if key not in _PLACE or len(value) == 1]
        if "start" not in value:
            words.append(f"{one['from_name']}: {json.dumps(content)}")
        elif region in marked:
            words.append(f"on {marked[region]}: {' '.join(content)}")
        else:
            marked[region] = value["text"]
            words.append(f"{' '.join(content)}: {value['text']}")
    return words


_PLACE = {"start", "end", "startOffset", "endOffset", "globalOffsets", "text"}
_LABELS = """<Label value="Person" background="#c2410c"/><Label value="Organization" background="#1d4ed8"/>
    <Label value="Place" background="#15803d"/>"""
_BRIDGE = "The bridge was designed by Joseph Strauss. It opened in 1937 and spans the Golden Gate in San Francisco."
_FOUND = {
    "query": "how to grow tomatoes",
    "found": [
        {"id": 1, "title": "Car insurance", "body": "Compare prices of car insurance."},
        {"id": 2, "title": "Tomatoes", "body": "How to grow tomatoes in your garden: sun, water and good soil."},
        {"id": "c", "title": "Vegetables", "html": "<b>Growing</b> vegetables on a balcony"},
    ],
}

PEOPLE = Sample(
    "people",
    f"""<View>
  <Labels name="ner" toName="text">
    {_LABELS}
  </Labels>
  <Relations><Relation value="works for"/><Relation value="lives in"/></Relations>
  <View style="padding: 1.5em 0"><Text name="text" value="$text"/></View>
  <Choices name="mood" toName="text" perRegion="true"><Choice value="Happy"/><Choice value="Angry"/></Choices>
  <Header value="What is it about?"/>
  <Choices name="topic" toName="text" showInline="true">
    <Choice value="Business"/><Choice value="Sport"/><Choice value="Cooking"/>
  </Choices>
</View>""",
    ("ner", "mood", "topic"),
    (
        Item(
            {
                "text": "😀 Maria Lopez works for Siemens in Munich. "
                "Her colleague Peter Schmidt, who lives in Berlin, left the company."
            },
            (
                *("Person: Maria Lopez", "Organization: Siemens", "Place: Munich"),
                *("Person: Peter Schmidt", "Place: Berlin"),
                *("Maria Lopez works for Siemens", "Peter Schmidt lives in Berlin"),
                'topic: ["Business"]',
            ),
            {"ticked": ("Business",), "seen": ("svg text:text-is('works for')", "svg text:text-is('lives in')")},
        ),
    ),
)
PAGE = Sample(
    "page",
    f"""<View>
  <HyperTextLabels name="ner" toName="page">
    {_LABELS}
  </HyperTextLabels>
  <HyperText name="page" value="$page"/>
  <Taxonomy name="tree" toName="page">
    <Choice value="News"><Choice value="Business"/><Choice value="Sport"/></Choice><Choice value="Advertisement"/>
  </Taxonomy>
</View>""",
    ("ner", "tree"),
    (
        Item(
            {
                "page": "<h3>Staff &amp; offices 😀</h3>\n"
                "<p>In May <b>Maria Lopez</b> joined&nbsp;Siemens &copy; in Munich.</p><!-- internal -->"
                "<table><tr><td>Peter Schmidt</td><td>Berlin</td></tr></table>"
            },
            (
                *("Person: Maria Lopez", "Organization: Siemens", "Place: Munich"),
                *("Person: Peter Schmidt", "Place: Berlin"),
            ),
        ),
    ),
)
CALL = Sample(
    "call",
    f"""<View>
  <ParagraphLabels name="ner" toName="turns">
    {_LABELS}
  </ParagraphLabels>
  <Paragraphs name="turns" value="$turns" layout="dialogue" nameKey="who" textKey="said"/>
  <Header value="How satisfied is the customer?"/>
  <Number name="satisfaction" toName="turns" min="1" max="5"/>
  <Header value="How friendly are they?"/>
  <Rating name="stars" toName="turns" maxRating="5"/>
</View>""",
    ("ner", "satisfaction", "stars"),
    (
        Item(
            {
                "turns": [
                    {"who": "Agent", "said": "Hello 😀, this is Maria Lopez of Siemens. How can I help?"},
                    {"who": "Caller", "said": "I am Peter Schmidt from Berlin, very happy with the new oven!"},
                ]
            },
            ("Person: Maria Lopez", "Organization: Siemens", "Person: Peter Schmidt", "Place: Berlin"),
        ),
    ),
)
QUESTION = Sample(
    "question",
    """<View>
  <Text name="question" value="$question"/>
  <Labels name="answer" toName="passage"><Label value="Answer"/></Labels>
  <Text name="passage" value="$passage"/>
  <TextArea name="quote" toName="passage"/>
</View>""",
    ("answer", "quote"),
    (
        Item(
            {"question": "When did the bridge open?", "passage": _BRIDGE},
            ("Answer: 1937", 'quote: ["1937"]'),
            {"reads": (_BRIDGE, "1937")},
        ),
        Item({"question": "How do you bake a chocolate cake?", "passage": _BRIDGE}),
    ),
)
PAIR = Sample(
    "pair",
    """<View>
  <Text name="prompt" value="$prompt"/>
  <Text name="one" value="$one"/><Text name="two" value="$two"/>
  <Header value="Which answer is better?"/>
  <Pairwise name="better" toName="one,two"/>
  <Choices name="kind" toName="prompt" allowNested="true">
    <Choice value="Science"><Choice value="Physics"/><Choice value="Biology"/></Choice>
    <Choice value="Sport"/>
  </Choices>
</View>""",
    ("better", "kind"),
    (
        Item(
            {
                "prompt": "Why do plants need sunlight?",
                "one": "I like football.",
                "two": "Plants need sunlight because photosynthesis turns light into the sugar that they live on.",
            },
            ('better: "right"', 'kind: [["Science", "Biology"]]'),
            {"ticked": ("Biology",), "seen": (chosen_side("photosynthesis"),)},
        ),
    ),
)
ORDER = Sample(
    "order",
    """<View>
  <Text name="query" value="$query"/>
  <List name="found" value="$found" title="Found"/>
  <Ranker name="order" toName="found"/>
</View>""",
    ("order",),
    (
        Item(
            _FOUND,
            ('order: {"order": ["2", "c", "1"]}',),
            {"reads": ("Tomatoes", "Vegetables", "Car insurance")},
        ),
    ),
)
BUCKETS = Sample(
    "buckets",
    """<View>
  <Text name="query" value="$query"/>
  <List name="found" value="$found" title="Found"/>
  <Ranker name="sorted" toName="found">
    <Bucket name="good" title="Relevant"/><Bucket name="bad" title="Irrelevant"/>
  </Ranker>
</View>""",
    ("sorted",),
    (
        Item(
            _FOUND,
            ('sorted: {"good": ["2", "c"], "bad": ["1"], "_": []}',),
            {"reads": ("Relevant", "Tomatoes", "Irrelevant", "Car insurance")},
        ),
    ),
)
SAMPLES = [PEOPLE, PAGE, CALL, QUESTION, PAIR, ORDER, BUCKETS]

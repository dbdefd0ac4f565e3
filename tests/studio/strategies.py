"""Random label configs and random answers to them."""

import math
from typing import Any

from hypothesis import strategies as st
from lxml import etree

from labelloop.studio.documents import Document, Documents
from labelloop.words import Answer, Field, Link, Remark, Span

WORDS = st.text(
    alphabet=st.characters(
        min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="$\x7f", exclude_categories=["C"]
    ),
    min_size=1,
    max_size=12,
)
PROBABILITIES = st.floats(0, 1)


def _element(tag: str, attributes: dict[str, str], children: tuple[str, ...] = ()) -> str:
    node = etree.Element(tag, attributes)
    for child in children:
        node.append(etree.fromstring(child))
    return etree.tostring(node, encoding="unicode")


def _tree(words: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    attributes = st.fixed_dictionaries({"value": words}, optional={"alias": words, "hint": WORDS})
    leaf = st.builds(lambda found: _element("Choice", found), attributes)
    return st.recursive(
        leaf,
        lambda inner: st.builds(
            lambda found, children: _element("Choice", found, tuple(children)), attributes, st.lists(inner, max_size=3)
        ),
        max_leaves=6,
    )


def _conditions() -> st.SearchStrategy[dict[str, str]]:
    names = {"visibleWhen": st.sampled_from(["choice-selected", "choice-unselected", "no-region-selected"])}
    more = {"whenTagName": st.sampled_from(["c0", "c1", "c2", "text"]), "whenChoiceValue": WORDS}
    return st.fixed_dictionaries(names, optional=more)


@st.composite
def configs(draw: st.DrawFn) -> str:
    """A label config of one to four controls over a text and a page."""
    controls = []
    for number in range(draw(st.integers(1, 4))):
        attributes = {"name": f"c{number}", "toName": draw(st.sampled_from(["text", "page", "text,page"]))}
        attributes |= draw(st.just({}) | _conditions())
        kind = draw(st.sampled_from(["Choices", "Taxonomy", "Rating", "Number"]))
        children: tuple[str, ...] = ()
        if kind in {"Choices", "Taxonomy"}:
            children = tuple(draw(st.lists(_tree(WORDS), min_size=1, max_size=5)))
        if kind == "Choices":
            attributes |= draw(st.fixed_dictionaries({}, optional={"choice": st.sampled_from(["single", "multiple"])}))
            attributes |= draw(st.fixed_dictionaries({}, optional={"allowNested": st.sampled_from(["true", "false"])}))
        elif kind == "Taxonomy":
            attributes |= draw(st.fixed_dictionaries({}, optional={"leafsOnly": st.sampled_from(["true", "false"])}))
            attributes |= draw(st.fixed_dictionaries({}, optional={"maxUsages": st.just("1")}))
        elif kind == "Rating":
            attributes["maxRating"] = str(draw(st.integers(2, 10)))
        else:
            low = draw(st.integers(-5, 5))
            step = draw(st.sampled_from(["1", "0.5", "0.1", "3"]))
            attributes |= {"min": str(low), "max": str(low + 1), "step": step}
        controls.append(_element(kind, attributes, children))
    return f'<View><Text name="text" value="$t"/><HyperText name="page" value="$h"/>{"".join(controls)}</View>'


@st.composite
def answers(draw: st.DrawFn, fields: tuple[Field, ...]) -> list[Answer]:
    """An answer per field, or none, or one with a reason."""
    found = []
    for field in fields:
        kind = draw(st.sampled_from(["answer", "answer", "answer", "reason", "none"]))
        if kind == "reason":
            found.append(Answer(field=field.name, labels=(), score=0.0, reason="too long"))
        elif kind == "answer":
            most = min(4, len(field.labels)) if field.multiple else 1
            chosen = draw(
                st.lists(st.sampled_from(field.labels), unique=True, min_size=0 if field.multiple else 1, max_size=most)
            )
            score = draw(PROBABILITIES)
            found.append(Answer(field=field.name, labels=tuple(label.path for label in chosen), score=score))
    return found


GARBAGE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.just(math.nan)
    | st.sampled_from(["c0", "c1", "text", "page", "choices", "taxonomy", "rating", "number", "\ud800", "", "v1"])
    | st.sampled_from(
        ["ner", "hyper", "para", "t", "h", "p", "labels", "PER", "relation", "right", "order", "_", "a", "left"]
    )
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "result",
                    "score",
                    "id",
                    "from_name",
                    "to_name",
                    "type",
                    "value",
                    "model_version",
                    "rating",
                    "start",
                    "end",
                    "startOffset",
                    "endOffset",
                    "globalOffsets",
                    "text",
                    "labels",
                    "from_id",
                    "to_id",
                    "direction",
                    "ranker",
                    "selected",
                    "hypertextlabels",
                    "paragraphlabels",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)

# Texts and pages as data holds them, with spans of them

_PIECES = st.sampled_from(
    [
        "Ada",
        "met",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "😀",
        "👩‍👩‍👧",
        "e\u0301",
        "\u00a0",
        "&amp;",
        "a < b",
        "<b>",
        "x",
        "Zürich",
        "语言",
    ]
)
TEXTS = st.lists(_PIECES, min_size=1, max_size=20).map("".join)
TAGS = ["p", "b", "div", "span", "table", "tr", "td", "ul", "li", "pre", "i", "a", "h1", "style", "script", "title"]
TAGS += ["select", "option", "textarea", "iframe", "svg", "path", "template", "noscript", "html", "head", "body"]
_MARKUP = st.one_of(
    st.sampled_from(TAGS).map(lambda name: f"<{name}>"),
    st.sampled_from(TAGS).map(lambda name: f"</{name}>"),
    st.sampled_from(
        ["<br>", "<br/>", "<hr>", "<img src=x>", "<!-- c -->", "<!doctype html>", "<a href='>'>", "<P CLASS=x>"]
    ),
    st.sampled_from(
        ["&eacute;", "&#128512;", "&lt;i&gt;", "&nbsp;", "&am", "&", "<", "</", "<>", "</br>", "<![CDATA[x]]>"]
    ),
)
PAGES = st.lists(_MARKUP | _PIECES, min_size=1, max_size=30).map("".join)
DIALOGUES = st.lists(
    st.fixed_dictionaries({"author": st.sampled_from(["Ann", "", "Bob 😀"]), "text": TEXTS}), min_size=1, max_size=5
)

MARKED = """<View><Text name="t" value="$t"/><HyperText name="h" value="$h"/>
<HyperText name="i" value="$h" inline="true"/>
<Paragraphs name="p" value="$p"/><List name="items" value="$items"/>
<Labels name="ner" toName="t"><Label value="Person" alias="PER"/><Label value="ORG"/></Labels>
<HyperTextLabels name="hyper" toName="h"><Label value="X"/><Label value="Y"/></HyperTextLabels>
<Labels name="inner" toName="i"><Label value="X"/><Label value="Y"/></Labels>
<ParagraphLabels name="para" toName="p"><Label value="X"/><Label value="Y"/></ParagraphLabels>
<Relations><Relation value="met"/><Relation value="owns"/></Relations>
<Choices name="fame" toName="t" perRegion="true"><Choice value="known"/><Choice value="unknown"/></Choices>
<Rating name="how" toName="h" perRegion="true"/>
<Taxonomy name="tree" toName="p" perRegion="true"><Choice value="A"><Choice value="B"/></Choice></Taxonomy>
<Pairwise name="better" toName="t,h"/>
<Ranker name="order" toName="items"/>
<Ranker name="sorted" toName="items"><Bucket name="good"/><Bucket name="bad"/></Ranker></View>"""
_OBJECTS = {"ner": "t", "hyper": "h", "inner": "i", "para": "p"}
_ITEMS = st.lists(st.sampled_from(["a", "b", 3, "9"]), unique=True, max_size=4).map(
    lambda ids: [{"id": one, "title": "entry"} for one in ids]
)


def items() -> st.SearchStrategy[dict[str, Any]]:
    """The data of an item of MARKED."""
    return st.fixed_dictionaries({"t": TEXTS, "h": PAGES, "p": DIALOGUES, "items": _ITEMS})


@st.composite
def spans(draw: st.DrawFn, field: Field, document: Document) -> Span | None:
    """Any span of the document, also one where no region can stand; None where it has no text."""
    if not document.text:
        return None
    start = draw(st.integers(0, len(document.text) - 1))
    end = draw(st.integers(start + 1, min(len(document.text), start + 12)))
    label = draw(st.sampled_from(field.labels)).path
    place = {"source": _OBJECTS[field.name], "start": start, "end": end, "text": document.text[start:end]}
    return Span(field=field.name, label=label, score=draw(PROBABILITIES), **place)


@st.composite
def marked_answers(draw: st.DrawFn, fields: tuple[Field, ...], documents: Documents) -> list[Answer]:
    """An answer per field of MARKED: spans, relations between them, remarks on them, an order of the list."""
    found: dict[str, list[Span]] = {}
    answers: list[Answer] = []
    for field in fields:
        told: dict[str, Any] = {"field": field.name, "labels": (), "score": draw(PROBABILITIES)}
        if field.kind == "entities":
            document = documents.find(_OBJECTS[field.name])
            assert document is not None
            drawn = draw(st.lists(spans(field, document), max_size=4))
            found[field.name] = [one for one in drawn if one is not None]
            told["spans"] = tuple(found[field.name])
        elif field.kind in {"relations", "remarks"}:
            known = [one for name in field.regions_of for one in found[name]]
            if field.kind == "remarks":
                chosen = draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
                told["remarks"] = tuple(
                    Remark(span=one, labels=(draw(st.sampled_from(field.labels)).path,)) for one in chosen
                )
            elif known:
                names = st.sampled_from(["", *(label.path[-1] for label in field.labels)])
                link = st.builds(
                    Link,
                    head=st.sampled_from(known),
                    tail=st.sampled_from(known),
                    label=names,
                    direction=st.sampled_from(["right", "left", "bi"]),
                )
                told["links"] = tuple(draw(st.lists(link, max_size=4)))
        elif field.kind == "comparison":
            told["labels"] = (draw(st.sampled_from(field.labels)).path,)
        else:
            told["order"] = draw(_orders(field, [one.name for one in documents.entries(field.sources[0])]))
        answers.append(Answer(**told))
    return answers


@st.composite
def _orders(draw: st.DrawFn, field: Field, ids: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    left = draw(st.permutations(ids))
    if not field.labels:
        return (("", tuple(left)),)
    cut = draw(st.integers(0, len(left)))
    return (("good", tuple(left[:cut])), ("bad", tuple(left[cut : draw(st.integers(cut, len(left)))])))


_NAMES = st.sampled_from(["a", "b", "c", "d", "question", "context", "answer", ""])
_VALUES = st.sampled_from(["$text", "$a.b", "$items[0]", "fixed", "Title: $t", "", "x", "PER", "$labels"])
_ATTRIBUTES = {
    **{"name": _NAMES, "toName": _NAMES | st.sampled_from(["a,b", "a, b,", ",", "a,a"]), "value": _VALUES},
    **{name: st.sampled_from(["true", "false", "1"]) for name in ("perRegion", "perItem", "inline", "default")},
    **{"visibleWhen": st.sampled_from(["region-selected", "choice-selected", "choice-unselected", "x"])},
    **{"whenTagName": _NAMES, "whenLabelValue": st.sampled_from(["PER", "PER,x", ""]), "whenChoiceValue": _VALUES},
    **{"alias": _VALUES, "hint": WORDS, "title": WORDS, "choice": st.sampled_from(["single", "multiple"])},
    **{"valueType": st.sampled_from(["url", "text"]), "placeholder": st.sampled_from(["Answer", "Summary"])},
    **{"allowNested": st.just("true"), "labeling": st.just("true"), "maxRating": st.sampled_from(["3", "x"])},
    **{"min": st.sampled_from(["0", "x"]), "max": st.sampled_from(["3", "1e9"]), "nameKey": _NAMES},
}
_ANY_NAMES = """
    Text HyperText Paragraphs Chat List Image Labels HyperTextLabels ParagraphLabels Choices Taxonomy Rating Number
    TextArea DateTime Pairwise Ranker Relations Relation Label Choice Bucket Header View Collapse Panel Repeater Filter
"""
_ANY_TAG = _ANY_NAMES.split()


@st.composite
def _any_element(draw: st.DrawFn, depth: int = 0) -> str:
    chosen = draw(st.lists(st.sampled_from(sorted(_ATTRIBUTES)), unique=True, max_size=6))
    always = ["name", "toName", "value"] if draw(st.booleans()) else []
    attributes = {name: draw(_ATTRIBUTES[name]) for name in dict.fromkeys(always + chosen)}
    children = draw(st.lists(_any_element(depth + 1), max_size=3)) if depth < 3 else []
    return _element(draw(st.sampled_from(_ANY_TAG)), attributes, tuple(children))


def any_configs() -> st.SearchStrategy[str]:
    """Any tags with any attributes inside each other, most of them nonsense."""
    return st.lists(_any_element(), min_size=1, max_size=8).map(lambda inner: f"<View>{''.join(inner)}</View>")

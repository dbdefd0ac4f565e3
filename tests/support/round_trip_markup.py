"""Cases of the round trip on HyperText and Paragraphs, each of which counts offsets in a way of its own."""

from __future__ import annotations

from typing import Any

from support.round_trip_cases import PER_REGION, Case, Json, described, region


def _units(text: str) -> int:
    """UTF-16 code units, as a browser counts within a text: two for an emoji."""
    return len(text.encode("utf-16-le")) // 2


def on_page(path: str, node: str, part: str, before: int = 0, **more: Any) -> Json:
    """A region of HyperTextLabels within one text node.

    ``path``: its XPath below the body. ``node``: its text. ``before``: the code points of all text nodes before it, and
    one for each <br>. Offsets in the node are UTF-16 units, those in the page code points.
    """
    at = node.index(part)
    value: Json = {
        "start": path,
        "end": path,
        "startOffset": _units(node[:at]),
        "endOffset": _units(node[: at + len(part)]),
        "globalOffsets": {"start": before + at, "end": before + at + len(part)},
        "text": part,
        "hypertextlabels": ["Person"],
    }
    return region("hypertextlabels", value, **more)


def in_dialogue(utterance: int, text: str, part: str, **more: Any) -> Json:
    """A region of ParagraphLabels within one utterance: its number as a string, offsets in UTF-16 units."""
    at = text.index(part)
    offsets = {"startOffset": _units(text[:at]), "endOffset": _units(text[: at + len(part)])}
    value = {"start": str(utterance), "end": str(utterance), **offsets, "text": part, "paragraphlabels": ["Person"]}
    return region("paragraphlabels", value, **more)


def page(
    name: str, html: str, *regions: Json, attributes: str = "", controls: str = "", tag: str = "HyperText", **seen: Any
) -> Case:
    """A case of passages on HyperText."""
    labels = f'<{tag}Labels name="{tag.lower()}labels" toName="t"><Label value="Person"/></{tag}Labels>'
    view = f'<View>{labels}<HyperText name="t" value="$t" {attributes}/>{controls}</View>'
    return Case(name, view, {"t": html}, list(regions), **seen)


def dialogue(
    name: str,
    turns: Any,
    *regions: Json,
    attributes: str = 'layout="dialogue"',
    controls: str = "",
    tag: str = "Paragraph",
    **seen: Any,
) -> Case:
    """A case of passages on Paragraphs."""
    labels = f'<{tag}Labels name="{tag.lower()}labels" toName="t"><Label value="Person"/></{tag}Labels>'
    view = f'<View>{labels}<Paragraphs name="t" value="$t" {attributes}/>{controls}</View>'
    return Case(name, view, {"t": turns}, list(regions), **seen)


def as_labels(one: Json, key: str) -> Json:
    """The same region made by the control Labels."""
    value = {name: held for name, held in one["value"].items() if name != key}
    return one | {"from_name": "labels", "type": "labels", "value": value | {"labels": one["value"][key]}}


_PLAIN = "<h3>News</h3><p>Yesterday <b>Ada</b> met Bob.</p>"
_TABLE = "<table>\n<TR><td>Ada</td> <td>Bob</td></TR></table>"
_ENTITIES = "<p>1 &lt; 2&nbsp;&amp; &#128512;<br>then Ada &copy; Bob</p>"
_COMMENT = "<p>one <!-- nothing --> Ada</p><script>var x</script><p>two\r\nBob"
_FULL = "<!DOCTYPE html>\n<html><head><title>T</title></head>\n<body class='x'>\n<p>one Ada</p>\n</body></html>\n"
_ACROSS: Json = on_page("/p[1]/b[1]/text()[1]", "Ada", "Ada", 14)
_ACROSS["value"] = _ACROSS["value"] | {
    "end": "/p[1]/text()[2]",
    "endOffset": 8,
    "globalOffsets": {"start": 14, "end": 25},
    "text": "Ada met Bob",
}
_NEWS = on_page("/p[1]/b[1]/text()[1]", "Ada", "Ada", 14)

ON_PAGES = [
    page("hypertext", _PLAIN, _NEWS, picture="hypertext", marked=("Ada",), listed=("Person Ada",)),
    page(
        "hypertext-inline-with-labels",
        _PLAIN,
        as_labels(_NEWS, "hypertextlabels"),
        attributes='inline="true" clickableLinks="true"',
        tag="",
        marked=("Ada",),
    ),
    page("hypertext-over-elements", _PLAIN, _ACROSS, marked=("Ada", " met Bob")),
    page(
        "hypertext-table-gets-a-body",
        _TABLE,
        on_page("/table[1]/tbody[1]/tr[1]/td[2]/text()[1]", "Bob", "Bob", 5),
        marked=("Bob",),
    ),
    page(
        "hypertext-entities-and-line-breaks",
        _ENTITIES,
        on_page("/p[1]/text()[1]", "1 < 2\u00a0& 😀", "2\u00a0& 😀"),
        on_page("/p[1]/text()[2]", "then Ada © Bob", "Bob", 10, name="b"),
        marked=("2\u00a0& 😀", "Bob"),
    ),
    page(
        "hypertext-comments-and-scripts-go",
        _COMMENT,
        on_page("/p[1]/text()[1]", "one  Ada", "Ada"),
        on_page("/p[2]/text()[1]", "two\nBob", "Bob", 8, name="b"),
        marked=("Ada", "Bob"),
    ),
    page("hypertext-whole-page", _FULL, on_page("/p[1]/text()[1]", "one Ada", "Ada", 1), marked=("Ada",)),
    page(
        "hypertext-without-tags",
        "Ada met\n Bob",
        on_page("/text()[1]", "Ada met\n Bob", "Bob"),
        marked=("Bob",),
    ),
    page(
        "hypertext-without-what-the-editor-adds",
        _PLAIN,
        _NEWS | {"value": {key: held for key, held in _NEWS["value"].items() if key not in {"globalOffsets", "text"}}},
        marked=("Ada",),
        added=("globalOffsets", "text"),
    ),
    page(
        "per-region-on-hypertext",
        _PLAIN,
        *described(_NEWS),
        controls=PER_REGION,
        marked=("Ada",),
        click="Ada",
        ticked=("Sport", "Art"),
        reads=("a remark", "and more", "Cat"),
    ),
]

_HELLO = "Hello Ada, how are you?"
_FACES = "😀 Fine, Bob 😃 thanks"
_TURNS = [{"author": "Eve", "text": _HELLO}, {"author": "Kim", "text": _FACES}, {"author": "Eve", "text": "  a \r\n b"}]
PLAIN_TURNS = [{"author": "Eve", "text": "Hello Ada"}]
_GREETED = in_dialogue(0, _HELLO, "Ada")
_OVER_TURNS: Json = in_dialogue(0, _HELLO, "how are you?")
_OVER_TURNS["value"] = _OVER_TURNS["value"] | {"end": "1", "endOffset": 12, "text": "how are you?😀 Fine, Bob"}

IN_DIALOGUES = [
    dialogue(
        "paragraphs-count-utf-16",
        _TURNS,
        _GREETED,
        in_dialogue(1, _FACES, "Bob 😃", name="b"),
        picture="paragraphs",
        marked=("Ada", "Bob 😃"),
        listed=("Person Ada", "Person Bob 😃"),
    ),
    dialogue(
        "paragraphs-over-utterances",
        _TURNS,
        _OVER_TURNS,
        marked=("how are you?", "😀 Fine, Bob"),
    ),
    dialogue(
        "paragraphs-of-other-keys-in-the-plain-layout",
        [{"who": "Eve", "said": "<b>Ada</b> &amp; co"}, {"who": "Kim", "said": "Bob"}],
        in_dialogue(0, "<b>Ada</b> &amp; co", "Ada</b> &amp;"),
        attributes='nameKey="who" textKey="said"',
        marked=("Ada</b> &amp;",),
    ),
    dialogue(
        "paragraphs-blanks-count-though-the-text-lacks-them",
        _TURNS,
        in_dialogue(2, "  a \r\n b", "b"),
        marked=("b",),
        added=("text",),
    ),
    dialogue("paragraphs-with-labels", _TURNS, as_labels(_GREETED, "paragraphlabels"), tag="", marked=("Ada",)),
    dialogue(
        "per-region-on-paragraphs",
        _TURNS,
        *described(_GREETED),
        controls=PER_REGION,
        marked=("Ada",),
        click="Ada",
        ticked=("Sport", "Art"),
        reads=("a remark", "and more", "Cat"),
    ),
]

"""Where a span of an object's text stands for the editor, there and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from labelloop.errors import ItemError
from labelloop.studio.documents import Document, Documents, document
from labelloop.words import Source
from studio.strategies import DIALOGUES, PAGES, TEXTS


def made(tag: Any, value: Any, **more: Any) -> Document:
    return document(Source(name="o", tag=tag, key="k", **more), value)


def value_of(found: Document, words: str) -> dict[str, Any] | None:
    start = found.text.index(words)
    return found.value(start, start + len(words))


@pytest.mark.parametrize("lead", ["", "😀 ", "👩‍👩‍👧", "e\u0301", "a\r\nb\n", " \t\u00a0"])
def test_a_text_is_counted_in_code_points(lead: str) -> None:
    assert value_of(made("Text", f"{lead}Ada met"), "Ada") == {"start": len(lead), "end": len(lead) + 3}


@pytest.mark.parametrize(
    ("value", "text"), [(12345, "12345"), (["Ada", 5, None], "Ada,5,"), (True, "true"), (5.0, "5"), (0.5, "0.5")]
)
def test_other_data_in_a_text_is_read_as_the_editor_writes_it(value: Any, text: str) -> None:
    assert made("Text", value).text == text


TURNS = [
    {"author": "Ann", "text": "Hi 😀 Ada\r\n  there"},
    {"author": "Bob"},
    {"text": 12},
    {"author": "", "text": "Ada"},
]


def test_a_dialogue_is_counted_by_utterance_in_utf16_units() -> None:
    found = made("Paragraphs", TURNS)
    assert found.text == "Ann: Hi 😀 Ada\r\n  there\n12\nAda"
    assert value_of(found, "Ada") == {"start": "0", "end": "0", "startOffset": 6, "endOffset": 9}
    assert value_of(found, "there") == {"start": "0", "end": "0", "startOffset": 13, "endOffset": 18}
    assert value_of(found, "12") == {"start": "2", "end": "2", "startOffset": 0, "endOffset": 2}
    last = found.text.rindex("Ada")
    assert found.value(last, last + 3) == {"start": "3", "end": "3", "startOffset": 0, "endOffset": 3}


@pytest.mark.parametrize("words", ["Ann", ": Hi", "there\n12", "12\n", "n: H"])
def test_no_region_stands_on_an_author_or_across_utterances(words: str) -> None:
    assert value_of(made("Paragraphs", TURNS), words) is None


def test_regions_of_people_may_go_across_utterances() -> None:
    found = made("Paragraphs", TURNS)
    place = {"start": "0", "end": "2", "startOffset": 6, "endOffset": 1}
    assert found.span(place) == (found.text.index("Ada"), found.text.index("12") + 1)


@pytest.mark.parametrize(
    "value",
    ['[{"author": "Ann", "text": "Ada"}]', "Ada", ["Ada"], [{"text": "Ada"}], [{"author": "x"}, {"text": "Ada"}]],
)
def test_what_the_editor_does_not_show_has_no_positions(value: Any) -> None:
    assert value_of(made("Paragraphs", value), "Ada") is None


def test_a_dialogue_behind_an_address_is_json() -> None:
    found = made("Paragraphs", '[{"author": "Ann", "text": "Ada"}]', value_type="url")
    assert value_of(found, "Ada") == {"start": "0", "end": "0", "startOffset": 0, "endOffset": 3}


def test_nobody_marks_a_chat() -> None:
    found = made("Chat", [{"role": "user", "content": "Ada"}], name_key="role", text_key="content")
    assert found.text == "user: Ada"
    assert value_of(found, "Ada") is None
    assert found.span({"start": 0, "end": 3}) is None


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"start": 0},
        {"start": None, "end": 3},
        {"start": "0", "end": "3"},
        {"start": 0.0, "end": 3.0},
        {"start": True, "end": 3},
        {"start": 3, "end": 3},
        {"start": 4, "end": 3},
        {"start": -1, "end": 3},
        {"start": 0, "end": 8},
        {"start": 0, "end": 10**400},
        {"start": "0", "end": "0", "startOffset": 0, "endOffset": 3},
    ],
)
def test_what_is_no_place_in_a_text_is_none(place: dict[str, Any]) -> None:
    assert made("Text", "Ada met").span(place) is None


@pytest.mark.parametrize(
    "change",
    [
        {"start": 0},
        {"start": "9"},
        {"start": "-0"},
        {"start": "٣"},
        {"end": None},
        {"startOffset": "6"},
        {"endOffset": 99},
        {"startOffset": -1},
        {"startOffset": 9},
        {"endOffset": True},
        {"start": "1", "end": "1"},
    ],
)
def test_what_is_no_place_in_a_dialogue_is_none(change: dict[str, Any]) -> None:
    place = {"start": "0", "end": "0", "startOffset": 6, "endOffset": 9}
    assert made("Paragraphs", TURNS).span(place) is not None
    assert made("Paragraphs", TURNS).span(place | change) is None


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        ([{"id": 1, "title": "T", "body": "B"}, {"id": "x", "html": "<b>h</b>"}], [("1", "T\nB"), ("x", "h")]),
        ([{"id": "a", "text": "t"}, {"id": "b"}], [("a", "t"), ("b", "")]),
        ([], []),
    ],
)
def test_entries_of_a_list_are_known_by_their_ids(value: Any, entries: list[tuple[str, str]]) -> None:
    source = Source(name="o", tag="List", key="k")
    found = Documents([], {"k": value}).entries(source)
    assert [(one.name, one.text) for one in found] == entries


@pytest.mark.parametrize("value", ["x", {"id": 1}, ["a"], [{"title": "x"}], [{"id": None}], [{"id": "1"}, {"id": 1}]])
def test_a_list_that_the_editor_breaks_on_is_refused(value: Any) -> None:
    with pytest.raises(ItemError, match="'k'"):
        Documents([], {"k": value}).entries(Source(name="o", tag="List", key="k"))


def there_and_back(found: Document) -> int:
    """How many of all spans of a text are regions; each of those is found again."""
    count = 0
    for start in range(len(found.text)):
        for end in range(start + 1, len(found.text) + 1):
            place = found.value(start, end)
            assert place is None or found.span(place) == (start, end)
            count += place is not None
    return count


@hypothesis_settings(max_examples=150, deadline=None)
@given(TEXTS, PAGES, DIALOGUES, st.booleans())
def test_every_region_is_found_again(text: str, page: str, turns: list[dict[str, str]], inline: bool) -> None:
    plain = made("Text", text)
    assert plain.text == text
    assert there_and_back(plain) == len(text) * (len(text) + 1) // 2
    there_and_back(made("HyperText", page, inline=inline))
    dialogue = made("Paragraphs", turns)
    wanted = sum(len(turn["text"]) * (len(turn["text"]) + 1) // 2 for turn in turns)
    assert there_and_back(dialogue) == wanted


PLACES = (
    st.none() | st.integers(-2, 30) | st.sampled_from(["0", "1", "/p[1]/text()[1]", "/text()[1]", "/b[1]", "", "/"])
)


@given(
    st.dictionaries(st.sampled_from(["start", "end", "startOffset", "endOffset"]), PLACES),
    st.none() | st.fixed_dictionaries({"start": PLACES, "end": PLACES}),
)
def test_any_place_is_a_span_or_none(place: dict[str, Any], offsets: Any) -> None:
    for found in (made("Text", "Ada 😀 met"), made("HyperText", "<p>Ada</p>😀"), made("Paragraphs", TURNS)):
        span = found.span({**place, "globalOffsets": offsets})
        assert span is None or 0 <= span[0] < span[1] <= len(found.text)

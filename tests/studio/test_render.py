"""What a model reads of an item."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import ItemError
from labelloop.studio.markup import html_to_text
from labelloop.studio.schema import read_config, render

CHOICES = '<Choices name="c" toName="{names}"><Choice value="A"/><Choice value="B"/></Choices>'


def shown(objects: str, data: dict[str, Any], names: str = "o") -> str:
    (field,) = read_config(f"<View>{objects}{CHOICES.format(names=names)}</View>").fields
    return render(field, data)


@pytest.mark.parametrize(
    ("value", "data", "text"),
    [
        ("$text", {"text": "A <b>tag</b> &amp; more\n\n two  blanks"}, "A <b>tag</b> &amp; more\n\n two  blanks"),
        ("$text", {"text": ""}, ""),
        ("$text", {"text": 3.50}, "3.5"),
        ("$text", {"text": True}, "true"),
        ("$text", {"text": ["one", 2, "three"]}, "one\n2\nthree"),
        ("$text", {"text": {"a": ["é"]}}, '{"a": ["é"]}'),
        ("$a.b", {"a": {"b": "deep"}}, "deep"),
        ("$a.b", {"a.b": "plain", "a": {"b": "deep"}}, "plain"),
        ("$rows[1].text", {"rows": [{"text": "x"}, {"text": "y"}]}, "y"),
        ("Title: $title\n$text", {"title": "T", "text": "body"}, "Title: T body"),
        ("$текст", {"текст": "слово"}, "слово"),
        ("$text", {"$undefined$": "imported without a name"}, "imported without a name"),
    ],
)
def test_text_is_what_the_data_holds(value: str, data: dict[str, Any], text: str) -> None:
    assert shown(f'<Text name="o" value="{value}"/>', data) == text


@pytest.mark.parametrize(
    ("value", "data", "key"),
    [
        ("$text", {}, "text"),
        ("$text", {"text": None}, "text"),
        ("$a.b", {"a": {"c": 1}}, "a.b"),
        ("$rows[2]", {"rows": ["x"]}, "rows[2]"),
        ("$title: $text", {"title": "T"}, "text"),
    ],
)
def test_a_missing_key_is_named(value: str, data: dict[str, Any], key: str) -> None:
    with pytest.raises(ItemError) as caught:
        shown(f'<Text name="o" value="{value}"/>', data)
    assert f"'{key}'" in caught.value.message


def test_hypertext_is_read_without_its_markup() -> None:
    html = (
        "<html><head><style>p {color: red}</style></head><body><h1>Title</h1><p>One <b>bo</b>ld &lt;word&gt;&nbsp;here"
        "<br/>next</p><script>alert('x < y')</script><ul><li>a<li>b</ul><table><tr><td>1</td><td>2</td></tr></table>"
        "<pre>  keep\n   this</pre>tail &eacute; &#8364; &unknown; a < b"
    )
    assert shown('<HyperText name="o" value="$html"/>', {"html": html}).split("\n") == [
        *("Title", "One bold <word> here", "next", "a", "b", "1\t2", "keep", "this", "tail é € &unknown; a < b"),
    ]


def test_dialogues_are_lines() -> None:
    objects = '<Paragraphs name="o" value="$turns" nameKey="who"/>'
    turns = [{"who": "Ann", "text": "Hello"}, {"text": "no name"}, {"who": "Bob"}, {"who": "", "text": 5}, "plain"]
    assert shown(objects, {"turns": turns}) == "Ann: Hello\nno name\n5\nplain"
    assert shown(objects, {"turns": '[{"who": "Ann", "text": "as JSON"}]'}) == "Ann: as JSON"
    assert shown(objects, {"turns": []}) == ""


@pytest.mark.parametrize("turns", [{"text": "x"}, 5, [{"said": "x"}]])
def test_what_is_no_dialogue_is_refused(turns: Any) -> None:
    with pytest.raises(ItemError, match="'turns'"):
        shown('<Paragraphs name="o" value="$turns"/>', {"turns": turns})


def test_several_objects_are_joined_by_an_empty_line_and_empty_ones_leave_none() -> None:
    objects = '<Text name="o" value="$a"/><HyperText name="p" value="$b"/><Text name="q" value="$c"/>'
    assert shown(objects, {"a": "one", "b": "<p>two</p>", "c": "three"}, "o,p,q") == "one\n\ntwo\n\nthree"
    assert shown(objects, {"a": "one", "b": "<p></p>", "c": "three"}, "o,p,q") == "one\n\nthree"


def test_data_that_is_no_object_is_refused() -> None:
    (field,) = read_config(f'<View><Text name="o" value="$a"/>{CHOICES.format(names="o")}</View>').fields
    with pytest.raises(ItemError, match="not an object"):
        render(field, ["a"])  # type: ignore[arg-type]


@given(st.text(alphabet=st.sampled_from("<>/!-[]&;#x0?=\"' \n\tabpscriptle"), max_size=200))
def test_any_text_is_read_as_html(html: str) -> None:
    text = html_to_text(html)
    assert "\n\n" not in text
    assert text == text.strip()


@pytest.mark.parametrize("piece", ["<", "<a ", "<!", "<!--", "</", "&", "<![", "<script>", "<div><", "&#", '<a href="'])
def test_hostile_markup_costs_time_in_proportion(piece: str) -> None:
    html_to_text(piece * 100_000)  # quadratic work would run into the suite's time limit


@pytest.mark.parametrize("opening", ["<b>", "<div>", "<font size=2><i>"])
def test_no_text_is_lost_in_deeply_nested_markup(opening: str) -> None:
    text = html_to_text("".join(f"{opening}word{number} &amp; <script>x</script>" for number in range(5_000)))
    assert [word for word in text.split() if word != "&"] == [f"word{number}" for number in range(5_000)]


def test_text_after_the_end_of_the_page_is_read() -> None:
    assert html_to_text("<html><body><p>a</p></body></html>b<BODY class=x>c") == "a\nb\nc"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9), st.lists, max_leaves=6))
def test_any_data_gives_text_or_an_item_error(value: Any) -> None:
    for tag in ("Text", "HyperText", "Paragraphs"):
        try:
            assert isinstance(shown(f'<{tag} name="o" value="$v"/>', {"v": value}), str)
        except ItemError as error:
            assert "'v'" in error.message


def test_chats_are_dialogues() -> None:
    chat = '<Chat name="o" value="$messages" nameKey="ignored"/>'
    messages = [
        {"role": "user", "content": "Hi there!", "createdAt": 1710000000000},
        {"role": "assistant", "content": "Hello.\nHow can I help?"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"content": 5},
        {"role": "tool", "content": ["a", "b"]},
    ]
    text = "user: Hi there!\nassistant: Hello.\nHow can I help?\n5\ntool: a\nb"
    assert shown(chat, {"messages": messages}) == text
    assert shown(chat, {"messages": []}) == ""
    with pytest.raises(ItemError, match="'messages'"):
        shown(chat, {"messages": [{"role": "user", "text": "another form"}]})
    with pytest.raises(ItemError, match="'messages'"):
        shown(chat, {"messages": {"role": "user", "content": "no list"}})
    with pytest.raises(ItemError, match="'messages'"):
        shown(chat, {})


def behind(tag: str, value: Any, texts: dict[str, str]) -> str:
    config = f'<View><{tag} name="o" value="$v" valueType="url"/>{CHOICES.format(names="o")}</View>'
    (field,) = read_config(config).fields
    return render(field, {"v": value}, texts.__getitem__)


def test_text_behind_an_address_is_read_as_the_tag_reads_it() -> None:
    assert behind("Text", "/data/upload/1/a.txt", {"/data/upload/1/a.txt": "<b>plain</b>"}) == "<b>plain</b>"
    assert behind("HyperText", "http://ls/data/a.html", {"http://ls/data/a.html": "<b>bold</b>"}) == "bold"
    turns = '[{"author": "Ann", "text": "Hello"}]'
    assert behind("Paragraphs", "https://ls/data/a.json", {"https://ls/data/a.json": turns}) == "Ann: Hello"


@pytest.mark.parametrize("value", ["just text", "", 5, ["/data/a.txt"], {"url": "/data/a.txt"}, "file:///etc/passwd"])
def test_what_is_no_address_is_refused(value: Any) -> None:
    with pytest.raises(ItemError, match="'v' is no address"):
        behind("Text", value, {})


def test_without_a_connection_no_address_is_read() -> None:
    field = read_config(f'<View><Text name="o" value="$v" valueType="url"/>{CHOICES.format(names="o")}</View>').fields[
        0
    ]
    with pytest.raises(ItemError, match="connected with a token"):
        render(field, {"v": "/data/upload/1/a.txt"})


@pytest.mark.parametrize("address", ["https://example.com/page", "/data/upload/1/a.txt"])
def test_text_that_looks_like_an_address_stays_text(address: str) -> None:
    for attribute in ("", 'valueType="text"'):
        assert shown(f'<Text name="o" value="$v" {attribute}/>', {"v": address}) == address


def test_deeply_nested_lists_in_a_text_are_text() -> None:
    assert shown('<Paragraphs name="o" value="$v"/>', {"v": "[" * 100_000}) == "[" * 100_000

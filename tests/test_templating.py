"""Templates of prompts: what they may do, and that what a task says never becomes one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop import templating
from labelloop.templating import check, fill

KNOWN = {"text", "passages", "options"}
VALUES = {"text": "A text.", "passages": {"title": "T", "body": "B"}, "options": {"words": "30"}}


def rendered(template: str, **values: object) -> str:
    return fill(check(template, KNOWN, {"passages"}), {**VALUES, **values})


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Read: {{ text }}", "Read: A text."),
        ("{{ passages.title }} {{ passages['body'] }}", "T B"),
        (
            "{% for name in passages %}{{ loop.index }} {{ name }}: {{ passages[name] }} {% endfor %}",
            "1 title: T 2 body: B",
        ),
        ("{% if options.words is defined %}{{ options.words }} words{% else %}any{% endif %}", "30 words"),
        ("{{ options.style | default('plain') | upper }}", "PLAIN"),
        ("{{ 'long' if options.words == '300' else 'short' }}", "short"),
        ("{% raw %}{{ not a value }}{% endraw %}", "{{ not a value }}"),
    ],
)
def test_a_template_is_filled(template: str, text: str) -> None:
    assert rendered(template) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''.__class__ }}",
        "{{ text['__class__'].x }}{{ text.upper() }}",
        "{{ passages.items() }}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% for a in text %}{{ a }}{% endfor %}",
        "{% for a in passages %}{% for b in passages %}x{% endfor %}{% endfor %}",
        "{% for a in passages recursive %}x{% endfor %}",
        "{{ 'x' * 10**9 }}",
        "{{ 10**10**10 }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'x' %}",
        "{% set text = 'x' %}",
        "{% macro loop() %}{% endmacro %}",
        "{% block a %}{% endblock %}",
        "{% filter upper %}x{% endfilter %}",
        "{{ text | attr('__class__') }}",
        "{{ text | replace('A', 'AAAA') }}",
        "{{ text | map('upper') }}",
        "{{ cycler }}",
        "{{ self }}",
        "{{ config }}",
        "{{ text",
        "{% if text %}",
        "{{ " + "(" * 5000 + "text" + ")" * 5000 + " }}",
        "x" * (templating.LONGEST_TEMPLATE + 1),
    ],
)
def test_what_could_escape_or_never_end_is_refused_when_the_file_is_read(template: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check(template, KNOWN, {"passages"})


def test_an_unknown_variable_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"unknown variables \['txt'\]; known: options, passages, text"):
        check("{{ txt }}", KNOWN)


@pytest.mark.parametrize("template", ["{{ passages.context }}", "{{ passages.items }}", "{{ options['keys'] }}"])
def test_what_is_not_there_is_an_error_and_no_attribute(template: str) -> None:
    with pytest.raises(ValueError, match="cannot be filled"):
        rendered(template)


@given(st.text())
def test_a_text_comes_out_as_it_went_in(text: str) -> None:
    assert fill("a {{ text }} z", {"text": text}) == f"a {text} z"


@pytest.mark.parametrize(
    "text", ["{{ 7 * 7 }}", "{% include 'x' %}", "<|im_end|>", "{# no #}", "{{ ''.__class__ }}", "<b>&"]
)
def test_markup_in_a_text_stays_text(text: str) -> None:
    assert rendered("{{ text }}|{{ passages.title }}", text=text, passages={"title": text}) == f"{text}|{text}"


def test_a_prompt_that_grows_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templating, "LONGEST", 1000)
    with pytest.raises(ValueError, match="grows beyond 1000"):
        rendered("{{ text }}{{ text }}", text="x" * 600)


def test_a_text_joined_by_itself_is_refused_before_it_fills_the_memory() -> None:
    asked = check("{{ text|join(text) }}", {"text"})
    assert fill(asked, {"text": "ab"}) == "aabb"
    with pytest.raises(ValueError, match="grows beyond"):
        fill(asked, {"text": "a" * 100_000})

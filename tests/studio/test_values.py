"""What is said of data that a config reads and a task lacks."""

from typing import Any

import pytest

from labelloop.errors import ItemError
from labelloop.studio.values import read_value
from labelloop.words import Source


@pytest.mark.parametrize(
    ("key", "data", "words"),
    [
        ("text", {"text": None}, "'text', which <Text name=\"t\"> shows, is null"),
        ("a.b", {"a": {"b": None}}, "'a.b', which .* is null"),
        ("a.b", {"a.b": None}, "'a.b', which .* is null"),
        ("a[0]", {"a": [None]}, r"'a\[0\]', which .* is null"),
        ("Title: $title", {"title": None}, "'title', which .* is null"),
        ("text", {"other": None}, "has no 'text'"),
        ("a.b.c", {"a": {"b": None}}, "has no 'a.b.c'"),
        ("a[1]", {"a": [None]}, r"has no 'a\[1\]'"),
    ],
)
def test_a_key_that_is_null_and_one_that_is_missing_are_told_apart(key: str, data: dict[str, Any], words: str) -> None:
    with pytest.raises(ItemError, match=words):
        read_value(Source(name="t", tag="Text", key=key), data, None)

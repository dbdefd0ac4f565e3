"""Other words for labels: what a label is told by changes, and nothing else does."""

from pathlib import Path

import pytest

from labelloop.errors import RequestError
from labelloop.prompting import Prompt, load_prompt, places, read_file
from labelloop.tasks.verbalizers import verbalize
from labelloop.wordings import Words, read_words, with_words
from labelloop.words import Field, Label


def field(*labels: str | tuple[str, ...], **changes: object) -> Field:
    paths = [label if isinstance(label, tuple) else (label,) for label in labels]
    made = tuple(Label(path=path, text=" > ".join(path)) for path in paths)
    return Field(name="f", tag="Choices", kind="classification", to_name="t", labels=made, sources=(), **changes)


def told(one: Field, words: Words, folder: Path, name: str = "classification/v1") -> list[tuple[str, ...]]:
    """The texts of each label under the prompt with these words."""
    shipped = next(place.path for place in places() if place.name == name)
    path = folder / "v1.yaml"
    path.write_bytes(with_words(shipped.read_bytes(), load_prompt(name), one, words, "mine"))
    return list(verbalize(one, read_file(path, name, Prompt)).texts)


@pytest.mark.parametrize(
    "one",
    [
        field("World", "Sci/Tech"),
        field("positive", "negative", "neutral"),
        field("spam", "other"),
        field(("Sport", "Golf"), ("Sport", "Tennis"), ("Other", "Golf")),
        field("World", "Sports", question="What is it about?"),
    ],
)
def test_labels_without_words_are_told_as_before(one: Field, tmp_path: Path) -> None:
    before = verbalize(one, load_prompt("classification/v1")).texts
    index = 1 if len(one.labels) == 3 else 0
    after = told(one, {" > ".join(one.labels[index].path): ["zebra"]}, tmp_path)
    assert after[index] != before[index] and "This text is about zebra." in after[index]
    assert [set(its) for place, its in enumerate(after) if place != index] == [
        set(its) for place, its in enumerate(before) if place != index
    ]


def test_a_phrase_that_is_a_sentence_stands_as_it_is_and_braces_are_text(tmp_path: Path) -> None:
    texts = told(field("yes", "no"), {"yes": ["It works.", "{label}"]}, tmp_path)[0]
    assert "It works." in texts and "This text is about {label}." in texts
    assert not any("about It works" in text for text in texts)


def test_steps_of_a_scale_have_words_too(tmp_path: Path) -> None:
    one = field("1", "2", "3", ordinal=True)
    texts = told(one, {"2": ["so so"]}, tmp_path)
    before = verbalize(one, load_prompt("classification/v1")).texts
    assert "This text is about so so." in texts[1] and [texts[0], texts[2]] == [before[0], before[2]]


def test_words_for_engines_that_fill_gaps_keep_the_gap(tmp_path: Path) -> None:
    assert all("⟦zebra⟧" in text for text in told(field("a", "b"), {"a": ["zebra"]}, tmp_path, "cloze/v1")[0])


@pytest.mark.parametrize(
    ("one", "words", "message"),
    [
        (field("a", "b"), {"c": ["x"]}, "'c' is no label"),
        (field(("x", "Golf"), ("y", "Golf")), {"x > Golf": ["golf"]}, "spelled so"),
    ],
)
def test_words_that_cannot_be_used_are_named(one: Field, words: Words, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        told(one, words, tmp_path)


def test_files_of_words_keep_yes_and_no_as_labels(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("short:\n  yes: sure\n  no: [never, 1]\n")
    assert read_words(str(path)) == {"short": {"yes": ["sure"], "no": ["never", "1"]}}
    path.write_text("yes: [sure]\n")
    assert read_words(f"mine={path}") == {"mine": {"yes": ["sure"]}}


@pytest.mark.parametrize("content", ["", "[a]", "short: [a]", "short: {a: []}", "short: {a: {b: c}}", "a: [1\n"])
def test_a_file_of_another_form_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(content)
    with pytest.raises(RequestError, match=r"w\.yaml"):
        read_words(str(path))

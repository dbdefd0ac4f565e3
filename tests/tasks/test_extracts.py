"""Extracts: which of a text's own sentences stand for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.tasks.extracts import central, lead, pieces
from labelloop.tasks.sentences import tokens

TALK = (
    "Ana: Hi! Is the boat ready for the race?\nTom: Alas! The sail of the boat is torn.\nAna: Oh.\n"
    "Tom: I will buy bread. I mend the sail of the boat tonight."
)
NEWS = (
    "The bridge is closed from May. It rains in other towns today. Repairs of the closed bridge will take six months."
)


def test_sentences_of_a_dialogue_keep_their_speaker_and_are_told_in_order() -> None:
    found = central(pieces(TALK), 26)
    assert found == (
        "Ana: Is the boat ready for the race?\nTom: The sail of the boat is torn. I mend the sail of the boat tonight."
    )


def test_what_most_is_about_comes_before_what_comes_next() -> None:
    assert central(pieces(NEWS), 16) == (
        "The bridge is closed from May. Repairs of the closed bridge will take six months."
    )
    assert lead(pieces(NEWS), 13) == "The bridge is closed from May. It rains in other towns today."


def test_of_short_sentences_alone_the_longest_serve() -> None:
    assert lead(pieces("Hi. I see. We lost it."), 20) == "We lost it."


@pytest.mark.parametrize("how", [lead, central])
def test_of_nothing_there_is_no_extract(how) -> None:  # type: ignore[no-untyped-def]
    assert how(pieces(" \n "), 20) == ""


@given(
    st.lists(st.sampled_from(["Ann: ", "Bo: ", "", "It rains a lot here. ", "No! ", "\n", "雨が降る。", "x:y "])),
    st.integers(1, 40),
)
def test_an_extract_is_of_the_text_and_keeps_to_its_length(parts: list[str], words: int) -> None:
    text = "".join(parts)
    for how in (lead, central):
        found = how(pieces(text), words)
        assert {token.low for token in tokens(found)} <= {token.low for token in tokens(text)} | {"a", "b", ":"}
        longest = max((_words(f"{part.speaker} {part.text}") for part in pieces(text)), default=0)
        assert _words(found) <= max(words, longest)


def _words(text: str) -> int:
    return sum(token.is_word for token in tokens(text))

"""Passages of a sentence that may be an answer, and what form they have: a year, a name, a clause. Pure text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labelloop.tasks.sentences import Token

MOST_WORDS = 8
LONGEST_CLAUSE = 30  # tokens
LONGEST_WORD = 60  # characters: what is longer is no word that a person would mark
FORMS = ("year", "date", "number", "name", "part", "quoted", "phrase", "clause")
_HARD = set(';:?!()[]{}"“”„«»–—|…。！？')
_OPENS, _CLOSES = set('"“„«‘「『'), set('"”“»’」』')
_CURRENCY, _UNITS = set("$£€¥₹"), set("%°")
_YEAR = re.compile(r"1\d{3}s?|20\d\ds?")


class Candidate(NamedTuple):
    """Tokens [first, last] of a sentence, and their form, one of ``FORMS``."""

    first: int
    last: int
    form: str


@dataclass(frozen=True)
class Forms:
    """Words that tell a form: of dates, of numbers."""

    dates: frozenset[str]
    numbers: frozenset[str]


def candidates(sentence: Sequence[Token], carries_topic: Callable[[Token], bool], forms: Forms) -> list[Candidate]:
    """Every run of up to ``MOST_WORDS`` words that begins and ends with a word of a topic and crosses no hard mark
    (most of what people mark: names, dates, noun phrases), and longer clauses from one mark to the next."""
    topic = [carries_topic(token) and len(token.text) <= LONGEST_WORD for token in sentence]
    runs = [*_runs(sentence, topic), *_clauses(sentence, topic)]
    return [Candidate(first, last, _form(sentence, topic, first, last, forms)) for first, last in runs]


def _runs(sentence: Sequence[Token], topic: Sequence[bool]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for first, token in enumerate(sentence):
        if not _begins(sentence, topic, first):
            continue
        words = 0
        for last in range(first, len(sentence)):
            token = sentence[last]
            words += token.is_word
            if token.text in _HARD or words > MOST_WORDS:
                break
            has_unit = last + 1 < len(sentence) and sentence[last + 1].text in _UNITS
            if (topic[last] and not has_unit) or token.text in _UNITS:
                found.append((first, last))
    return found


def _begins(sentence: Sequence[Token], topic: Sequence[bool], first: int) -> bool:
    """With a word of a topic, or its currency, or the "La" of "La Rochelle"."""
    if topic[first]:
        return not (first and sentence[first - 1].text in _CURRENCY)
    if first + 1 >= len(sentence) or not topic[first + 1]:
        return False
    return sentence[first].text in _CURRENCY or (first > 0 and sentence[first].text[0].isupper())


def _clauses(sentence: Sequence[Token], topic: Sequence[bool]) -> list[tuple[int, int]]:
    ends = [i - 1 for i in range(1, len(sentence)) if sentence[i].text in _HARD or sentence[i].text in ",.、"]
    ends.append(len(sentence) - 1)
    found: list[tuple[int, int]] = []
    for first, token in enumerate(sentence):
        if not token.is_word or (first and topic[first - 1]):
            continue
        for last in ends:
            if not first + MOST_WORDS <= last < first + LONGEST_CLAUSE or not sentence[last].is_word:
                continue
            if any(sentence[index].text in _HARD for index in range(first, last)):
                break
            found.append((first, last))
    return found


def _form(sentence: Sequence[Token], topic: Sequence[bool], first: int, last: int, forms: Forms) -> str:
    inside = range(first, last + 1)
    words = [sentence[index] for index in inside if sentence[index].is_word]
    telling = [sentence[index] for index in inside if topic[index]] or words
    if any(_is_date(token, forms) for token in telling):
        return "date"
    if all(_YEAR.fullmatch(token.low) for token in telling):
        return "year"
    if telling[0].text[0].isdigit() or telling[0].low in forms.numbers or sentence[first].text in _CURRENCY:
        return "number"
    capitals = sum(token.text[0].isupper() for token in telling)
    if capitals == len(telling):
        return "name"
    if len(words) > MOST_WORDS:
        return "clause"
    if capitals:
        return "part"
    if 0 < first < last + 1 < len(sentence) and _is_quoted(sentence, first, last):
        return "quoted"
    return "phrase" if len(words) <= 4 else "clause"


def _is_quoted(sentence: Sequence[Token], first: int, last: int) -> bool:
    return sentence[first - 1].text in _OPENS and sentence[last + 1].text in _CLOSES


def _is_date(token: Token, forms: Forms) -> bool:
    """A month, a day; "may" and "march" only where they are written large."""
    return token.low in forms.dates and (token.low not in {"may", "march"} or token.text[0].isupper())

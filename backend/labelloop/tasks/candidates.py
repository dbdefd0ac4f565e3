"""Passages of a sentence that may be an answer: runs of words that begin and end with a word that carries a topic."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from labelloop.tasks.sentences import Token

MOST_WORDS = 8
LONGEST_CLAUSE = 30
FORMS = ("year", "date", "number", "name", "part", "quoted", "phrase", "clause")
_HARD = set(";:?!()[]{}\"“”„«»–—|…。！？")
_CURRENCY = set("$£€¥₹")
_UNITS = set("%°")
_YEAR = re.compile(r"1\d{3}s?|20\d\ds?")
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class Candidate:
    """Tokens [first, last] of sentence ``sentence``; ``form``: an index into ``FORMS``."""

    sentence: int
    first: int
    last: int
    form: int


def runs(sentence: Sequence[Token], function: Collection[str]) -> list[tuple[int, int]]:
    """(first, last) tokens of every candidate of a sentence."""
    found: list[tuple[int, int]] = []
    n = len(sentence)
    good = [token.is_word and token.low not in function for token in sentence]
    for first in range(n):
        begins = good[first] or (
            first + 1 < n
            and good[first + 1]
            and (sentence[first].text in _CURRENCY or first and sentence[first].text[0].isupper())
        )
        if not begins or good[first] and first and sentence[first - 1].text in _CURRENCY:
            continue
        words = 0
        for last in range(first, n):
            token = sentence[last]
            if token.text in _HARD:
                break
            words += token.is_word
            if words > MOST_WORDS:
                break
            if good[last] and not (last + 1 < n and sentence[last + 1].text in _UNITS) or token.text in _UNITS:
                found.append((first, last))
    return found + _clauses(sentence, function)


def _clauses(sentence: Sequence[Token], function: Collection[str]) -> list[tuple[int, int]]:
    """From behind a comma, a hard mark or a function word to the next hard mark or comma, where that is long."""
    found: list[tuple[int, int]] = []
    n = len(sentence)
    ends = [i - 1 for i in range(1, n) if sentence[i].text in _HARD or sentence[i].text in ",."] + [n - 1]
    for first in range(n):
        if not sentence[first].is_word or first and sentence[first - 1].is_word and sentence[first - 1].low not in function:
            continue
        for last in ends:
            if first + MOST_WORDS <= last < first + LONGEST_CLAUSE and sentence[last].is_word:
                if any(sentence[i].text in _HARD for i in range(first, last)):
                    break
                found.append((first, last))
    return found


def form(sentence: Sequence[Token], first: int, last: int, dates: Collection[str], numbers: Collection[str], function: Collection[str]) -> int:
    """Which of ``FORMS`` the tokens have."""
    words = [token for token in sentence[first : last + 1] if token.is_word]
    topic = [token for token in words if token.low not in function] or words
    if any(token.low in dates and (token.low not in ("may", "march") or token.text[0].isupper()) for token in topic):
        return 1
    if len(topic) == 1 and _YEAR.fullmatch(topic[0].low):
        return 0
    if all(_YEAR.fullmatch(t.low) for t in topic):
        return 0
    if _DIGIT.search(topic[0].text) or topic[0].low in numbers or sentence[first].text in _CURRENCY:
        return 2
    capital = [token.text[0].isupper() for token in topic]
    if all(capital):
        return 3
    if len(words) > MOST_WORDS:
        return 7
    if any(capital):
        return 4
    if 0 < first and last + 1 < len(sentence) and sentence[first - 1].text in "\"“„«‘" and sentence[last + 1].text in "\"”“»’":
        return 5
    return 6 if len(words) <= 4 else 7

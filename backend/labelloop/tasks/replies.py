"""What of a model's reply counts, and what makes a reply worthless. Pure text, any language."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from labelloop.tasks.sentences import sentences, tokens

EMPTY = "empty"
REPEATS = "repeats itself"
COPIES = "copies the text"
INVENTS = "has a number that the text has not"
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "»": "«", "‘": "’", "'": "'", "「": "」", "`": "`"}
_LOOP = re.compile(r"(\w.{1,30}?)\1{4,}")  # "fisherfisherfisherfisherfisher"
_LONGEST_LEAD = 100  # characters
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SPELT = 12
"""Whole numbers up to this one often stand in a text as words."""


def clean(text: str, lead_ins: Sequence[str] = ()) -> str:
    """The reply without what it says about itself: a lead-in up to its colon ("Here is the summary:"), quotation marks
    around all of it, sentences and lines that it has said before.

    >>> clean('Sure! Here is the summary: "They meet at nine. They meet at nine."', ["Sure", "Here is"])
    'They meet at nine.'
    """
    text = _unquoted(_without_lead(text.strip(), lead_ins))
    return _once(text).strip()


def _without_lead(text: str, lead_ins: Sequence[str]) -> str:
    head, colon, rest = text[:_LONGEST_LEAD].partition(":")
    begins = head.lstrip("*#_ ").casefold()
    if not colon or "\n" in head or not any(begins.startswith(lead.casefold()) for lead in lead_ins):
        return text
    return (rest + text[_LONGEST_LEAD:]).lstrip("*_ \n")


def _unquoted(text: str) -> str:
    close = _QUOTES.get(text[:1])
    inner = text[1:-1]
    if close and len(text) > 2 and text.endswith(close) and not {text[0], close} & set(inner):
        return inner.strip()
    return text


def _once(text: str) -> str:
    """The text up to the first sentence of four words or more that it has said before: from there small models
    loop."""
    seen: set[str] = set()
    for sentence in sentences(text):
        words = " ".join(token.low for token in sentence if token.is_word)
        if words in seen and words.count(" ") >= 3:
            return text[: sentence[0].start]
        seen.add(words)
    return text


def whole(text: str) -> str:
    """A reply that was stopped at its greatest length, up to its last whole sentence; all of it where there is none."""
    ends = [match.end() for match in re.finditer(r"[.!?…][\"'”’»)]*(?=\s)|[。！？]|\n", text)]
    return text[: ends[-1]].rstrip() if ends else text


def fault(text: str) -> str:
    """Why a cleaned reply is worthless, or ""."""
    words = [token.low for token in tokens(text) if token.is_word]
    if not words:
        return EMPTY
    if _LOOP.search(text):
        return REPEATS
    if len(words) >= 9:
        runs = Counter(zip(words, words[1:], words[2:], strict=False))
        if max(runs.values()) >= max(4, len(words) // 8) or len(set(words)) < len(words) / 4:
            return REPEATS
    return ""


def same(one: str, other: str) -> bool:
    """Whether two texts have the same words and marks, in any case."""
    return [token.low for token in tokens(one)] == [token.low for token in tokens(other)]


def invents(text: str, *sources: str) -> bool:
    """Whether a text has a number, written in digits, that none of its sources has.

    >>> invents("They paid 1,500 in 2018.", "In 2018 they paid 1500 pounds.")
    False
    >>> invents("It closed in 2018.", "It closed on Monday.")
    True
    """
    known = {one for source in sources for one in _numbers(source)}
    return any(len(one) > len(str(_SPELT)) or int(one) > _SPELT for one in _numbers(text) - known)


def _numbers(text: str) -> set[str]:
    """The digits of its numbers, without marks among them and zeros before them."""
    return {str(int(re.sub(r"[.,]", "", match[0]))) for match in _NUMBER.finditer(text)}

"""Words and sentences of a text with their offsets, in any script. Pure text; no model."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

LONGEST = 60
"""Words of a sentence; what is longer (a list, a text without full stops) is cut, so that cost stays linear."""

_MARKS = "".join(chr(code) for code in range(min(0x1F000, sys.maxunicode)) if unicodedata.category(chr(code))[0] == "M")
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LETTER = f"[^\\W{UNSPACED}]|[{re.escape(_MARKS)}]"
_TOKEN = re.compile(
    rf"[{UNSPACED}][{re.escape(_MARKS)}]*"  # scripts without spaces: each character
    rf"|(?:{_LETTER})+(?:[.,](?=\d)(?:\d+)|['’\-‐](?:{_LETTER})+|[.&](?:{_LETTER})+)*"  # 3.5, isn't, e.g, AT&T, to-day
    r"|[^\w\s]"
)
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*|\s*\n\s*\n\s*|(?<=[^\s,;])\r?\n")
_BRIEF = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "v", "etc", "no", "vol", "ca", "c", "approx", "gen"}
    | {"col", "lt", "sgt", "capt", "rev", "hon", "gov", "sen", "rep", "inc", "ltd", "co", "corp", "dept", "fig"}
    | {"e.g", "i.e", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "al", "cf"}
    | {"pp", "p"}
)


class Token(NamedTuple):
    """A word or a mark: characters [start, end) of the text; ``low`` and ``stem`` ("" of a mark): to match by."""

    start: int
    end: int
    text: str
    low: str
    stem: str

    @property
    def is_word(self) -> bool:
        return self.stem != ""


def tokens(text: str, start: int = 0) -> list[Token]:
    """The words and marks of a text; ``start`` is added to offsets."""
    return [_token(match[0], start + match.start()) for match in _TOKEN.finditer(text)]


def _token(text: str, start: int) -> Token:
    low = text.lower()
    return Token(start, start + len(text), text, low, stem(low) if text[0].isalnum() else "")


def stem(word: str) -> str:
    """What forms of a word share, roughly: endings go, and at most seven letters stay. Numbers stay as they are.

    >>> stem("designed"), stem("designer's"), stem("1,066")
    ('design', 'design', '1066')
    """
    word = word.replace("’", "'")
    if word[:1].isdigit():
        return word.replace(",", "").rstrip(".") or word
    word = word.removesuffix("'s").removesuffix("'")
    for ending in ("ies", "ing", "ed", "es", "er", "or", "ly", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)][:7]
    return word[:7]


def sentences(text: str) -> list[list[Token]]:
    """The sentences that have a word, in order, as their tokens; at most ``LONGEST`` tokens each."""
    found: list[list[Token]] = []
    begin = 0
    lower = not any(character.isupper() for character in text)
    for match in _END.finditer(text):
        if _ends(text, match, lower):
            found += _cut(tokens(text[begin : match.end()], begin))
            begin = match.end()
    found += _cut(tokens(text[begin:], begin))
    return [sentence for sentence in found if any(token.is_word for token in sentence)]


def _ends(text: str, match: re.Match[str], lower: bool) -> bool:
    after = text[match.end() : match.end() + 40].lstrip()
    if not after:
        return True
    wrapped = match[0].strip() == "" and match[0].count("\n") == 1
    if ("." in match[0] or wrapped) and not lower and after[0].islower():
        return False
    if "." not in match[0]:
        return True
    before = re.search(r"\S*$", text[max(0, match.start() - 20) : match.start()])
    word = (before[0] if before else "").strip("(\"'“‘[").lower()
    return not (word in _BRIEF or (len(word) == 1 and word.isalpha() and before and before[0][-1:].isupper()))


def _cut(sentence: Sequence[Token]) -> list[list[Token]]:
    return [list(sentence[start : start + LONGEST]) for start in range(0, len(sentence), LONGEST)]

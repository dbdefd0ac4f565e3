"""Words in several languages: hints beside a text, a check of replies, a text told word by word."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, NamedTuple, Self

from pydantic import Field as Key
from pydantic import model_validator

from labelloop.prompting import Strict
from labelloop.tasks.sentences import Token, stem, tokens

_LONGEST = 3  # words of a term
_SAME = 4  # first letters by which two forms of a word are taken for one, as endings differ by case and number


class Glossary(Strict):
    """``columns``: codes of languages. ``words``: lines with a term of each, split by "|"."""

    columns: Annotated[tuple[str, ...], Key(min_length=2)]
    words: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _lines_are_whole(self) -> Self:
        for line in self.words:
            if len(line.split("|")) != len(self.columns):
                raise ValueError(f"{line!r} needs {len(self.columns)} words: {'|'.join(self.columns)}")
        return self


class Hit(NamedTuple):
    """A term of a text: tokens [first, last], as it is there, and in the other language."""

    first: int
    last: int
    here: str
    there: str


@lru_cache(maxsize=64)
def _terms(columns: tuple[str, ...], words: tuple[str, ...], source: str, target: str) -> dict[str, str]:
    """Of each term in the source language, in lower case, that in the target; by its stem too, where that is free."""
    if source not in columns or target not in columns:
        return {}
    ours, theirs = columns.index(source), columns.index(target)
    exact: dict[str, str] = {}
    for line in words:
        terms = [term.strip() for term in line.split("|")]
        exact.setdefault(terms[ours].lower(), terms[theirs])
    stems: dict[str, str] = {}
    for term, other in exact.items():
        stems.setdefault(stem(term), other)
    return {**stems, **exact}


def hits(text: str, glossary: Glossary, source: str, target: str) -> list[Hit]:
    """The terms of a text in its order, the longest at each place."""
    known = _terms(glossary.columns, glossary.words, source, target)
    found: list[Hit] = []
    words = tokens(text)
    place = 0
    while place < len(words):
        for size in range(min(_LONGEST, len(words) - place), 0, -1):
            term = " ".join(token.low for token in words[place : place + size])
            other = known.get(term) or (known.get(words[place].stem) if size == 1 and words[place].is_word else None)
            if other is not None:
                here = text[words[place].start : words[place + size - 1].end]
                found.append(Hit(place, place + size - 1, here, other))
                place += size - 1
                break
        place += 1
    return found


def covered(text: str, known: list[Hit]) -> float:
    """The share of the terms that a text in the other language has, in any form; 1 where there are none."""
    words = {token.low[:_SAME] for token in tokens(text)}
    wanted = [{token.low[:_SAME] for token in tokens(hit.there)} for hit in known]
    return sum(bool(one & words) for one in wanted) / len(wanted) if wanted else 1.0


def word_by_word(text: str, known: list[Hit]) -> str:
    """The text with its terms in the other language; what is not known stays."""
    words: list[Token] = tokens(text)
    parts: list[str] = []
    end = 0
    for hit in known:
        start = words[hit.first].start
        capital = hit.first == 0 and hit.here[:1].isupper()
        parts += [text[end:start], hit.there[:1].upper() + hit.there[1:] if capital else hit.there]
        end = words[hit.last].end
    return "".join([*parts, text[end:]])

"""Which language a text is in, and which language a word means. What is known of languages stands in a prompt file."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field as Key

from labelloop.prompting import Strict
from labelloop.tasks.sentences import tokens

LONGEST = 2000  # characters of a text that are looked at
_LEAST_WORDS = 4  # of a text in a script that several languages share, before its words say anything
_LEAST_HITS = 0.5  # of the language's commonest words, those in the text; one that n languages have counts as 1/n
_MARGIN = 1.2  # times as many as the next language has
_JAPANESE = frozenset({"HIRAGANA", "KATAKANA"})


class Language(Strict):
    """``names``: what it is called, the first in prompts; its code is a name too. ``script``: as Unicode's names of
    letters begin. ``words``: its commonest words, where other languages here share the script."""

    names: Annotated[tuple[str, ...], Key(min_length=1)]
    script: str = "LATIN"
    words: str = ""


Languages = Mapping[str, Language]
"""By code."""


def code_of(name: str, known: Languages) -> str:
    """The code of a language that is called so, or has this code ("de", "de-AT"); "" where it is not known."""
    wanted = name.strip().casefold()
    short = re.split(r"[-_]", wanted)[0]
    for code, language in known.items():
        if wanted in {code, *(one.casefold() for one in language.names)}:
            return code
    return short if short in known and short != wanted else ""


def named(text: str, known: Languages) -> list[str]:
    """The codes of the languages that a text names, in its order, each once."""
    places: dict[str, int] = {}
    for code, language in known.items():
        for name in language.names:
            if match := re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE):
                places[code] = min(match.start(), places.get(code, match.start()))
    return sorted(places, key=lambda code: places[code])


def guess(text: str, known: Languages) -> str:
    """The code of the language that a text is in; "" where its letters and commonest words do not tell."""
    text = text[:LONGEST]
    scripts = Counter(script for character in text if (script := _script(character)))
    if not scripts:
        return ""
    script = "HIRAGANA" if scripts.keys() & _JAPANESE else scripts.most_common(1)[0][0]
    fitting = {code: language for code, language in known.items() if language.script == script}
    if len(fitting) < 2:
        return next(iter(fitting), "")
    words = [token.low for token in tokens(text) if token.is_word]
    if len(words) < _LEAST_WORDS:
        return ""
    common = {code: frozenset(its.words.split()) for code, its in fitting.items()}
    having = Counter(word for its in common.values() for word in its)
    hits = {code: sum(1 / having[word] for word in its & set(words)) for code, its in common.items()}
    best, second = sorted(hits.values(), reverse=True)[:2]
    return max(hits, key=lambda code: hits[code]) if best >= max(_LEAST_HITS, _MARGIN * second) else ""


def _script(character: str) -> str:
    """The first word of a letter's Unicode name ("LATIN", "CJK"); "" of what is no letter."""
    return unicodedata.name(character, "").split(" ")[0] if character.isalpha() else ""

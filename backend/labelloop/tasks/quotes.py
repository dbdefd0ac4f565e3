"""Quotes of a model and where they stand in a text: exactly, or nowhere. Pure text; no model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from labelloop.tasks.sentences import UNSPACED

Place = tuple[int, int]
_UNSPACED = re.compile(f"[{UNSPACED}]")
_ALIKE = str.maketrans("‘’‚‛“”„‟«»‐‑‒–—―", '\'\'\'\'""""""------')


def locate(quotes: Sequence[tuple[str, str]], text: str) -> tuple[list[tuple[int, int, str]], int]:
    """(start, end, label) of quotes (text, label), and how many quotes stand nowhere.

    A quote is looked for as it is; if it is nowhere, without regard to case, white space and the form of quotation
    marks and dashes, and then it must stand in one place alone. A quote with one label marks every place where it
    stands as whole words; one that comes with several labels marks the next place with each. Longer quotes come first,
    so that who takes the first of overlapping passages takes the longest.
    """
    labels: dict[str, list[str]] = {}
    for quote, label in quotes:
        labels.setdefault(quote.strip(), []).append(label)
    found: list[tuple[int, int, str]] = []
    lost = 0
    for quote, its in labels.items():
        places = find(quote, text)
        if len(set(its)) == 1 and places:
            found += [(*place, its[0]) for place in places]
            continue
        found += [(*place, label) for place, label in zip(places, its, strict=False)]
        lost += max(0, len(its) - len(places))
    return sorted(dict.fromkeys(found), key=lambda one: (one[0] - one[1], one[0])), lost


def find(quote: str, text: str) -> list[Place]:
    """Where the quote stands: see ``locate``.

    >>> find("York", "New York, not Yorkshire; York."), find("new  york", "New York"), find("x", "axa")
    ([(4, 8), (25, 29)], [(0, 8)], [(1, 2)])
    """
    if not any(character.isalnum() for character in quote):
        return []
    exact = [(match.start(), match.end()) for match in re.finditer(re.escape(quote), text)]
    whole = [place for place in exact if _is_whole(text, *place)]
    if whole or exact:
        return whole or (exact if len(exact) == 1 else [])
    plain, offsets = _plain(text)
    wanted = _plain(quote)[0].strip()
    near = [
        (offsets[match.start()][0], offsets[match.end() - 1][1])
        for match in re.finditer(re.escape(wanted), plain)
        if wanted
    ]
    whole = [place for place in near if _is_whole(text, *place)]
    return whole if len(whole) == 1 else []


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether no word goes on over the ends; scripts without spaces have no such ends."""
    return not (_joined(text[start - 1 : start + 1] if start else "") or _joined(text[end - 1 : end + 1]))


def _joined(pair: str) -> bool:
    return len(pair) == 2 and all(_is_letter(one) for one in pair) and not any(_UNSPACED.match(one) for one in pair)


def _is_letter(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _plain(text: str) -> tuple[str, list[Place]]:
    """The text in one case, runs of white space as one space, quotation marks and dashes alike; and of each of its
    characters the characters of ``text`` that it stands for."""
    made: list[str] = []
    offsets: list[Place] = []
    for place, character in enumerate(text):
        if character.isspace():
            if made and made[-1] == " ":
                offsets[-1] = (offsets[-1][0], place + 1)
                continue
            character = " "
        for one in unicodedata.normalize("NFKC", character).translate(_ALIKE).casefold():
            made.append(one)
            offsets.append((place, place + 1))
    return "".join(made), offsets

"""Styles of a text, measured by its words: what a style has, what it never has, how long words and sentences are."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Self

from pydantic import Field, model_validator

from labelloop.prompting import Strict
from labelloop.tasks.sentences import sentences, tokens


class Style(Strict):
    """How a style is told to a model, and known in a text.

    ``told``: after "Write". ``has``: words and marks of which a text in the style has one; none: it needs none.
    ``never``: those that it never has. A word stands for itself alone, in any case; "~" before it makes it a regular
    expression. ``sentence``: most words of its sentences on average. ``letters``: (least, most) letters of its words on
    average. Each of these counts alike.
    """

    told: str
    has: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    sentence: float | None = Field(None, gt=0)
    letters: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _is_measured(self) -> Self:
        if not (self.has or self.never or self.sentence or self.letters):
            raise ValueError("a style has at least one of has, never, sentence and letters: else nothing measures it")
        for one in (*self.has, *self.never):
            try:
                _pattern((one,))
            except re.error as error:
                raise ValueError(f"{one!r} is no regular expression: {error}") from None
        return self


@lru_cache(maxsize=512)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    parts = (one[1:] if one.startswith("~") else rf"(?<!\w){re.escape(one)}(?!\w)" for one in words)
    return re.compile("|".join(parts), re.IGNORECASE)


def styled(text: str, style: Style) -> float:
    """In [0, 1]: the share of what the style asks for that the text has."""
    words = [token.text for token in tokens(text) if token.is_word]
    if not words:
        return 0.0
    parts: list[float] = []
    plain = text.replace("’", "'")
    if style.has:
        parts.append(float(_pattern(style.has).search(plain) is not None))
    if style.never:
        parts.append(float(_pattern(style.never).search(plain) is None))
    if style.sentence:
        parts.append(min(1.0, style.sentence * max(1, len(sentences(text))) / len(words)))
    if style.letters:
        mean = sum(map(len, words)) / len(words)
        low, high = style.letters
        parts.append(min(1.0, mean / low if mean < low else high / mean if mean > high else 1.0))
    return sum(parts) / len(parts)

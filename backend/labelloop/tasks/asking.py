"""Asking a writer: how long texts are to it, and replies of which one that it refuses costs the others nothing."""

from __future__ import annotations

from collections.abc import Sequence

from labelloop.engines import Ask, Manner, Writer, Written
from labelloop.errors import ItemError

LEAST_ROOM = 8
"""Tokens of text that must fit beside the rest of a prompt."""


def measure(writer: Writer, texts: Sequence[str]) -> list[int]:
    """Tokens of each text, one more for what cutting may add."""
    bare, *sizes = writer.sizes([Ask((("user", text),)) for text in ("", *texts)])
    return [max(1, size - bare + 1) for size in sizes]


def ask_all(writer: Writer, asks: Sequence[Ask], manner: Manner) -> list[tuple[list[Written], str]]:
    """Per ask its replies, and why there are none. Raises ModelError where the engine fails as a whole."""
    try:
        return [(its, "") for its in writer.write(asks, manner)]
    except ItemError as error:
        if len(asks) > 1:
            return [its for one in asks for its in ask_all(writer, [one], manner)]
        return [([], str(error))]

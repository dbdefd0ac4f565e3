"""Texts for a model whose tokenizer is elsewhere: how many tokens they may have, where to cut them, what to mask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from math import ceil
from typing import NamedTuple

from labelloop.engines import Ask
from labelloop.engines.batching import OVERLAP, window_starts
from labelloop.engines.offsets import whole

_PIECE = re.compile(r"[ ]?[A-Za-z]+|[0-9]|\s+|[^\x00-\x7f]+|.", re.DOTALL)
_LETTERS_PER_TOKEN = 3  # of a word; English ones have more, those that a tokenizer was not made for have less
_BYTES_PER_TOKEN = 1.5  # of UTF-8 beyond ASCII
_LONGEST_PIECE = 8  # so that one is never longer than windows overlap
PER_MESSAGE = 8
_SPECIAL = re.compile(
    r"<(?=[|｜][^|｜<>\s]{1,40}[|｜]>|/?s>|(?:start|end)_of_turn>|[be]os>|pad>|unk>|</?SYS>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|IMG)\])"
)
_JOINER = "\u2060"
_MASKED = re.compile(f"([<\\[]){_JOINER}")


def plain(text: str) -> str:
    """The text so that no server takes a part of it for a special token: a word joiner, which is invisible, breaks what
    looks like one. Servers put contents into their template before they tokenize."""
    return _SPECIAL.sub(lambda match: match[0] + _JOINER, whole(text))


def unmasked(text: str) -> str:
    """A reply in which ``plain`` is undone, where the model copied it."""
    return _MASKED.sub(r"\1", text)


class Piece(NamedTuple):
    """A stretch of a text, about as short as a token. ``tokens``: the most that it is taken for."""

    start: int
    tokens: int


def pieces(text: str) -> list[Piece]:
    """The text in stretches with an upper estimate of their tokens.

    Every 3 letters of a word count one; so does a digit, a mark, a run of white space; and 1.5 bytes of UTF-8 beyond
    ASCII. That is 1.5 to 1.8 times what SmolLM2's tokenizer (English, 49,000 entries) makes of English, and 1.03 times
    what it makes of German, which it was not made for (single sentences down to 0.8).
    """
    found = []
    for match in _PIECE.finditer(text):
        for start in range(match.start(), match.end(), _LONGEST_PIECE):
            part = text[start : min(start + _LONGEST_PIECE, match.end())]
            if part[-1].isascii() and part[-1].isalpha():
                tokens = ceil(len(part.lstrip()) / _LETTERS_PER_TOKEN)
            elif part[-1].isascii():
                tokens = 1
            else:
                tokens = ceil(len(part.encode("utf-8", "replace")) / _BYTES_PER_TOKEN)
            found.append(Piece(start, tokens))
    return found


def estimate(text: str) -> int:
    """Tokens of a text, at most: ``pieces`` says how."""
    return sum(piece.tokens for piece in pieces(text))


def size(ask: Ask) -> int:
    """Tokens of an ask, its template's included, at most."""
    return PER_MESSAGE + sum(PER_MESSAGE + estimate(content) for _, content in ask.messages) + estimate(ask.begun)


class Window(NamedTuple):
    """A part of a text. ``tokens``: as estimated; its weight among the text's windows."""

    text: str
    tokens: int


def windows(text: str, room: int) -> list[Window]:
    """The text in windows of at most ``room`` tokens that overlap by an eighth; itself where it fits."""
    found = pieces(text)
    ends = list(accumulate(piece.tokens for piece in found))
    if not ends or ends[-1] <= room:
        return [Window(text, ends[-1] if ends else 0)]
    return [_between(text, found, ends, at, at + room) for at in window_starts(ends[-1], room, room // OVERLAP)]


def _between(text: str, found: Sequence[Piece], ends: Sequence[int], first: int, last: int) -> Window:
    """The pieces that lie wholly between two places in tokens."""
    its = [index for index, end in enumerate(ends) if end - found[index].tokens >= first and end <= last]
    stop = found[its[-1] + 1].start if its[-1] + 1 < len(found) else len(text)
    return Window(text[found[its[0]].start : stop], sum(found[index].tokens for index in its))

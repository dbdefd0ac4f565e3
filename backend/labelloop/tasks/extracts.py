"""Summaries made of a text's own lines or sentences: its beginning, or what most of it is about. No model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from labelloop.tasks.sentences import sentences, tokens

_OFTEN = 0.6  # of the pieces: a word that stands in more of them tells nothing
_SHORT = 5  # words added to a piece's length, so that the shortest do not win


def pieces(text: str) -> list[str]:
    """The lines of a text, or its sentences where it has fewer than three lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) >= 3:
        return lines
    return [text[one[0].start : one[-1].end] for one in sentences(text)]


def lead(parts: Sequence[str], words: int) -> str:
    """The first pieces, at least one, with at most so many words together."""
    return _together(parts, range(len(parts)), words)


def central(parts: Sequence[str], words: int) -> str:
    """The first piece, and those whose words occur in most others (Luhn 1958), at most so many words together."""
    each = [{token.stem for token in tokens(part) if token.is_word} for part in parts]
    counts = Counter(word for its in each for word in its)
    most = max(2.0, _OFTEN * len(parts))
    worth = [
        sum(counts[word] for word in its if counts[word] <= most) / (len(tokens(part)) + _SHORT)
        for its, part in zip(each, parts, strict=True)
    ]
    order = [0, *sorted(range(1, len(parts)), key=lambda place: -worth[place])] if parts else []
    return _together(parts, order, words)


def _together(parts: Sequence[str], order: Sequence[int], words: int) -> str:
    """In the text's order those of ``order`` that fit, the first in any case."""
    kept: list[int] = []
    held = 0
    for place in order:
        size = sum(token.is_word for token in tokens(parts[place]))
        if not kept or held + size <= words:
            kept.append(place)
            held += size
    return "\n".join(parts[place] for place in sorted(kept))

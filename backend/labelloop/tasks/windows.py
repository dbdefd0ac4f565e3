"""Cutting a text that does not fit into a model: whole lines, else whole sentences, else as much as fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labelloop.tasks.sentences import sentences

Measure = Callable[[Sequence[str]], list[int]]
"""Texts -> about how many tokens each has."""


def cut(text: str, most: int, measure: Measure, by: str = "text") -> list[tuple[int, int]]:
    """Windows of at most ``most`` tokens that cover the text, as characters [start, end); as few and as full as whole
    lines allow. A line that is longer is cut between sentences, a longer sentence into halves.

    Args:
        by: "line" or "sentence" makes a window of each, however short.

    Raises:
        ValueError: ``most`` is less than a token.
    """
    if most < 1:
        raise ValueError("a window has at least one token")
    lines = _lines(text)
    if by == "sentence":
        lines = [inner for start, end in lines for inner in _sentences(text, start, end)]
    pieces = _fitting(text, lines, most, measure)
    if by != "text":
        return [place for place, _ in pieces]
    windows: list[tuple[int, int]] = []
    held = 0
    for (start, end), size in pieces:
        if windows and held + size <= most:
            windows[-1] = (windows[-1][0], end)
            held += size
        else:
            windows.append((start, end))
            held = size
    return windows


def tail(text: str, most: int, measure: Measure) -> int:
    """Where the last lines begin that fit into ``most`` tokens, as many as do; a line that is longer alone is cut as by
    ``cut``. Raises ValueError as ``cut``."""
    begin, held = len(text), 0
    for (start, end), size in reversed(_fitting(text, _lines(text), max(1, most), measure)):
        if text[start:end].strip() and held + size > most:
            break
        begin, held = start, held + size
    return begin


def _fitting(
    text: str, pieces: Sequence[tuple[int, int]], most: int, measure: Measure
) -> list[tuple[tuple[int, int], int]]:
    """The pieces with their sizes, those that are too long cut further."""
    found: list[tuple[tuple[int, int], int]] = []
    for (start, end), size in zip(pieces, measure([text[start:end] for start, end in pieces]), strict=True):
        if size <= most or end - start == 1:
            found.append(((start, end), size))
            continue
        inner = _sentences(text, start, end)
        if len(inner) == 1:
            middle = _middle(text, start, end)
            inner = [(start, middle), (middle, end)]
        found += _fitting(text, inner, most, measure)
    return found


def _lines(text: str) -> list[tuple[int, int]]:
    ends = [place + 1 for place, character in enumerate(text) if character == "\n"]
    ends = [*ends, len(text)] if not ends or ends[-1] < len(text) else ends
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The sentences in [start, end), each with what stands between it and the next."""
    begins = [start + sentence[0].start for sentence in sentences(text[start:end])][1:]
    return list(zip([start, *begins], [*begins, end], strict=True))


def _middle(text: str, start: int, end: int) -> int:
    """The place of the space nearest to the middle; the middle itself where there is none."""
    middle = (start + end) // 2
    for distance in range(1, (end - start) // 2):
        for place in (middle - distance, middle + distance):
            if start < place < end and text[place].isspace():
                return place
    return middle

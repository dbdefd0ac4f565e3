"""UTF-16 units, in which browsers count characters: two for those beyond U+FFFF. Imports nothing of ours."""

from __future__ import annotations


def units(text: str) -> int:
    """The length of ``text`` in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def points(text: str, count: int) -> int:
    """How many characters of ``text`` its first ``count`` units hold; a half of one counts as none."""
    if text.isascii():
        return min(count, len(text))
    beginning = text.encode("utf-16-le", "surrogatepass")[: 2 * count]
    last = beginning[-2:]
    if len(last) == 2 and 0xD8 <= last[1] <= 0xDB:  # the first half of a pair, or a lone one
        whole = len(beginning[:-2].decode("utf-16-le", "surrogatepass"))
        return whole + (text[whole : whole + 1] == last.decode("utf-16-le", "surrogatepass"))
    return len(beginning.decode("utf-16-le", "surrogatepass"))

"""What a person reads of a piece of HTML: its text, with block elements as lines. Imports nothing of ours."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BLOCK_NAMES = """
    address article aside blockquote body br caption dd details dialog div dl dt fieldset figcaption
    figure footer form h1 h2 h3 h4 h5 h6 header hr html legend li main nav ol option p pre section
    summary table tbody tfoot thead title tr ul
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_CELLS = frozenset({"td", "th"})
_UNREAD = frozenset({"script", "style", "template"})
_BLANKS = re.compile(r"[ \t\r\n\f\u00a0\u200b]+")


class _Reader(HTMLParser):
    """Collects text; whitespace collapses as in a browser, except inside <pre>."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unread = 0
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNREAD:
            self._unread += 1
        elif tag in _BLOCKS:
            self.parts.append("\n")
            self._pre += tag == "pre"
        elif tag in _CELLS:
            self.parts.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:  # <script/> opens nothing that would have to be closed
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNREAD:
            self._unread = max(0, self._unread - 1)
        elif tag in _BLOCKS:
            self.parts.append("\n")
            self._pre = max(0, self._pre - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.parts.append(data if self._pre else _BLANKS.sub(" ", data))


def html_to_text(html: str) -> str:
    """The text of ``html``: tags stripped, entities decoded, scripts and styles dropped, one line per block.

    Never raises: what is no HTML is text.
    """
    if "<" not in html and "&" not in html:
        return _tidy(_BLANKS.sub(" ", html))
    reader = _Reader()
    try:
        reader.feed(html)
        reader.close()
    except AssertionError:  # html.parser's own complaint about some malformed declarations, such as "<![x"
        return _tidy(_BLANKS.sub(" ", re.sub(r"<[^<>]*>", " ", html)))
    return _tidy("".join(reader.parts))


def _tidy(text: str) -> str:
    lines = (re.sub(r" {2,}", " ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)

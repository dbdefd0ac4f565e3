"""What a person reads of a piece of HTML: its text, with block elements as lines. Imports nothing of ours."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from lxml import etree

_BLOCK_NAMES = """
    address article aside blockquote body br caption dd details dialog div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 header hr html legend li main nav ol option p pre section summary table
    tbody tfoot thead title tr ul
"""
BLOCKS = frozenset(_BLOCK_NAMES.split())
CELLS = frozenset({"td", "th"})
UNREAD = frozenset({"script", "style", "template"})
BLANKS = re.compile(r"[ \t\r\n\f\u00a0\u200b]+")
_FRAME = re.compile(r"</?(?:html|body)\b[^<>]*>", re.IGNORECASE)  # libxml2 stops reading at </body>
_NAME = re.compile(r"/?[a-zA-Z][a-zA-Z0-9]*")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")


def html_to_text(html: str) -> str:
    """The text of ``html``: tags stripped, entities decoded, scripts and styles dropped, one line per block.

    The cells of a row are parted by tabs, as a browser copies them: two cells are not one phrase.

    Never raises: what is no HTML is text. Takes time in proportion to the length (libxml2; Python's own html.parser
    takes its square on some input).
    """
    html = _CONTROLS.sub(" ", html)
    if "<" not in html and "&" not in html:
        return _tidy(BLANKS.sub(" ", html))
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(f"<div>{_FRAME.sub('<br>', html)}</div>".encode(), parser)
    except etree.XMLSyntaxError:
        root = None
    if root is None or any(entry.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for entry in parser.error_log):
        return _tidy("".join(_crude_parts(html)))  # tags nested 2,048 deep: libxml2 would cut the rest off
    return _tidy("".join(_parts(root)))


def _parts(root: Any) -> list[str]:
    """The text in reading order; white space collapses as in a browser, except inside <pre>."""
    parts: list[str] = []
    stack: list[tuple[Any, bool, bool]] = [(root, False, False)]  # node, whether it is left, whether inside <pre>
    while stack:
        node, left, kept = stack.pop()
        name = node.tag
        if left or name in UNREAD:
            if name in BLOCKS:
                parts.append("\n")
            if node is not root and node.tail:
                parts.append(node.tail if kept else BLANKS.sub(" ", node.tail))
            continue
        parts.append("\n" if name in BLOCKS else "\t" if name in CELLS else "")
        inside = kept or name == "pre"
        if node.text:
            parts.append(node.text if inside else BLANKS.sub(" ", node.text))
        stack.append((node, True, kept))
        stack.extend((child, False, inside) for child in reversed(node))
    return parts


def _crude_parts(html: str) -> list[str]:
    """The text between "<...>" pairs, for markup that no tree can hold."""
    first, *pieces = html.split("<")
    parts, unread = [first], ""
    for piece in pieces:
        inner, closed, text = piece.partition(">")
        name = _NAME.match(inner)
        if name is None or not closed:
            parts.append("" if unread else f"<{piece}")
            continue
        word = name.group().lower()
        if unread:
            unread = "" if word == f"/{unread}" else unread
        elif word in UNREAD:
            unread = word
        parts.append("" if unread else ("\n" if word.lstrip("/") in BLOCKS else "") + text)
    return [BLANKS.sub(" ", unescape(part)) for part in parts]


def _tidy(text: str) -> str:
    lines = (re.sub(r" *\t[ \t]*", "\t", re.sub(r" {2,}", " ", line)).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)

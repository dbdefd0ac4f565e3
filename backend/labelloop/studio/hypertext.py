"""The text of a HyperText object, and where each of its characters stands in the browser's tree.

The editor keeps a position as the XPath of a text node and an offset in UTF-16 units, and beside it "globalOffsets":
code points from the start of the page, a <br> counting one. Both are computed here as the editor computes them, from
the tree that HTML's own parsing rules give (Lexbor implements them).
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from labelloop.studio.markup import BLANKS, BLOCKS, CELLS, UNREAD, html_to_text
from labelloop.studio.sanitizer import TooDeep, sanitize
from labelloop.studio.utf16 import points, units

_SURROGATES = re.compile(r"[\ud800-\udfff]")
_LONGEST_NODE = 65_536  # UTF-16 units; browsers split a longer text into nodes of their own
_ELSEWHERE = UNREAD | {"noscript", "noembed", "noframes", "iframe"}  # in the tree, but not on the screen
_RUNS = re.compile(rf"(?P<blank>{BLANKS.pattern})|[^ \t\r\n\f\u00a0\u200b]+")


class HyperText:
    """``text``: what a person reads, blanks collapsed, one line per block, cells parted by tabs; positions index it.

    Never raises. A page that browsers do not show as it stands (nested hundreds deep, or megabytes in one piece) has a
    text but no positions.

    Args:
        inline: the page stands in a <div> of the editor's own page, not in a frame.
    """

    unmarked: tuple[tuple[int, int], ...] = ()

    def __init__(self, html: str, inline: bool = False) -> None:
        self._starts: list[int] = []  # of each text node, in code points of the page
        self._nodes: list[tuple[int, str, str]] = []  # of each text node: its parent, its step, its text
        self._elements: list[tuple[int, str]] = []  # of each element: its parent, its step
        self._written = _Written()
        try:
            self._read(_SURROGATES.sub("\ufffd", sanitize(html)), inline)
            self.text = "".join(self._written.parts)
        except TooDeep:
            self.text = html_to_text(html)
        if any(units(text) >= _LONGEST_NODE for _, _, text in self._nodes):
            del self._written.origins[:]

    @property
    def marked(self) -> bool:
        """Whether regions can stand on it."""
        return bool(self._written.origins)

    def value(self, start: int, end: int) -> dict[str, Any] | None:
        """The position of ``text[start:end]`` as a region holds it, without its text.

        None where it is no position, and where it begins or ends with white space that stands for markup.
        """
        origins, made_up = self._written.origins, self._written.made_up
        if not 0 <= start < end <= len(origins) or made_up[start] or made_up[end - 1]:
            return None
        first, last = origins[start], origins[end - 1] + 1
        begin, finish = bisect_right(self._starts, first) - 1, bisect_right(self._starts, last - 1) - 1
        return {
            "start": self._path(begin),
            "end": self._path(finish),
            "startOffset": units(self._nodes[begin][2][: first - self._starts[begin]]),
            "endOffset": units(self._nodes[finish][2][: last - self._starts[finish]]),
            "globalOffsets": {"start": first, "end": last},
        }

    def span(self, value: Mapping[str, Any]) -> tuple[int, int] | None:
        """The inverse of ``value``: by XPath, else by globalOffsets, as in the editor; None where nothing stands."""
        ends = [self._offset(value.get(key), value.get(f"{key}Offset")) for key in ("start", "end")]
        if None in ends:
            given = value.get("globalOffsets")
            ends = [given.get(key) for key in ("start", "end")] if isinstance(given, Mapping) else []
        origins, made_up = self._written.origins, self._written.made_up
        if not origins or not ends or not all(isinstance(one, int) and not isinstance(one, bool) for one in ends):
            return None
        first, last = int(ends[0] or 0), int(ends[1] or 0)
        if not 0 <= first < last <= self._starts[-1] + len(self._nodes[-1][2]):
            return None
        start, end = bisect_left(origins, first), bisect_left(origins, last)
        while start < end and made_up[start]:
            start += 1
        while start < end and made_up[end - 1]:
            end -= 1
        return (start, end) if start < end else None

    def nodes(self) -> list[tuple[str, int, str]]:
        """Each text node of the page: its XPath, where it begins in code points of the page, its text."""
        return [(self._path(index), self._starts[index], node[2]) for index, node in enumerate(self._nodes)]

    def _read(self, html: str, inline: bool) -> None:
        """Fills in the nodes, the elements, and the text with its origins."""
        root, written = _tree(html, inline), self._written
        levels = [_Level(root, -1, False, True)]
        place = 0
        while levels:
            level = levels[-1]
            node = level.child
            if node is None:
                levels.pop()
                if level.shown and level.name in BLOCKS:
                    written.line()
                continue
            level.child = node.next
            name = str(node.tag).lower()
            if name == "-text":
                text = node.text_content or ""
                while level.child is not None and level.child.tag == "-text":  # two in a row are one in a browser
                    text += level.child.text_content or ""
                    level.child = level.child.next
                if text:
                    self._nodes.append((level.element, level.step("text()"), text))
                    self._starts.append(place)
                    if level.shown:
                        written.write(text, place, level.kept)
                    place += len(text)
            elif not name.startswith("-"):
                place += name == "br"
                self._elements.append((level.element, level.step(name)))
                shown = level.shown and name not in _ELSEWHERE
                if shown and name in BLOCKS:
                    written.line()
                elif shown and name in CELLS:
                    written.cell()
                levels.append(_Level(node, len(self._elements) - 1, level.kept or name == "pre", shown))

    def _path(self, node: int) -> str:
        parent, step, _ = self._nodes[node]
        steps = [step]
        while parent >= 0:
            parent, step = self._elements[parent]
            steps.append(step)
        return "/" + "/".join(reversed(steps))

    def _offset(self, path: Any, offset: Any) -> int | None:
        """Code points of the page before a place in a text node; -1 where the node is shorter, None without a node."""
        if not isinstance(path, str) or not isinstance(offset, int) or isinstance(offset, bool):
            return None
        *above, last = path.removeprefix(".").removeprefix("/").split("/")
        parent: int | None = -1
        for step in above:
            parent = self._children.get((parent, step))
            if parent is None:
                return None
        node = self._texts.get((parent, last))
        if node is None:
            return None
        text = self._nodes[node][2]
        if not 0 <= offset <= units(text):
            return -1
        return self._starts[node] + points(text, offset)

    @cached_property
    def _children(self) -> dict[tuple[int | None, str], int]:
        return {place: index for index, place in enumerate(self._elements)}

    @cached_property
    def _texts(self) -> dict[tuple[int | None, str], int]:
        return {(parent, step): index for index, (parent, step, _) in enumerate(self._nodes)}


class _Level:
    """An element whose children are being read. ``kept``: white space counts. ``shown``: a person reads it."""

    def __init__(self, node: Any, element: int, kept: bool, shown: bool) -> None:
        self.child, self.element, self.kept, self.shown = node.child, element, kept, shown
        self.name = str(node.tag).lower() if element >= 0 else ""
        self._counts: dict[str, int] = {}

    def step(self, name: str) -> str:
        """The XPath step of the next child of this name."""
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return f"{name}[{count}]"


@dataclass
class _Written:
    """The text so far. Of each character ``origins`` has its place in the page, in code points, and ``made_up`` whether
    it stands for markup instead; then its origin is that of the character before it."""

    parts: list[str] = field(default_factory=list)
    origins: array[int] = field(default_factory=lambda: array("i"))  # a push holds hundreds of pages
    made_up: bytearray = field(default_factory=bytearray)
    _due: str = ""  # the blank, tab or line break that stands before the next word
    _due_origin: int | None = None

    def write(self, text: str, place: int, kept: bool) -> None:
        for run in _RUNS.finditer(text):
            start = place + run.start()
            if run.lastgroup == "blank":
                newline = run.group().find("\n") if kept else -1
                if newline >= 0:
                    self.line(start + newline)
                else:
                    self.blank(start)
                continue
            if self._due and self.parts:
                self.parts.append(self._due)
                self.origins.append(self.origins[-1] if self._due_origin is None else self._due_origin)
                self.made_up.append(self._due_origin is None)
            self._due, self._due_origin = "", None
            self.parts.append(run.group())
            self.origins.extend(range(start, start + len(run.group())))
            self.made_up.extend(bytes(len(run.group())))

    def blank(self, origin: int | None = None) -> None:
        if not self._due:
            self._due, self._due_origin = " ", origin

    def cell(self) -> None:
        if self._due != "\n":
            self._due, self._due_origin = "\t", None

    def line(self, origin: int | None = None) -> None:
        if self._due != "\n":
            self._due, self._due_origin = "\n", origin


def _tree(html: str, inline: bool) -> Any:
    """The element that paths start from. A frame's page is read in the mode of pages that say <!DOCTYPE html>."""
    from selectolax.lexbor import LexborHTMLParser  # here, so that only configs with HyperText spans need it

    if inline:
        parser = LexborHTMLParser(f"<!DOCTYPE html><html><body><div>{html}</div></body></html>", scripting=True)
        return parser.body.child if parser.body is not None else parser.root
    parser = LexborHTMLParser(f"<!DOCTYPE html>{html}", scripting=True)
    return parser.body if parser.body is not None else parser.root

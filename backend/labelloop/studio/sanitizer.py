"""What Label Studio's editor makes of the HTML in a task before the browser reads it.

It runs sanitize-html over htmlparser2 8 (all tags and attributes allowed, scripts and most iframes removed), which
closes and drops tags by rules of its own. A region's XPath counts the nodes that are left, so the same rules are here.
"""

from __future__ import annotations

import re
from html import escape, unescape

MAX_DEPTH = 400  # browsers flatten what is nested deeper than 512; nobody reads that, and it makes parsers slow

_FORM = frozenset({"input", "option", "optgroup", "select", "button", "datalist", "textarea"})
_P = frozenset({"p"})
_CLOSES: dict[str, frozenset[str]] = {
    "tr": frozenset({"tr", "th", "td"}),
    "th": frozenset({"th"}),
    "td": frozenset({"thead", "th", "td"}),
    "body": frozenset({"head", "link", "script"}),
    "li": frozenset({"li"}),
    "option": frozenset({"option"}),
    "optgroup": frozenset({"optgroup", "option"}),
    **dict.fromkeys(("dd", "dt"), frozenset({"dd", "dt"})),
    **dict.fromkeys(("rt", "rp"), frozenset({"rt", "rp"})),
    **dict.fromkeys(("tbody", "tfoot"), frozenset({"thead", "tbody"})),
    **dict.fromkeys(("select", "input", "output", "button", "datalist", "textarea"), _FORM),
    **dict.fromkeys(("p", "h1", "h2", "h3", "h4", "h5", "h6"), _P),
    **dict.fromkeys(("address", "article", "aside", "blockquote", "details", "div", "dl", "fieldset"), _P),
    **dict.fromkeys(("figcaption", "figure", "footer", "form", "header", "hr", "main", "nav", "ol", "pre"), _P),
    **dict.fromkeys(("section", "table", "ul"), _P),
}
_VOID = frozenset(
    {"area", "base", "basefont", "br", "col", "command", "embed", "frame", "hr", "img", "input", "isindex"}
    | {"keygen", "link", "meta", "param", "source", "track", "wbr"}
)
_SELF_CLOSING = frozenset({"img", "br", "hr", "area", "base", "basefont", "input", "link", "meta"})
_FOREIGN = frozenset({"math", "svg"})
_INTEGRATION = frozenset({"mi", "mo", "mn", "ms", "mtext", "annotation-xml", "foreignobject", "desc", "title"})
_RAW = frozenset({"script", "style", "title"})
_VIDEO = re.compile(r"https://(?:(?:www\.)?youtube(?:-nocookie)?\.com|youtu\.be)(?:[:/?#]|$)", re.IGNORECASE)

_NAME = re.compile(r"[a-zA-Z][^ \t\n\f\r/>]*+")
_CLOSING = re.compile(r"[a-zA-Z][^ \t\n\f\r>]*+")
_BLANKS = re.compile(r"[ \t\n\f\r]*+")
_BETWEEN = re.compile(r"[ \t\n\f\r/]*+")
_ATTRIBUTE = re.compile(
    r"""([^ \t\n\f\r/>][^= \t\n\f\r/>]*+)"""
    r"""(?:[ \t\n\f\r]*+=[ \t\n\f\r]*+(?:"([^"]*+)"|'([^']*+)'|(["'])|([^ \t\n\f\r>]*+)))?+"""
)
_RAW_END = {name: re.compile(rf"</{name}(?=[> \t\n\f\r])", re.IGNORECASE) for name in _RAW}
_HALF_ENTITY = re.compile(r"&[#\w]*+\Z")
_RETURN = re.compile(r"&#(?:0*+13|[xX]0*+[dD])(?:;|(?![0-9a-fA-F]))")


class TooDeep(Exception):
    """The markup is nested deeper than MAX_DEPTH."""


def sanitize(html: str) -> str:
    """The markup that the browser is given, without its attributes: they decide no text and no position.

    Takes time in proportion to the length.

    Raises:
        TooDeep: tags are nested more than MAX_DEPTH deep.
    """
    cleaned = _Cleaned()
    place, end = 0, len(html)
    while place < end:
        opening = html.find("<", place)
        if opening < 0 or opening + 1 == end:
            cleaned.text(html[place:])
            break
        cleaned.text(html[place:opening])
        place = _tag(html, opening, cleaned)
    return cleaned.finish()


def _tag(html: str, opening: int, cleaned: _Cleaned) -> int:
    """Takes in what begins at a "<"; returns the index behind it."""
    after = opening + 1
    if html.startswith("<!--", opening):
        return _behind(html, "-->", opening + 2)  # "<!-->" is a whole comment
    if html.startswith("<![CDATA[", opening):
        return _behind(html, "]]>", opening + 9)
    if html[after] in "!?":
        skipped = 1 if html[after] == "?" else 3 if html.startswith("!-", after) else 2  # a ">" there ends nothing
        closed = html.find(">", after + skipped)
        if closed < 0:
            cleaned.text(html[after + 1 :])
        return closed + 1 if closed >= 0 else len(html)
    if html[after] == "/":
        return _close(html, opening, cleaned)
    name = _NAME.match(html, after)
    if name is None:
        cleaned.text("<")
        return after
    return _open(html, name.group().lower(), name.end(), cleaned)


def _close(html: str, opening: int, cleaned: _Cleaned) -> int:
    """What begins at a "</": a closing tag, a comment, or text."""
    blanks = _BLANKS.match(html, opening + 2)
    assert blanks is not None
    start = blanks.end()
    if start == len(html) or html[start] == ">":
        cleaned.text(html[opening : start + 1])
        return start + 1
    name = _CLOSING.match(html, start)
    closed = html.find(">", name.end() if name else start)
    if name and (closed >= 0 or name.end() < len(html)):
        cleaned.close(name.group().lower())
    if closed < 0:  # the last letter of an unfinished tag is text to htmlparser2, and all of an unfinished comment
        cleaned.text(html[start:] if name is None else html[-1] if name.end() < len(html) else "")
    return closed + 1 if closed >= 0 else len(html)


def _open(html: str, name: str, place: int, cleaned: _Cleaned) -> int:
    """The rest of an opening tag, and the text of a tag whose text is no markup."""
    source = None
    while True:
        between = _BETWEEN.match(html, place)
        assert between is not None
        place = between.end()
        if place >= len(html):
            return place  # a tag that never ends is no tag
        if html[place] == ">":
            break
        attribute = _ATTRIBUTE.match(html, place)
        assert attribute is not None
        if attribute.group(4):  # a quote that never ends
            return len(html)
        if source is None and attribute.group(1).lower() == "src":
            source = attribute.group(2) or attribute.group(3) or attribute.group(5) or ""
        place = attribute.end()
    place += 1
    cleaned.open(name, source)
    if "/" in between.group():
        cleaned.close_itself(name)
        return place
    if name in _RAW:
        ending = _RAW_END[name].search(html, place)
        close = ending.start() if ending else len(html)
        cleaned.text(html[place:close], raw=name == "style")
        return close
    return place


def _behind(html: str, ending: str, start: int) -> int:
    found = html.find(ending, start)
    return found + len(ending) if found >= 0 else len(html)


class _Cleaned:
    """The markup so far, and the tags that are open in it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._stack: list[tuple[str, int, bool]] = []  # name, where its markup begins, whether it will be removed
        self._foreign: list[bool] = []

    def text(self, text: str, raw: bool = False) -> None:
        if raw:
            self._parts.append(text)
            return
        if half := _HALF_ENTITY.search(text, max(0, len(text) - 40)):  # what follows must not complete it
            text = text[: half.start()] + escape(unescape(half.group()), quote=False)
        if "<" in text or ">" in text:
            text = text.replace("<", "&lt;").replace(">", "&gt;")
        self._parts.append(_RETURN.sub("\r", text) if "&#" in text else text)

    def open(self, name: str, source: str | None = None) -> None:
        closes = _CLOSES.get(name)
        while closes and self._stack and self._stack[-1][0] in closes:
            self._pop()
        removed = name == "script" or (name == "iframe" and not _VIDEO.match(source or ""))
        if name in _VOID:
            self._parts.append(f"<{name} />" if name in _SELF_CLOSING else f"<{name}></{name}>")
            return
        self._stack.append((name, len(self._parts), removed))
        self._parts.append(f"<{name}>")
        if len(self._stack) > MAX_DEPTH:
            raise TooDeep
        if name in _FOREIGN or name in _INTEGRATION:
            self._foreign.append(name in _FOREIGN)

    def close_itself(self, name: str) -> None:
        """A "/>", which means something only inside svg and math."""
        if self._foreign and self._foreign[-1] and self._stack and self._stack[-1][0] == name:
            self._pop()

    def close(self, name: str) -> None:
        if self._foreign and (name in _FOREIGN or name in _INTEGRATION):
            self._foreign.pop()
        if name in _VOID:
            if name == "br":
                self._parts.append("<br />")
        elif any(one[0] == name for one in self._stack):
            while self._pop() != name:
                pass
        elif name == "p":
            self.open("p")
            self._pop()

    def _pop(self) -> str:
        name, start, removed = self._stack.pop()
        if removed:
            del self._parts[start:]
        else:
            self._parts.append(f"</{name}>")
        return name

    def finish(self) -> str:
        while self._stack:
            self._pop()
        return "".join(self._parts)

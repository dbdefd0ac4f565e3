"""Formats of a written text: JSON, a list, code. What of a reply is in the format, and whether it really is.

Code is read, never run: Python by ``ast.parse``.
"""

from __future__ import annotations

import ast
import json
import re
import warnings

_CODE = re.compile(r"code:[a-z0-9+#.\-]{1,20}")
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n?", re.MULTILINE)
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,3}[.):])\s+(?=\S)")
PYTHON = "code:python"


def known(name: str) -> bool:
    return name in ("json", "list") or _CODE.fullmatch(name) is not None


def extract(text: str, name: str) -> str:
    """The part of a reply that is in the format; all of it where none is."""
    if name == "json":
        return _json(text)
    if name == "list":
        return _list(text)
    return _code(text, name == PYTHON)


def fulfilment(text: str, name: str) -> float | None:
    """In [0, 1]; None where it cannot be measured. JSON must be an object or an array; a list has two entries or more,
    and nothing else; Python must parse and do more than name things."""
    if name == "json":
        try:
            return float(isinstance(json.loads(text), dict | list))
        except (ValueError, RecursionError):
            return 0.0
    if name == "list":
        lines = [line for line in text.splitlines() if line.strip()]
        entries = sum(_BULLET.match(line) is not None for line in lines)
        return entries / len(lines) if entries > 1 else 0.5 * entries / max(1, len(lines))
    return float(parses(text)) if name == PYTHON else None


def parses(code: str) -> bool:
    """Whether it is Python with a statement that is more than a bare name or text ("Sure" parses too)."""
    try:
        with warnings.catch_warnings():  # of strange escapes in the code
            warnings.simplefilter("ignore")
            body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Name | ast.Constant)) for one in body)


def _json(text: str) -> str:
    decoder = json.JSONDecoder()
    for match in re.finditer(r"[{\[]", text):
        try:
            value, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if value:
            return text[match.start() : end]
    return text.strip()


def _list(text: str) -> str:
    """The entries, one a line; lines around them go. Nothing is made a list that is not written as one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    entries = [line for line in lines if _BULLET.match(line)]
    return "\n".join(dict.fromkeys(entries)) if len(entries) > 1 else text.strip()


def _code(text: str, python: bool) -> str:
    """The first block; of Python without what follows the code that parses (a text, an unfinished line)."""
    fences = list(_FENCE.finditer(text))
    if fences:
        begin = fences[0].end() if text[: fences[0].start()].strip() == "" or len(fences) > 1 else 0
        after = [one.start() for one in fences if one.start() >= begin]
        text = text[begin : after[0] if after else len(text)]
    text = text.strip("\n").rstrip()
    if not python or parses(text):
        return text
    lines = text.split("\n")
    for end in range(len(lines) - 1, 0, -1):
        if lines[end][:1].strip() and parses(begun := "\n".join(lines[:end]).rstrip()):
            return begun
    return text

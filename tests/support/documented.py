"""The documentation as tests read it: its fenced blocks, the commands in them, its links and headings."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
_FENCE = re.compile(r"^( *)```(.*?)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block. ``named``: what stands behind its language: the name of a file that the reader saves it as."""

    language: str
    named: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A command as it is typed, in words, and what a ``console`` block shows below it."""

    words: tuple[str, ...]
    shown: tuple[str, ...]
    line: int


def blocks(page: Path) -> list[Block]:
    """Its fenced blocks, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        indent, (language, _, named) = match[1], match[2].strip().partition(" ")
        body = "".join(line.removeprefix(indent) for line in match[3].splitlines(keepends=True))
        found.append(Block(language, named.strip(), body, text[: match.start()].count("\n") + 1))
    return found


def commands(block: Block) -> list[Command]:
    """Of a ``bash`` block every line, of a ``console`` block every line behind "$ "; "\\" goes on on the next line."""
    found: list[Command] = []
    lines = iter(enumerate(block.text.splitlines(), block.line + 1))
    for number, line in lines:
        if block.language == "console" and not line.startswith("$ "):
            if line.strip():
                found[-1] = Command(found[-1].words, (*found[-1].shown, line), found[-1].line)
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(lines)[1]
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words:
            found.append(Command(tuple(words), (), number))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Where its links lead that stay in the repository."""
    return [one for one in _LINK.findall(prose(page)) if "://" not in one and not one.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to its headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    return {name if plain[:place].count(name) == 0 else f"{name}-{plain[:place].count(name)}"
            for place, name in enumerate(plain)}  # fmt: skip

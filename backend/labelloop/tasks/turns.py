"""A dialogue as its turns: who says what, who speaks next, and what of a reply is one turn. Pure text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_LEAD = re.compile(r"\s*[*_#\[(<]*(?P<name>[^\W_][^:\n\[\]{}<>\"]{0,39}?)[*_\])>]*\s*:[*_]*\s+(?=\S)")
_WORDS = 4
"""Most words of a speaker's name."""
_ANSWERERS = {"user": "assistant", "human": "assistant", "customer": "agent", "caller": "agent", "client": "agent"}
UNNAMED = ("A", "B")


class Turn(NamedTuple):
    speaker: str
    text: str


def read(text: str) -> list[Turn]:
    """The turns of a transcript, "Name: text" a line; a line without a name goes on with the turn before it.

    Where fewer than half of the lines have a name, each line is a turn, and two speakers take turns.

    >>> read("Ann: Hi!\\nBen: Hello.\\nHow are you?")
    [Turn(speaker='Ann', text='Hi!'), Turn(speaker='Ben', text='Hello. How are you?')]
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [_named(line) for line in lines]
    if 2 * sum(one is not None for one in named) < len(lines) or not lines:
        return [Turn(UNNAMED[place % 2], line) for place, line in enumerate(lines)]
    turns: list[Turn] = []
    for line, one in zip(lines, named, strict=True):
        if one is not None:
            turns.append(one)
        elif turns:
            turns[-1] = Turn(turns[-1].speaker, f"{turns[-1].text} {line}")
        else:
            turns.append(Turn("", line))
    return turns


def _named(line: str) -> Turn | None:
    match = _LEAD.match(line)
    if match is None or len(match["name"].split()) > _WORDS:
        return None
    return Turn(match["name"].strip(), line[match.end() :].strip())


def is_dialogue(text: str) -> bool:
    """Whether a text has turns with names."""
    lines = [line for line in text.splitlines() if line.strip()]
    return bool(lines) and 2 * sum(_named(line) is not None for line in lines) >= len(lines)


def next_speaker(turns: Sequence[Turn], wished: str = "", words: str = "") -> tuple[str, str]:
    """Who speaks next, and why.

    Args:
        wished: a name that decides it. words: what stands with the control; the last speaker that it names, if that is
            not who spoke last ("Reply as the agent").
    """
    if wished:
        return wished, "the option speaker"
    last = turns[-1].speaker if turns else ""
    known = list(dict.fromkeys(turn.speaker for turn in reversed(turns) if turn.speaker))
    for name in known:
        if name != last and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words, re.IGNORECASE):
            return name, "the field's words"
    for name in known:
        if name != last:
            return name, "who spoke before the last speaker"
    if last.lower() in _ANSWERERS:
        return _case(_ANSWERERS[last.lower()], last), "who answers such a speaker"
    return ("B" if last != "B" else "A"), "the dialogue has one speaker"


def _case(name: str, like: str) -> str:
    return name.title() if like[:1].isupper() else name


def one_turn(text: str, speaker: str, known: Sequence[str]) -> str:
    """What of a reply is the turn of ``speaker``: without the name before it, up to where somebody else begins.

    >>> one_turn("Ben: Yes, at nine. Ann: Fine.", "Ben", ["Ann", "Ben"])
    'Yes, at nine.'
    """
    text = text.strip().split("\n\n")[0]
    names = sorted({speaker, *known} - {""}, key=len, reverse=True)
    if not names:
        return text.strip()
    lead = r"[*_\[(]*(?:{})[*_\])]*\s*:[*_]*\s*"
    if speaker and (match := re.match(lead.format(re.escape(speaker)), text, re.IGNORECASE)):
        text = text[match.end() :]
    if match := re.search(rf"(?<!\w){lead.format('|'.join(map(re.escape, names)))}", text):
        text = text[: match.start()]
    for place, line in enumerate(lines := text.splitlines()):
        if place and _named(line) is not None:
            text = "\n".join(lines[:place])
            break
    return " ".join(text.split())

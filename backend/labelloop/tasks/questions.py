"""What a question asks for: its type, the noun that it asks about, the words that its answer stands near."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelloop.tasks.sentences import Token, tokens

OTHER = "other"


@dataclass(frozen=True)
class Question:
    """``type``: a key of the prompt's types. ``head``: "river" of "Which river crosses Paris?", or "". ``terms``: stems
    of the words that carry its topic. ``strong``: those of names and numbers among them. ``subject``: the answer is
    what does something ("Who built it?"), not what something is done to. ``denied``: it has a word that denies."""

    text: str
    type: str
    head: str
    terms: frozenset[str]
    strong: frozenset[str]
    subject: bool
    denied: bool


@dataclass(frozen=True)
class Grammar:
    """The words of a prompt file, ready for use. ``asked``: type -> patterns, in order."""

    function: frozenset[str]
    negations: frozenset[str]
    asked: Mapping[str, re.Pattern[str]]
    asking: frozenset[str]
    bare: frozenset[str] = frozenset()

    def read(self, text: str) -> Question:
        """The question; its terms may be none."""
        words = [token for token in tokens(text) if token.is_word]
        lower = " ".join(token.low for token in words)
        kind, place = OTHER, -1
        for name, pattern in self.asked.items():
            if match := pattern.search(lower):
                kind, place = name, lower[: match.start()].count(" ")
                break
        topic = [token for token in words if token.low not in self.function]
        strong = {t.stem for t in topic if any(map(str.isdigit, t.text)) or t.text[0].isupper() and t is not words[0]}
        return Question(
            text=text,
            type=kind,
            head=self._head(words, place),
            terms=frozenset(token.stem for token in topic),
            strong=frozenset(strong),
            subject=self._subject(words, place),
            denied=any(token.low in self.negations for token in words),
        )

    def _head(self, words: Sequence[Token], place: int) -> str:
        """The noun after "what", "which", "how many": up to three words, as far as no function word comes."""
        if place < 0 or words[place].low in self.bare:
            return ""
        while place < len(words) and words[place].low in self.asking:
            place += 1
        found: list[str] = []
        for token in words[place : place + 3]:
            if token.low in self.function or found and token.low.endswith("ed"):
                break
            found.append(token.text)
        return " ".join(found)

    def _subject(self, words: Sequence[Token], place: int) -> bool:
        """Whether no auxiliary verb with another subject follows: "Who built", not "Who did they build"."""
        head = len(self._head(words, place).split())
        after = [token.low for token in words[place + 1 + head : place + 3 + head]]
        return place >= 0 and not (set(after[:1]) & {"did", "do", "does", "is", "are", "was", "were", "has", "have", "had", "can", "could", "would", "will", "should"})


def grammar(function: str, negations: str, asked: Mapping[str, Sequence[str]]) -> Grammar:
    """From the words of a prompt file; a phrase that begins with "^" must begin the question."""
    patterns = {
        name: re.compile("|".join(("^" if p[0] == "^" else r"\b") + re.escape(p.lstrip("^")) + r"\b" for p in phrases))
        for name, phrases in asked.items()
        if phrases
    }
    asking = {word for phrases in asked.values() for phrase in phrases for word in phrase.lstrip("^").split()[:2]}
    simple = {w for w in asking if any(w == p.lstrip("^").split()[0] for ps in asked.values() for p in ps)} | {"many", "much"}
    bare = {p for name in ("person", "place", "time", "reason") for p in asked.get(name, ()) if " " not in p}
    return Grammar(frozenset(function.split()), frozenset(negations.split()), patterns, frozenset(simple), frozenset(bare))

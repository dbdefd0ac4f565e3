"""What a question asks for: its type, the words that ask, the noun that they ask about, the terms of its topic."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from labelloop.tasks.sentences import Token, tokens

OTHER = "other"
LONGEST = 64  # words of a question that are read


@dataclass(frozen=True)
class Question:
    """A question, read.

    ``tokens``: of its text. ``type``: a key of the prompt's types. ``asks``: the token that asks ("which"), or None.
    ``head``: tokens of the noun that it asks about ("river" of "which river"). ``terms``: tokens that carry its topic.
    ``strong``: stems of names and numbers among the terms. ``denied``: it has a word that denies.
    """

    text: str
    tokens: tuple[Token, ...]
    type: str
    asks: int | None
    head: tuple[int, ...]
    terms: tuple[int, ...]
    strong: frozenset[str]
    denied: bool

    @property
    def noun(self) -> str:
        """The head as text; "" where there is none."""
        return " ".join(self.tokens[index].text for index in self.head)


class Grammar:
    """Words of a prompt file, ready to read questions with.

    Args:
        function: words that carry no topic. negations: words that deny.
        asked: type -> what asks for it, in the order in which types are tried; a phrase that begins with "^" must begin
            the question.
        before_nouns: types whose asking words stand before the noun that they ask about ("which river").
    """

    def __init__(
        self, function: str, negations: str, asked: Mapping[str, Sequence[str]], before_nouns: Collection[str]
    ) -> None:
        self.function = frozenset(function.split())
        self.negations = frozenset(negations.split())
        self._before_nouns = frozenset(before_nouns)
        self._asked = {name: _pattern(phrases) for name, phrases in asked.items() if phrases}

    def carries_topic(self, token: Token) -> bool:
        return token.is_word and token.low not in self.function

    def denies(self, sentence: Sequence[Token]) -> bool:
        return any(token.low in self.negations for token in sentence)

    def read(self, text: str) -> Question:
        """The question; it may have no terms, and asks for ``OTHER`` where nothing in it tells its type."""
        found = tuple(tokens(text)[:LONGEST])
        words = [index for index, token in enumerate(found) if token.is_word]
        kind, first, after = self._type([found[index].low for index in words])
        terms = tuple(index for index in words if self.carries_topic(found[index]))
        return Question(
            text=text,
            tokens=found,
            type=kind,
            asks=words[first] if after else None,
            head=self._head(found, words[after - 1 :], kind in self._before_nouns) if after else (),
            terms=terms,
            strong=frozenset(found[i].stem for i in terms if _is_name(found[i]) and i != words[0]),
            denied=self.denies(found),
        )

    def _type(self, words: Sequence[str]) -> tuple[str, int, int]:
        """The type, and the words [first, after) that tell it; (OTHER, 0, 0) where none do."""
        line = " ".join(words)
        for name, pattern in self._asked.items():
            if match := pattern.search(line):
                return name, line[: match.start()].count(" "), line[: match.end()].count(" ") + 1
        return OTHER, 0, 0

    def _head(self, found: Sequence[Token], words: Sequence[int], before_noun: bool) -> tuple[int, ...]:
        """Of the words from the last that asks on: that one, where it is a noun ("what year"), and those behind it, up
        to three as far as no function word comes."""
        head = [words[0]] if self.carries_topic(found[words[0]]) else []
        if not head and not before_noun:
            return ()
        for index in words[1:4]:
            if not self.carries_topic(found[index]) or (head and found[index].low.endswith("ed")):
                break
            head.append(index)
        return tuple(head[:3])


def _pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    """Any of the phrases, as whole words."""
    return re.compile(
        "|".join(("^" if p.startswith("^") else r"\b") + re.escape(p.lstrip("^")) + r"\b" for p in phrases)
    )


def _is_name(token: Token) -> bool:
    return token.text[0].isupper() or any(character.isdigit() for character in token.text)

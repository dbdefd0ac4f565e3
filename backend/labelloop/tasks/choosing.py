"""Which of several candidate texts is taken: the likeliest, the nearest to all others, or the most to the point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labelloop.engines import Ask, Writer
from labelloop.tasks.sentences import tokens

Nearness = Callable[[str, str], float]
ALIKE = 0.9
"""From which share of words on two texts are variants of one."""


@dataclass(frozen=True)
class Candidate:
    """A cleaned text. ``logprob``: the mean of its ``tokens`` tokens; of none, it is unknown. ``origin``: "written", or
    where a text comes from that no model wrote. ``worth``: in [0, 1], how far it does what is wished. ``repairs``: what
    was done to it. ``more``: other texts beside it, where several are wished for."""

    text: str
    logprob: float = 0.0
    tokens: int = 0
    finished: bool = True
    origin: str = "written"
    worth: float = 1.0
    repairs: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


def judges(writer: Writer) -> bool:
    """Whether the engine is a Judge."""
    return hasattr(writer, "judge")


def choose(
    pool: Sequence[Candidate], how: str, nearness: Nearness, writer: Writer, its_ask: Ask, bare: Ask | None
) -> Candidate | None:
    """One of the pool, or None of an empty one; of equals the first. ``bare``: the ask without its text."""
    if len(pool) < 2 or how == "likeliest":
        return max(pool, key=lambda one: one.logprob, default=None)
    if how == "pointed" and bare is not None and judges(writer):
        texts = [one.text for one in pool]
        with_text, without = writer.judge([its_ask, bare], [texts, texts])  # type: ignore[attr-defined]
        gains = with_text - without
        return pool[int(gains.argmax())]
    worth = [sum(nearness(one.text, other.text) for other in pool) for one in pool]
    return pool[max(range(len(pool)), key=lambda place: worth[place])]


def together(found: Sequence[Candidate]) -> Candidate:
    """The candidates as one: log-probabilities weigh by tokens; the text is left to the caller."""
    size = sum(one.tokens for one in found)
    logprob = sum(one.logprob * one.tokens for one in found) / size if size else 0.0
    origins = ", ".join(sorted({one.origin for one in found}))
    return Candidate("", logprob, size, all(one.finished for one in found), origins)


def shared_words(one: str, other: str) -> float:
    """In [0, 1]: F1 of the words and word pairs that two texts share."""
    total = 0.0
    for size in (1, 2):
        ours, theirs = _runs(one, size), _runs(other, size)
        count = ours.total() + theirs.total()
        total += 2 * (ours & theirs).total() / count if count else float(ours == theirs)
    return total / 2


def _runs(text: str, size: int) -> Counter[tuple[str, ...]]:
    words = [token.low for token in tokens(text) if token.is_word]
    return Counter(zip(*(words[start:] for start in range(size)), strict=False))


def others(pool: Sequence[Candidate], chosen: Candidate, count: int) -> tuple[str, ...]:
    """At most ``count`` texts of the pool that differ from the chosen one and from each other, the best first."""
    found = [chosen.text]
    for one in sorted(pool, key=lambda one: (-one.worth, -one.logprob)):
        if len(found) <= count and all(shared_words(one.text, other) < ALIKE for other in found):
            found.append(one.text)
    return tuple(found[1:])

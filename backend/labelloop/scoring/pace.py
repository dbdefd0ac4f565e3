"""How much to score at once: a token budget per bundle, learnt from how long past micro-batches took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

_CHARACTERS_PER_TOKEN = 4
_PER_TEXT = 4  # special tokens and the work around one text
_FIRST_GUESS_MS = 0.2  # per token; a small encoder on two CPU cores takes about half of it
_WEIGHT = 0.3
_MOST_TEXTS = 512


def cost(texts: Mapping[str, str]) -> int:
    """About how many tokens an item has. The tokenizer itself would cost more than the estimate can win."""
    return sum(_PER_TEXT + len(text) // _CHARACTERS_PER_TOKEN for text in texts.values())


def order(texts: Mapping[str, str]) -> tuple[tuple[str, ...], int]:
    """What items are sorted by: those of the same fields together, since a writer takes a hundred times as long as an
    encoder; of them the shortest first."""
    return tuple(texts), cost(texts)


class Pace:
    """Learns milliseconds per token, and cuts micro-batches that take about ``target_ms``."""

    def __init__(self, target_ms: float) -> None:
        self._target_ms = target_ms
        self._ms_per_token: dict[str, float] = {}
        self._warm: set[str] = set()

    def expect(self, digest: str, readings: float) -> None:
        """Guesses well for a bundle that is new: its engines read each text ``readings`` times."""
        self._ms_per_token.setdefault(digest, _FIRST_GUESS_MS * readings)

    def budget(self, digest: str) -> float:
        """Tokens of one micro-batch of this bundle."""
        return self._target_ms / self._ms_per_token.get(digest, _FIRST_GUESS_MS)

    def take(self, digest: str, costs: Sequence[int]) -> int:
        """How many of the first items fit into one micro-batch; at least one. ``costs``: tokens of each."""
        left = self.budget(digest)
        for count, tokens in enumerate(costs):
            left -= tokens
            if left < 0 or count == _MOST_TEXTS:
                return max(1, count)
        return len(costs)

    def record(self, digest: str, tokens: int, ms: float) -> None:
        """Learns from one micro-batch. The first of a bundle loads and encodes labels, and teaches nothing;
        neither does a small one that took little, because a batch has a cost of its own."""
        if digest not in self._warm:
            self._warm.add(digest)
            return
        if tokens * 2 < self.budget(digest) and ms < self._target_ms:
            return
        former = self._ms_per_token.get(digest, _FIRST_GUESS_MS)
        self._ms_per_token[digest] = (1 - _WEIGHT) * former + _WEIGHT * ms / max(1, tokens)

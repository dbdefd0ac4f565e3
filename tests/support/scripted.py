"""A writer whose replies are put into its queue beforehand, for what must happen the same way every time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from labelloop.engines import Ask, Manner, Written


class Scripted:
    """Counts words as tokens. ``asks``, ``manners``: what it was asked, in order."""

    def __init__(self, *replies: str | Written, room: int = 1000) -> None:
        self.queue: deque[str | Written] = deque(replies)
        self.room = room
        self.asks: list[Ask] = []
        self.manners: list[Manner] = []

    def enqueue(self, *replies: str | Written) -> None:
        self.queue.extend(replies)

    def write(self, asks: Sequence[Ask], manner: Manner) -> list[list[Written]]:
        self.asks += asks
        self.manners += [manner] * len(asks)
        return [[self._next() for _ in range(manner.samples)] for _ in asks]

    def _next(self) -> Written:
        reply = self.queue.popleft()
        return Written(reply, -0.5, max(1, len(reply.split())), True) if isinstance(reply, str) else reply

    def sizes(self, asks: Sequence[Ask]) -> list[int]:
        return [sum(len(text.split()) for _, text in ask.messages) + len(ask.begun.split()) for ask in asks]


class Judging(Scripted):
    """Also judges, by ``likes``: the log-probability of a reply by its text, else -3."""

    def __init__(self, *replies: str | Written, likes: dict[str, float], room: int = 1000) -> None:
        super().__init__(*replies, room=room)
        self.likes = likes

    def judge(self, asks: Sequence[Ask], replies: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [np.array([self.likes.get(text, -3.0) for text in its]) for its in replies]

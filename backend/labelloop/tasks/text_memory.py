"""Memory of a field that writes: the texts that people accepted, and which of them are near to an item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, cast

import numpy as np

from labelloop.engines import Engine, Vectors, load
from labelloop.engines.recent import Recent
from labelloop.settings import Settings
from labelloop.tasks import memory
from labelloop.words import Reading

MOST_EXAMPLES = 500
"""The latest, from which demonstrations are chosen. Each is embedded once in a process."""
MOST_GENERAL = 16
ALIKE = 0.95
"""Cosine from which on two items are so alike that to show both says little more than one."""

Embed = Callable[[Sequence[str]], Vectors]
_vectors: Recent[tuple[str, str, str], Vectors] = Recent(4 * MOST_EXAMPLES)


class Accepted(NamedTuple):
    """An item with the texts that were accepted for it, the first of which is shown."""

    reading: Reading
    texts: tuple[str, ...]


@dataclass(frozen=True)
class TextMemory:
    """``epoch``, ``encoder``, ``examples``: as of ``chances.Recollection``.

    ``accepted``: in the order in which they were. ``vectors``: (n_accepted, d) of them. ``general``: places of those
    that stand for all others best, the best first. ``same``: place of each by its very text. ``embed``: (n_texts, d).
    """

    epoch: int
    encoder: tuple[str, str]
    accepted: tuple[Accepted, ...] = field(repr=False)
    general: tuple[int, ...] = field(repr=False)
    vectors: Vectors = field(repr=False)
    same: Mapping[str, int] = field(repr=False)
    embed: Embed = field(repr=False)

    @property
    def examples(self) -> int:
        return len(self.accepted)

    def before(self, reading: Reading) -> tuple[str, ...]:
        """What was accepted for an item that says the same; () where there is none."""
        place = self.same.get(mark(reading))
        return () if place is None else self.accepted[place].texts

    def nearest(self, readings: Sequence[Reading], most: int, beside: Sequence[int] = ()) -> list[list[int]]:
        """Per reading the places of at most ``most`` accepted items, the nearest first (Liu et al. 2022, "What makes
        good in-context examples for GPT-3?"); of equally near ones the latest. None says what the reading says, and
        none is ``ALIKE`` another one, or one of those that are shown ``beside`` them. No row depends on other readings.
        """
        if not readings or most < 1:
            return [[] for _ in readings]
        nearness = vectors_of(readings, self.embed) @ self.vectors.T
        found = []
        for reading, row in zip(readings, nearness, strict=True):
            own, chosen = self.same.get(mark(reading)), list(beside)
            for place in (len(row) - 1 - np.argsort(-row[::-1], kind="stable")).tolist():
                if len(chosen) == most + len(beside):
                    break
                if place != own and (not chosen or float((self.vectors[chosen] @ self.vectors[place]).max()) < ALIKE):
                    chosen.append(place)
            found.append(chosen[len(beside) :])
        return found


def learn(
    examples: Sequence[Accepted], epoch: int, encoder: tuple[str, str], settings: Settings, embed: Embed | None = None
) -> TextMemory | None:
    """The memory of accepted texts, in the order in which they were accepted; None of none.

    Of items that say the same the last counts; of all the last ``MOST_EXAMPLES``. Items without text, and texts that
    are blank, are left out. Nothing is trained: what is learned is which examples to show.

    Args:
        embed: what compares items; the encoder where None.

    Raises:
        ModelError: the encoder cannot be loaded.
    """
    kept: dict[str, Accepted] = {}
    for one in examples:
        texts = tuple(text.strip() for text in one.texts if text.strip())
        if texts and not one.reading.empty:
            kept.pop(mark(one.reading), None)
            kept[mark(one.reading)] = one._replace(texts=texts)
    accepted = list(kept.values())[-MOST_EXAMPLES:]
    if not accepted:
        return None
    embed = embed or partial(_embed, encoder, settings)
    keys = [(*encoder, mark(one.reading)) for one in accepted]
    readings = {key: one.reading for key, one in zip(keys, accepted, strict=True)}
    vectors = np.stack(_vectors.get(keys, lambda new: list(vectors_of([readings[key] for key in new], embed))))
    general = representatives(vectors[: memory.settled(len(accepted))], MOST_GENERAL)
    same = {mark(one.reading): place for place, one in enumerate(accepted)}
    return TextMemory(epoch, encoder, tuple(accepted), tuple(general), vectors, same, embed)


def representatives(vectors: Vectors, most: int) -> list[int]:
    """Rows of (n, d) vectors of length 1 that together are near to all: each is the one that most raises the sum of
    every row's nearness to its nearest (greedy facility location: Lin and Bilmes 2011), so they differ from each
    other. Fewer than ``most`` where each row is ``ALIKE`` one that is chosen."""
    alike = vectors @ vectors.T
    nearest = np.full(len(vectors), -1.0)
    chosen: list[int] = []
    while len(chosen) < most and (nearest < ALIKE).any():
        gains = np.maximum(alike, nearest).sum(1)
        gains[nearest >= ALIKE] = -np.inf
        chosen.append(int(gains.argmax()))
        nearest = np.maximum(nearest, alike[chosen[-1]])
    return chosen


def mark(reading: Reading) -> str:
    """Equal for readings that say the same, whatever space is in them."""
    return "\n".join(" ".join(text.split()) for text in (reading.query, *(one.text for one in reading.passages)))


def vectors_of(readings: Sequence[Reading], embed: Embed) -> Vectors:
    """(n_readings, d) of length 1. A question counts as much as the text that it is about, however long that is."""
    texts = [[reading.query, "\n".join(one.text for one in reading.passages)] for reading in readings]
    flat = list(dict.fromkeys(text for its in texts for text in its if text.strip()))
    known = dict(zip(flat, embed(flat), strict=True))
    rows = [sum(known[text] for text in its if text.strip()) for its in texts]
    made = np.stack(rows).astype(np.float32)
    return cast(Vectors, made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9))


def _embed(encoder: tuple[str, str], settings: Settings, texts: Sequence[str]) -> Vectors:
    engine: Engine = load("encoder", *encoder, settings)
    return engine.embed(texts)

"""How work is cut up: token windows for long texts, batches of similar length within a token budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")

# Padded tokens of one forward pass. On a CPU more brings no speed; on a GPU less leaves it idle.
CPU_BUDGET, GPU_BUDGET = 2048, 32768
LONGEST_WINDOW = 8192
OVERLAP = 8  # one eighth of a window is read twice, so that no sentence is torn in both readings
MOST_PAIRS = 4096


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices into ``lengths`` in batches, longest first, so that padding is small and memory peaks at once.

    A batch ends early when its padding would exceed a sixteenth of the budget, unless it is smaller than an eighth: the
    tokens that padding wastes then cost more than another forward pass.

    Args:
        lengths: tokens of each text.
        budget: most tokens of a batch, padding included. A longer text gets a batch of its own.
    """
    batch: list[int] = []
    longest = padding = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        wasteful = padding + longest - lengths[index] > budget // 16 and len(batch) * longest >= budget // 8
        if batch and (wasteful or (len(batch) + 1) * longest > budget):
            yield batch
            batch = []
        if not batch:
            longest, padding = max(lengths[index], 1), 0
        padding += longest - lengths[index]
        batch.append(index)
    if batch:
        yield batch


def pair_batches(lengths: Sequence[int], companions: Sequence[int], budget: int) -> Iterator[list[tuple[int, int]]]:
    """(index of a text, index of a companion) in batches of ``batches``: every text with every companion.

    Not all pairs are listed at once, but about ``MOST_PAIRS``: those of texts of similar length with all companions.

    Args:
        lengths: tokens of each text.
        companions: tokens of what stands beside the text, and of all that frames both.
        budget: most tokens of a batch, padding included.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    step = max(1, MOST_PAIRS // max(1, len(companions)))
    for first in range(0, len(order), step):
        pairs = [(text, beside) for text in order[first : first + step] for beside in range(len(companions))]
        for batch in batches([lengths[text] + companions[beside] for text, beside in pairs], budget):
            yield [pairs[index] for index in batch]


def parts(things: Sequence[Thing], size: Callable[[Thing], int], most: int) -> Iterator[list[Thing]]:
    """In order, at most ``most`` together by ``size``; a larger one is a part of its own.

    >>> list(parts(["a", "bb", "ccc", "d"], len, 3))
    [['a', 'bb'], ['ccc'], ['d']]
    """
    part: list[Thing] = []
    total = 0
    for one in things:
        if part and total + size(one) > most:
            yield part
            part, total = [], 0
        part.append(one)
        total += size(one)
    if part:
        yield part


def window_starts(length: int, size: int, overlap: int) -> list[int]:
    """Where windows of ``size`` tokens begin so that they cover ``length`` tokens, each pair sharing >= ``overlap``.

    They are spread evenly, so the last is as full as the others and no sentence is read in a scrap of its own.

    >>> window_starts(10, 10, 2), window_starts(11, 10, 2), window_starts(26, 10, 2)
    ([0], [0, 1], [0, 8, 16])
    """
    if length <= size:
        return [0]
    steps = -(-(length - size) // (size - overlap))
    return [round(step * (length - size) / steps) for step in range(steps + 1)]

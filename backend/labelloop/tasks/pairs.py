"""Which passages of an item may be related, and what a model sees of two of them: features of pairs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelloop.engines import Tokens, Vectors
from labelloop.tasks.relation_prompt import Ends, stem
from labelloop.words import Span

REACH = 240  # characters between two passages that may be related: about two sentences
NEXT = 12  # of the passages after one, how many it may be related to: 100 passages make at most 1200 pairs
MOST = 400  # pairs of an item, the nearest ones first
KEPT = 4  # words read after the first passage, and before the second
_WORD = re.compile(r"\w+|'s|[^\w\s]")
_END = re.compile(r"[.!?。][\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])|\n\s*|[。！？]")
_FORMS = {
    "made": "mak", "wrote": "writ", "written": "writ", "built": "build", "was": "is", "were": "is", "are": "is",
    "been": "is", "be": "is", "has": "have", "had": "have", "led": "lead", "came": "com", "went": "go", "sent": "send",
    "held": "hold", "left": "leav", "took": "tak", "given": "giv", "gave": "giv", "an": "a", "the": "a", "his": "a",
    "her": "a", "their": "a", "its": "a", "this": "a", "that": "a", "my": "a", "our": "a", "your": "a",
}  # fmt: skip


class Pair(NamedTuple):
    """Two passages of one text, ``first`` before ``second``. ``crossed``: passages between them; ``broken``: ends of
    sentences between them."""

    first: Span
    second: Span
    crossed: int
    broken: int

    @property
    def ends(self) -> tuple[Ends, Ends]:
        return (self.first.start, self.first.end), (self.second.start, self.second.end)


def candidates(text: str, spans: Sequence[Span]) -> list[Pair]:
    """The pairs of passages of one text that may be related, in the order of the text.

    Passages that overlap are not related; of several on the same characters the likeliest counts. The number of pairs
    grows with the number of passages, not with its square.
    """
    best: dict[Ends, Span] = {}
    for span in spans:
        at = (span.start, span.end)
        if at not in best or span.score > best[at].score:
            best[at] = span
    ordered = [best[at] for at in sorted(best)]
    breaks = np.array([found.start() for found in _END.finditer(text)], np.int64)
    pairs = []
    for index, first in enumerate(ordered):
        for place, second in enumerate(ordered[index + 1 : index + 1 + NEXT]):
            if second.start < first.end:
                continue
            if second.start - first.end > REACH:
                break
            broken = int(np.searchsorted(breaks, second.start) - np.searchsorted(breaks, first.end))
            pairs.append(Pair(first, second, place, broken))
    if len(pairs) > MOST:
        nearest = sorted(range(len(pairs)), key=lambda i: (pairs[i].second.start - pairs[i].first.end, i))[:MOST]
        pairs = [pairs[index] for index in sorted(nearest)]
    return pairs


def contexts(tokens: Tokens, pairs: Sequence[tuple[Ends, Ends]]) -> Vectors:
    """(n_pairs, 3 d): what the model says of the first passage, the second, and of what is between."""
    width = tokens.vectors.shape[1]
    sums = np.zeros((len(tokens.vectors) + 1, width))
    np.cumsum(tokens.vectors, axis=0, out=sums[1:], dtype=np.float64)
    starts, ends = tokens.offsets[:, 0], tokens.offsets[:, 1]
    made = np.zeros((len(pairs), 3, width), np.float32)
    for row, (first, second) in enumerate(pairs):
        for column, (start, end) in enumerate((first, second, (first[1], second[0]))):
            low = int(np.searchsorted(ends, start, side="right"))
            high = int(np.searchsorted(starts, end, side="left"))
            total = sums[max(high, low)] - sums[low]
            made[row, column] = total / max(float(np.linalg.norm(total)), 1e-9)
    return made.reshape(len(pairs), 3 * width)


def clues(text: str, first: Ends, second: Ends) -> set[str]:
    """The words between two passages, roughly without their endings: alone, in twos, the first, the last; how many
    there are; and the word after the second passage."""
    words = [_form(word) for word in _WORD.findall(text[first[1] : second[0]].lower())]
    found = {f"long {min(len(words), 6)}"}
    if len(words) > 2 * KEPT:
        words = words[:KEPT] + words[-KEPT:]
    found |= set(words) | {f"{one} {other}" for one, other in pairwise(words)}
    if words:
        found |= {f"first {words[0]}", f"last {words[-1]}"}
    if after := _WORD.match(text[second[1] : second[1] + 40].lower().lstrip()):
        found.add(f"after {after[0]}")
    return found


def masked(text: str, first: Ends, second: Ends) -> str:
    """The words between with letters in place of the two passages: "X was founded by Y"."""
    between = text[first[1] : second[0]]
    if len(between) > REACH:
        between = f"{between[: REACH // 2]} {between[-REACH // 2 :]}"
    return f"X {between.strip()} Y"


def indicators(found: Sequence[set[str]], vocabulary: dict[str, int]) -> NDArray[np.float32]:
    """(n_pairs, n_words) rows of length 1, 0 where a pair has none of the words."""
    made = np.zeros((len(found), len(vocabulary)), np.float32)
    for row, words in enumerate(found):
        known = [vocabulary[word] for word in words if word in vocabulary]
        if known:
            made[row, known] = 1 / np.sqrt(len(known))
    return made


def _form(word: str) -> str:
    return _FORMS.get(word) or stem(word)

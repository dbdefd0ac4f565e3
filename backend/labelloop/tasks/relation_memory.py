"""Few-shot memory of a field that relates regions: how people relate pairs, in which direction, and which they do not.

The head of ``memory`` over what models see of a pair: the contexts of both passages and of what is between, and the
words between that several accepted pairs share. Of an item that people have been through every pair that may be related
is an example, also those that they left unrelated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from labelloop.engines.recent import Recent
from labelloop.tasks import memory
from labelloop.tasks.calibration import Array
from labelloop.tasks.pairs import Pair
from labelloop.tasks.relation_model import Seen, features, joined, unit, vocabulary_of
from labelloop.tasks.relation_prompt import Ends
from labelloop.tasks.relations import Column, Judged, pairs_of
from labelloop.words import Link, Reading

MOST_PAIRS = memory.MOST_EXAMPLES
"""That the head is fitted on, those of the latest items."""
_APART, _APART_EACH = 8, 3  # unrelated pairs of an item that are learned from: so many, or so many for each related one
_OFTEN = 2  # accepted pairs in which words between passages must occur to be told apart
_SEED = 13

Place = tuple[str, Ends, Ends]
"""A passage's text, and where its two regions stand."""

Judge = Callable[[Sequence[tuple[str, Pair]]], Sequence[Judged]]
"""What models say of pairs with their texts, one by one, without memory."""


class Accepted(NamedTuple):
    """An item that people have been through: what they relate of the regions that are there (``reading.given``)."""

    reading: Reading
    links: tuple[Link, ...]


class Told(NamedTuple):
    """What people said of a pair. ``item``: counts them. ``column``: of its relation with direction; the last is that
    of no relation. ``rate``: the share of its item's unrelated pairs that is learned from."""

    item: int
    text: str
    pair: Pair
    column: int
    rate: float = 1.0


@dataclass(frozen=True)
class RelationMemory:
    """``epoch``, ``examples``: as of ``chances.Recollection``; an example is a pair. ``vocabulary``: words between
    passages that the head knows. ``before``: what people relate by the very same place, () where nothing."""

    epoch: int
    head: memory.Head
    vocabulary: dict[str, int] = field(repr=False)
    before: Mapping[Place, tuple[Link, ...]] = field(repr=False)

    @property
    def examples(self) -> int:
        return self.head.examples

    def chances(self, judged: Sequence[Judged]) -> Array:
        """(n_pairs, n_columns + 1) with memory, of at least one pair. No row depends on another."""
        vectors = _vectors(joined([one.seen for one in judged]), self.vocabulary)
        return memory.recall(self.head, vectors, np.stack([one.chances for one in judged]), several=False)

    def accepted(self, one: Judged) -> list[Link] | None:
        """What people said of the very same pair, between its regions as they are now; None where they have not."""
        links = self.before.get(_place(one.text, one.pair))
        if links is None:
            return None
        first, second = one.pair.first, one.pair.second
        ends = {(span.start, span.end): span for span in (first, second)}
        sure = memory.SAME_TEXT * first.score * second.score
        return [
            link.model_copy(update={"head": ends[_ends(link)[0]], "tail": ends[_ends(link)[1]], "score": sure})
            for link in links
        ]


_shares: Recent[str, tuple[float, ...]] = Recent(64)


def learn(
    columns: Sequence[Column],
    accepted: Sequence[Accepted],
    epoch: int,
    mark: str,
    judge: Judge,
) -> RelationMemory | None:
    """The memory of items in the order in which they were accepted; None where they tell of no pair.

    Of items with the same texts the last counts, and of all the last ``MOST_EXAMPLES``. Pairs of one item err together,
    so items are left out as a whole when the strength is weighed. Where an item has many unrelated pairs some of them
    stand for all; the chance of no relation that the head starts from is lowered by as much, so that answers are not
    surer of relations for it (King and Zeng 2001, "Logistic regression in rare events data").

    Args:
        columns: what may be said of a pair (``relations.columns_of``).
        mark: tells the plan apart from others; the same examples make the same memory in every process.
    """
    if not columns:
        return None
    latest: dict[tuple[str, ...], Accepted] = {}
    for one in accepted:
        texts = tuple(passage.text for passage in one.reading.passages)
        latest.pop(texts, None)
        latest[texts] = one
    used = list(latest.values())[-memory.MOST_EXAMPLES :]
    before: dict[Place, tuple[Link, ...]] = {}
    told: list[Told] = []
    for item, one in enumerate(used):
        its = list(_told(columns, item, one, before))
        told += _some(its, len(columns))
    told = told[-MOST_PAIRS:]
    if not told:
        return None
    judged = judge([(one.text, one.pair) for one in told])
    n = memory.settled(len(told))
    vocabulary = vocabulary_of(joined([one.seen for one in judged[:n]]), _OFTEN)
    vectors = _vectors(joined([one.seen for one in judged]), vocabulary)
    right = np.eye(len(columns) + 1, dtype=bool)[[one.column for one in told]]
    zero_shot = np.stack([one.chances for one in judged])
    zero_shot[:, -1] *= [one.rate for one in told]
    zero_shot /= zero_shot.sum(axis=1, keepdims=True)
    items = np.array([one.item for one in told])
    known = repr([mark, *((one.column, one.rate, *_place(one.text, one.pair)) for one in told[:n])])
    shares = _shares.get(
        [hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()],
        lambda _: [memory.weigh(vectors[:n], right[:n], zero_shot[:n], False, items[:n])],
    )[0]
    return RelationMemory(epoch, memory.fit(vectors, right, zero_shot, False, shares), vocabulary, before)


def _told(columns: Sequence[Column], item: int, one: Accepted, before: dict[Place, tuple[Link, ...]]) -> Iterator[Told]:
    """What is said of each pair of the item; also noted in ``before``. A link that names none of the field's relations
    says that there is one, but not which: nothing is learned of its pair."""
    said: dict[tuple[str, frozenset[Ends]], list[Link]] = {}
    for link in one.links:
        said.setdefault((link.head.source, frozenset(_ends(link))), []).append(link)
    for _, text, pairs in pairs_of([one.reading]):
        for pair in pairs:
            links = said.get((pair.first.source, frozenset(pair.ends)), [])
            found = [column for link in links if (column := _column(columns, link, pair)) is not None]
            if found or not links:
                before[_place(text, pair)] = tuple(links)
                yield Told(item, text, pair, found[0] if found else len(columns))


def _column(columns: Sequence[Column], link: Link, pair: Pair) -> int | None:
    """Of what the link says; None where it names no relation. A label without a column says that there is none. A link
    in both directions is read in the order of the text."""
    its = [place for place, column in enumerate(columns) if column.label == link.label]
    if not its:
        return len(columns) if link.label else None
    forward = link.direction == "bi" or (_ends(link)[0] == pair.ends[0]) == (link.direction == "right")
    return next((place for place in its if columns[place].head_first == forward), its[0])


def _some(told: Sequence[Told], none: int) -> list[Told]:
    """All related pairs of an item, and some of the others; the same each time."""
    apart = [place for place, one in enumerate(told) if one.column == none]
    most = max(_APART, _APART_EACH * (len(told) - len(apart)))
    if len(apart) <= most:
        return list(told)
    out = {apart[place] for place in np.random.default_rng(_SEED).permutation(len(apart))[most:]}
    return [one._replace(rate=most / len(apart)) for place, one in enumerate(told) if place not in out]


def _vectors(seen: Seen, vocabulary: dict[str, int]) -> Array:
    """(n_pairs, n_features) of length 1."""
    return unit(features(seen, vocabulary))


def _place(text: str, pair: Pair) -> Place:
    return text, *pair.ends


def _ends(link: Link) -> tuple[Ends, Ends]:
    return (link.head.start, link.head.end), (link.tail.start, link.tail.end)

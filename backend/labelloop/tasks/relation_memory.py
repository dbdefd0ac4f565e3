"""Few-shot memory of a field that relates regions: how people relate pairs, in which direction, and which they do not.

The head of ``memory`` over what models see of a pair: the contexts of both passages and of what is between, and the
words between that several accepted pairs share. Of an item that people have been through every pair that may be related
is an example, also those that they left unrelated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from labelloop.engines.recent import Recent
from labelloop.tasks import memory
from labelloop.tasks.calibration import Array
from labelloop.tasks.pairs import Pair
from labelloop.tasks.relation_model import Seen, features, joined, unit, vocabulary_of
from labelloop.tasks.relation_prompt import Ends
from labelloop.tasks.relations import Column, Judged, pairs_of
from labelloop.tasks.threads import one_thread
from labelloop.words import Link, Reading

MOST_PAIRS = memory.MOST_EXAMPLES
"""That the head is fitted on, those of the latest items."""
_APART, _APART_EACH = 8, 3  # unrelated pairs of an item that are learned from: so many, or so many for each related one
_OFTEN = 2  # accepted pairs in which words between passages must occur to be told apart
_MOST_AXES = 384  # of what models see of pairs; about as many as an encoder's vectors have, so a fit costs as much
_SEED = 13

Place = tuple[str, Ends, Ends]
"""A passage's text, and where its two regions stand."""

Thing = TypeVar("Thing")
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


class View(NamedTuple):
    """How pairs become vectors. ``vocabulary``: words between passages that tell pairs apart. ``axes``: (n_features,
    n_axes) along which the examples differ most; None: all."""

    vocabulary: dict[str, int]
    axes: Array | None

    def of(self, seen: Seen) -> Array:
        """(n_pairs, n_axes) of length 1 at most."""
        whole = unit(features(seen, self.vocabulary))
        return whole if self.axes is None else whole @ self.axes


@dataclass(frozen=True)
class RelationMemory:
    """``epoch``, ``examples``: as of ``chances.Recollection``; an example is a pair. ``view``: what the head sees.
    ``before``: what people relate by the very same place, () where nothing."""

    epoch: int
    head: memory.Head
    view: View = field(repr=False)
    before: Mapping[Place, tuple[Link, ...]] = field(repr=False)

    @property
    def examples(self) -> int:
        return self.head.examples

    def chances(self, judged: Sequence[Judged]) -> Array:
        """(n_pairs, n_columns + 1) with memory, of at least one pair. No row depends on another."""
        vectors = self.view.of(joined([one.seen for one in judged]))
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


_settled: Recent[str, tuple[View, tuple[float, ...]]] = Recent(64)


def learn(
    columns: Sequence[Column], accepted: Sequence[Accepted], epoch: int, mark: str, judge: Judge
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
    used = _last(list(latest.values()), memory.MOST_EXAMPLES)
    before: dict[Place, tuple[Link, ...]] = {}
    told: list[Told] = []
    for item, one in enumerate(used):
        its = list(_told(columns, item, one, before))
        told += _some(its, len(columns))
    told = _last(told, MOST_PAIRS)
    if not told:
        return None
    judged = judge([(one.text, one.pair) for one in told])
    seen = joined([one.seen for one in judged])
    right = np.eye(len(columns) + 1, dtype=bool)[[one.column for one in told]]
    zero_shot = np.stack([one.chances for one in judged])
    zero_shot[:, -1] *= [one.rate for one in told]
    zero_shot /= zero_shot.sum(axis=1, keepdims=True)
    items = np.array([one.item for one in told])
    n = memory.settled(len(told))

    def settle(_: list[str]) -> list[tuple[View, tuple[float, ...]]]:
        first = seen.part(range(n))
        view = _view(first)
        return [(view, memory.weigh(view.of(first), right[:n], zero_shot[:n], False, items[:n]))]

    known = repr([mark, *((one.item, one.column, one.rate, *_place(one.text, one.pair)) for one in told[:n])])
    view, shares = _settled.get([hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()], settle)[0]
    return RelationMemory(epoch, memory.fit(view.of(seen), right, zero_shot, False, shares), view, before)


def told_of(columns: Sequence[Column], accepted: Sequence[Accepted]) -> list[Told]:
    """What people said of each pair of these items; of a pair that is related in a way that has no column, nothing."""
    return [one for item, its in enumerate(accepted) for one in _told(columns, item, its, {})]


def _view(seen: Seen) -> View:
    """By a randomised singular value decomposition where there are more pairs than axes (Halko et al. 2011)."""
    from sklearn.utils.extmath import randomized_svd

    view = View(vocabulary_of(seen, _OFTEN), None)
    if len(seen.masked) <= _MOST_AXES:
        return view
    with one_thread():
        _, _, axes = randomized_svd(view.of(seen), _MOST_AXES, n_iter=2, random_state=_SEED)
    return view._replace(axes=axes.T)


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


def _last(things: list[Thing], most: int) -> list[Thing]:
    """The latest, at most ``most``. Of more, so many are left out at once that those that stay begin alike for a while:
    then what is weighed is not weighed anew with each label."""
    step = max(1, most // 8)
    return things[-(-max(0, len(things) - most) // step) * step :]


def _some(told: Sequence[Told], none: int) -> list[Told]:
    """All related pairs of an item, and some of the others; the same each time."""
    apart = [place for place, one in enumerate(told) if one.column == none]
    most = max(_APART, _APART_EACH * (len(told) - len(apart)))
    if len(apart) <= most:
        return list(told)
    out = {apart[place] for place in np.random.default_rng(_SEED).permutation(len(apart))[most:]}
    return [one._replace(rate=most / len(apart)) for place, one in enumerate(told) if place not in out]


def _place(text: str, pair: Pair) -> Place:
    return text, *pair.ends


def _ends(link: Link) -> tuple[Ends, Ends]:
    return (link.head.start, link.head.end), (link.tail.start, link.tail.end)

"""The examples of one field as they come and go, and which of them a memory is made of when there are many."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from labelloop.words import Field, Link, Path, Span


class Example(NamedTuple):
    """``text``: the rendered input of the field, as ``tasks.answer`` takes it. ``labels``: the accepted paths, in any
    order; none is an answer where several may be chosen. ``spans``: of a field that marks entities, the accepted ones;
    none is an answer. ``texts``: of a field that writes, the accepted ones. ``links``: of a field that relates, the
    accepted ones; ``text`` then gives the regions that were there, and none is an answer."""

    text: str
    labels: tuple[Path, ...] = ()
    spans: tuple[Span, ...] = ()
    texts: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


class Roll:
    """What was accepted for a field, item by item; of items with the same text the latest counts, but an item of the
    project before one that came from a file (its number is negative).

    Of a field that chooses labels, labels that it has not (any more) are left out, and where one label is chosen the
    example with them. To take in or drop an item, to look up a text and to choose the ``latest`` costs next to nothing,
    however many there are.
    """

    def __init__(self, field: Field) -> None:
        self._chooses = not field.structured and not field.dynamic
        self._multiple = field.multiple
        self._paths = [label.path for label in field.labels]
        self._items: dict[int, Example] = {}
        self._of_text: Counter[str] = Counter()
        self._count = 0
        self._stale = False
        self._texts: dict[str, tuple[int, int]] = {}  # text -> when it came (in order), its item
        self._by_label: dict[Path, dict[str, None]] = defaultdict(dict)

    @classmethod
    def of(cls, field: Field, examples: Iterable[Example]) -> Roll:
        """Of examples in the order in which they were accepted, each its own item."""
        made = cls(field)
        for item, one in enumerate(examples):
            made.put(item, one)
        return made

    def put(self, item: int, example: Example | None) -> None:
        """What was accepted last, for a new item or instead of what the item had; None: it has nothing any more."""
        former = self._items.pop(item, None)
        if former is not None:
            self._of_text[former.text] -= 1
            self._stale = self._stale or self._of_text[former.text] > 0  # another item of the text may count now
            if not self._of_text[former.text]:
                del self._of_text[former.text]
                self._forget(former.text, former)
        usable = None if example is None else self._usable(example)
        if usable is not None:
            self._items[item] = usable
            self._of_text[usable.text] += 1
            if not self._stale:
                self._tell(item, usable)

    def __len__(self) -> int:
        """How many texts."""
        self._refresh()
        return len(self._texts)

    def find(self, text: str) -> Example | None:
        """What was accepted for this very text."""
        self._refresh()
        known = self._texts.get(text)
        return None if known is None else self._items[known[1]]

    def items(self) -> list[tuple[int, Example]]:
        """(item, example) of each text, in the order in which they came."""
        self._refresh()
        return [(item, self._items[item]) for _, item in self._texts.values()]

    def latest(self, most: int, beside: int = 0) -> list[Example]:
        """At most ``most`` examples in the order in which they came, without the ``beside`` newest.

        Those that came last; but of each label, if it has as many, at least half of its even share: what was labelled
        long ago, and is rare, is not forgotten for what is frequent now.
        """
        self._refresh()
        left = set(islice(reversed(self._texts), beside))
        if len(self._texts) - len(left) <= most:
            return [self._items[item] for text, (_, item) in self._texts.items() if text not in left]
        share = most // (2 * max(1, len(self._paths)))
        chosen: dict[str, None] = {}
        for path in self._paths if self._chooses else ():
            for text in islice(_without(reversed(self._by_label[path]), left), share):
                chosen[text] = None
        for text in _without(reversed(self._texts), left):
            if len(chosen) >= most:
                break
            chosen[text] = None
        return [self._items[item] for _, item in sorted(self._texts[text] for text in chosen)]

    def _usable(self, one: Example) -> Example | None:
        if not self._chooses:
            return one
        labels = tuple(path for path in self._paths if path in one.labels)
        lost = len(labels) < len(set(one.labels))
        if not one.text.strip() or (lost and not labels) or (not self._multiple and len(labels) != 1):
            return None
        return Example(one.text, labels)

    def _tell(self, item: int, one: Example) -> None:
        if (known := self._texts.get(one.text)) is not None:
            if item < 0 <= known[1]:
                return
            self._forget(one.text, self._items[known[1]])
        self._count += 1
        self._texts[one.text] = (self._count, item)
        for path in one.labels:
            self._by_label[path][one.text] = None

    def _forget(self, text: str, one: Example) -> None:
        if self._texts.pop(text, None) is not None:
            for path in one.labels:
                self._by_label[path].pop(text, None)

    def _refresh(self) -> None:
        if self._stale:
            self._stale, self._texts, self._by_label = False, {}, defaultdict(dict)
            for item, one in self._items.items():
                self._tell(item, one)


def _without(texts: Iterator[str], left: Collection[str]) -> Iterator[str]:
    return (text for text in texts if text not in left)

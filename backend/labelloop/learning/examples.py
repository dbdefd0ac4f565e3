"""Labels as learners take them: per field the examples, what is gone since an epoch, and how far people agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Any, TypeAlias, get_args

from sqlalchemy import Row, func, select, union
from sqlalchemy.orm import Session

from labelloop.learning.labels import hash_read
from labelloop.learning.tables import AnnotationRow, ConnectionRow, ItemRow
from labelloop.settings import Several
from labelloop.studio.annotations import essence, read_annotation
from labelloop.words import Answer, Example, Field, How, Span


@dataclass(frozen=True)
class Examples:
    """What changed since an epoch, or everything. ``epoch``: what to ask from the next time.

    ``found``: of each item with an answer, one example, by item id ascending. ``gone``: items whose labels changed and
    that have no answer for the field (any more). An index that drops both kinds of item and takes ``found`` in is up
    to date.
    """

    epoch: int
    found: tuple[Example, ...]
    gone: tuple[int, ...]


@dataclass
class Counts:
    """How many labels there are: annotations by how they came to be (``ground_truth`` counts some of them a second
    time), how many of them were given in the blind slice, without a suggestion, by field name the items with an answer
    (one from a file not beside a task that says the same), and the share of equal answers among all pairs of people who
    answered the same item; no entry where no two did."""

    how: dict[How, int] = field(default_factory=dict)
    ground_truth: int = 0
    blind: int = 0
    examples: dict[str, int] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)


Blindly = Callable[[Mapping[str, Any], How], bool]
"""Whether a label was given blind, by its item's data and how it came to be (``learning.blind``)."""

_READ = (
    AnnotationRow.annotation_id,
    AnnotationRow.item_id,
    AnnotationRow.updated_at,
    AnnotationRow.result,
    AnnotationRow.how,
    AnnotationRow.who,
    AnnotationRow.ground_truth,
    AnnotationRow.was_cancelled,
    AnnotationRow.deleted,
    AnnotationRow.field,
    AnnotationRow.epoch,
)
_Row: TypeAlias = Row[Any]
"""One annotation: the columns of ``_READ``, by name."""


@dataclass(frozen=True)
class _Opinion:
    """One person's answer to one field of one item. ``given``: the regions of the same annotation that it relates."""

    answer: Answer
    given: tuple[Span, ...]
    essence: Hashable
    who: Hashable
    how: How
    ground_truth: bool
    updated_at: datetime


@dataclass(frozen=True)
class _Item:
    id: int
    data: dict[str, Any]
    epoch: int
    rows: tuple[_Row, ...]


def examples(
    session: Session, connection_id: int, wanted: Field, fields: Sequence[Field], after_epoch: int, several: Several
) -> Examples:
    """The examples of a field. ``fields``: of the config; relations and conditions reach from one to another."""
    epoch = session.scalar(select(ConnectionRow.memory_epoch).where(ConnectionRow.id == connection_id)) or 0
    needed = _needed(wanted, fields)
    found, gone = [], []
    for item in _items(session, connection_id, after_epoch):
        opinions = _opinions(item, needed)[wanted.name]
        counts = counting(opinions, several)
        if counts is None:
            gone.append(item.id)
            continue
        told, share = counts
        answer, how, truth = told.answer, told.how, told.ground_truth
        found.append(
            Example(
                item=item.id,
                data=item.data,
                answer=answer,
                how=how,
                share=share,
                people=len(opinions),
                ground_truth=truth,
                epoch=item.epoch,
                given=told.given,
            )
        )
    return Examples(epoch, tuple(found), tuple(gone) if after_epoch > 0 else ())


def counting(opinions: Sequence[_Opinion], several: Several) -> tuple[_Opinion, float] | None:
    """The opinion that counts, and the share of people who have it; None where there is none.

    Ground truth goes before all others, and of several the latest. Else by ``several`` the answer that most people
    give, of equally many the latest; or the latest.
    """
    if not opinions:
        return None
    votes = Counter(one.essence for one in opinions)
    truths = [one for one in opinions if one.ground_truth]
    if several == "latest" or truths:
        chosen = max(truths or opinions, key=lambda one: one.updated_at)
    else:
        chosen = max(opinions, key=lambda one: (votes[one.essence], one.updated_at))
    return chosen, votes[chosen.essence] / len(opinions)


def agreeing(opinions: Sequence[_Opinion]) -> tuple[int, int]:
    """(pairs of people with equal answers, pairs)."""
    pairs = [one.essence == other.essence for one, other in combinations(opinions, 2)]
    return sum(pairs), len(pairs)


def count(session: Session, connection_id: int, fields: Sequence[Field], blind: Blindly) -> Counts:
    """The labels of a connection in figures. Reads all of them."""
    counts = count_annotations(session, connection_id)
    alike: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    counts.examples = {field.name: 0 for field in fields}
    known = {field.name: field for field in fields}
    from_files: dict[str, set[str]] = {field.name: set() for field in fields}
    for item in _items(session, connection_id, 0):  # those from files first
        counts.blind += sum(blind(item.data, row.how) for row in item.rows)
        for name, opinions in _opinions(item, fields).items():
            if opinions and (item.id < 0 or from_files[name]):
                read = hash_read([known[name]], item.data)
                counts.examples[name] -= read in from_files[name]  # this item counts in its place
                from_files[name].discard(read)
                if item.id < 0:
                    from_files[name].add(read)
            counts.examples[name] += bool(opinions)
            equal, pairs = agreeing(opinions)
            alike[name][0] += equal
            alike[name][1] += pairs
    counts.agreement = {name: equal / pairs for name, (equal, pairs) in alike.items() if pairs}
    return counts


def count_annotations(session: Session, connection_id: int) -> Counts:
    """The same without what must be read for it: by how they came to be, and ground truth."""
    mine = (AnnotationRow.connection_id == connection_id, ~AnnotationRow.deleted)
    by_how = select(AnnotationRow.how, func.count()).where(*mine).group_by(AnnotationRow.how)
    found = {str(how): number for how, number in session.execute(by_how)}
    truth = (AnnotationRow.ground_truth, ~AnnotationRow.was_cancelled)
    truths = session.scalar(select(func.count()).select_from(AnnotationRow).where(*mine, *truth))
    return Counts(how={how: found.get(how, 0) for how in get_args(How)}, ground_truth=truths or 0)


def _needed(wanted: Field, fields: Sequence[Field]) -> list[Field]:
    """The field with those that decide what an annotation says of it: whose regions it needs, and under which choices
    it is shown. A choice of any control may be meant, so all are kept where there is a condition."""
    known = {one.name: one for one in fields} | {wanted.name: wanted}
    names = {wanted.name, *wanted.regions_of}
    if any(known[name].conditions for name in names if name in known):
        return list(known.values())
    return [one for name, one in known.items() if name in names]


def _items(session: Session, connection_id: int, after_epoch: int) -> Iterator[_Item]:
    """Items with their labels, by id: all that have some, or those whose labels or data changed after an epoch."""
    mine = AnnotationRow.connection_id == connection_id
    labels = select(*_READ).where(mine, AnnotationRow.item_id.is_not(None))  # rows without an ORM object: twice as fast
    items = select(ItemRow.item_id, ItemRow.data, ItemRow.epoch).where(
        ItemRow.connection_id == connection_id, ~ItemRow.deleted
    )
    if after_epoch > 0:
        changed = union(
            select(AnnotationRow.item_id).where(mine, AnnotationRow.epoch > after_epoch),
            select(ItemRow.item_id).where(ItemRow.connection_id == connection_id, ItemRow.epoch > after_epoch),
        ).subquery()
        labels = labels.where(AnnotationRow.item_id.in_(select(changed)))
        items = items.where(ItemRow.item_id.in_(select(changed)))
    rows: dict[int, list[_Row]] = defaultdict(list)
    for row in session.execute(labels.order_by(AnnotationRow.annotation_id)):
        rows[row.item_id].append(row)
    known = {row.item_id: row for row in session.execute(items)}
    for item_id in sorted(rows.keys() | (known.keys() if after_epoch > 0 else set())):
        item, its = known.get(item_id), rows.get(item_id, [])
        epoch = max([one.epoch for one in its] + [item.epoch if item else 0])
        alive = tuple(one for one in its if not one.deleted and not one.was_cancelled) if item else ()
        yield _Item(item_id, item.data if item else {}, epoch, alive)


def _opinions(item: _Item, fields: Sequence[Field]) -> dict[str, list[_Opinion]]:
    """By field name what each person says of the item; of one person the latest."""
    known = {field.name: field for field in fields}
    found: dict[str, dict[Hashable, _Opinion]] = {name: {} for name in known}
    for row in sorted(item.rows, key=lambda row: row.updated_at):
        who: Hashable = row.who if row.who is not None else ("annotation", row.annotation_id)
        said = read_annotation(fields, item.data, row.result)
        for name, answer in said.items():
            if row.field not in ("", name):
                continue
            given = _related(known[name], said)
            told = _Opinion(answer, given, essence(answer), who, row.how, row.ground_truth, row.updated_at)
            earlier = found[name].get(who)
            if earlier is None or not earlier.ground_truth or told.ground_truth:
                found[name][who] = told
    return {name: list(by.values()) for name, by in found.items()}


def _related(field: Field, said: Mapping[str, Answer]) -> tuple[Span, ...]:
    """The regions that the annotation's other answers mark, of those that the field relates."""
    if field.kind != "relations":
        return ()
    spans = (span for name in field.regions_of if name in said for span in said[name].spans)
    return tuple(one for one in spans if not field.region_labels or one.label[-1] in field.region_labels)

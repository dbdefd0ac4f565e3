"""What an operator watches of the store: how labels came to be, agreement with suggestions, attempts to train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from labelloop.learning.store import Store
from labelloop.learning.tables import AnnotationRow, ConnectionRow, EventRow, RefreshRow
from labelloop.studio.acceptance import regions_of

LATEST = 100
"""So many of the latest annotations that answered a suggestion say how far people agree."""
BLOCK = 20
"""Suggestions of one point of the curve of agreement."""
MOST = 100
"""Connections that are told apart, those with the most changes of labels; each costs time series."""
_MOST_FIELDS = 20
_MOST_BLOCKS = 60
ANSWERED = ("accepted", "edited", "rejected")
"""How an annotation came to be that answers a suggestion."""


@dataclass(frozen=True)
class Said:
    """What people have said in one connection, up to this memory ``epoch``. ``how``: annotations by how they came to
    be. ``agreement``: the share of the latest suggestions that they left as they were; None where they answered none.
    ``by_field``: that of the suggestions for single controls."""

    epoch: int
    how: dict[str, int]
    agreement: float | None
    by_field: dict[str, float]


@dataclass(frozen=True)
class Observed:
    """``said``: by connection. ``refreshes``: by (connection, what came of it). ``pending``: webhooks that are stored
    and not applied yet."""

    connections: int = 0
    pending: int = 0
    said: dict[int, Said] = field(default_factory=dict)
    refreshes: dict[tuple[int, str], int] = field(default_factory=dict)


def observe(store: Store, former: Observed | None = None) -> Observed:
    """Reads all of it. Of connections whose labels have not changed since ``former``, that is taken: to count the
    labels of one that has 100,000 takes a moment.

    Raises:
        StoreDownError: as ``Store``.
    """
    with store.session() as session:
        bound = select(ConnectionRow.id, ConnectionRow.memory_epoch).where(ConnectionRow.project_id.is_not(None))
        ordered = bound.order_by(ConnectionRow.memory_epoch.desc(), ConnectionRow.id.desc())
        epochs = {row.id: row.memory_epoch for row in session.execute(ordered)}
        said = {}
        for number, epoch in list(epochs.items())[:MOST]:
            known = former.said.get(number) if former else None
            said[number] = known if known and known.epoch == epoch else _said(session, number, epoch)
        pending = session.scalar(select(func.count()).select_from(EventRow).where(EventRow.pending))
        by_state = select(RefreshRow.connection_id, RefreshRow.state, func.count()).where(RefreshRow.state != "running")
        refreshes = {
            (number, state): count
            for number, state, count in session.execute(by_state.group_by(RefreshRow.connection_id, RefreshRow.state))
            if number in said
        }
    return Observed(len(epochs), pending or 0, said, refreshes)


def agreement_blocks(store: Store, connection_id: int) -> list[float]:
    """The share of suggestions that people left as they were, of each ``BLOCK`` in a row, the oldest first: at most
    the last ``_MOST_BLOCKS`` blocks, which are whole.

    Raises:
        StoreDownError: as ``Store``.
    """
    mine = (AnnotationRow.connection_id == connection_id, ~AnnotationRow.deleted, AnnotationRow.how.in_(ANSWERED))
    with store.session() as session:
        count = session.scalar(select(func.count()).select_from(AnnotationRow).where(*mine)) or 0
        first = max(0, count // BLOCK - _MOST_BLOCKS) * BLOCK
        ordered = select(AnnotationRow.how).where(*mine).order_by(AnnotationRow.epoch, AnnotationRow.annotation_id)
        left = [how == "accepted" for how in session.scalars(ordered.offset(first))]
    return [kept / BLOCK for kept in kept_by_block(left, BLOCK)]


def kept_by_block(left: Sequence[bool], size: int) -> list[int]:
    """How many suggestions were left as they were, of each whole block of ``size`` in a row."""
    return [sum(left[start : start + size]) for start in range(0, len(left) - size + 1, size)]


def agreement(store: Store, connection_id: int) -> tuple[float | None, dict[str, float]]:
    """``Said.agreement`` and ``Said.by_field`` of one connection.

    Raises:
        StoreDownError: as ``Store``.
    """
    with store.session() as session:
        return _agreement(session, connection_id)


def _said(session: Session, connection: int, epoch: int) -> Said:
    mine = (AnnotationRow.connection_id == connection, ~AnnotationRow.deleted)
    by_how = select(AnnotationRow.how, func.count()).where(*mine).group_by(AnnotationRow.how)
    how = {str(name): count for name, count in session.execute(by_how)}
    return Said(epoch, how, *_agreement(session, connection))


def _agreement(session: Session, connection: int) -> tuple[float | None, dict[str, float]]:
    mine = (AnnotationRow.connection_id == connection, ~AnnotationRow.deleted, AnnotationRow.how.in_(ANSWERED))
    answered = select(AnnotationRow.how, AnnotationRow.result).where(*mine)
    latest = session.execute(answered.order_by(AnnotationRow.epoch.desc()).limit(LATEST))
    answers = [(str(name), regions_of(result)) for name, result in latest]
    whole = sum(name == "accepted" for name, _ in answers) / len(answers) if answers else None
    return whole, by_field(answers)


def by_field(answers: Iterable[tuple[str, Sequence[Mapping[str, Any]]]]) -> dict[str, float]:
    """By field name the share of annotations that left as they were all regions suggested for it; ``answers``: (how,
    regions). Of a suggestion that was deleted nothing is left to count, so it counts in the whole alone."""
    kept: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for how, regions in answers:
        names = {name for one in regions if isinstance(name := one.get("from_name"), str)}
        for name in names:
            origins = {one.get("origin") for one in regions if one.get("from_name") == name}
            said[name] += 1
            kept[name] += how == "accepted" or origins == {"prediction"}
    return {name: kept[name] / count for name, count in said.most_common(_MOST_FIELDS)}

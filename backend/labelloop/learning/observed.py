"""What an operator watches of the store: how labels came to be, agreement with suggestions, attempts to train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from labelloop.learning.store import Store
from labelloop.learning.tables import AnnotationRow, ConnectionRow, EventRow, RefreshRow
from labelloop.studio.acceptance import regions_of

LATEST = 100
"""So many of the latest annotations that answered a suggestion say how far people agree."""
MOST = 100
"""Connections that are told apart, those with the latest labels; each costs time series."""
_MOST_FIELDS = 20
_ANSWERED = ("accepted", "edited", "rejected")


@dataclass(frozen=True)
class Observed:
    """``annotations``: by (connection, how). ``agreement``: by connection, the share of suggestions that people left as
    they were; ``field_agreement``: by (connection, field), that of the suggestions for one control. ``refreshes``: by
    (connection, what came of it). ``pending``: webhooks that are stored and not applied yet."""

    connections: int = 0
    pending: int = 0
    annotations: dict[tuple[str, str], int] = field(default_factory=dict)
    agreement: dict[tuple[str], float] = field(default_factory=dict)
    field_agreement: dict[tuple[str, str], float] = field(default_factory=dict)
    refreshes: dict[tuple[str, str], int] = field(default_factory=dict)


def observe(store: Store) -> Observed:
    """Reads all of it; with 100,000 annotations that takes a moment, so whoever asks often keeps what was said.

    Raises:
        StoreDownError: as ``Store``.
    """
    found = Observed()
    with store.session() as session:
        latest = select(ConnectionRow.id).where(ConnectionRow.project_id.is_not(None))
        ids = list(session.scalars(latest.order_by(ConnectionRow.memory_epoch.desc(), ConnectionRow.id.desc())))
        shown = ids[:MOST]
        pending = session.scalar(select(func.count()).select_from(EventRow).where(EventRow.pending))
        by_how = select(AnnotationRow.connection_id, AnnotationRow.how, func.count()).where(~AnnotationRow.deleted)
        for connection, how, count in session.execute(by_how.group_by(AnnotationRow.connection_id, AnnotationRow.how)):
            if connection in shown:
                found.annotations[str(connection), how] = count
        by_state = select(RefreshRow.connection_id, RefreshRow.state, func.count())
        for connection, state, count in session.execute(by_state.group_by(RefreshRow.connection_id, RefreshRow.state)):
            if connection in shown and state != "running":
                found.refreshes[str(connection), state] = count
        for connection in shown:
            mine = (AnnotationRow.connection_id == connection, ~AnnotationRow.deleted)
            answered = select(AnnotationRow.how, AnnotationRow.result).where(*mine, AnnotationRow.how.in_(_ANSWERED))
            rows = session.execute(answered.order_by(AnnotationRow.epoch.desc()).limit(LATEST))
            answers = [(str(how), regions_of(result)) for how, result in rows]
            if answers:
                found.agreement[str(connection),] = sum(how == "accepted" for how, _ in answers) / len(answers)
                for name, share in by_field(answers).items():
                    found.field_agreement[str(connection), name] = share
    return Observed(**{**vars(found), "connections": len(ids), "pending": pending or 0})


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

"""A trained adapter as it serves a field that marks entities: what it adds to the chances of passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelloop.settings import Settings
from labelloop.tasks import refresh_spans, span_memory, trained_places
from labelloop.tasks.entities import Candidate, Draft
from labelloop.tasks.span_memory import Rows, SpanMemory
from labelloop.tasks.trained_places import TrainedPlaces
from labelloop.words import FieldPlan, Passage


@dataclass(frozen=True)
class TrainedSpans:
    """``places``: what tells passages apart."""

    places: TrainedPlaces

    def drafts(
        self, passages: Sequence[Passage], candidates: Sequence[Candidate], memory: SpanMemory | None
    ) -> list[Draft]:
        """As ``SpanMemory.drafts``, with and without one."""
        known = span_memory.chances_of(candidates) if memory is None else memory.rows(passages, candidates)
        return span_memory.decided(self.rows([passage.text for passage in passages], known))

    def rows(self, texts: Sequence[str], known: Rows) -> Rows:
        """The chances of passages, from those without the adapter; owners count ``texts``."""
        if not known:
            return known
        made = self.places.chances(texts, refresh_spans.pieces(list(known)), np.stack(list(known.values())))
        return dict(zip(known, made, strict=True))


def serve(plan: FieldPlan, folder: Path, settings: Settings) -> TrainedSpans:
    """The adapter, ready beside the warm encoder of the field. Raises as ``trained_places.serve``."""
    names, meanings = refresh_spans.names_of(plan.field), refresh_spans.meanings(plan, settings)
    return TrainedSpans(trained_places.serve(plan, folder, settings, names, meanings))

"""A trained adapter as it serves a field that relates: what it adds to the chances of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labelloop.settings import Settings
from labelloop.tasks import refresh_places, refresh_relations, structured, trained_places
from labelloop.tasks.calibration import Array
from labelloop.tasks.relations import Judged
from labelloop.tasks.trained_places import TrainedPlaces
from labelloop.words import FieldPlan


@dataclass(frozen=True)
class TrainedRelations:
    """``places``: what tells pairs apart."""

    places: TrainedPlaces

    def chances(self, judged: Sequence[Judged], known: Array) -> Array:
        """(n_pairs, n_columns + 1) from those without the adapter: zero-shot, and memory where there is some."""
        texts, places = refresh_places.shared(
            [one.text for one in judged], refresh_relations.pieces([one.pair for one in judged])
        )
        return self.places.chances(texts, places, known)


def serve(plan: FieldPlan, folder: Path, settings: Settings) -> TrainedRelations:
    """The adapter, ready beside the warm encoder of the field. Raises as ``trained_places.serve``."""
    names = refresh_relations.names_of(structured.relation_columns(plan, settings))
    meanings = refresh_relations.meanings(plan, settings)
    return TrainedRelations(trained_places.serve(plan, folder, settings, names, meanings))

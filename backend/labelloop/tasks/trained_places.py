"""A trained adapter as it serves a field that tells places in texts apart: spans, or pairs of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelloop.engines import Vectors, load
from labelloop.engines.scale import Scale
from labelloop.errors import ModelError
from labelloop.settings import Settings
from labelloop.tasks import voices
from labelloop.tasks.calibration import Array
from labelloop.tasks.voices import Voices
from labelloop.words import FieldPlan

if TYPE_CHECKING:
    from labelloop.engines.encoder import Encoder
    from labelloop.engines.span_training import Place
    from labelloop.engines.training import Recipe
    from labelloop.tasks.refresh_labels import Refreshed

_ABOUT, _SLOPE, _MEMORY, _ADAPTER, _TAUGHT = "about", "slope", "voice_of_memory", "voice_of_adapter", "taught"

Name = tuple[str, ...]
"""What a column stands for; () is that of no label, or of no relation."""


@dataclass(frozen=True)
class TrainedPlaces:
    """``adapter``: its sha256. ``meanings``: (n_columns, d) to the base encoder. ``taught``: (n_columns,) which of them
    it was trained on; of the others it says nothing. ``encoder``: with the adapter, read anew where
    others took its place (``engines.adapted``)."""

    adapter: str
    voices: Voices
    scale: Scale
    meanings: Vectors
    taught: NDArray[np.bool_]
    encoder: Callable[[], Encoder]

    def alone(self, texts: Sequence[str], places: Sequence[Place]) -> Array:
        """(n_places, n_columns) chances by the adapter alone."""
        from labelloop.engines.span_training import vectors_of

        if not places:
            return np.zeros((0, len(self.meanings)))
        used = sorted({place.text for place in places})
        number = {text: place for place, text in enumerate(used)}
        tokens = self.encoder().tokens([texts[text] for text in used])
        vectors = vectors_of(tokens, [place._replace(text=number[place.text]) for place in places])
        return voices.chances(self.scale.odds(vectors.astype(np.float64) @ self.meanings.T), several=False)

    def chances(self, texts: Sequence[str], places: Sequence[Place], known: Array) -> Array:
        """(n_places, n_columns) from chances without the adapter: zero-shot, and memory where there is some."""
        if not places:
            return known
        learnt = voices.within(self.alone(texts, places), known, self.taught, several=False)
        return voices.mix(self.voices, known, learnt, several=False)


def keep(
    plan: FieldPlan, names: Sequence[Name], scale: Scale, made: Refreshed, recipe: Recipe, parent: Path
) -> Path | None:
    """Writes the adapter to a folder of ``parent`` that its sha256 names; None where training helped nothing.

    Args:
        names: of the columns that were trained.
    """
    from labelloop.engines import adapter_files

    if not made.weights:
        return None
    shift = {name: float(its) for name, its, one in zip(names, scale.shift, made.taught, strict=True) if one}
    about = adapter_files.About(
        method=recipe.method,
        base=plan.revision,
        sizes=recipe.sizes,
        trained={
            **made.told,
            _ABOUT: plan.field.kind,
            _SLOPE: made.slope,
            _MEMORY: made.voices.memory,
            _ADAPTER: made.voices.adapter,
            _TAUGHT: [[list(name), its] for name, its in shift.items()],
        },
    )
    return adapter_files.save(about, made.weights, parent)


def serve(plan: FieldPlan, folder: Path, settings: Settings, names: Sequence[Name], meanings: Vectors) -> TrainedPlaces:
    """The adapter, ready beside the warm encoder of the field.

    Raises:
        ModelError: as ``engines.adapted.adapted``; or the adapter was not trained for a field of this kind.
    """
    from labelloop.engines import adapter_files
    from labelloop.engines.adapted import made_ready

    base = load("encoder", plan.model, plan.revision, settings)
    encoder = made_ready(base, folder, settings.adapter_memory << 20)
    slope, its_voices, taught = _read(plan, folder, dict(adapter_files.read(folder)[0].trained))
    shift = np.array([taught.get(name, 0.0) for name in names])
    scale = Scale(slope, shift, np.full(len(names), np.nan))
    return TrainedPlaces(
        folder.name, its_voices, scale, meanings, np.array([name in taught for name in names]), encoder
    )


def _read(plan: FieldPlan, folder: Path, told: Mapping[str, Any]) -> tuple[float, Voices, dict[Name, float]]:
    """The slope, the voices, and of each column that was trained its shift."""
    try:
        if told[_ABOUT] != plan.field.kind:
            raise ValueError(f"it is about {told[_ABOUT]}")
        its_voices = Voices(float(told[_MEMORY]), float(told[_ADAPTER]))
        taught = {plan.field.today(tuple(name)): float(shift) for name, shift in told[_TAUGHT]}
        return float(told[_SLOPE]), its_voices, taught
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"The adapter {folder} was not trained for {plan.field.kind}: {error}.", "Train a new one."
        ) from error

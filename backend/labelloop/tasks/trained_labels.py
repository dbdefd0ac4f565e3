"""A trained adapter as it serves a field that chooses labels: how it is kept, and what it adds to the chances."""

from __future__ import annotations

from collections.abc import Sequence
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
from labelloop.tasks.refresh_labels import Refreshed, encoder_plan, reading
from labelloop.tasks.voices import Voices
from labelloop.words import FieldPlan

if TYPE_CHECKING:
    from labelloop.engines.encoder import Encoder
    from labelloop.engines.training import Recipe

_SLOPE, _MEMORY, _ADAPTER, _TAUGHT = "slope", "voice_of_memory", "voice_of_adapter", "taught"


@dataclass(frozen=True)
class TrainedLabels:
    """``adapter``: its sha256. ``meanings``: (n_labels, d) of the field's labels as they are today, to the base
    encoder. ``taught``: (n_labels,) which of them it was trained on; of the others it says nothing."""

    adapter: str
    voices: Voices
    scale: Scale
    several: bool
    meanings: Vectors
    taught: NDArray[np.bool_]
    encoder: Encoder

    def alone(self, texts: Sequence[str]) -> Array:
        """(n_texts, n_labels) chances by the adapter alone, of all labels."""
        similarities = self.encoder.embed(texts).astype(np.float64) @ self.meanings.T
        return voices.chances(self.scale.odds(similarities), self.several)

    def chances(self, texts: Sequence[str], known: Array) -> Array:
        """(n_texts, n_labels) from chances of the same sort without the adapter: zero-shot, and memory where there is
        some."""
        learnt = voices.within(self.alone(texts), known, self.taught, self.several)
        return voices.mix(self.voices, known, learnt, self.several)


def keep(plan: FieldPlan, refreshed: Refreshed, recipe: Recipe, parent: Path) -> Path | None:
    """Writes the adapter to a folder of ``parent`` that its sha256 names; None where training helped nothing."""
    from labelloop.engines import adapter_files

    if not refreshed.weights:
        return None
    its = refreshed.voices
    taught = [list(label.path) for label, one in zip(plan.field.labels, refreshed.taught, strict=True) if one]
    about = adapter_files.About(
        method=recipe.method,
        base=encoder_plan(plan).revision,
        sizes=recipe.sizes,
        trained={
            **refreshed.told,
            _SLOPE: refreshed.slope,
            _MEMORY: its.memory,
            _ADAPTER: its.adapter,
            _TAUGHT: taught,
        },
    )
    return adapter_files.save(about, refreshed.weights, parent)


def serve(plan: FieldPlan, folder: Path, settings: Settings) -> TrainedLabels:
    """The adapter, ready beside the warm encoder of the field.

    Raises:
        ModelError: as ``engines.adapted.adapted``; or the adapter was not trained for a field that chooses labels.
        SettingsError: as ``refresh_labels.reading``.
    """
    from labelloop.engines import adapter_files
    from labelloop.engines.adapted import adapted

    its = encoder_plan(plan)
    encoder = adapted(load("encoder", its.model, its.revision, settings), folder)
    told: dict[str, Any] = dict(adapter_files.read(folder)[0].trained)
    try:
        slope, of_memory, of_adapter = (float(told[name]) for name in (_SLOPE, _MEMORY, _ADAPTER))
        paths = {tuple(path) for path in told[_TAUGHT]}
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"The adapter {folder} was not trained for choosing labels: {error} is missing.", "Train a new one."
        ) from error
    known = reading(plan, settings)
    scale = known.scale._replace(slope=slope)
    taught = np.array([label.path in paths for label in plan.field.labels])
    its_voices = Voices(of_memory, of_adapter)
    return TrainedLabels(folder.name, its_voices, scale, plan.field.multiple, known.meanings, taught, encoder)

"""A trained adapter as it serves a field that chooses labels: how it is kept, and what it adds to the chances.

It reads texts as they were read in training: against the labels that there were, in the words that they had. What it
says of these goes to the labels that they are by now; of labels that came since it says nothing, and what went is left
out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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
from labelloop.words import FieldPlan, Label

if TYPE_CHECKING:
    from labelloop.engines.encoder import Encoder
    from labelloop.engines.training import Recipe

_SLOPE, _MEMORY, _ADAPTER, _TAUGHT = "slope", "voice_of_memory", "voice_of_adapter", "taught"
_LABELS, _QUESTION = "labels", "question"


@dataclass(frozen=True)
class TrainedLabels:
    """``adapter``: its sha256. ``meanings``: (n_then, d) of the labels that the field had in training, to the base
    encoder. ``now``: (n_then,) the column of each among today's labels, -1 where it is gone. ``taught``: (n_labels,)
    which of today's it was trained on; of the others it says nothing. ``encoder``: with the adapter, read anew where
    others took its place (``engines.adapted``)."""

    adapter: str
    voices: Voices
    scale: Scale
    several: bool
    meanings: Vectors
    now: NDArray[np.intp]
    taught: NDArray[np.bool_]
    encoder: Callable[[], Encoder]

    def alone(self, texts: Sequence[str]) -> Array:
        """(n_texts, n_labels) chances by the adapter alone; none of labels that there were not in training."""
        similarities = self.encoder().embed(texts).astype(np.float64) @ self.meanings.T
        said = voices.chances(self.scale.odds(similarities), self.several)
        found: Array = np.zeros((len(texts), len(self.taught)))
        together = np.maximum if self.several else np.add  # of labels that became one
        for column, its in zip(self.now, said.T, strict=True):
            if column >= 0:
                together(found[:, column], its, out=found[:, column])
        return found

    def chances(self, texts: Sequence[str], known: Array) -> Array:
        """(n_texts, n_labels) from chances of the same sort without the adapter: zero-shot, and memory where there is
        some. Labels that there were not in training keep what is known of them."""
        learnt = voices.within(self.alone(texts), known, self.taught, self.several)
        mixed = voices.mix(self.voices, known, learnt, self.several)
        came = np.ones(known.shape[1], np.bool_)
        came[self.now[self.now >= 0]] = False
        if came.any():
            if not self.several:
                mixed *= known[:, ~came].sum(axis=1, keepdims=True) / mixed[:, ~came].sum(axis=1, keepdims=True)
            mixed[:, came] = known[:, came]
        return mixed


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
            _LABELS: [label.model_dump(mode="json") for label in plan.field.labels],
            _QUESTION: plan.field.question,
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
    from labelloop.engines.adapted import made_ready

    its = encoder_plan(plan)
    base = load("encoder", its.model, its.revision, settings)
    encoder = made_ready(base, folder, settings.adapter_memory << 20)
    told: dict[str, Any] = dict(adapter_files.read(folder)[0].trained)
    try:
        slope, of_memory, of_adapter = (float(told[name]) for name in (_SLOPE, _MEMORY, _ADAPTER))
        paths = {plan.field.today(tuple(path)) for path in told[_TAUGHT]}
        labels = tuple(Label.model_validate_json(json.dumps(one)) for one in told[_LABELS])
        then = plan.field.model_copy(update={"labels": labels, "question": str(told[_QUESTION])})
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"The adapter {folder} was not trained for choosing labels: {error} is missing.", "Train a new one."
        ) from error
    known = reading(plan.model_copy(update={"field": then}), settings)
    columns = plan.field.columns
    return TrainedLabels(
        folder.name,
        Voices(of_memory, of_adapter),
        known.scale._replace(slope=slope),
        plan.field.multiple,
        known.meanings,
        np.array([columns.get(plan.field.today(label.path), -1) for label in labels], np.intp),
        np.array([label.path in paths for label in plan.field.labels]),
        encoder,
    )

"""What an adapter says of a field's texts, and how loud its voice is beside zero-shot and memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from labelloop.engines import load
from labelloop.errors import ModelError
from labelloop.settings import Settings
from labelloop.tasks import refresh_labels, voices
from labelloop.tasks.calibration import Array
from labelloop.tasks.voices import Voices
from labelloop.words import FieldPlan


class Learnt(NamedTuple):
    """``chances``: (n_texts, n_labels) of the adapter alone. ``voices``: by which they are mixed with what is known."""

    chances: Array
    voices: Voices


def folder(settings: Settings) -> Path:
    """Where adapters lie on this machine; the store has all of them."""
    return settings.data_dir / "adapters"


def check(place: Path) -> None:
    """Raises ModelError where the adapter in a folder is missing or damaged."""
    from labelloop.engines import adapter_files

    adapter_files.read(place)


def learnt(plan: FieldPlan, texts: Sequence[str], settings: Settings) -> Learnt | None:
    """What the plan's adapter says of texts, none of which is empty; None where it has none.

    Raises:
        ModelError: the adapter is missing or damaged, or was trained on another model.
    """
    if plan.adapter is None:
        return None
    from labelloop.engines.adapted import ready

    place = folder(settings) / plan.adapter
    base = next(one for one in plan.alone if one.engine == "encoder")
    one = ready(load("encoder", base.model, base.revision, settings), place)
    told = one.about.trained
    try:
        its = Voices(float(told["voice_memory"]), float(told["voice_adapter"]))
        slope = float(told["slope"])
    except (KeyError, ValueError) as error:
        raise ModelError(f"The adapter {plan.adapter[:12]} does not say how it is read: {error}.") from None
    meaning = refresh_labels.reading(plan, settings)
    similarities = one.encoder.embed(texts).astype(np.float64) @ meaning.meanings.T.astype(np.float64)
    return Learnt(voices.chances(meaning.scale._replace(slope=slope).odds(similarities), plan.field.multiple), its)

"""The adapters of plans as they lie on this machine, each made ready once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labelloop.engines.recent import Recent
from labelloop.settings import Settings
from labelloop.words import FieldPlan

if TYPE_CHECKING:
    from labelloop.tasks.trained_labels import TrainedLabels
    from labelloop.tasks.trained_texts import TrainedTexts

_Key = tuple[str, str, str]
_ready: Recent[_Key, TrainedLabels] = Recent(16)
_writers: Recent[_Key, TrainedTexts] = Recent(16)


def folder(settings: Settings) -> Path:
    """Where adapters lie on this machine; the store has all of them."""
    return settings.data_dir / "adapters"


def check(place: Path) -> None:
    """Raises ModelError where the adapter in a folder is missing or damaged."""
    from labelloop.engines import adapter_files

    adapter_files.read(place)


def ready(plan: FieldPlan, settings: Settings) -> TrainedLabels | None:
    """What was trained for a plan that chooses labels; None where nothing is.

    Raises:
        ModelError: the adapter is missing or damaged, or was trained on another model.
    """
    if plan.adapter is None:
        return None
    from labelloop.tasks.trained_labels import serve

    place = folder(settings) / plan.adapter
    return _ready.get([_key(plan, settings)], lambda _: [serve(plan, place, settings)])[0]


def writer(plan: FieldPlan, settings: Settings) -> TrainedTexts | None:
    """What was trained for a plan that writes; None where nothing is. Raises as ``ready``."""
    if plan.adapter is None:
        return None
    from labelloop.tasks.trained_texts import serve

    place = folder(settings) / plan.adapter
    return _writers.get([_key(plan, settings)], lambda _: [serve(plan, place, settings)])[0]


def _key(plan: FieldPlan, settings: Settings) -> _Key:
    return plan.model_dump_json(), str(folder(settings)), settings.device

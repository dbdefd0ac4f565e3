"""The adapters of plans as they lie on this machine, each made ready once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labelloop.engines.recent import Recent
from labelloop.settings import Settings
from labelloop.words import FieldPlan

if TYPE_CHECKING:
    from labelloop.tasks.trained_labels import TrainedLabels

_ready: Recent[tuple[str, str, str], TrainedLabels] = Recent(16)


def folder(settings: Settings) -> Path:
    """Where adapters lie on this machine; the store has all of them."""
    return settings.data_dir / "adapters"


def check(place: Path) -> None:
    """Raises ModelError where the adapter in a folder is missing or damaged."""
    from labelloop.engines import adapter_files

    adapter_files.read(place)


def ready(plan: FieldPlan, settings: Settings) -> TrainedLabels | None:
    """What was trained for the plan; None where nothing is.

    Raises:
        ModelError: the adapter is missing or damaged, or was trained on another model.
    """
    if plan.adapter is None:
        return None
    from labelloop.tasks.trained_labels import serve

    key = (plan.model_dump_json(), str(folder(settings)), settings.device)
    return _ready.get([key], lambda _: [serve(plan, folder(settings) / str(plan.adapter), settings)])[0]

"""The adapters of plans as they lie on this machine, each made ready once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labelloop.engines.recent import Recent
from labelloop.settings import Settings
from labelloop.words import WRITTEN, FieldPlan

_ready: Recent[tuple[str, str, str], Any] = Recent(16)


def folder(settings: Settings) -> Path:
    """Where adapters lie on this machine; the store has all of them."""
    return settings.data_dir / "adapters"


def check(place: Path) -> None:
    """Raises ModelError where the adapter in a folder is missing or damaged."""
    from labelloop.engines import adapter_files

    adapter_files.read(place)


def ready(plan: FieldPlan, settings: Settings) -> Any:
    """What was trained for the plan: ``TrainedSpans`` of one that marks entities, ``TrainedRelations`` of one that
    relates, ``TrainedTexts`` of one that writes, else ``TrainedLabels``; None where nothing is.

    Raises:
        ModelError: the adapter is missing or damaged, or was trained on another model.
    """
    if plan.adapter is None:
        return None
    from labelloop.tasks import trained_labels, trained_relations, trained_spans, trained_texts

    kinds = {
        "entities": trained_spans.serve,
        "relations": trained_relations.serve,
        **dict.fromkeys(WRITTEN, trained_texts.serve),
    }
    serve = kinds.get(plan.field.kind, trained_labels.serve)
    key = (plan.model_dump_json(), str(folder(settings)), settings.device)
    return _ready.get([key], lambda _: [serve(plan, folder(settings) / str(plan.adapter), settings)])[0]

"""The second opinion: what label_studio_sdk's validator, which Label Studio's import uses, says of a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from labelloop.words import Field

# What the SDK's validator refuses although the editor takes it. Each is (part of its message, why it is let through).
KNOWN_GAPS = (
    (
        "unhashable type: 'list'",
        "Choices with allowNested store lists of paths; the SDK's validator knows only flat ones",
    ),
    ("Got: {'choices': [[", "the same, in its words where the labels come from the task's data"),
)


def import_refuses(prediction: Mapping[str, Any], fields: Sequence[Field] = ()) -> bool:
    """Whether Label Studio's bulk import drops it for a known gap, so that it has to be posted by itself.

    The gaps: lists of paths in Choices; and where a config has labels beside those of the task, the SDK knows the
    config's only.

    Args:
        fields: as the config has them, without labels of tasks.
    """
    static = {field.name: {one.path[-1] for one in field.labels} for field in fields if field.dynamic and field.labels}
    return any(
        isinstance(entry, list) or entry not in static.get(region["from_name"], {entry})
        for region in prediction["result"]
        if region.get("type") == "choices"
        for entry in region["value"].get("choices", ())
    )


def second_opinion(label_config: str, prediction: Mapping[str, Any]) -> list[str]:
    """What label_studio_sdk's LabelInterface objects to, without KNOWN_GAPS; empty where it agrees.

    Imports the SDK (about a second, 100 MB): not for the web process.
    """
    errors = _interface(label_config).validate_prediction(dict(prediction), return_errors=True)
    return [str(error) for error in errors if not any(gap in str(error) for gap, _ in KNOWN_GAPS)]


@lru_cache(maxsize=8)
def _interface(label_config: str) -> Any:
    from label_studio_sdk.label_interface import LabelInterface

    return LabelInterface(label_config)

"""How an annotation came to be: a prediction accepted unchanged, edited or rejected, or regions made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.words import How

_KEPT, _CHANGED = "prediction", "prediction-changed"  # of a region's "origin", which the editor writes


def came_about(annotation: Mapping[str, Any], shown: Sequence[Mapping[str, Any]] | None = None) -> How:
    """How this annotation came to be.

    A region that was deleted leaves no trace in an annotation, so a prediction of which only some regions were kept
    looks accepted until ``shown`` is known. A result whose regions have no origin, under a prediction ("Create
    annotations from predictions"), is a copy of it.

    Args:
        annotation: as Label Studio sends it: "result", "was_cancelled", "parent_prediction".
        shown: the regions of the prediction that was shown; None where they are not known.
    """
    if annotation.get("was_cancelled"):
        return "skipped"
    regions = regions_of(annotation.get("result"))
    if shown is not None:
        return _compared(regions, regions_of(shown))
    origins = [region.get("origin") for region in regions]
    of_prediction = [origin for origin in origins if origin in (_KEPT, _CHANGED)]
    if annotation.get("parent_prediction") is None and not of_prediction:
        return "by_hand"
    if regions and not of_prediction and not any(origins):
        return "accepted"
    if not of_prediction:
        return "rejected"
    return "accepted" if all(_kept(region, origins) for region in regions) else "edited"


def _kept(region: Mapping[str, Any], origins: Sequence[Any]) -> bool:
    """Relations have no origin: they are taken for kept where some region is."""
    return region.get("origin") == _KEPT or (region.get("type") == "relation" and _KEPT in origins)


def _compared(regions: Sequence[Mapping[str, Any]], shown: Sequence[Mapping[str, Any]]) -> How:
    if not shown:  # an editor with nothing in it shows no suggestion
        return "by_hand"
    left = list(regions)
    kept = 0
    for one in shown:
        found = next((place for place, region in enumerate(left) if _same(region, one)), None)
        if found is not None:
            kept += 1
            left.pop(found)
    if kept == len(shown) and not left:
        return "accepted"
    ids = {one["id"] for one in shown if isinstance(one.get("id"), str)}
    changed = any(region.get("origin") == _CHANGED or region.get("id") in ids for region in left)
    return "edited" if kept or changed else "rejected"


def _same(region: Mapping[str, Any], shown: Mapping[str, Any]) -> bool:
    """Whether the region is the one shown: the editor adds keys to its value, and takes the score away."""
    if shown.get("type") == "relation":
        ends = ("type", "from_id", "to_id", "direction")
        same_labels = (region.get("labels") or []) == (shown.get("labels") or [])
        return same_labels and all(region.get(name) == shown.get(name) for name in ends)
    if any(region.get(name) != shown.get(name) for name in ("from_name", "to_name", "type")):
        return False
    value, wanted = region.get("value"), shown.get("value")
    if not isinstance(value, Mapping) or not isinstance(wanted, Mapping):
        return value == wanted
    return all(name in value and value[name] == content for name, content in wanted.items())


def regions_of(result: Any) -> list[Mapping[str, Any]]:
    """The regions of a result; none of what is no list of them, for Label Studio stores whatever its API is given."""
    return [region for region in result if isinstance(region, Mapping)] if isinstance(result, list | tuple) else []

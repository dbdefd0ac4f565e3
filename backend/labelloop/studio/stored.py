"""How a control's answer stands in the ``value`` of a region: under which key, and labels or numbers in which form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labelloop.words import Field, Path

VALUE_KEYS = {
    **{"Choices": "choices", "Taxonomy": "taxonomy", "Rating": "rating", "Number": "number"},
    **{"Labels": "labels", "HyperTextLabels": "hypertextlabels", "ParagraphLabels": "paragraphlabels"},
    **{"Pairwise": "selected", "Ranker": "ranker", "TextArea": "text"},
}
SPAN_TAGS = frozenset({"Labels", "HyperTextLabels", "ParagraphLabels"})
LIST = "_"  # the column of a Ranker with buckets that holds what is in none


def stored(field: Field, labels: Sequence[Path]) -> Any:
    """The labels as they are stored: names, paths, or the number of a scale's step."""
    if field.ordinal:
        return step(labels[0])
    if field.tag == "Pairwise":
        return labels[0][-1]
    return [list(path) if field.nested else path[-1] for path in labels]


def step(path: Path) -> Any:
    """The number behind a step of a scale; None for what is no number, which the validator refuses."""
    try:
        number = float(path[-1])
        return int(number) if number.is_integer() else number
    except (ValueError, OverflowError, IndexError):
        return None


def columns(field: Field) -> tuple[str, ...]:
    """The columns of a Ranker; the last takes what is in no other."""
    names = tuple(label.path[-1] for label in field.labels)
    if not names:
        return (field.name,)
    return (*(name for name in names if name != field.rest), field.rest) if field.rest else (*names, LIST)

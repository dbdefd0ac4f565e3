"""Answers as result regions of Label Studio 1.23.2, and the validator that decides what may leave."""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from labelloop.studio.conditions import shown
from labelloop.words import Answer, Field, Path

# What the SDK's validator refuses although the editor takes it. Each is (part of its message, why it is let through).
KNOWN_GAPS = (
    (
        "unhashable type: 'list'",
        "Choices with allowNested store lists of paths; the SDK's validator knows only flat ones",
    ),
    ("Got: {'choices': [[", "the same, in its words where the labels come from the task's data"),
)

_VALUE_KEYS = {"Choices": "choices", "Taxonomy": "taxonomy", "Rating": "rating", "Number": "number"}


# Out: answers -> a prediction


def prediction(fields: Sequence[Field], answers: Sequence[Answer], version: str) -> dict[str, Any]:
    """The prediction of one item: {"result": [regions], "score": float, "model_version": version}.

    An answer with a reason, with no label, or of a control that the other answers hide, gives no region. The
    prediction's score is the least of the answered fields' scores, 0.0 where no field is answered. ``validate`` decides
    what of it may leave.

    Args:
        fields: with the item's own labels where they are dynamic.

    Raises:
        ValueError: an answer is for none of the fields.
    """
    known = {field.name: field for field in fields}
    result: list[dict[str, Any]] = []
    scores: list[float] = []
    seen = shown(fields, answers)
    for answer in answers:
        if answer.field not in known:
            raise ValueError(f"an answer is for the field {answer.field!r}, which is not among {sorted(known)}")
        if answer.reason is not None or answer.field not in seen:
            continue
        scores.append(answer.score)
        if answer.labels:
            result.append(_region(known[answer.field], answer.labels, answer.score, version))
    return {"result": result, "score": min(scores, default=0.0), "model_version": version}


def _region(field: Field, labels: Sequence[Path], score: float, version: str) -> dict[str, Any]:
    return {
        "id": _region_id(field, version),
        "from_name": field.name,
        "to_name": field.to_name,
        "type": field.tag.lower(),
        "value": {_VALUE_KEYS[field.tag]: _stored(field, labels)},
        "score": score,
    }


def _region_id(field: Field, version: str) -> str:
    """Ten characters, the same for a field and version: to score an item again changes nothing but the answer."""
    return hashlib.sha256(f"{version}\0{field.name}".encode("utf-8", "surrogatepass")).hexdigest()[:10]


def _stored(field: Field, labels: Sequence[Path]) -> Any:
    if field.ordinal:
        return _step(labels[0])
    return [list(path) if field.nested else path[-1] for path in labels]


def _step(path: Path) -> Any:
    """The number behind a step of a scale; what is none is left for the validator to refuse."""
    try:
        number = float(path[-1])
        return int(number) if number.is_integer() else number
    except (ValueError, OverflowError, IndexError):
        return None


# The validator


def validate(prediction: Any, fields: Sequence[Field]) -> tuple[dict[str, Any], list[str]]:
    """The prediction without what Label Studio would lose, show wrongly, or store as if a person had said it.

    Known controls, their right object and type; labels that the control offers, one unless several are allowed; numbers
    on the scale; scores that are finite and in [0, 1]; one region per control; distinct region ids. Returns the clean
    prediction, which holds "result", "score" and (where it was one) "model_version", and for each thing dropped or
    mended one sentence. Never raises.
    """
    reports: list[str] = []
    if not isinstance(prediction, Mapping):
        return {"result": [], "score": 0.0}, [f"the prediction is no object but {_name(prediction)}"]
    regions = prediction.get("result")
    if not isinstance(regions, list):
        reports.append(f"its result is no list but {_name(regions)}")
        regions = []
    known = {field.name: field for field in fields}
    clean: dict[str, dict[str, Any]] = {}
    ids: set[str] = set()
    for place, region in enumerate(regions):
        try:
            good = _check_region(region, known)
            name = good["from_name"]
            if name in clean:
                raise _Refused(f"{name} has a region already")
        except _Refused as refused:
            reports.append(f"region {place}: {refused}")
            continue
        if not isinstance(good["id"], str) or not good["id"] or good["id"] in ids or not _sendable(good["id"]):
            good["id"] = _region_id(known[name], str(len(ids)))
            reports.append(f"region {place}: its id was missing or taken")
        ids.add(good["id"])
        clean[name] = good
    answer: dict[str, Any] = {"result": list(clean.values()), "score": _overall(prediction, clean, reports)}
    version = prediction.get("model_version")
    if isinstance(version, str) and version and _sendable(version):
        answer["model_version"] = version
    else:
        reports.append("it has no model_version")
    return answer, reports


class _Refused(Exception):
    """Why a region is dropped."""


def _check_region(region: Any, known: Mapping[str, Field]) -> dict[str, Any]:
    if not isinstance(region, Mapping):
        raise _Refused(f"it is no object but {_name(region)}")
    name = region.get("from_name")
    field = known.get(name) if isinstance(name, str) else None
    if field is None:
        raise _Refused(f"no control that is filled is called {_short(name)}")
    if region.get("to_name") not in [field.to_name, *(source.name for source in field.sources)]:
        raise _Refused(f"{name} does not label {_short(region.get('to_name'))}")
    if region.get("type") != field.tag.lower():
        raise _Refused(f"{name} has the type {field.tag.lower()}, not {_short(region.get('type'))}")
    value = region.get("value")
    if not isinstance(value, Mapping) or _VALUE_KEYS[field.tag] not in value:
        raise _Refused(f"the value of {name} has no '{_VALUE_KEYS[field.tag]}'")
    stored = _check_value(field, value[_VALUE_KEYS[field.tag]])
    good = {
        "id": region.get("id"),
        "from_name": name,
        "to_name": region["to_name"],
        "type": field.tag.lower(),
        "value": {_VALUE_KEYS[field.tag]: stored},
    }
    if "score" in region:
        if not _is_probability(region["score"]):
            raise _Refused(f"the score of {name} is {_short(region['score'])}, no number from 0 to 1")
        good["score"] = float(region["score"])
    return good


def _check_value(field: Field, stored: Any) -> Any:
    """The stored value as Label Studio expects it. Raises _Refused where it is none of the field's."""
    if field.ordinal:
        steps = {_step(label.path) for label in field.labels}
        if isinstance(stored, bool) or not isinstance(stored, int | float) or stored not in steps:
            raise _Refused(f"{_short(stored)} is no step of {field.name}")
        return int(stored) if float(stored).is_integer() else float(stored)
    if not isinstance(stored, list) or not stored:
        raise _Refused(f"{field.name} needs a list of labels, not {_short(stored)}")
    paths = [_path(field, entry) for entry in stored]
    offered = {label.path for label in field.labels}
    unknown = [path for path in paths if path not in offered]
    if unknown:
        raise _Refused(f"{field.name} has no label {_short(' > '.join(unknown[0]))}")
    if len(set(paths)) != len(paths):
        raise _Refused(f"{field.name} has a label twice")
    if len(paths) > 1 and not field.multiple:
        raise _Refused(f"{field.name} takes one label, not {len(paths)}")
    return [list(path) if field.nested else path[-1] for path in paths]


def _path(field: Field, entry: Any) -> Path:
    steps = entry if field.nested else [entry]
    if not isinstance(steps, list) or not all(isinstance(step, str) for step in steps):
        raise _Refused(f"{_short(entry)} is no label of {field.name}")
    return tuple(steps)


def _overall(prediction: Mapping[Any, Any], clean: Mapping[str, dict[str, Any]], reports: list[str]) -> float:
    score = prediction.get("score")
    if score is not None and _is_probability(score):
        return float(score)
    reports.append(f"its score is {_short(score)}, no number from 0 to 1")
    return min((region["score"] for region in clean.values() if "score" in region), default=0.0)


def _is_probability(score: Any) -> bool:
    return isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1  # NaN is not


def _sendable(text: str) -> bool:
    """Whether JSON in UTF-8 can carry it: half a surrogate pair or a NUL would lose the whole batch."""
    return text.isprintable()


def _short(thing: Any) -> str:
    try:
        text = reprlib.repr(thing)
        return text if len(text) <= 80 else f"{text[:80]}..."
    except ValueError:  # an integer of thousands of digits
        return f"something of the type {type(thing).__name__}"


def _name(thing: Any) -> str:
    return "missing" if thing is None else f"of the type {type(thing).__name__}"


# The second opinion


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

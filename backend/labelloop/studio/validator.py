"""The validator that decides what of a prediction may leave: nothing that Label Studio would lose, show wrongly, or
store as if a person had said it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.studio.checks import Refused, check_value, is_probability, kind_of, sendable, short
from labelloop.studio.checks_regions import check_relation, check_remark, check_span
from labelloop.studio.documents import Documents
from labelloop.studio.stored import SPAN_TAGS, VALUE_KEYS
from labelloop.words import Field

Json = dict[str, Any]


def validate(
    prediction: Any, fields: Sequence[Field], documents: Documents | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The prediction without what is wrong in it.

    Known controls, their right object and type; labels that the control offers, one unless several are allowed; numbers
    on the scale; spans that stand in the documents, with the words that stand there, none twice; what describes a
    region only where that region leaves too; relations only between regions that do; each entry of a list once; scores
    that are finite and in [0, 1]; one region per control that is answered once; distinct region ids. Returns the clean
    prediction, which holds "result", "score" and (where it was one) "model_version", and for each thing dropped or
    mended one sentence. Never raises.

    Args:
        documents: of the item; without them no span and no order of a list can leave.
    """
    reports: list[str] = []
    if not isinstance(prediction, Mapping):
        return {"result": [], "score": 0.0}, [f"the prediction is no object but {kind_of(prediction)}"]
    regions = prediction.get("result")
    if not isinstance(regions, list):
        reports.append(f"its result is no list but {kind_of(regions)}")
        regions = []
    clean = _Clean({field.name: field for field in fields}, documents, reports)
    for take in (clean.region, clean.remark, clean.relation):  # each needs those before it
        for place, region in enumerate(regions):
            try:
                take(place, region)
            except Refused as refused:
                reports.append(f"region {place}: {refused}")
    answer: Json = {"result": clean.result(), "score": _overall(prediction, clean.scores(), reports)}
    version = prediction.get("model_version")
    if isinstance(version, str) and version and sendable(version):
        answer["model_version"] = version
    else:
        reports.append("it has no model_version")
    return answer, reports


class _Clean:
    """What is left so far: regions with what describes them, and relations."""

    def __init__(self, known: Mapping[str, Field], documents: Documents | None, reports: list[str]) -> None:
        self._known, self._documents, self._reports = known, documents, reports
        self._labels = {name: {label.path for label in field.labels} for name, field in known.items()}
        self._groups: dict[str, list[Json]] = {}  # by id
        self._once: set[Any] = set()
        self._relations: list[Json] = []

    def region(self, place: int, region: Any) -> None:
        """A region of its own: of the whole item, or a span."""
        if not isinstance(region, Mapping):
            raise Refused(f"it is no object but {kind_of(region)}")
        if region.get("type") == "relation":
            return
        field, good = self._head(region)
        if field.kind == "remarks":
            return
        value = region["value"]
        if field.tag in SPAN_TAGS:
            good["value"] = check_span(field, good["to_name"], value, self._labels[field.name], self._documents)
            mark = (field.name, good["to_name"], repr(good["value"]))
            if mark in self._once:
                raise Refused(f"{field.name} has marked this already")
        else:
            content = value[VALUE_KEYS[field.tag]]
            good["value"] = {
                VALUE_KEYS[field.tag]: check_value(field, content, self._labels[field.name], self._documents)
            }
            mark = (field.name, "", "")
            if mark in self._once:
                raise Refused(f"{field.name} has a region already")
        if not isinstance(good["id"], str) or not sendable(good["id"]) or good["id"] in self._groups:
            good["id"] = self._free_id(field)
            self._reports.append(f"region {place}: its id was missing or taken")
        self._once.add(mark)
        self._groups[good["id"]] = [good]

    def remark(self, place: int, region: Any) -> None:
        """What a control of single regions says of one: an item under that region's id."""
        if not isinstance(region, Mapping) or region.get("type") == "relation":
            return
        field = self._known.get(region["from_name"]) if isinstance(region.get("from_name"), str) else None
        if field is None or field.kind != "remarks":
            return
        field, good = self._head(region)
        group = self._groups.get(good["id"]) if isinstance(good["id"], str) else None
        if group is None:
            raise Refused(f"{field.name} describes a region that is not there")
        if (good["id"], field.name) in self._once:
            raise Refused(f"{field.name} has described this region already")
        good["value"] = check_remark(field, region["value"], group[0], self._labels[field.name])
        self._once.add((good["id"], field.name))
        group.append(good)

    def relation(self, place: int, region: Any) -> None:
        if not isinstance(region, Mapping) or region.get("type") != "relation":
            return
        field = next((one for one in self._known.values() if one.kind == "relations"), None)
        good = check_relation(field, region, self._groups)
        ends, direction = [good["from_id"], good["to_id"]], good["direction"]
        if direction == "left":
            ends.reverse()
        pair = ("relation", *(sorted(ends) if direction == "bi" else ends), direction == "bi")
        if pair in self._once:
            raise Refused("this relation is there already")
        self._once.add(pair)
        self._relations.append(good)

    def _head(self, region: Mapping[Any, Any]) -> tuple[Field, Json]:
        """The control of a region, and all of the clean region but its value."""
        name = region.get("from_name")
        field = self._known.get(name) if isinstance(name, str) else None
        if field is None or field.tag not in VALUE_KEYS:
            raise Refused(f"no control that is filled is called {short(name)}")
        if region.get("to_name") not in [field.to_name, *(source.name for source in field.sources)]:
            raise Refused(f"{name} does not label {short(region.get('to_name'))}")
        if region.get("type") != field.tag.lower():
            raise Refused(f"{name} has the type {field.tag.lower()}, not {short(region.get('type'))}")
        value = region.get("value")
        if not isinstance(value, Mapping) or VALUE_KEYS[field.tag] not in value:
            raise Refused(f"the value of {name} has no '{VALUE_KEYS[field.tag]}'")
        good: Json = {"id": region.get("id"), "from_name": name, "to_name": region["to_name"]}
        good |= {"type": field.tag.lower(), "value": None}
        if "score" in region:
            if not is_probability(region["score"]):
                raise Refused(f"the score of {name} is {short(region['score'])}, no number from 0 to 1")
            good["score"] = float(region["score"])
        return field, good

    def _free_id(self, field: Field) -> str:
        number = len(self._groups)
        while f"{field.name[:40]}-{number}" in self._groups:
            number += 1
        return f"{field.name[:40]}-{number}"

    def result(self) -> list[Json]:
        return [region for group in self._groups.values() for region in group] + self._relations

    def scores(self) -> list[float]:
        return [region["score"] for group in self._groups.values() for region in group if "score" in region]


def _overall(prediction: Mapping[Any, Any], scores: Sequence[float], reports: list[str]) -> float:
    score = prediction.get("score")
    if score is not None and is_probability(score):
        return float(score)
    reports.append(f"its score is {short(score)}, no number from 0 to 1")
    return min(scores, default=0.0)

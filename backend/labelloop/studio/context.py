"""What an interactive call has selected: the passage that a person marked in the editor before asking for help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.words import Field

_SPANS = {"labels", "hypertextlabels", "paragraphlabels"}


def selected_texts(context: Any, fields: Sequence[Field], data: Mapping[str, Any]) -> dict[str, str]:
    """By field name, the selected passage of the object that the field reads; no entry where none is selected.

    ``context``: what Label Studio sends as ``params.context``: ``{"result": [regions]}``. Of several regions the last
    counts, the newest. A region without its text is cut out of a Text object by its offsets. Anything else is ignored:
    the context helps, and never spoils an answer.
    """
    regions = context.get("result") if isinstance(context, Mapping) else None
    passages: dict[str, str] = {}
    for region in regions if isinstance(regions, list) else ():
        value = region.get("value") if isinstance(region, Mapping) else None
        name = region.get("to_name") if isinstance(region, Mapping) else None
        if isinstance(value, Mapping) and isinstance(name, str) and region.get("type") in _SPANS:
            passage = _passage(value, name, fields, data)
            if passage.strip():
                passages[name] = passage
    return {
        field.name: passages[source.name]
        for field in fields
        for source in field.sources
        if source.name in passages and not field.dynamic
    }


def _passage(value: Mapping[str, Any], name: str, fields: Sequence[Field], data: Mapping[str, Any]) -> str:
    if isinstance(value.get("text"), str):
        return str(value["text"])
    start, end = value.get("start"), value.get("end")
    keys = {source.key for field in fields for source in field.sources if (source.name, source.tag) == (name, "Text")}
    texts = [data[key] for key in keys if isinstance(data.get(key), str)]
    if len(texts) == 1 and isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(texts[0]):
        return str(texts[0][start:end])
    return ""

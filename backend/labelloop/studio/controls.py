"""What each tag of Label Studio 1.23.2 is to us: an object to read, a control to fill, or left to people and why."""

from __future__ import annotations

from typing import Any, Literal

from labelloop.studio.config_xml import attr, tag

TEXTS: dict[str, Literal["Text", "HyperText", "Paragraphs", "Chat"]] = {
    "text": "Text",
    "hypertext": "HyperText",
    "paragraphs": "Paragraphs",
    "chat": "Chat",
}
SPANS = {"labels": "Labels", "hypertextlabels": "HyperTextLabels", "paragraphlabels": "ParagraphLabels"}
MARKED = {  # which objects each of them marks in the editor
    "labels": frozenset({"text", "hypertext", "paragraphs"}),
    "hypertextlabels": frozenset({"hypertext"}),
    "paragraphlabels": frozenset({"paragraphs"}),
}
FILLED = {
    **{"choices": "Choices", "taxonomy": "Taxonomy", "rating": "Rating", "number": "Number"},
    **SPANS,
    **{"pairwise": "Pairwise", "ranker": "Ranker", "textarea": "TextArea"},
}

_IMAGES = "it marks regions of an image: only text can be read"
_VIDEOS = "it marks regions of a video: only text can be read"
_OWN_CODE = "it is an interface with code of its own, and only that code knows its answers"
_REASONS = {
    "datetime": "it is a date, and LabelLoop reads none out of a text yet",
    "chat": "people go on with its conversation, which is free text, and LabelLoop does not write any yet",
    "chatmessage": "it is a message of a conversation, which is free text, and LabelLoop does not write any yet",
    "ocrlabels": "it marks words on a scanned page: only text can be read",
    "timelinelabels": "it marks stretches of time in a recording: only text can be read",
    "timeserieslabels": "it marks stretches of a time series: only text can be read",
    "magicwand": _IMAGES,
    "videorectangle": _VIDEOS,
    "videovector": _VIDEOS,
    "videovectorlabels": _VIDEOS,
    "custominterface": _OWN_CODE,
    "reactcode": _OWN_CODE,
}
_SHAPES = ("rectangle", "ellipse", "polygon", "keypoint", "brush", "bitmask", "vector")
_REASONS |= {name: _IMAGES for shape in _SHAPES for name in (shape, f"{shape}labels")}

_PARTS = frozenset({"filter", "shortcut", "relation", "label", "choice", "bucket", "channel"})  # of other tags
_NAMELESS = frozenset({"relations"})  # one per config, over all its regions
_OTHER_OBJECTS = frozenset(
    {"image", "audio", "audioplus", "video", "timeseries", "multichannel", "table", "list", "pdf", "website"}
    | {"markdown", "dialog"}
)


def is_object(node: Any) -> bool:
    """Whether the tag shows something of the task that controls can refer to."""
    kind = tag(node)
    return bool(attr(node, "name")) and (kind in TEXTS or (kind in _OTHER_OBJECTS and not is_control(node)))


def is_control(node: Any) -> bool:
    """Whether people answer with this tag. A <Chat> with toName is an object and a control at once."""
    kind = tag(node)
    if kind in _PARTS or kind in _NAMELESS or (kind in TEXTS and kind != "chat"):
        return False
    known = kind in _REASONS and kind != "chat"
    return kind in FILLED or bool(attr(node, "toName")) or (known and bool(attr(node, "name")))


def why_not(node: Any) -> str:
    """Why a control that is not FILLED is left to people."""
    return _REASONS.get(tag(node), f"<{node.tag}> is not supported")

"""The labels that a control tag offers, in the form in which they are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from labelloop.studio.config_xml import attr, flag, tag, value
from labelloop.studio.datapath import VARIABLE, is_template, key_of
from labelloop.studio.markup import html_to_text
from labelloop.words import Label, Path

MAX_STEPS = 11  # of a Number; more is regression, not choice
MAX_RATING = 100


class Skip(Exception):
    """A control that cannot be filled; the message says why in plain words. ``correction``: what a direction must say
    (as ``settings.Direction``) for it to be filled all the same; empty where nothing would help."""

    def __init__(self, reason: str, correction: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.correction = dict(correction or {})


@dataclass(frozen=True)
class Offer:
    """What a control offers. ``nested``: stored values are paths, although they may have one step. ``dynamic``: the
    data key under which each task brings further labels."""

    labels: tuple[Label, ...]
    multiple: bool = False
    ordinal: bool = False
    nested: bool = False
    dynamic: str = ""


def _choices(control: Any) -> Offer:
    dynamic = key_of(attr(control, "value"))
    if dynamic and is_template(dynamic):
        raise Skip(f'its value="{attr(control, "value")}" is no variable alone, so it names no list of labels')
    nested = flag(control, "allowNested")
    labels: dict[Path, Label] = {}
    for label in _choice_labels(control, nested):
        labels.setdefault(label.path, label)  # of two with one value the editor ticks both
    return Offer(tuple(labels.values()), multiple=attr(control, "choice") == "multiple", nested=nested, dynamic=dynamic)


def _choice_labels(control: Any, nested: bool) -> Iterator[Label]:
    """Leaves below nested Choices (an inner node ticks all its leaves); else the outermost <Choice> tags.

    A Choice may stand inside <View> and other layout tags.
    """
    stack: list[tuple[Any, tuple[Label, ...]]] = [(child, ()) for child in reversed(list(control))]
    while stack:
        node, above = stack.pop()
        if tag(node) != "choice":
            stack.extend((child, above) for child in reversed(list(node)))
            continue
        if VARIABLE.search(value(node)):
            raise Skip(f'its label "{value(node)}" is filled in from each task\'s data')
        line = (*above, _choice(node))
        inner = [child for child in node.iter() if child is not node and tag(child) == "choice"] if nested else []
        if inner:
            stack.extend((child, line) for child in reversed(list(node)))
        else:
            yield _label(line)


def _taxonomy(control: Any) -> Offer:
    if attr(control, "apiUrl"):
        raise Skip("its labels come from another server (apiUrl)")
    if attr(control, "value").startswith("$"):
        raise Skip(f'its tree of labels comes from each task\'s data (value="{attr(control, "value")}")')
    if flag(control, "labeling"):
        raise Skip('it marks spans with a tree of labels (labeling="true"), which LabelLoop does not do yet')
    leaves_only = flag(control, "leafsOnly")
    labels: dict[Path, Label] = {}
    stack: list[tuple[Any, tuple[Label, ...]]] = [(child, ()) for child in reversed(_distinct(control))]
    while stack:
        node, above = stack.pop()
        line = (*above, _choice(node))
        children = _distinct(node)
        if not children or not leaves_only:
            label = _label(line)
            labels.setdefault(label.path, label)
        stack.extend((child, line) for child in reversed(children))
    return Offer(tuple(labels.values()), multiple=attr(control, "maxUsages") != "1", nested=True)


def _distinct(node: Any) -> list[Any]:
    """The <Choice> children; of those with one value only the first is shown by the editor."""
    seen: dict[str, Any] = {}
    for child in node:
        if tag(child) == "choice":
            seen.setdefault(value(child), child)
    return list(seen.values())


def _choice(node: Any) -> Label:
    shown = value(node)
    stored = attr(node, "alias") or shown
    text = html_to_text(attr(node, "html")) or shown or stored
    if not stored:
        raise Skip(f"a <{node.tag}> in line {node.sourceline} has no value")
    return Label(path=(stored,), text=" ".join(text.split()) or stored, description=attr(node, "hint").strip())


def _label(line: tuple[Label, ...]) -> Label:
    return Label(
        path=tuple(step.path[0] for step in line),
        text=" > ".join(step.text for step in line),
        description=line[-1].description,
    )


def _rating(control: Any) -> Offer:
    raw = attr(control, "maxRating") or "5"
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 6 and 1 <= int(raw) <= MAX_RATING):
        raise Skip(f'maxRating="{raw}" is not a whole number from 1 to {MAX_RATING}')
    steps = tuple(Label(path=(str(step),), text=str(step)) for step in range(1, int(raw) + 1))
    return Offer(steps, ordinal=True)  # 0 is no star, which the editor takes for no answer


def _number(control: Any) -> Offer:
    limits = {name: attr(control, name).strip() for name in ("min", "max", "step")}
    if not limits["min"] or not limits["max"]:
        raise Skip("it is a free number: only one with min and max, in few steps, can be chosen")
    try:
        low, high, step = (Decimal(limits[name] or "1") for name in ("min", "max", "step"))
    except InvalidOperation:
        raise Skip(f"its min, max and step are not all numbers: {limits}") from None
    bounds = (low, high, step)
    if not all(bound.is_finite() and abs(bound.adjusted()) <= 15 for bound in bounds) or step <= 0:
        raise Skip(f"its min, max and step make no scale: {limits}")
    count = int((high - low) / step) + 1 if high >= low else 0
    if count > MAX_STEPS:
        raise Skip(f"it has {count} values; at most {MAX_STEPS} can be chosen among")
    values = [number_text(low + step * k) for k in range(count)]
    return Offer(tuple(Label(path=(text,), text=text) for text in values), ordinal=True)


def number_text(number: Decimal) -> str:
    """The shortest plain form: "3", "0.5", "-1"."""
    if number == 0:
        return "0"
    return format(number.normalize(), "f")


def _spans(control: Any) -> Offer:
    """The <Label> tags of Labels, HyperTextLabels and ParagraphLabels, which may stand inside layout tags."""
    if key_of(attr(control, "value")):
        raise Skip(
            f'its labels come with each task (value="{attr(control, "value")}"), '
            "and LabelLoop does not fill such labels of spans yet"
        )
    labels: dict[Path, Label] = {}
    for node in control.iter():
        if tag(node) == "label":
            if VARIABLE.search(value(node)):
                raise Skip(f'its label "{value(node)}" is filled in from each task\'s data')
            label = _choice(node)
            labels.setdefault(label.path, label)
    return Offer(tuple(labels.values()))


def relations(control: Any) -> tuple[Label, ...]:
    """The <Relation> tags of Relations; there may be none."""
    values = [value(node) for node in control.iter() if tag(node) == "relation"]
    return tuple(Label(path=(one,), text=" ".join(one.split()) or one) for one in dict.fromkeys(values) if one)


def _pairwise(control: Any) -> Offer:
    return Offer(tuple(Label(path=(side,), text=side) for side in ("left", "right")))


def _ranker(control: Any) -> Offer:
    """Its buckets, which are columns; without any it has the list's order for an answer."""
    buckets = [node for node in control.iter() if tag(node) == "bucket" and attr(node, "name")]
    labels = {attr(node, "name"): attr(node, "title") or attr(node, "name") for node in buckets}
    return Offer(tuple(Label(path=(name,), text=" ".join(title.split())) for name, title in labels.items()))


READERS: dict[str, Callable[[Any], Offer]] = {
    "choices": _choices,
    "taxonomy": _taxonomy,
    "rating": _rating,
    "number": _number,
    "labels": _spans,
    "hypertextlabels": _spans,
    "paragraphlabels": _spans,
    "pairwise": _pairwise,
    "ranker": _ranker,
}

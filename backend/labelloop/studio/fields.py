"""One control tag of a label config as a Field, by what it asks for: labels, spans, an order, a remark on a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labelloop.studio import datapath
from labelloop.studio.conditions import conditions_of, region_limits
from labelloop.studio.config_xml import attr, flag, tag, value
from labelloop.studio.controls import FILLED, MARKED, SPANS, TEXTS, why_not
from labelloop.studio.directions import direction_of
from labelloop.studio.labels import READERS, Offer, Skip, relations
from labelloop.studio.questions import Asked, is_answer, is_request
from labelloop.studio.sources import Config, fixed, question_of, source_of, sources_of
from labelloop.studio.writing import Box, box_field
from labelloop.words import Field, Source

_PER_REGION = "it belongs to single regions (perRegion), which LabelLoop does not write about yet"
_WHY = {
    "classification": "<{tag}> offers labels",
    "entities": "<{tag}> marks passages",
    "extraction": '<{tag}> marks the answer to "{query}"',
    "comparison": "<{tag}> compares two texts",
    "ranking": "<{tag}> orders a list",
    "remarks": "<{tag}> describes single regions (perRegion)",
    "relations": "<{tag}> relates regions",
}


def field_of(node: Any, name: str, config: Config, marking: Sequence[Field]) -> tuple[Field, str]:
    """The field of a control, and why it is of its kind. ``marking``: the fields found so far that mark spans.

    Raises:
        Skip: it cannot be filled; says why.
    """
    if tag(node) == "textarea":
        _check_place(node)
        if flag(node, "perRegion"):
            raise Skip(_PER_REGION)
        conditions = conditions_of(node, config.controls)
        return box_field(Box(node, name, config, direction_of(config.directions, name), conditions))
    if direction_of(config.directions, name).task == "people":
        raise Skip("its direction leaves it to people")
    field = _offered(node, name, config, marking)
    return field, why(field)


def why(field: Field) -> str:
    """Why a control that is no TextArea is of its kind: its tag says so."""
    return _WHY[field.kind].format(tag=field.tag, query=", ".join(source.name for source in field.query))


def _check_place(node: Any) -> None:
    if any(tag(around) == "repeater" for around in node.iterancestors()):
        raise Skip("it is repeated over a list of the task's data (<Repeater>), which LabelLoop does not fill yet")
    if flag(node, "perItem"):
        raise Skip("it belongs to single items of a task (perItem), which LabelLoop does not fill yet")


def _offered(node: Any, name: str, config: Config, marking: Sequence[Field]) -> Field:
    """The field of a control that offers something: labels, sides, an order. Raises Skip as ``field_of``."""
    kind = tag(node)
    if kind not in READERS:
        raise Skip(why_not(node))
    _check_place(node)
    if flag(node, "perRegion"):
        return _remark(node, name, config, marking)
    if kind == "ranker":
        return _ranking(node, name, config)
    sources = sources_of(node, config)
    conditions = conditions_of(node, config.controls)
    offer: Offer = READERS[kind](node)
    field = _plain(node, name, "classification", sources, offer, conditions=conditions)
    if kind in SPANS:
        return _spans(field, kind, config)
    if kind == "pairwise":
        if len(sources) != 2:
            raise Skip(f"it compares two objects, and its toName names {len(sources)}")
        told = {"question": _question_over(node, field.question, config)}
        return field.model_copy(update={"kind": "comparison", "query": _beside(config, sources), **told})
    _check_choice(offer)
    return field


def relations_field(node: Any, name: str, marking: Sequence[Field]) -> Field:
    """The field of a <Relations> tag, which has neither name nor toName: it relates whatever is marked.

    Raises:
        Skip: no control that marks spans is filled.
    """
    if not marking:
        raise Skip("it relates regions, and no control that marks spans of text is filled")
    sources = tuple({source.name: source for field in marking for source in field.sources}.values())
    names = tuple(field.name for field in marking)
    offer = Offer(relations(node), multiple=attr(node, "choice") != "single")
    return _plain(node, name, "relations", sources, offer, regions_of=names)


def _plain(node: Any, name: str, kind: str, sources: tuple[Source, ...], offer: Offer, **more: Any) -> Field:
    return Field(
        name=name,
        tag=FILLED.get(tag(node), "Relations"),
        kind=kind,
        to_name=sources[0].name,
        labels=offer.labels,
        sources=sources,
        multiple=offer.multiple,
        ordinal=offer.ordinal,
        nested=offer.nested,
        question=question_of(node) if kind != "relations" else "",
        dynamic=offer.dynamic,
        **more,
    )


def _check_choice(offer: Offer) -> None:
    if len(offer.labels) < 2 and not offer.dynamic:
        raise Skip(f"it offers {len(offer.labels) or 'no'} label{'s' if not offer.labels else ''}: nothing to choose")


def _spans(field: Field, kind: str, config: Config) -> Field:
    """Entities; or the answer to the config's question, where the labels say so."""
    for source in field.sources:
        if source.tag.lower() not in MARKED[kind]:
            raise Skip(f'it marks no spans of <{source.tag} name="{source.name}"> in the editor')
    if not field.labels:
        raise Skip("it offers no labels")
    asked = config.asked
    if asked is not None and field.to_name in asked.contexts and is_answer(field.labels, field.name, field.question):
        return field.model_copy(update={"kind": "extraction", "query": _query(asked, config)})
    return field.model_copy(update={"kind": "entities"})


def _remark(node: Any, name: str, config: Config, marking: Sequence[Field]) -> Field:
    """A control that is answered once for every region of an object."""
    kind = tag(node)
    if kind not in {"choices", "taxonomy", "rating", "number"}:
        raise Skip(f"<{node.tag}> cannot describe single regions (perRegion)")
    sources = sources_of(node, config)
    if len(sources) > 1:
        raise Skip("it describes regions (perRegion) of several objects, of which the editor shows it for none")
    offer: Offer = READERS[kind](node)
    if offer.dynamic:
        raise Skip("it describes single regions (perRegion) with labels that come with each task")
    _check_choice(offer)
    control, labels = region_limits(node)
    spans = [field for field in marking if sources[0].name in {source.name for source in field.sources}]
    spans = [field for field in spans if control in {"", field.name}]
    if not spans:
        whose = f'of "{control}"' if control else f'of "{sources[0].name}"'
        raise Skip(f"it describes regions {whose} (perRegion), and no control that marks them is filled")
    if labels and not any(label.path[-1] in labels for field in spans for label in field.labels):
        raise Skip(f"it is shown only for regions labelled {' or '.join(labels[:3])}, and no such label is offered")
    return _plain(
        node,
        name,
        "remarks",
        sources,
        offer,
        conditions=conditions_of(node, config.controls, per_region=True),
        regions_of=tuple(field.name for field in spans),
        region_labels=labels,
    )


def _ranking(node: Any, name: str, config: Config) -> Field:
    """The order of a <List>, or which bucket each of its entries goes to."""
    to_name = attr(node, "toName").strip()
    listed = config.objects.get(to_name)
    if listed is None or tag(listed) != "list":
        raise Skip(f'it orders the entries of a <List>, and "{to_name}" is none')
    if config.uses[to_name] > 1:
        raise Skip(f'{config.uses[to_name]} tags are called "{to_name}", which it orders')
    key = datapath.key_of(value(listed))
    if not key or datapath.is_template(key):
        raise Skip(f'"{to_name}" names no list in the task\'s data')
    sources = (Source(name=to_name, tag="List", key=key),)
    rest = [attr(one, "name") for one in node.iter() if tag(one) == "bucket" and flag(one, "default")]
    offer: Offer = READERS["ranker"](node)
    field = _plain(
        node,
        name,
        "ranking",
        sources,
        offer,
        conditions=conditions_of(node, config.controls),
        query=_beside(config, sources),
        rest=rest[0] if rest else "",
    )
    return field.model_copy(update={"question": _question_over(node, field.question, config)})


def _question_over(node: Any, question: str, config: Config) -> str:
    """What is asked of several objects. Where more than one of them has a header of its own ("Answer A", "Answer B"),
    these are titles, and another header asks."""
    above = [one.getprevious() for one in config.objects.values()]
    titles = [one for one in above if one is not None and tag(one) == "header"]
    if len(titles) < 2 or question not in {fixed(value(one)) for one in titles}:
        return question
    headers = [one for one in node.getroottree().iter() if tag(one) == "header" and one not in titles]
    return next((told for one in headers if (told := fixed(value(one)))), "")


def _beside(config: Config, sources: Sequence[Source]) -> tuple[Source, ...]:
    """What the compared or ordered objects answer: the texts of a config that hold a request (a prompt, a question,
    search words); where none does, all its other texts."""
    names = {source.name for source in sources}
    others = {name: one for name, one in config.objects.items() if name not in names and tag(one) in TEXTS}
    asking = {name: one for name, one in others.items() if is_request(one)}
    found = []
    for name, node in (asking or others).items():
        try:
            if config.uses[name] == 1:
                found.append(source_of(node, name))
        except Skip:
            continue  # fixed text, say: it tells nothing about the task
    return tuple(found)


def _query(asked: Asked, config: Config) -> tuple[Source, ...]:
    if config.uses[asked.question] > 1:
        raise Skip(f'{config.uses[asked.question]} tags are called "{asked.question}", which it answers')
    return (source_of(config.objects[asked.question], asked.question),)

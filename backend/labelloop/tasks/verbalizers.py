"""What a label means in words: from a field's labels to the phrases that an engine ranks. Pure text; no model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from labelloop.prompting import Group, Prompt, render
from labelloop.words import Field, Label

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_AND = re.compile(r"\s*[/&+]\s*")
_BREAK = re.compile(r"[_.\-\s]+")
_NO_WORD = re.compile(r"[\W_]+")
_RESIDUAL = frozenset(
    ("other", "others", "none", "misc", "miscellaneous", "unknown", "none of the above", "none of these", "something else")
    + ("not applicable", "n a", "na", "no label", "other topic", "everything else", "other topics", "other category")
)


def humanise(text: str, words: Mapping[str, str]) -> str:
    """A label's text as a person would say it.

    >>> humanise("Sci/Tech", {"sci": "science", "tech": "technology"})
    'science and technology'
    >>> humanise("card_payment_fee", {}), humanise("MeanOfTransportation", {}), humanise("comp.graphics", {})
    ('card payment fee', 'Mean Of Transportation', 'comp graphics')
    """
    spaced = _BREAK.sub(" ", _AND.sub(" and ", _CAMEL.sub(" ", text))).strip()
    return " ".join(words.get(word.lower(), word) for word in spaced.split()) or text


def key(text: str) -> str:
    """What two spellings of a label share: lower case, words only, without "and"."""
    return " ".join(word for word in _NO_WORD.sub(" ", _CAMEL.sub(" ", text)).lower().split() if word != "and")


def is_residual(label: Label) -> bool:
    """Whether the label says "none of the others" rather than something of its own."""
    return key(label.path[-1]) in _RESIDUAL


def verbalize(field: Field, prompt: Prompt) -> list[tuple[str, ...]]:
    """For each label of the field, in order, the texts whose mean direction stands for it; at least one each."""
    if field.ordinal and len(field.labels) > 1:
        return _steps(field, prompt)
    groups = _groups(field, prompt)
    return [_verbalize_label(label, group, field, prompt) for label, group in zip(field.labels, groups, strict=True)]


def _verbalize_label(label: Label, group: Group | None, field: Field, prompt: Prompt) -> tuple[str, ...]:
    names = _names(label, prompt)
    values = {"label": names[0], "description": label.description.strip(), "question": field.question.strip()}
    texts = [render(template, values | {"label": name}) for name in names for template in prompt.templates]
    if group is not None:
        phrases = _lookup(group)[key(label.path[-1])]
        texts = [text for phrase in phrases for text in _frame(phrase, group.templates)]
    if values["description"]:
        texts += [render(template, values) for template in prompt.described]
    if values["question"]:
        texts += [render(template, values) for template in prompt.asked]
    return tuple(dict.fromkeys(text for text in texts if text.strip())) or (label.text or " > ".join(label.path),)


def _frame(phrase: str, templates: Sequence[str]) -> list[str]:
    """The phrase in each template; a sentence stands as it is."""
    if phrase.endswith((".", "?", "!", "。", "।")):
        return [phrase]
    return [render(template, {"label": phrase, "description": "", "question": ""}) for template in templates]


def _names(label: Label, prompt: Prompt) -> list[str]:
    """The label's leaf; with its whole path where it has one; and the last part of a dotted name."""
    path = [humanise(part, prompt.words) for part in label.path]
    names = [path[-1]]
    if len(path) > 1:
        names.append(", ".join(path))
    elif "." in label.path[-1].strip("."):
        names.append(humanise(label.path[-1].strip(".").rsplit(".", 1)[-1], prompt.words))
    return names


def _lookup(group: Group) -> dict[str, tuple[str, ...]]:
    return {key(name): phrases for names, phrases in group.labels.items() for name in names.split("|")}


def _groups(field: Field, prompt: Prompt) -> list[Group | None]:
    """The group of each label: the one that explains most labels of the field, if it explains enough of them."""
    keys = [key(label.path[-1]) for label in field.labels]
    chosen: list[Group | None] = [None] * len(keys)
    best = [0] * len(keys)
    for group in prompt.groups.values():
        lookup = _lookup(group)
        members = [index for index, name in enumerate(keys) if name in lookup]
        if len(members) < max(2, group.share * len(keys)):
            continue
        for index in members:
            if len(members) > best[index]:
                chosen[index], best[index] = group, len(members)
    return chosen


def _steps(field: Field, prompt: Prompt) -> list[tuple[str, ...]]:
    """The steps of a scale, stretched to the number of labels; between two steps a label has the phrases of both."""
    about = set(key(f"{field.name} {field.question}").split())
    scale = next(scale for scale in prompt.scales if not scale.words or about & set(scale.words))
    name = " ".join(word for word in (field.question.strip() or humanise(field.name, prompt.words)).split())
    texts: list[tuple[str, ...]] = []
    for index, label in enumerate(field.labels):
        place = index * (len(scale.steps) - 1) / (len(field.labels) - 1)
        phrases = dict.fromkeys([*scale.steps[int(place)], *scale.steps[-int(-place // 1)]])
        values = {"label": label.text, "description": label.description.strip(), "question": name}
        described = [values["description"]] if values["description"] else []
        texts.append(tuple(dict.fromkeys([render(phrase, values) for phrase in phrases] + described)))
    return texts

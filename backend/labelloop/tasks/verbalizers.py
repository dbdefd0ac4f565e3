"""What a label means in words: from a field's labels to the phrases that an engine ranks. Pure text; no model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelloop.prompting import Group, Prompt, render
from labelloop.words import Field, Label

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_AND = re.compile(r"\s*[/&]\s*|(?<=\w)\s*\+\s*(?=\w)")
_BREAK = re.compile(r"[_.\-\s]+")
_NO_WORD = re.compile(r"[\W_]+")
_BRACKETS = re.compile(r"\(.*?\)|\[.*?\]|[:–—].*")
_NUMBERED = re.compile(r"^\s*\d+\W+")
_ENDS = (".", "?", "!", "。", "।")
_RESIDUAL = {
    *("other", "others", "none", "misc", "miscellaneous", "unknown", "none of the above", "none of these", "no label"),
    *("something else", "everything else", "other topic", "other topics", "other category", "unrelated"),
    *("not applicable", "n a", "na", "uncategorized"),
}


def humanise(text: str, words: Mapping[str, str]) -> str:
    """A label's text as a person would say it.

    >>> humanise("Sci/Tech", {"sci": "science", "tech": "technology"})
    'science and technology'
    >>> humanise("card_payment_fee", {}), humanise("MeanOfTransportation", {}), humanise("comp.graphics", {})
    ('card payment fee', 'Mean Of Transportation', 'comp graphics')
    """
    if not any(character.isalpha() for character in text):
        return text  # "-1" is not "1"
    spaced = _BREAK.sub(" ", _AND.sub(" and ", _CAMEL.sub(" ", text))).strip()
    return " ".join(words.get(word.lower(), word) for word in spaced.split()) or text


def key(text: str) -> str:
    """What two spellings of a label share: lower case, words only, without "and"."""
    return " ".join(word for word in _NO_WORD.sub(" ", _CAMEL.sub(" ", text)).lower().split() if word != "and")


@dataclass(frozen=True)
class Verbalization:
    """``texts``: for each label of a field, in order, those whose mean direction stands for it; at least one each.
    ``residual``: the indices of labels that only say "none of the others"; their texts are not to be ranked."""

    texts: tuple[tuple[str, ...], ...]
    residual: frozenset[int] = frozenset()


def verbalize(field: Field, prompt: Prompt) -> Verbalization:
    """What the labels of the field mean.

    A label is told by its name in the prompt's templates, or, where a group of the prompt explains it, by the group's
    phrases; a description and a question add to it. Steps of a scale are told by where they stand.
    """
    if field.ordinal and len(field.labels) > 1:
        return Verbalization(_steps(field, prompt))
    groups = _groups(field, prompt)
    texts = tuple(_texts(label, phrases, field, prompt) for label, phrases in zip(field.labels, groups, strict=True))
    residual = frozenset(
        index
        for index, (label, phrases) in enumerate(zip(field.labels, groups, strict=True))
        if phrases is None and not label.description and key(_leaf(label)) in _RESIDUAL
    )
    return Verbalization(texts, residual if len(residual) < len(texts) else frozenset())


def _texts(label: Label, phrases: Sequence[str] | None, field: Field, prompt: Prompt) -> tuple[str, ...]:
    names = _names(label, prompt)
    values = {"label": names[0], "description": label.description.strip(), "question": field.question.strip()}
    told = names if phrases is None else names[1:] if len(label.path) > 1 else []
    texts = [*(phrases or ()), *(render(form, values | {"label": name}) for name in told for form in prompt.templates)]
    if values["description"]:
        texts += [render(template, values) for template in prompt.described]
    if values["question"]:
        texts += [render(template, values) for template in prompt.asked]
    return tuple(dict.fromkeys(text for text in texts if text.strip())) or (" > ".join(label.path),)


def _names(label: Label, prompt: Prompt) -> list[str]:
    """The label's leaf; with its whole path where it has one; and the last part of a dotted name."""
    parts = [humanise(part, prompt.words) for part in _parts(label)]
    if len(parts) > 1:
        return [parts[-1], ", ".join(parts)]
    last = _leaf(label).strip(".").rsplit(".", 1)[-1]
    return list(dict.fromkeys([parts[0], humanise(last, prompt.words)]))


def _parts(label: Label) -> list[str]:
    """What a person reads, outermost first: the path itself may hold aliases."""
    return label.text.split(" > ") if len(label.path) > 1 else [label.text or label.path[0]]


def _leaf(label: Label) -> str:
    return _parts(label)[-1]


def _groups(field: Field, prompt: Prompt) -> list[tuple[str, ...] | None]:
    """The framed phrases of each label from the group that explains most labels of the field, if it explains enough.

    Leaves that occur under several parents are left out: only their paths tell them apart.
    """
    chosen: list[tuple[str, ...] | None] = [None] * len(field.labels)
    best = [0] * len(field.labels)
    leaves = Counter(key(_leaf(label)) for label in field.labels)
    for group in prompt.groups.values():
        lookup = {key(name): phrases for names, phrases in group.labels.items() for name in names.split("|")}
        found = {
            index: phrases
            for index, label in enumerate(field.labels)
            if leaves[key(_leaf(label))] == 1 and (phrases := _look_up(label, lookup))
        }
        if len(found) < max(group.fewest, group.share * len(field.labels)):
            continue
        for index, phrases in found.items():
            if len(found) > best[index]:
                chosen[index], best[index] = _frame(phrases, group), len(found)
    return chosen


def _look_up(label: Label, lookup: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """By the leaf as it is, without what stands in brackets, and without a number in front ("1. Positive (good)")."""
    leaf = _leaf(label)
    bare = _BRACKETS.sub(" ", leaf)
    for spelling in (leaf, bare, _NUMBERED.sub("", bare)):
        if (name := key(spelling)) in lookup:
            return lookup[name]
    return None


def _frame(phrases: Sequence[str], group: Group) -> tuple[str, ...]:
    texts: list[str] = []
    for phrase in phrases:
        values = {"label": phrase, "description": "", "question": ""}
        texts += [phrase] if phrase.endswith(_ENDS) else [render(template, values) for template in group.templates]
    return tuple(texts)


def _steps(field: Field, prompt: Prompt) -> tuple[tuple[str, ...], ...]:
    """The steps of a scale, stretched to the number of labels; between two steps a label has the texts of both."""
    name = field.question.strip() or humanise(field.name, prompt.words)
    about = set(key(f"{field.name} {field.question}").split())
    scale = next(scale for scale in prompt.scales if not scale.words or about & set(scale.words))
    steps = []
    for index, label in enumerate(field.labels):
        place = index * (len(scale.steps) - 1) / (len(field.labels) - 1)
        texts = [*scale.steps[math.floor(place)], *scale.steps[math.ceil(place)]]
        values = {"label": label.text, "description": label.description.strip(), "question": name}
        own = [values["description"]] if values["description"] else []
        steps.append(tuple(dict.fromkeys([*(render(text, values) for text in texts), *own])))
    return tuple(steps)

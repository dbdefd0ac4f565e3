"""Which passages a field's labels stand for: from label names and hints to the types of the prompt. Pure; no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelloop.tasks.entity_prompt import EntityPrompt
from labelloop.tasks.verbalizers import humanise, key
from labelloop.words import Label

Similarity = Callable[[Sequence[str], Sequence[Sequence[str]]], NDArray[np.float32]]
"""(n_texts, n_labels) as ``Engine.rank``."""

_BRACKETS = re.compile(r"\(.*?\)|\[.*?\]")
_PREFIX = re.compile(r"^(?:[BIESLU]-|\d+\W+)")
_MOST_TYPES = 3
_NO_LABEL = "o|none|outside|no entity|not an entity"


@dataclass(frozen=True)
class Meaning:
    """``owners``: per type the indices of the labels that passages of it may have. ``free``: indices of labels that no
    type explains: they take what is like them from passages of any type that has no owner."""

    owners: Mapping[str, frozenset[int]]
    free: frozenset[int] = frozenset()


def meanings(labels: Sequence[Label], prompt: EntityPrompt, similarity: Similarity) -> Meaning:
    """What the labels mean.

    A type belongs to the labels that are spelled like it; else to those of the nearest wider type; else, if it is a
    name, to the label for miscellaneous ones. A label that is spelled like nothing belongs to the types that its words
    (and its hint) are most similar to; it shares them with the labels they have already.
    """
    spelled = {name: _spelled(labels, one.spellings) for name, one in prompt.types.items()}
    anything = _spelled(labels, prompt.anything)
    hinted = frozenset(index for index, label in enumerate(labels) if label.description)
    for name in prompt.dense:
        spelled[name] -= hinted  # "term: a chemical or a protein": such a name says less than the hint
    anything -= hinted
    residual = _spelled(labels, prompt.residual)
    explained = frozenset().union(*spelled.values(), anything, residual, _spelled(labels, _NO_LABEL))
    owners: dict[str, frozenset[int]] = {}
    for name, one in prompt.types.items():
        owners[name] = spelled[name] or _wider(name, prompt, spelled) or (residual if one.named else frozenset())
        owners[name] = owners[name] or anything
    left = [index for index in range(len(labels)) if index not in explained]
    if not left:
        return Meaning(owners)
    near = similarity([told(labels[index]) for index in left], [one.phrases for one in prompt.types.values()])
    free = set()
    for index, row in zip(left, near, strict=True):
        alike = [place for place in np.argsort(-row)[:_MOST_TYPES] if row[place] >= prompt.constants.similar]
        if not alike:
            free.add(index)
        for place in alike:
            name = list(prompt.types)[place]
            owners[name] = owners[name] | {index}
    return Meaning(owners, frozenset(free))


def told(label: Label) -> str:
    """The label in words: its name, and its hint where it has one."""
    name = humanise(_BRACKETS.sub(" ", label.text.split(" > ")[-1]), {})
    return f"{name}: {label.description}" if label.description else name


def _spelled(labels: Sequence[Label], spellings: str) -> frozenset[int]:
    known = {key(one) for one in spellings.split("|")} - {""}
    return frozenset(index for index, label in enumerate(labels) if _names(label) & known)


def _names(label: Label) -> set[str]:
    """The label's spellings: as shown and as stored, without brackets, prefixes such as "B-", and a plural's "s"."""
    found = set()
    for text in (label.text.split(" > ")[-1], label.path[-1]):
        bare = _PREFIX.sub("", _BRACKETS.sub(" ", text))
        for name in (key(text), key(bare)):
            found |= {name, name.removesuffix("s"), name.removesuffix(" name")}
    return found - {""}


def _wider(name: str, prompt: EntityPrompt, spelled: Mapping[str, frozenset[int]]) -> frozenset[int]:
    waiting = list(prompt.types[name].within)
    for wider in waiting:
        if spelled[wider]:
            return spelled[wider]
        waiting += [one for one in prompt.types[wider].within if one not in waiting]
    return frozenset()

"""What a prompt file of the entities task holds: types of passages, sentences with marked passages, constants."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from labelloop.prompting import Phrases, PromptFile, Strict

_MARKED = re.compile(r"\[([^\[\]|]+)\|([a-z_]+)\]")


class EntityType(Strict):
    """A type of passage. ``spellings``: names of labels that mean it, split by "|". ``within``: wider types. ``named``:
    whether a label for names of every other kind takes it. ``phrases``: what it is, in words."""

    spellings: str
    within: tuple[str, ...] = ()
    named: bool = False
    phrases: Phrases


class EntityConstants(Strict):
    """The numbers of the task; the prompt file says what each is for."""

    depth: float = Field(gt=0, le=1)
    neighbours: float = Field(ge=0)
    regularisation: float = Field(gt=0)
    typing: float = Field(gt=0)
    typing_share: float = Field(ge=0)
    threshold: float = Field(gt=0, lt=1)
    similar: float
    slope: float = Field(gt=0)
    free: float = Field(gt=0, lt=1)
    score_offset: float
    score_slope: float = Field(gt=0)


class Marked(NamedTuple):
    """A sentence and its passages: (start, end, type)."""

    text: str
    passages: tuple[tuple[int, int, str], ...]


class EntityPrompt(PromptFile):
    """A prompt file of the entities task. ``dense``: types that only some of the sentences mark, but these wholly."""

    types: dict[str, EntityType]
    residual: str
    anything: str
    dense: tuple[str, ...] = ()
    constants: EntityConstants
    sentences: Annotated[tuple[str, ...], Field(min_length=8)]

    @model_validator(mode="after")
    def _known_types(self) -> Self:
        for name, one in self.types.items():
            if unknown := set(one.within) - self.types.keys():
                raise ValueError(f"the type {name} is within {sorted(unknown)}, which are no types")
        for sentence in self.marked:
            if unknown := {kind for _, _, kind in sentence.passages} - self.types.keys():
                raise ValueError(f"{sentence.text!r} marks {sorted(unknown)}, which are no types")
        return self

    @cached_property
    def densely_marked(self) -> tuple[Marked, ...]:
        """The sentences that mark every passage of the ``dense`` types."""
        return tuple(one for one in self.marked if {kind for *_, kind in one.passages} & set(self.dense))

    @cached_property
    def marked(self) -> tuple[Marked, ...]:
        """The sentences without their markup."""
        return tuple(_parse(sentence) for sentence in self.sentences)


def _parse(sentence: str) -> Marked:
    text, last = "", 0
    passages = []
    for found in _MARKED.finditer(sentence):
        text += sentence[last : found.start()]
        passages.append((len(text), len(text) + len(found[1]), found[2]))
        text += found[1]
        last = found.end()
    return Marked(text + sentence[last:], tuple(passages))

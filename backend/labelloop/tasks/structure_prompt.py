"""What the prompt files of structured replies are like: how a writer is asked to mark passages, and to relate them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from pydantic import Field as Key
from pydantic import model_validator

from labelloop.engines import Ask
from labelloop.prompting import PromptFile, Strict
from labelloop.tasks.writing_prompt import Length
from labelloop.templating import Value, check, fill


class Scores(Strict):
    """From a reply's mean log-probability per token to the probability that one thing in it is right: the logistic
    function of ``intercept`` + ``slope`` * log-probability."""

    slope: float = Key(ge=0)
    intercept: float

    def of(self, logprob: float) -> float:
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, self.intercept + self.slope * logprob))))


class StructurePrompt(PromptFile):
    """A prompt file of a structured reply.

    ``system``, ``user``: templates. They know ``text``; ``labels``: what may be said, a line each, with its hint;
    ``question``: the words that stand with the control. ``examples``: texts with their replies, shown before the real
    one where all labels in them are the field's. ``window``: most tokens of a text that are read at once; 0: as many as
    the model takes. ``length``: most tokens of a reply. ``nothing``: labels that say that there is nothing: they are
    never offered.
    """

    variables: ClassVar[frozenset[str]] = frozenset({"text", "labels", "question"})
    lists: ClassVar[frozenset[str]] = frozenset({"labels"})

    system: str = ""
    user: str = Key(min_length=1)
    window: int = Key(0, ge=0)
    length: Length
    nothing: tuple[str, ...] = ()
    constants: Scores

    @model_validator(mode="after")
    def _templates_are_safe(self) -> Self:
        for key in ("system", "user"):
            try:
                check(getattr(self, key), self.variables, self.lists)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None
        return self

    def ask(self, values: Mapping[str, Value], shown: Sequence[tuple[Mapping[str, Value], str]] = ()) -> Ask:
        """The ask of some values, behind examples (values, reply)."""
        turns = [("system", system)] if (system := fill(self.system, values)) else []
        for its, reply in shown:
            turns += [("user", fill(self.user, its)), ("assistant", reply)]
        return Ask((*turns, ("user", fill(self.user, values))))


class Quote(Strict):
    """A passage of an example."""

    text: str = Key(min_length=1)
    label: str = Key(min_length=1)


class TaggingExample(Strict):
    """A text and the passages to mark in it; written for the prompt, never a row of somebody's data."""

    text: str = Key(min_length=1)
    passages: tuple[Quote, ...]


class TaggingPrompt(StructurePrompt):
    """How a writer is asked to quote the passages that have a label."""

    examples: tuple[TaggingExample, ...] = ()


class RelatingPrompt(StructurePrompt):
    """How a writer is asked which passages are related. Its templates also know ``passages``: a line each, with its
    number and its label."""

    variables: ClassVar[frozenset[str]] = frozenset({"text", "labels", "question", "passages"})
    lists: ClassVar[frozenset[str]] = frozenset({"labels", "passages"})

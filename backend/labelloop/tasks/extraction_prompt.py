"""What a prompt file of the extraction task is like."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from labelloop.prompting import Phrases, PromptFile, Strict
from labelloop.tasks.candidates import FORMS, Forms
from labelloop.tasks.closeness import ALONE, IN_TEXT
from labelloop.tasks.questions import OTHER, Grammar

OUTCOMES = ("none", "right", "near", "wrong")
SIGNS = ("constant", "certain", "sentence", "exact", "strange", "denied", "weakest")


class Type(Strict):
    """A type of question.

    ``asked``: what asks for it. ``noun``: whether the noun that it asks about follows. ``before``: words that stand
    before such an answer. ``means``: texts that mean the type. ``forms``: logits of each form as its answer.
    """

    asked: tuple[str, ...]
    noun: bool = False
    before: tuple[str, ...]
    means: Phrases
    forms: dict[str, float]


class Prompt(PromptFile):
    """A prompt file of the extraction task; prompts/README.md says what each key does."""

    function_words: str
    negations: str
    types: dict[str, Type]
    verb_endings: Phrases
    dates: str
    numbers: str
    weights: dict[str, float]
    outcomes: dict[str, dict[str, float]]
    answerable: Annotated[float, Field(ge=0, le=1)]
    near_counts: Annotated[float, Field(ge=0, le=1)]

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        _check("weights", self.weights, (*IN_TEXT, *ALONE))
        _check("outcomes", self.outcomes, OUTCOMES)
        for name, signs in self.outcomes.items():
            _check(f"outcomes.{name}", signs, SIGNS)
        for name, kind in self.types.items():
            _check(f"types.{name}.forms", kind.forms, FORMS)
        if OTHER not in self.types:
            raise ValueError(f"types must have {OTHER!r}: it serves every question that no other fits")
        return self


def _check(where: str, found: Collection[str], wanted: Sequence[str]) -> None:
    if set(found) != set(wanted):
        missing, unknown = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        raise ValueError(f"{where} has other keys than it needs: missing {missing}, unknown {unknown}")


def words_of(prompt: Prompt) -> tuple[Grammar, Forms]:
    """The prompt's words, ready for use. Takes a millisecond or two."""
    asked = {name: kind.asked for name, kind in prompt.types.items()}
    nouns = [name for name, kind in prompt.types.items() if kind.noun]
    grammar = Grammar(prompt.function_words, prompt.negations, asked, nouns)
    return grammar, Forms(frozenset(prompt.dates.split()), frozenset(prompt.numbers.split()))

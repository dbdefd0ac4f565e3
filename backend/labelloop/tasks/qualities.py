"""What passages are compared by: a quality that the field's words name, being about a request, or length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from labelloop.engines import Engine
from labelloop.prompting import PromptFile, Strict
from labelloop.tasks.sentences import stem, tokens

Array = NDArray[np.float64]
PROMPT = "comparison/v1"
EMPTY = 1000.0  # logits that a text without words is behind
_PREFIX = 5  # letters of a stem that another may go on from: toxic, toxicity


class Quality(Strict):
    """``more``, ``less``: words that ask for much and little of it. ``high``, ``low``: texts that have much and little.
    ``relevance``, ``length``: how much being about the request, and being long, count towards it."""

    more: tuple[str, ...]
    less: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    low: tuple[str, ...] = ()
    relevance: float = 0.0
    length: float = 0.0

    @model_validator(mode="after")
    def _has_two_ends(self) -> Self:
        if bool(self.high) != bool(self.low):
            raise ValueError("a quality has texts for both high and low, or for neither")
        return self


class Slopes(Strict):
    """Logits per unit of difference: of cosines to the request; of cosines to high and low; of logarithms of length."""

    relevance: float = Field(gt=0)
    quality: float = Field(gt=0)
    length: float = Field(gt=0)


class Centres(Strict):
    """Where the chance of being relevant, of having a quality, of belonging to a bucket by its name is one half."""

    relevance: float
    quality: float
    name: float


class Prompt(PromptFile):
    """A prompt file of comparison and ranking; prompts/README.md says what each key does."""

    qualities: Annotated[dict[str, Quality], Field(min_length=1)]
    straight: tuple[str, ...]
    turning: tuple[str, ...]
    idle: str
    degrees: dict[Literal[1, 0, -1], tuple[str, ...]]
    slopes: Slopes
    centres: Centres


@dataclass(frozen=True)
class Criterion:
    """``quality``: what is asked for, or None for being about ``request``, which is "" where there is none. ``sign``:
    -1 where little of it is asked for."""

    quality: Quality | None
    sign: int
    request: str


def named(text: str, qualities: Mapping[str, Quality]) -> tuple[Quality, int] | None:
    """The first quality that a word of the text asks for, and whether for more (1) or less (-1) of it."""
    words = [token.low for token in tokens(text) if token.is_word]
    for quality in qualities.values():
        for sign, asking in ((-1, quality.less), (1, quality.more)):
            if any(alike(word, one) for word in words for one in asking):
                return quality, sign
    return None


def alike(word: str, other: str) -> bool:
    """Whether two words are forms of one, roughly."""
    short, long = sorted((stem(word), stem(other)), key=len)
    return short == long or (
        len(short) >= _PREFIX and long.startswith(short) and not word.startswith(("un", "in", "ir"))
    )


def criterion(question: str, query: str, prompt: Prompt) -> Criterion:
    """What the field's words and the item's request ask for.

    A quality that the question names; else being about the query; else being about what the question says beyond idle
    words ("Which text is about cats?"); else the last quality of the prompt.
    """
    words = [token.low for token in tokens(question) if token.is_word]
    degree = [word for word in words if word in prompt.turning or word in prompt.straight]
    sign = -1 if degree and degree[0] in prompt.turning else 1  # "from most to least" begins with most
    if found := named(question, prompt.qualities):
        return Criterion(found[0], sign * found[1], query)
    if query:
        return Criterion(None, sign, query)
    idle = set(prompt.idle.split()) | set(prompt.turning)
    rest = [word for word in words if word not in idle and not any(alike(word, one) for one in idle)]
    if rest:
        return Criterion(None, sign, " ".join(rest))
    return Criterion(list(prompt.qualities.values())[-1], sign, "")


def evidence(
    criteria: Sequence[Criterion], texts: Sequence[Sequence[str]], engine: Engine, prompt: Prompt
) -> list[Array]:
    """Per criterion (n_texts,) logits of its texts: the difference of two is the log-odds of one being the better.
    A text without words is the worst."""
    unique = list(dict.fromkeys(text for its in texts for text in its if text.strip()))
    labels = list(dict.fromkeys(label for one in criteria for label in _labels(one)))
    similarities = engine.rank(unique, labels).astype(np.float64) if labels else np.zeros((len(unique), 0))
    row = {text: index for index, text in enumerate(unique)}
    column = {label: index for index, label in enumerate(labels)}
    found: list[Array] = []
    for one, its in zip(criteria, texts, strict=True):
        near = {label: similarities[:, column[label]] for label in _labels(one)}
        weighed = [_weigh(one, text, row[text], near, prompt) if text in row else -EMPTY for text in its]
        found.append(np.array(weighed))
    return found


def _labels(one: Criterion) -> list[tuple[str, ...]]:
    """What the texts of a criterion are to be ranked against."""
    ends = [one.quality.high, one.quality.low] if one.quality and one.quality.high else []
    return [*ends, *([(one.request,)] if one.request else [])]


def _weigh(one: Criterion, text: str, row: int, near: Mapping[tuple[str, ...], Array], prompt: Prompt) -> float:
    quality, slopes = one.quality, prompt.slopes
    logit = 0.0
    if one.request:
        logit += (quality.relevance if quality else 1.0) * slopes.relevance * near[(one.request,)][row]
    if quality and quality.high:
        logit += slopes.quality * (near[quality.high][row] - near[quality.low][row])
    if quality and quality.length:
        logit += quality.length * slopes.length * math.log(1 + len(text.split()))
    return float(round(one.sign * logit, 5))  # what is beyond differs with the batch that a text was computed in

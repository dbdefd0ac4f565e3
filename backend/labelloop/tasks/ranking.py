"""Ranking: the order of a list's entries, and the bucket of each where the field has buckets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from labelloop.engines import Engine
from labelloop.tasks.qualities import Array, Criterion, Prompt, criterion, evidence, named
from labelloop.tasks.sentences import tokens
from labelloop.words import Answer, Field, FieldPlan, Label, Reading

_SPREAD = 0.5  # in degrees from worst (-1) to best (1): how far from its own degree a bucket still takes entries


def answer(plan: FieldPlan, readings: Sequence[Reading], engine: Engine, prompt: Prompt) -> list[Answer]:
    """One answer per reading: every entry once, best first; entries that are alike keep the list's order.

    Buckets whose names say how good an entry is ("Relevant", "Low") take them by that; others ("Biased", "Sport") by
    how near an entry is to the name. The score is the probability that the whole order is right: for long lists small.
    """
    criteria = [criterion(plan.field.question, reading.query.strip(), prompt) for reading in readings]
    texts = [[passage.text for passage in reading.passages] for reading in readings]
    weighed = evidence(criteria, texts, engine, prompt)
    buckets = _buckets(plan.field, criteria, texts, weighed, engine, prompt)
    return [
        _decide(plan.field, reading, logits, chances)
        for reading, logits, chances in zip(readings, weighed, buckets, strict=True)
    ]


def _decide(field: Field, reading: Reading, logits: Array, chances: Array | None) -> Answer:
    ids = [passage.name for passage in reading.passages]
    best = np.argsort(-logits, kind="stable")
    names = [label.path[-1] for label in field.labels] if chances is not None else [""]
    where = chances.argmax(axis=1) if chances is not None else np.zeros(len(ids), int)
    order = [(name, [index for index in best if where[index] == place]) for place, name in enumerate(names)]
    score = 1.0 if chances is None else float(np.prod(chances.max(axis=1)))
    for _, inside in order:
        for above, below in pairwise(inside):
            score /= 1 + math.exp(-min(float(logits[above] - logits[below]), 3.0))
    return Answer(
        field=field.name,
        labels=(),
        score=round(score, 4),
        order=tuple((name, tuple(ids[index] for index in inside)) for name, inside in order),
    )


def _buckets(
    field: Field,
    criteria: Sequence[Criterion],
    texts: Sequence[Sequence[str]],
    weighed: Sequence[Array],
    engine: Engine,
    prompt: Prompt,
) -> list[Array | None]:
    """Per reading (n_entries, n_buckets) chances, rows summing to 1; None where the field has no buckets."""
    if not field.labels:
        return [None] * len(weighed)
    degrees = [degree(label, prompt) for label in field.labels]
    parts: list[list[Array]] = [[] for _ in weighed]
    for label, its in zip(field.labels, degrees, strict=True):
        own = _own(label, texts, engine, prompt) if its is None else None
        for index, (one, logits) in enumerate(zip(criteria, weighed, strict=True)):
            if its is not None:
                parts[index].append(-((_degrees(one, logits, prompt) - its) ** 2) / (2 * _SPREAD**2))
            elif own is not None:
                parts[index].append(own[index])
    return [_softmax(np.stack(part, axis=1)) for part in parts]


def degree(label: Label, prompt: Prompt) -> float | None:
    """Where the bucket stands between worst (-1) and best (1) by its name; None where the name says something else."""
    words = [token.low for token in tokens(label.text or label.path[-1]) if token.is_word]
    turned = any(word in prompt.turning for word in words)
    for value, names in prompt.degrees.items():
        if any(word in names for word in words):
            return float(-value if turned else value)
    return None


def _degrees(one: Criterion, logits: Array, prompt: Prompt) -> Array:
    """(n_entries,) between -1 and 1: where each entry stands by itself, whatever else is in the list."""
    quality = one.quality
    centre = 0.0
    if one.request:
        centre += (quality.relevance if quality else 1.0) * prompt.slopes.relevance * prompt.centres.relevance
    if quality and quality.length:  # no length is long by itself: against the list's own middle
        return np.asarray(np.tanh((logits - np.median(logits)) / 2))
    return np.asarray(np.tanh((logits - one.sign * centre) / 2))


def _own(label: Label, texts: Sequence[Sequence[str]], engine: Engine, prompt: Prompt) -> list[Array]:
    """Per reading (n_entries,) logits for a bucket with a name of its own: of a quality, or a topic."""
    name = label.text or label.path[-1]
    found = named(name, prompt.qualities)
    quality, sign = found if found and found[0].high else (None, 1)
    asked = Criterion(quality, sign, "" if quality else name)
    centre = (
        prompt.slopes.quality * prompt.centres.quality if quality else prompt.slopes.relevance * prompt.centres.name
    )
    return [logits - centre for logits in evidence([asked] * len(texts), texts, engine, prompt)]


def _softmax(logits: Array) -> Array:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances: Array = exponents / exponents.sum(axis=1, keepdims=True)
    return chances

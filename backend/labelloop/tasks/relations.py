"""Relations: which passages of an item are related, how, and which of two is the head."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from labelloop.engines import ContextEngine
from labelloop.engines.recent import Recent
from labelloop.tasks.pairs import Pair, candidates
from labelloop.tasks.relation_model import (
    NONE,
    Array,
    Class,
    Reader,
    Seen,
    class_of,
    known,
    see,
    statements,
    told,
)
from labelloop.tasks.relation_prompt import Meaning, RelationPrompt, meaning
from labelloop.words import Answer, FieldPlan, Link, Reading

PROMPT = "relations/v1"


@dataclass(frozen=True)
class Column:
    """What may be said of a pair: ``label`` (its stored name), and whether the first passage is the ``Link``'s head.

    ``classes``: the relations that it stands for; none where only ``phrase`` explains it, which says of a pair that
    the first passage is the head, or (``forward`` false) the second. ``heads``, ``tails``: types that its ends may be
    of; none: any.
    """

    label: str
    head_first: bool
    classes: frozenset[Class]
    phrase: str = ""
    forward: bool = True
    heads: frozenset[str] = frozenset()
    tails: frozenset[str] = frozenset()


_columns: Recent[Hashable, tuple[Column, ...]] = Recent(256)


def answer(plan: FieldPlan, readings: Sequence[Reading], engine: ContextEngine, prompt: RelationPrompt) -> list[Answer]:
    """One Answer per reading, with the links between the passages that it is given.

    A link goes from the head to the tail with direction "right", as Label Studio stores what a person draws; a label
    that tells by itself which passage is the head ("Cause-Effect(e2,e1)"), one without a direction, and none link the
    first to the second passage in the text. ``Link.score`` counts the passages' own scores; ``Answer.score`` is the
    probability that every decision on a pair is right. Passages in different objects are not related.
    """
    columns = columns_of(plan, prompt)
    reader = reader_of(plan, engine)
    asked = [
        (index, passage.text, pairs)
        for index, reading in enumerate(readings)
        for passage in reading.passages
        if (pairs := candidates(passage.text, [span for span in reading.given if span.source == passage.name]))
    ]
    links: list[list[Link]] = [[] for _ in readings]
    scores = np.ones(len(readings))
    seen = see(
        engine,
        [text for _, text, _ in asked],
        [[((p.first.start, p.first.end), (p.second.start, p.second.end)) for p in pairs] for _, _, pairs in asked],
    )
    for (index, _, pairs), what in zip(asked, seen, strict=True):
        for pair, row in zip(pairs, chances(columns, pairs, what, reader, prompt), strict=True):
            best = int(row[:-1].argmax()) if len(columns) else -1
            if len(columns) and row[best] > row[-1] and row[best] >= prompt.constants.least:
                links[index].append(_link(pair, columns[best], row[best]))
                scores[index] *= row[best]
            else:
                scores[index] *= row[-1]
    return [
        Answer(field=plan.field.name, labels=(), score=_round(score), links=tuple(its))
        for its, score in zip(links, scores, strict=True)
    ]


def warm(plan: FieldPlan, engine: ContextEngine, prompt: RelationPrompt) -> None:
    """Fits what the field's labels need."""
    columns, reader = columns_of(plan, prompt), reader_of(plan, engine)
    known(reader, prompt, _wanted(columns))
    if any(not column.classes for column in columns):
        told(reader, prompt)


def reader_of(plan: FieldPlan, engine: ContextEngine) -> Reader:
    return Reader(engine, (plan.engine, plan.model, plan.revision))


def columns_of(plan: FieldPlan, prompt: RelationPrompt) -> tuple[Column, ...]:
    """What the field's labels may say of a pair; labels that say that there is no relation are left out."""
    return _columns.get([(plan.field.labels, prompt.digest)], lambda _: [_make_columns(plan, prompt)])[0]


def chances(
    columns: Sequence[Column], pairs: Sequence[Pair], seen: Seen, reader: Reader, prompt: RelationPrompt
) -> Array:
    """(n_pairs, n_columns + 1) probabilities; the last is that of no relation. No row depends on another."""
    constants = prompt.constants
    model = known(reader, prompt, _wanted(columns))
    evidence = constants.slope * model.evidence(seen)
    nothing = evidence[:, model.classes.index(NONE)]
    made = np.zeros((len(pairs), len(columns) + 1))
    unknown = [index for index, column in enumerate(columns) if not column.classes]
    for index, column in enumerate(columns):
        if column.classes:
            its = [place for place, one in enumerate(model.classes) if one in column.classes]
            made[:, index] = np.logaddexp.reduce(evidence[:, its], axis=1)
    if unknown:
        texts = [statements(columns[index].phrase, columns[index].forward, prompt) for index in unknown]
        near = _told(seen, texts, reader, prompt)
        made[:, unknown] = nothing[:, None] + constants.told_slope * (near - constants.told_usual)
    for row, pair in enumerate(pairs):
        made[row, -1] = nothing[row] + constants.none
        made[row, -1] += constants.crossed * pair.crossed + constants.broken * pair.broken
        ends = prompt.type_of(pair.first.label[-1]), prompt.type_of(pair.second.label[-1])
        for index, column in enumerate(columns):
            head, tail = ends if column.forward else ends[::-1]
            wrong = (bool(head and column.heads) and head not in column.heads) + (
                bool(tail and column.tails) and tail not in column.tails
            )
            made[row, index] -= constants.mistyped * wrong
    exponents = np.exp(made - made.max(axis=1, keepdims=True))
    shares: Array = exponents / exponents.sum(axis=1, keepdims=True)
    return shares


def _told(seen: Seen, texts: Sequence[Sequence[str]], reader: Reader, prompt: RelationPrompt) -> Array:
    """(n_pairs, n_labels) evidence for labels that only their names explain."""
    names = np.stack([reader.engine.embed(told).mean(axis=0) for told in texts])
    names /= np.maximum(np.linalg.norm(names, axis=1, keepdims=True), 1e-12)
    return told(reader, prompt).evidence(seen, reader.engine.embed(seen.masked), names)


def _wanted(columns: Sequence[Column]) -> frozenset[str]:
    return frozenset(name for column in columns for name, _ in column.classes)


def _make_columns(plan: FieldPlan, prompt: RelationPrompt) -> tuple[Column, ...]:
    if not plan.field.labels:
        every = {class_of(name, forward, prompt) for name in prompt.relations for forward in (True, False)}
        return (Column("", True, frozenset(every)),)
    made: list[Column] = []
    for label in plan.field.labels:
        if said := meaning(label.text or label.path[-1], prompt):
            made += _of_label(label.path[-1], said, prompt)
    return tuple(made)


def _of_label(name: str, said: Meaning, prompt: RelationPrompt) -> list[Column]:
    made = []
    for forward in (True, False):  # whether the label's head is the first passage
        if (said.order and (said.order == 1) != forward) or (said.symmetric and not forward):
            continue
        classes = frozenset(class_of(one, straight == forward, prompt) for one, straight in said.relations)
        types = [prompt.relations[one] for one, _ in said.relations]
        heads = [one.head if straight else one.tail for one, (_, straight) in zip(types, said.relations, strict=True)]
        tails = [one.tail if straight else one.head for one, (_, straight) in zip(types, said.relations, strict=True)]
        made.append(Column(name, forward or bool(said.order), classes, said.phrase, forward, _any(heads), _any(tails)))
    return made


def _any(types: Sequence[Sequence[str]]) -> frozenset[str]:
    """The types that one of several meanings allows; none where one allows any."""
    return frozenset(one for its in types for one in its) if all(types) else frozenset()


def _link(pair: Pair, column: Column, chance: float) -> Link:
    head, tail = (pair.first, pair.second) if column.head_first else (pair.second, pair.first)
    return Link(head=head, tail=tail, label=column.label, score=_round(chance * head.score * tail.score))


def _round(chance: float) -> float:
    """To 4 decimals: what is beyond them differs with the batch that a text was computed in."""
    return round(min(max(float(chance), 0.0), 1.0), 4) if math.isfinite(chance) else 0.0

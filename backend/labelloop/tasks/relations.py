"""Relations: which passages of an item are related, how, and which of two is the head."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labelloop.engines import ContextEngine, Vectors
from labelloop.engines.batching import parts
from labelloop.engines.recent import Recent
from labelloop.tasks.calibration import rounded
from labelloop.tasks.memory import SAME_TEXT
from labelloop.tasks.metrics import agreement
from labelloop.tasks.pairs import Pair, candidates
from labelloop.tasks.relation_model import (
    ANY,
    NONE,
    Array,
    Class,
    Reader,
    Seen,
    class_of,
    joined,
    known,
    see,
    statements,
    told,
)
from labelloop.tasks.relation_prompt import Meaning, RelationPrompt, meaning
from labelloop.words import Answer, FieldPlan, Link, Reading

if TYPE_CHECKING:
    from labelloop.tasks.relation_memory import RelationMemory
    from labelloop.tasks.trained_relations import TrainedRelations

PROMPT = "relations/v1"
PART = 100_000
"""Characters of texts that are read at once: of each token a vector is held until its text's pairs are seen."""

Asked = tuple[int, str, list[Pair]]  # which reading, the passage's text, and its pairs


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


class Judged(NamedTuple):
    """A pair, and what models say of it. ``owner``: which reading it is of. ``text``: its passage's. ``seen``: of this
    pair alone. ``chances``: (n_columns + 1,) without memory; the last is that of no relation."""

    owner: int
    text: str
    pair: Pair
    seen: Seen
    chances: Array


_columns: Recent[Hashable, tuple[Column, ...]] = Recent(256)
_names: Recent[tuple[str, ...], Vectors] = Recent(4096)


def answer(
    plan: FieldPlan,
    readings: Sequence[Reading],
    engine: ContextEngine,
    prompt: RelationPrompt,
    memory: RelationMemory | None = None,
    adapter: TrainedRelations | None = None,
) -> list[Answer]:
    """One Answer per reading, with the links between the passages that it is given.

    A link goes from the head to the tail with direction "right", as Label Studio stores what a person draws; a label
    that tells by itself which passage is the head ("Cause-Effect(e2,e1)"), one without a direction, and none link the
    first to the second passage in the text. ``Link.score`` counts the passages' own scores; ``Answer.score`` is the
    probability that every decision on a pair is right. Passages in different objects are not related.
    """
    return answers_of(plan, len(readings), judge(plan, pairs_of(readings), engine, prompt), prompt, memory, adapter)


def pairs_of(readings: Sequence[Reading]) -> list[Asked]:
    """The pairs of each passage in which there are some, between the regions that its reading is given."""
    return [
        (index, passage.text, pairs)
        for index, reading in enumerate(readings)
        for passage in reading.passages
        if (pairs := candidates(passage.text, [span for span in reading.given if span.source == passage.name]))
    ]


def judge(
    plan: FieldPlan, asked: Sequence[Asked], engine: ContextEngine, prompt: RelationPrompt
) -> Iterator[list[Judged]]:
    """What models say of all these pairs, in their order and part by part; none is empty."""
    columns = columns_of(plan, prompt)
    reader = reader_of(plan, engine)
    for part in parts(asked, lambda one: len(one[1]), PART) if columns else ():
        seen = joined(see(engine, [text for _, text, _ in part], [[pair.ends for pair in its] for _, _, its in part]))
        flat = [(index, text, pair) for index, text, pairs in part for pair in pairs]
        rows = chances(columns, [pair for _, _, pair in flat], seen, reader, prompt)
        yield [Judged(*one, seen.part([place]), rows[place]) for place, one in enumerate(flat)]


def answers_of(
    plan: FieldPlan,
    count: int,
    judged: Iterable[Sequence[Judged]],
    prompt: RelationPrompt,
    memory: RelationMemory | None = None,
    adapter: TrainedRelations | None = None,
) -> list[Answer]:
    """As ``answer``, of ``count`` readings whose pairs are judged. What people said of the very same passages of the
    very same text is said again, with the chance that they agree with themselves."""
    columns = columns_of(plan, prompt)
    links: list[list[Link]] = [[] for _ in range(count)]
    scores, again = np.ones(count), np.ones(count)
    for part in judged:
        rows = np.stack([one.chances for one in part]) if memory is None else memory.chances(part)
        rows = rows if adapter is None else adapter.chances(part, rows)
        for one, row in zip(part, rows, strict=True):
            accepted = None if memory is None else memory.accepted(one)
            best = int(row[:-1].argmax())
            if accepted is not None:
                links[one.owner] += [link.model_copy(update={"score": _round(link.score)}) for link in accepted]
                again[one.owner] = SAME_TEXT
            elif row[best] > row[-1] and row[best] >= prompt.constants.least:
                links[one.owner].append(_link(one.pair, columns[best], row[best]))
                scores[one.owner] *= row[best]
            else:
                scores[one.owner] *= row[-1]
    told = {} if memory is None else {"memory": memory.examples}
    return [
        Answer(field=plan.field.name, labels=(), score=_round(score), links=tuple(its), provenance=told)
        for its, score in zip(links, scores * again, strict=True)
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
        # the one costly step, a text to embed for each pair: so these labels do not reach over the end of a sentence
        whole = [row for row, pair in enumerate(pairs) if not pair.broken]
        made[:, unknown] = -np.inf
        if whole:
            texts = [statements(columns[index].phrase, columns[index].forward, prompt) for index in unknown]
            near = _told(seen.part(whole), texts, reader, prompt)
            made[np.ix_(whole, unknown)] = nothing[whole, None] + constants.told_slope * (near - constants.told_usual)
    apart = [constants.none + constants.crossed * pair.crossed + constants.broken * pair.broken for pair in pairs]
    made[:, -1] = nothing + np.array(apart)
    made[:, :-1] -= constants.mistyped * _mistyped(columns, pairs, prompt)
    exponents = np.exp(made - made.max(axis=1, keepdims=True))
    shares: Array = exponents / exponents.sum(axis=1, keepdims=True)
    return shares


def _mistyped(columns: Sequence[Column], pairs: Sequence[Pair], prompt: RelationPrompt) -> Array:
    """(n_pairs, n_columns) how many of both passages have a label of another type than the relation's ends."""
    labels = {span.label for pair in pairs for span in (pair.first, pair.second)}
    types = {label: prompt.type_of(label[-1]) if label else "" for label in labels}
    ends = [(types[pair.first.label], types[pair.second.label]) for pair in pairs]
    wrong = {both: [_wrong(column, *both) for column in columns] for both in set(ends)}
    return np.array([wrong[both] for both in ends], np.float64)


def _wrong(column: Column, first: str, second: str) -> int:
    head, tail = (first, second) if column.forward else (second, first)
    both = ((head, column.heads), (tail, column.tails))
    return sum(bool(end and allowed and end not in allowed) for end, allowed in both)


def relation_f1(gold: Sequence[Sequence[Link]], predicted: Sequence[Sequence[Link]]) -> dict[str, float]:
    """How well predicted links agree with gold ones, over all items together.

    A link is right when both ends have the same characters of the same object, and label and direction agree. A link to
    the left is the same as its mirror image to the right; of one in both directions either end may be the head.

    Returns:
        as ``metrics.agreement``. Raises what it raises.
    """
    return agreement(*([{_told_by(link) for link in one} for one in side] for side in (gold, predicted)))


def _told_by(link: Link) -> Hashable:
    ends = [(span.source, span.start, span.end) for span in (link.head, link.tail)]
    if link.direction == "bi":
        return (frozenset(ends), link.label, "bi")
    return (tuple(ends if link.direction == "right" else ends[::-1]), link.label)


def _told(seen: Seen, texts: Sequence[Sequence[str]], reader: Reader, prompt: RelationPrompt) -> Array:
    """(n_pairs, n_labels) evidence for labels that only their names explain."""
    names = np.stack(_names.get([(*reader.identity, *told) for told in texts], lambda new: _embedded(new, reader)))
    return told(reader, prompt).evidence(seen, reader.engine.embed(seen.masked), names)


def _embedded(keys: Sequence[tuple[str, ...]], reader: Reader) -> list[Vectors]:
    """The mean direction of the texts that follow the engine's identity in each key."""
    texts = [key[len(reader.identity) :] for key in keys]
    vectors = iter(reader.engine.embed([text for its in texts for text in its]))
    means = [np.mean([next(vectors) for _ in its], axis=0) for its in texts]
    return [mean / max(float(np.linalg.norm(mean)), 1e-12) for mean in means]


def _wanted(columns: Sequence[Column]) -> frozenset[str]:
    return frozenset(name for column in columns for name, _ in column.classes)


def _make_columns(plan: FieldPlan, prompt: RelationPrompt) -> tuple[Column, ...]:
    if not plan.field.labels:
        return (Column("", True, frozenset({ANY})),)
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
    return rounded(chance) if math.isfinite(chance) else 0.0

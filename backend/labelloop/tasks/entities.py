"""Named entities and other mentions: which passages of an item have one of the field's labels."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labelloop.engines import ContextEngine, SpanEngine
from labelloop.engines.batching import parts
from labelloop.engines.recent import Recent
from labelloop.tasks.calibration import Array as Floats
from labelloop.tasks.calibration import rounded
from labelloop.tasks.entity_labels import Meaning, meanings, told
from labelloop.tasks.entity_prompt import EntityConstants, EntityPrompt
from labelloop.tasks.mentions import NONE, Array, Finder, Mention, Read, read
from labelloop.tasks.metrics import agreement
from labelloop.words import Answer, Field, FieldPlan, Passage, Reading, Span

if TYPE_CHECKING:
    from labelloop.tasks.span_memory import SpanMemory
    from labelloop.tasks.trained_spans import TrainedSpans

PROMPT = "entities/v1"
_NOTHING_FOUND = 0.9  # how sure it is that there is nothing where nothing is found
_LEAST_SPAN_SCORE = 0.3  # of an engine that finds spans by itself
_PART = 50_000  # characters whose vectors are in memory at once; a longer passage is a part of its own

Draft = tuple[int, int, int, int, float]
"""Index of the passage, start, end, index of the label, probability that all of it is right."""


@dataclass(frozen=True)
class _Model:
    """What answers a field's readings. ``finders``: what the second finds where the first finds nothing counts if its
    label is in ``dense``. ``told``: of each label its words. ``usual``: per label the similarity that a mention of
    anything seldom exceeds."""

    meaning: Meaning
    finders: tuple[Finder, ...]
    dense: frozenset[int]
    told: tuple[str, ...]
    usual: tuple[float, ...]


class Candidate(NamedTuple):
    """A passage that models found. ``owner``: index of its object's passage. ``label``, ``score``: what is said of it
    without memory. ``chances``: (1 + n_labels,) that it has none, then each label."""

    owner: int
    start: int
    end: int
    label: int
    score: float
    chances: Floats


_models: Recent[Hashable, _Model] = Recent(16)


def answer(
    plan: FieldPlan,
    readings: Sequence[Reading],
    engine: ContextEngine,
    prompt: EntityPrompt,
    memory: SpanMemory | None = None,
    adapter: TrainedSpans | None = None,
) -> list[Answer]:
    """One Answer per reading, its spans in the order of the text, none overlapping another in one object.

    The field's labels are read as types of passages (``entity_labels``), and models fitted on the prompt's sentences
    mark passages of those types (``mentions``). Between labels that share a type, and for labels that no type explains,
    the similarity of the passage to the label's words decides. ``Answer.score`` is that of its least sure span; without
    spans, the probability that there is none.
    """
    passages = [read_by(plan.field, reading) for reading in readings]
    flat = [passage for some in passages for passage in some]
    drafts: Iterable[Draft]
    if plan.engine == "gliner":
        drafts, free = _by_itself(plan.field, flat, engine)  # type: ignore[arg-type]
    elif adapter is not None:
        drafts = adapter.drafts(flat, candidates(plan, flat, engine, prompt), memory)
        free = [_NOTHING_FOUND] * len(flat)
    elif memory is not None:
        drafts = memory.drafts(flat, candidates(plan, flat, engine, prompt))
        free = [_NOTHING_FOUND] * len(flat)
    else:
        drafts, free = _by_types(plan, flat, engine, prompt), [_NOTHING_FOUND] * len(flat)
    return answers_of(plan.field, passages, drafts, free, memory)


def answers_of(
    field: Field,
    passages: Sequence[Sequence[Passage]],
    drafts: Iterable[Draft],
    free: Sequence[float] | None = None,
    memory: SpanMemory | None = None,
) -> list[Answer]:
    """One Answer per reading, whose passages are given, from drafts of all of them. ``free``: per passage the
    probability that it has no span where none is found."""
    told = {} if memory is None else {"memory": memory.examples}
    flat = [passage for some in passages for passage in some]
    answers = []
    found = iter(zip(placed(field, flat, drafts), free or [_NOTHING_FOUND] * len(flat), strict=True))
    for some in passages:
        its_own = [next(found) for _ in some]
        mine = tuple(span for its, _ in its_own for span in its)
        least = min((span.score for span in mine), default=min((none for _, none in its_own), default=1.0))
        answers.append(Answer(field=field.name, labels=(), score=rounded(least), spans=mine, provenance=told))
    return answers


def read_by(field: Field, reading: Reading) -> list[Passage]:
    """The passages in which the field's spans can be."""
    names = [source.name for source in field.sources]
    return [one for one in reading.passages if one.name in names and one.text.strip()]


def placed(field: Field, passages: Sequence[Passage], drafts: Iterable[Draft]) -> list[list[Span]]:
    """The spans of each passage in the order of the text: of drafts that overlap the first, and none on what cannot be
    marked."""
    spans: list[list[Span]] = [[] for _ in passages]
    for owner, start, end, label, score in drafts:
        passage = passages[owner]
        taken = [*passage.unmarked, *((span.start, span.end) for span in spans[owner])]
        if any(first < end and start < last for first, last in taken):
            continue
        path, text = field.labels[label].path, passage.text[start:end]
        spans[owner].append(
            Span(
                field=field.name, source=passage.name, start=start, end=end, text=text, label=path, score=rounded(score)
            )
        )
    return [sorted(its, key=lambda span: span.start) for its in spans]


def warm(plan: FieldPlan, engine: ContextEngine, prompt: EntityPrompt) -> None:
    """Fits the field's models, which takes some seconds."""
    if plan.engine != "gliner":
        _model_of(plan, engine, prompt)


def _by_types(
    plan: FieldPlan, passages: Sequence[Passage], engine: ContextEngine, prompt: EntityPrompt
) -> Iterator[Draft]:
    for owner, mention, label, chance, _ in _by_finders(plan, passages, engine, prompt):
        yield owner, mention.start, mention.end, label, _calibrated(mention.certainty * chance, prompt.constants)


def _by_finders(
    plan: FieldPlan, passages: Sequence[Passage], engine: ContextEngine, prompt: EntityPrompt
) -> Iterator[tuple[int, Mention, int, float, Finder]]:
    """What the field's models find; a passage is read once for all of them. Index of the passage, mention, index of its
    label, the probability that the label is right if it is one, and whose mention it is."""
    model = _model_of(plan, engine, prompt)
    for part in parts(range(len(passages)), lambda owner: len(passages[owner].text), _PART):
        reads = read([passages[owner].text for owner in part], engine, prompt.constants.depth)
        for second, finder in enumerate(model.finders):
            for place, mention, label, chance in _found(finder, model, reads, engine, prompt.constants):
                if not second or label in model.dense:
                    yield part[place], mention, label, chance, finder


def candidates(
    plan: FieldPlan, passages: Sequence[Passage], engine: ContextEngine, prompt: EntityPrompt
) -> list[Candidate]:
    """What the field's models find, with the chances of all labels; a passage is read once for all of them."""
    n_labels, found = len(plan.field.labels), []
    for owner, one, label, chance, finder in _by_finders(plan, passages, engine, prompt):
        sure = _calibrated(one.certainty, prompt.constants)
        chances = np.array([1 - sure, *(sure * _spread(one, label, chance, finder, n_labels))])
        score = _calibrated(one.certainty * chance, prompt.constants)
        found.append(Candidate(owner, one.start, one.end, label, score, chances))
    return found


def _spread(one: Mention, label: int, chance: float, finder: Finder, n_labels: int) -> Floats:
    """(n_labels,) chances that sum to 1: the decided label's own, those of the others by their types, in even parts."""
    row: Floats = np.zeros(n_labels)
    for owners, its in zip(finder.types, one.types, strict=True):
        row[list(owners)] += float(its) / len(owners)
    row[label] = 0.0
    row *= (1 - chance) / max(row.sum(), 1e-9)
    row[label] = max(chance, 1e-9)
    row /= row.sum()
    return row


def _found(
    finder: Finder, model: _Model, reads: Sequence[Read], engine: ContextEngine, constants: EntityConstants
) -> Iterator[tuple[int, Mention, int, float]]:
    """Index into ``reads``, mention, index of its label, and the probability that the label is right if it is one."""
    flat = [(place, one) for place, mentions in enumerate(finder.find(reads, engine)) for one in mentions]
    texts = [reads[place].text[one.start : one.end] for place, one in flat]
    words = list(dict.fromkeys(t for t, (_, one) in zip(texts, flat, strict=True) if _needs_words(one, finder, model)))
    similar = dict(zip(words, engine.rank(words, [(one,) for one in model.told]), strict=True)) if words else {}
    unlike = np.zeros(len(model.told), np.float32)
    for text, (place, one) in zip(texts, flat, strict=True):
        label, chance = _decide(one, similar.get(text, unlike), finder, model, constants)
        if label is not None:
            yield place, one, label, chance


def _needs_words(mention: Mention, finder: Finder, model: _Model) -> bool:
    owners = finder.types[int(mention.types.argmax())]
    return len(owners) > 1 or bool(owners & model.meaning.free)


def _decide(
    mention: Mention, similar: Array, finder: Finder, model: _Model, constants: EntityConstants
) -> tuple[int | None, float]:
    """The label and the probability that it is right, given that the passage is a mention."""
    place = int(mention.types.argmax())
    owners, chance = finder.types[place], float(mention.types[place])
    if len(owners) == 1 and not owners & model.meaning.free:
        return next(iter(owners)), chance
    excess = {index: float(similar[index]) - model.usual[index] for index in owners}
    best = max(excess, key=lambda index: excess[index])
    if owners & model.meaning.free:  # any passage of no known type comes here, and most are none of the labels
        if excess[best] <= 0:
            return None, 0.0
        chance *= 1 / (1 + math.exp(-constants.slope * excess[best]))
    exponents = {index: math.exp(constants.slope * (one - excess[best])) for index, one in excess.items()}
    return best, chance / sum(exponents.values())


def _model_of(plan: FieldPlan, engine: ContextEngine, prompt: EntityPrompt) -> _Model:
    key = (plan.engine, plan.model, plan.revision, prompt.digest, plan.field.labels)
    return _models.get([key], lambda _: [_fit(plan.field, engine, prompt)])[0]


def _fit(field: Field, engine: ContextEngine, prompt: EntityPrompt) -> _Model:
    """The models of a field. Types that only some sentences mark have a finder of their own, fitted on these: to the
    other one they are no mentions, else it would learn from the rest that they are none."""
    meaning = meanings(field.labels, prompt, engine.rank)
    types = {name: owners or meaning.free for name, owners in meaning.owners.items()}
    dense = frozenset().union(*(types[name] for name in prompt.dense))
    main = types | dict.fromkeys(prompt.dense, NONE)
    finders = []
    if any(main.values()):
        finders.append(Finder(prompt.marked, main, engine, prompt.constants))
    if dense:
        finders.append(Finder(prompt.densely_marked, types, engine, prompt.constants))
    words = tuple(told(label) for label in field.labels)
    if all(len(owners) < 2 for owners in types.values()) and not meaning.free:
        return _Model(meaning, tuple(finders), dense, words, (0.0,) * len(words))
    mentions = sorted({one.text[start:end] for one in prompt.marked for start, end, _ in one.passages})
    similar = engine.rank(mentions, [(one,) for one in words])
    usual = np.quantile(similar, 1 - prompt.constants.free, axis=0) if meaning.free else similar.mean(axis=0)
    return _Model(meaning, tuple(finders), dense, words, tuple(map(float, usual)))


def _by_itself(field: Field, passages: Sequence[Passage], engine: SpanEngine) -> tuple[list[Draft], list[float]]:
    """What an engine finds that finds spans for labels by itself, likeliest first, and per passage the probability that
    it has none."""
    found = engine.spans([passage.text for passage in passages], [told(label) for label in field.labels])
    drafts = [(owner, *one) for owner, its in enumerate(found) for one in its if one[3] >= _LEAST_SPAN_SCORE]
    drafts.sort(key=lambda one: -one[4])
    return drafts, [1 - max((one[3] for one in its), default=0.0) for its in found]


def _calibrated(chance: float, constants: EntityConstants) -> float:
    odds = math.log(max(chance, 1e-6) / max(1 - chance, 1e-6))
    return 1 / (1 + math.exp(-(constants.score_offset + constants.score_slope * odds)))


def span_f1(gold: Sequence[Collection[Span]], found: Sequence[Collection[Span]]) -> dict[str, float]:
    """Exact agreement (``metrics.agreement``): a span is right if object, offsets and label are (Tjong Kim Sang and De
    Meulder 2003)."""

    def keys(side: Sequence[Collection[Span]]) -> list[set[Hashable]]:
        return [{(span.source, span.start, span.end, span.label) for span in spans} for spans in side]

    return agreement(keys(gold), keys(found))

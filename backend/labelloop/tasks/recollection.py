"""What a field remembers of the labels that people gave: from accepted examples to what serving mixes in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from labelloop.engines import Vectors
from labelloop.engines.identity import identify
from labelloop.engines.recent import Recent
from labelloop.settings import Settings
from labelloop.tasks import chances, entities, memory, precision, relation_memory, span_memory, structured, text_memory
from labelloop.tasks.calibration import Array
from labelloop.tasks.pairs import Pair
from labelloop.tasks.relations import Judged
from labelloop.words import Field, FieldPlan, Link, Path, Reading, Span

MOST_EXAMPLES = memory.MOST_EXAMPLES
_READ_AT_ONCE = 64


class Example(NamedTuple):
    """``text``: the rendered input of the field, as ``tasks.answer`` takes it. ``labels``: the accepted paths, in any
    order; none is an answer where several may be chosen. ``spans``: of a field that marks entities, the accepted ones;
    none is an answer. ``texts``: of a field that writes, the accepted ones. ``links``: of a field that relates, the
    accepted ones; ``text`` then gives the regions that were there, and none is an answer."""

    text: str
    labels: tuple[Path, ...] = ()
    spans: tuple[Span, ...] = ()
    texts: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class LabelMemory:
    """A ``chances.Recollection``. ``same``: columns of the accepted labels, by their very text. ``needs``: where a
    precision is wished for, the least score of each label (``precision``)."""

    epoch: int
    encoder: tuple[str, str]
    several: bool
    head: memory.Head
    same: dict[str, tuple[int, ...]] = field(repr=False)
    needs: precision.Needs = field(default_factory=dict, repr=False)

    @property
    def examples(self) -> int:
        return self.head.examples

    def chances(self, texts: Sequence[str], vectors: Vectors, zero_shot: Array) -> Array:
        """(n_texts, n_labels) of the same sort as ``zero_shot``."""
        same = {row: self.same[text] for row, text in enumerate(texts) if text in self.same}
        return memory.recall(self.head, vectors, zero_shot, self.several, same)


class Seen(NamedTuple):
    """What models say of examples, whatever their labels. ``vectors``: (n, d). ``zero_shot``: (n, n_labels)."""

    vectors: Vectors
    zero_shot: Array


_seen: Recent[tuple[str, str], tuple[Vectors, Array]] = Recent(4 * MOST_EXAMPLES)
_shares: Recent[str, tuple[float, ...]] = Recent(64)
_needs: Recent[str, dict[Path, float]] = Recent(64)


_judged: Recent[tuple[Hashable, ...], Judged] = Recent(2 * relation_memory.MOST_PAIRS)
_found: Recent[tuple[str, str], tuple[span_memory.Marked, ...]] = Recent(2 * MOST_EXAMPLES)


def learn(
    plan: FieldPlan, examples: Sequence[Example], epoch: int, settings: Settings
) -> LabelMemory | span_memory.SpanMemory | relation_memory.RelationMemory | text_memory.TextMemory | None:
    """The memory of a field that chooses labels, marks entities or relates by an encoder, or writes; None of others, of
    those whose labels come with each item, and where no example can be used.

    Each example is read once in a process, however often this is asked; of the first call the reading is most of the
    time. Fitting takes milliseconds for ten labels and some tenths of a second for a hundred, and now and then (when
    the examples are an eighth more) a second or two.

    Args:
        plan: how the field is served; its engines' chances are what memory adds to.
        examples: in the order in which they were accepted; of the same text the last counts, and of them all the last
            ``MOST_EXAMPLES``. Held-out ones must not be among them.
        epoch: grows with each change of the examples.

    Raises:
        ModelError, SettingsError: as ``tasks.answer``.
    """
    if structured.remembers(plan):
        return span_memory.learn(plan.field, marked(plan, examples, settings), epoch, plan.precision)
    if structured.relates(plan):
        return related(plan, examples, epoch, partial(judged, plan, settings), settings)
    if structured.writes_texts(plan):
        accepted = [text_memory.Accepted(Reading.model_validate_json(one.text), one.texts) for one in examples]
        return text_memory.learn(accepted, epoch, encoder_of(plan, settings), settings)
    if plan.field.dynamic or plan.field.structured:
        return None
    usable = usable_of(plan.field, examples)
    if not usable:
        return None
    encoder = encoder_of(plan, settings)
    used = usable[-MOST_EXAMPLES:]
    seen = _read(plan, [one.text for one in used], encoder, settings)
    return remember(plan, usable, seen, epoch, encoder)


def marked(plan: FieldPlan, examples: Sequence[Example], settings: Settings) -> list[span_memory.Marked]:
    """The passages of the last ``MOST_EXAMPLES`` examples with what models find in them; of one text the last. Each is
    read once in a process."""
    latest: dict[str, Example] = {}
    for one in examples:
        latest.pop(one.text, None)
        latest[one.text] = one
    used = list(latest.values())[-MOST_EXAMPLES:]
    mark = hashlib.sha256(plan.model_dump_json().encode()).hexdigest()

    def read(new: list[tuple[str, str]]) -> list[tuple[span_memory.Marked, ...]]:
        made: list[tuple[span_memory.Marked, ...]] = []
        for first in range(0, len(new), _READ_AT_ONCE):
            made += go_through(plan, [text for _, text in new[first : first + _READ_AT_ONCE]], settings)
        return made

    each = _found.get([(mark, one.text) for one in used], read)
    return [passage for its, one in zip(each, used, strict=True) for passage in with_spans(its, one.spans)]


def go_through(plan: FieldPlan, texts: Sequence[str], settings: Settings) -> list[tuple[span_memory.Marked, ...]]:
    """Per text its passages, with what models find in them; nothing is marked yet."""
    passages = [entities.read_by(plan.field, Reading.model_validate_json(text)) for text in texts]
    flat = [passage for some in passages for passage in some]
    its: list[list[entities.Candidate]] = [[] for _ in flat]
    for one in structured.entity_candidates(plan, flat, settings):
        its[one.owner].append(one)
    made = (span_memory.Marked(passage, (), tuple(some)) for passage, some in zip(flat, its, strict=True))
    return [tuple(next(made) for _ in some) for some in passages]


def with_spans(passages: Sequence[span_memory.Marked], spans: Sequence[Span]) -> list[span_memory.Marked]:
    """The passages with what people marked in them."""
    return [one._replace(spans=tuple(span for span in spans if span.source == one.passage.name)) for one in passages]


def related(
    plan: FieldPlan, examples: Sequence[Example], epoch: int, judge: relation_memory.Judge, settings: Settings
) -> relation_memory.RelationMemory | None:
    """As ``learn``, of a field that relates; ``judge``: what its models say of pairs."""
    accepted = [relation_memory.Accepted(Reading.model_validate_json(one.text), one.links) for one in examples]
    columns = structured.relation_columns(plan, settings)
    return relation_memory.learn(columns, accepted, epoch, plan.model_dump_json(), judge)


def judged(plan: FieldPlan, settings: Settings, pairs: Sequence[tuple[str, Pair]]) -> list[Judged]:
    """What the plan's models say of pairs of these texts. Each is read once in a process."""
    mark = hashlib.sha256(plan.model_dump_json().encode()).hexdigest()
    keys = [(mark, text, *_features_of(pair)) for text, pair in pairs]
    known = dict(zip(keys, pairs, strict=True))

    def read(new: list[tuple[Hashable, ...]]) -> list[Judged]:
        texts: dict[str, list[tuple[Hashable, ...]]] = {}
        for key in new:
            texts.setdefault(known[key][0], []).append(key)
        asked = [(place, text, [known[key][1] for key in its]) for place, (text, its) in enumerate(texts.items())]
        ordered = [key for its in texts.values() for key in its]
        found = dict(zip(ordered, structured.judged_pairs(plan, asked, settings), strict=True))
        return [found[key] for key in new]

    return _judged.get(keys, read)


def _features_of(pair: Pair) -> tuple[Hashable, ...]:
    """All that models see of a pair beside its text."""
    return *pair.ends, pair.first.label, pair.second.label, pair.crossed, pair.broken


def remember(
    plan: FieldPlan, usable: Sequence[Example], seen: Seen, epoch: int, encoder: tuple[str, str]
) -> LabelMemory:
    """As ``learn``, of examples that ``usable_of`` gave, the last of which have been read. The same examples make the
    same memory in every process.

    Args:
        seen: of the last ``MOST_EXAMPLES`` of them.
    """
    several = plan.field.multiple
    n = memory.settled(len(usable))
    first = max(0, len(usable) - MOST_EXAMPLES)  # of those that have been read
    right = rights(plan.field, usable[first:])
    known = [{"field": plan.model_dump(mode="json")}, *([one.text, *map(list, one.labels)] for one in usable[first:n])]
    mark = hashlib.sha256(json.dumps(known).encode()).hexdigest()

    part = (seen.vectors[: n - first], right[: n - first], seen.zero_shot[: n - first], several)
    shares = _shares.get([mark], lambda _: [memory.weigh(*part)])[0]
    head = memory.fit(seen.vectors, right, seen.zero_shot, several, shares)
    column = columns(plan.field)
    same = {one.text: tuple(column[path] for path in one.labels) for one in usable}
    made = LabelMemory(epoch, encoder, several, head, same)
    if (wished := plan.precision) is None:
        return made
    needs = _needs.get([mark], lambda _: [precision.needs(plan.field, precision.held_out(*part, shares), wished)])[0]
    return replace(made, needs=needs)


def usable_of(field: Field, examples: Sequence[Example]) -> list[Example]:
    """Those with a text and with labels that the field has today; of one text the last. Labels that it lost are left
    out, and where one label is chosen the example with them."""
    paths = {label.path for label in field.labels}
    found: dict[str, Example] = {}
    for one in examples:
        labels = tuple(path for path in dict.fromkeys(one.labels) if path in paths)
        lost = len(labels) < len(set(one.labels))
        if not one.text.strip() or (lost and not labels) or (not field.multiple and len(labels) != 1):
            continue
        found.pop(one.text, None)
        found[one.text] = Example(one.text, labels)
    return list(found.values())


def columns(field: Field) -> dict[Path, int]:
    return {label.path: place for place, label in enumerate(field.labels)}


def rights(field: Field, examples: Sequence[Example]) -> memory.Right:
    """(n_examples, n_labels) which labels were accepted."""
    column = columns(field)
    made = np.zeros((len(examples), len(column)), bool)
    for row, one in enumerate(examples):
        made[row, [column[path] for path in one.labels]] = True
    return made


def encoder_of(plan: FieldPlan, settings: Settings) -> tuple[str, str]:
    """Model and revision of what compares the field's texts: an encoder that serves it, else the configured one."""
    for one in plan.alone:
        if one.engine == "encoder":
            return one.model, one.revision
    return settings.encoder, identify(settings.encoder, settings.encoder_revision)


def _read(plan: FieldPlan, texts: Sequence[str], encoder: tuple[str, str], settings: Settings) -> Seen:
    mark = hashlib.sha256(repr((plan.model_dump_json(), encoder)).encode()).hexdigest()

    def read(new: list[tuple[str, str]]) -> list[tuple[Vectors, Array]]:
        rows: list[tuple[Vectors, Array]] = []
        for first in range(0, len(new), _READ_AT_ONCE):
            part = [text for _, text in new[first : first + _READ_AT_ONCE]]
            each = chances.opinions(plan, part, encoder, settings)
            vectors = each[0].vectors
            assert vectors is not None
            rows.extend(zip(vectors, chances.together(plan, each)[0].labels, strict=True))
        return rows

    rows = _seen.get([(mark, text) for text in texts], read)
    return Seen(np.stack([vector for vector, _ in rows]), np.stack([row for _, row in rows]))

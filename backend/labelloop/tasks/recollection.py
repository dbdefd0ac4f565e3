"""What a field remembers of the labels that people gave: from accepted examples to what serving mixes in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from labelloop.engines import Vectors
from labelloop.engines.identity import identify
from labelloop.engines.recent import Recent
from labelloop.settings import Settings
from labelloop.tasks import (
    chances,
    entities,
    memory,
    precision,
    relation_memory,
    showing,
    span_memory,
    structured,
    text_memory,
)
from labelloop.tasks.calibration import Array
from labelloop.tasks.chances import Chances
from labelloop.tasks.pairs import Pair
from labelloop.tasks.relations import Judged
from labelloop.tasks.roll import Example as Example
from labelloop.tasks.roll import Roll
from labelloop.tasks.shown import Shown
from labelloop.words import Field, FieldPlan, Path, Reading, Span

MOST_EXAMPLES = memory.MOST_EXAMPLES
_READ_AT_ONCE = 64


@dataclass(frozen=True)
class LabelMemory:
    """A ``chances.Recollection``. ``roll``: all examples, so that the very same text is known again. ``column``: of
    each label. ``needs``: where a precision is wished for, the least score of each label (``precision``)."""

    epoch: int
    encoder: tuple[str, str]
    several: bool
    head: memory.Head
    roll: Roll = field(repr=False)
    column: Mapping[Path, int] = field(repr=False)
    needs: precision.Needs = field(default_factory=dict, repr=False)
    shown: Shown | None = None

    @property
    def examples(self) -> int:
        return self.head.examples

    def accepted(self, texts: Sequence[str]) -> list[int]:
        """Rows of the texts for which labels were accepted as they stand."""
        return [row for row, text in enumerate(texts) if self.roll.find(text)]

    def chances(self, texts: Sequence[str], vectors: Vectors, zero_shot: Array) -> Array:
        """(n_texts, n_labels) of the same sort as ``zero_shot``."""
        found = {row: self.roll.find(text) for row, text in enumerate(texts)}
        same = {row: [self.column[path] for path in one.labels] for row, one in found.items() if one}
        return memory.recall(self.head, vectors, zero_shot, self.several, same)


Read = Callable[[Sequence[str]], Sequence[Chances]]
"""What each of a plan's engines says of texts, with the vectors that memory compares them by."""

_seen: Recent[tuple[str, str], list[Chances]] = Recent(4 * MOST_EXAMPLES)
_shares: Recent[str, tuple[tuple[float, ...], dict[Path, float]]] = Recent(64)
_judged: Recent[tuple[Hashable, ...], Judged] = Recent(2 * relation_memory.MOST_PAIRS)
_found: Recent[tuple[str, str], tuple[span_memory.Marked, ...]] = Recent(2 * MOST_EXAMPLES)


def learn(
    plan: FieldPlan, examples: Sequence[Example] | Roll, epoch: int, settings: Settings
) -> LabelMemory | span_memory.SpanMemory | relation_memory.RelationMemory | text_memory.TextMemory | None:
    """The memory of a field that chooses labels, marks entities or relates by an encoder, or writes; None of others, of
    those whose labels come with each item, and where no example can be used.

    Each example is read once in a process, however often this is asked; of the first call the reading is most of the
    time. Fitting takes milliseconds for ten labels and some tenths of a second for a hundred, and now and then (when
    the examples are an eighth more) a second or two.

    Args:
        plan: how the field is served; its engines' chances are what memory adds to.
        examples: in the order in which they were accepted; of the same text the last counts, and of them all the last
            ``MOST_EXAMPLES`` (``Roll.latest``). Held-out ones must not be among them.
        epoch: grows with each change of the examples.

    Raises:
        ModelError, SettingsError: as ``tasks.answer``.
    """
    roll = examples if isinstance(examples, Roll) else Roll.of(plan.field, examples)
    if structured.remembers(plan):
        return span_memory.learn(plan.field, marked(plan, roll, settings), epoch, plan.precision)
    if structured.relates(plan):
        return related(plan, roll.latest(MOST_EXAMPLES), epoch, partial(judged, plan, settings), settings)
    if structured.writes_texts(plan):
        latest = roll.latest(2 * text_memory.MOST_EXAMPLES)  # some of them may say the same
        accepted = [text_memory.Accepted(Reading.model_validate_json(one.text), one.texts) for one in latest]
        return text_memory.learn(accepted, epoch, encoder_of(plan, settings), settings)
    if plan.field.dynamic or plan.field.structured:
        return None
    encoder = encoder_of(plan, settings)

    def read(texts: Sequence[str]) -> Sequence[Chances]:
        return _read(plan, texts, encoder, settings)

    return remember(plan, roll, read, epoch, encoder, settings)


def marked(plan: FieldPlan, roll: Roll, settings: Settings) -> list[span_memory.Marked]:
    """The passages of the last ``MOST_EXAMPLES`` examples, as ``marked_each``."""
    return [one for its in marked_each(plan, roll.latest(MOST_EXAMPLES), settings) for one in its]


def marked_each(plan: FieldPlan, examples: Sequence[Example], settings: Settings) -> list[list[span_memory.Marked]]:
    """The passages of each example, with what models find in them and what people marked. Each is read once in a
    process."""
    mark = mark_of(plan)

    def read(new: list[tuple[str, str]]) -> list[tuple[span_memory.Marked, ...]]:
        made: list[tuple[span_memory.Marked, ...]] = []
        for first in range(0, len(new), _READ_AT_ONCE):
            made += go_through(plan, [text for _, text in new[first : first + _READ_AT_ONCE]], settings)
        return made

    each = _found.get([(mark, one.text) for one in examples], read)
    return [with_spans(its, one.spans) for its, one in zip(each, examples, strict=True)]


def mark_of(plan: FieldPlan) -> str:
    """Tells apart what models say without memory and training."""
    return hashlib.sha256(plan.model_copy(update={"adapter": None}).model_dump_json().encode()).hexdigest()


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
    return relation_memory.learn(columns, accepted, epoch, mark_of(plan), judge)


def judged(plan: FieldPlan, settings: Settings, pairs: Sequence[tuple[str, Pair]]) -> list[Judged]:
    """What the plan's models say of pairs of these texts. Each is read once in a process."""
    mark = mark_of(plan)
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
    plan: FieldPlan, roll: Roll, read: Read, epoch: int, encoder: tuple[str, str], settings: Settings
) -> LabelMemory | None:
    """As ``learn``, of a field that chooses labels. The same examples make the same memory in every process.

    Args:
        read: asked of texts that the memory is made of alone.
    """
    used = roll.latest(MOST_EXAMPLES)
    if not used:
        return None
    its = _known(plan, used, len(roll) - len(used), read)
    shown = showing.judge(plan, its, encoder, settings)
    shares, needs = _weighed(plan, roll, read, shown, settings)
    head = memory.fit(*_part(plan, its, shown, settings), shares)
    return LabelMemory(epoch, encoder, plan.field.multiple, head, roll, plan.field.columns, needs, shown)


def _weighed(
    plan: FieldPlan, roll: Roll, read: Read, shown: Shown | None, settings: Settings
) -> tuple[tuple[float, ...], dict[Path, float]]:
    """What costs most of a memory, and so is asked anew when there are an eighth more examples: how far each strength
    is believed, and where a precision is wished for the least score of each label."""
    settled = memory.settled(len(roll))
    known = roll.latest(MOST_EXAMPLES, beside=len(roll) - settled)
    how = {"field": plan.model_dump(mode="json"), "shown": shown and [shown.weight, shown.turns]}
    told = [how, *([one.text, *map(list, one.labels)] for one in known)]
    mark = hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def weigh(_: object) -> list[tuple[tuple[float, ...], dict[Path, float]]]:
        part = _part(plan, _known(plan, known, settled - len(known), read), shown, settings)
        shares = memory.weigh(*part)
        if plan.precision is None:
            return [(shares, {})]
        return [(shares, precision.needs(plan.field, precision.held_out(*part, shares), plan.precision))]

    return _shares.get([mark], weigh)[0]


def _known(plan: FieldPlan, examples: Sequence[Example], before: int, read: Read) -> showing.Read:
    texts = [one.text for one in examples]
    return showing.Read(texts, rights(plan.field, examples), read(texts), before)


def _part(
    plan: FieldPlan, its: showing.Read, shown: Shown | None, settings: Settings
) -> tuple[Vectors, memory.Right, Array, bool]:
    """What a head is fitted on: vectors, what is right, and the chances that it stands beside."""
    vectors = its.each[0].vectors
    assert vectors is not None
    zero_shot = chances.together(plan, showing.offsets(plan, its, shown, settings))[0].labels
    return vectors, its.right, zero_shot, plan.field.multiple


def rights(field: Field, examples: Sequence[Example]) -> memory.Right:
    """(n_examples, n_labels) which labels were accepted."""
    column = field.columns
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


def _read(plan: FieldPlan, texts: Sequence[str], encoder: tuple[str, str], settings: Settings) -> list[Chances]:
    """What each of the plan's engines says of the texts, with vectors."""
    without = plan.model_copy(update={"adapter": None})  # engines say the same with one
    mark = hashlib.sha256(repr((without.model_dump_json(), encoder)).encode()).hexdigest()

    def read(new: list[tuple[str, str]]) -> list[list[Chances]]:
        rows: list[list[Chances]] = []
        for first in range(0, len(new), _READ_AT_ONCE):
            part = [text for _, text in new[first : first + _READ_AT_ONCE]]
            each = chances.opinions(plan, part, encoder, settings)
            rows += [[one.row(place) for one in each] for place in range(len(part))]
        return rows

    rows = _seen.get([(mark, text) for text in texts], read)
    return [Chances.stacked([row[number] for row in rows]) for number in range(len(plan.alone))]

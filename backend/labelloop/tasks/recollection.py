"""What a field remembers of the labels that people gave: from accepted examples to what serving mixes in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from labelloop.engines import Vectors
from labelloop.engines.identity import identify
from labelloop.engines.recent import Recent
from labelloop.settings import Settings
from labelloop.tasks import chances, entities, memory, precision, showing, span_memory, structured, text_memory
from labelloop.tasks.calibration import Array
from labelloop.tasks.chances import Chances
from labelloop.tasks.shown import Shown
from labelloop.words import Field, FieldPlan, Path, Reading, Span

MOST_EXAMPLES = memory.MOST_EXAMPLES
_READ_AT_ONCE = 64


class Example(NamedTuple):
    """``text``: the rendered input of the field, as ``tasks.answer`` takes it. ``labels``: the accepted paths, in any
    order; none is an answer where several may be chosen. ``spans``: of a field that marks entities, the accepted ones;
    none is an answer. ``texts``: of a field that writes, the accepted ones."""

    text: str
    labels: tuple[Path, ...] = ()
    spans: tuple[Span, ...] = ()
    texts: tuple[str, ...] = ()


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
    shown: Shown | None = None

    @property
    def examples(self) -> int:
        return self.head.examples

    def chances(self, texts: Sequence[str], vectors: Vectors, zero_shot: Array) -> Array:
        """(n_texts, n_labels) of the same sort as ``zero_shot``."""
        same = {row: self.same[text] for row, text in enumerate(texts) if text in self.same}
        return memory.recall(self.head, vectors, zero_shot, self.several, same)


_seen: Recent[tuple[str, str], list[Chances]] = Recent(4 * MOST_EXAMPLES)
_shares: Recent[str, tuple[float, ...]] = Recent(64)
_needs: Recent[str, dict[Path, float]] = Recent(64)


_found: Recent[tuple[str, str], tuple[span_memory.Marked, ...]] = Recent(2 * MOST_EXAMPLES)


def learn(
    plan: FieldPlan, examples: Sequence[Example], epoch: int, settings: Settings
) -> LabelMemory | span_memory.SpanMemory | text_memory.TextMemory | None:
    """The memory of a field that chooses labels, marks entities by an encoder, or writes; None of other fields, of
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
    each = _read(plan, [one.text for one in used], encoder, settings)
    return remember(plan, usable, each, epoch, encoder, settings)


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


def remember(
    plan: FieldPlan,
    usable: Sequence[Example],
    each: Sequence[Chances],
    epoch: int,
    encoder: tuple[str, str],
    settings: Settings,
) -> LabelMemory:
    """As ``learn``, of examples that ``usable_of`` gave, the last of which have been read. The same examples make the
    same memory in every process.

    Args:
        each: what each of the plan's engines says of the last ``MOST_EXAMPLES`` of them, with vectors.
    """
    several = plan.field.multiple
    n = memory.settled(len(usable))
    first = max(0, len(usable) - MOST_EXAMPLES)  # of those that have been read
    right = rights(plan.field, usable[first:])
    vectors = each[0].vectors
    assert vectors is not None
    read = showing.Read([one.text for one in usable[first:]], right, each, first)
    shown = showing.judge(plan, read, encoder, settings)
    zero_shot = chances.together(plan, showing.offsets(plan, read, shown, settings))[0].labels
    how = {"field": plan.model_dump(mode="json"), "shown": shown and [shown.weight, shown.turns]}
    known = [how, *([one.text, *map(list, one.labels)] for one in usable[first:n])]
    mark = hashlib.sha256(json.dumps(known).encode()).hexdigest()

    part = (vectors[: n - first], right[: n - first], zero_shot[: n - first], several)
    shares = _shares.get([mark], lambda _: [memory.weigh(*part)])[0]
    head = memory.fit(vectors, right, zero_shot, several, shares)
    column = columns(plan.field)
    same = {one.text: tuple(column[path] for path in one.labels) for one in usable}
    made = LabelMemory(epoch, encoder, several, head, same, shown=shown)
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


def _read(plan: FieldPlan, texts: Sequence[str], encoder: tuple[str, str], settings: Settings) -> list[Chances]:
    """What each of the plan's engines says of the texts, with vectors."""
    mark = hashlib.sha256(repr((plan.model_dump_json(), encoder)).encode()).hexdigest()

    def read(new: list[tuple[str, str]]) -> list[list[Chances]]:
        rows: list[list[Chances]] = []
        for first in range(0, len(new), _READ_AT_ONCE):
            part = [text for _, text in new[first : first + _READ_AT_ONCE]]
            each = chances.opinions(plan, part, encoder, settings)
            rows += [[one.row(place) for one in each] for place in range(len(part))]
        return rows

    rows = _seen.get([(mark, text) for text in texts], read)
    return [Chances.stacked([row[number] for row in rows]) for number in range(len(plan.alone))]

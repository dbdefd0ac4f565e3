"""Whether a field's accepted examples help as demonstrations in the prompt: judged by examples that are not shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from labelloop.engines import Vectors
from labelloop.engines.recent import Recent
from labelloop.errors import ItemError
from labelloop.settings import Settings
from labelloop.tasks import calibration, chances, memory
from labelloop.tasks.chances import Chances
from labelloop.tasks.shown import Shown, Turns
from labelloop.words import FieldPlan

FEWEST = 16
"""Examples from which on demonstrations are tried: of fewer too few are left to judge by."""
MOST_CHOSEN = 512
"""The latest, among which demonstrations are chosen."""
MOST_JUDGING = 48
"""The latest of these that are not shown: each is read once more to judge."""
MOST_READ = 128
"""The latest that are read behind demonstrations for the head that stands beside them: each takes a causal model some
0.2 s on a CPU, and is a request to a remote one."""
_LEAST_JUDGING = 8
_PART = 4
"""One of so many examples is shown, where they are few; the others judge."""
_WEIGHTS = {"causal": (0.25, 0.5, 0.75, 1.0), "remote": (1.0,)}
"""Of demonstrations, by engines that read a prompt. A remote model is asked once of each text, not with and without
them: its requests cost money."""
_DOUBT = 1.0
"""Nats of ``memory.evidence`` by which demonstrations must be better than none."""
_STEP = 512
_READ_AT_ONCE = 64

_judged: Recent[str, Shown | None] = Recent(64)
_behind: Recent[tuple[str, str], Chances] = Recent(4 * memory.MOST_EXAMPLES)


class Read(NamedTuple):
    """The latest examples of a field. ``texts``; ``right``: (n_examples, n_labels) what was accepted; ``each``: what
    each of the plan's engines says of them without demonstrations, with vectors; ``before``: how many older ones there
    are."""

    texts: Sequence[str]
    right: memory.Right
    each: Sequence[Chances]
    before: int

    @property
    def total(self) -> int:
        return self.before + len(self.texts)


def upto(n: int) -> int:
    """By how many of ``n`` examples, the first ones, demonstrations are chosen and judged. It changes when they double,
    later when they are 512 more: in between prompts stay the same, and what is kept of them (``engines.prefix``)."""
    if n < 2 * _STEP:
        return 1 << (n.bit_length() - 1) if n else 0
    return memory.settled(n) // _STEP * _STEP


def judge(plan: FieldPlan, read: Read, encoder: tuple[str, str], settings: Settings) -> Shown | None:
    """The demonstrations that help, with their weight. None where they do not, of fewer than ``FEWEST`` examples, of
    fields with several labels, and of engines that read no prompt.

    A small model is often worse behind demonstrations. So the latest examples that are not shown are read with and
    without them, and what counts is how well memory's head, beside either, foretells such examples
    (``memory.evidence``): what the head learns by itself is no merit of theirs. It is the same in every process.

    The weight is the mean of those that were tried, by their evidence: a few examples cannot tell which is the best.

    Args:
        encoder: model and revision of the vectors.

    Raises:
        ModelError, SettingsError: as ``tasks.answer``.
    """
    number = next((place for place, one in enumerate(plan.alone) if one.engine in _WEIGHTS), None)
    upper = upto(read.total) - read.before
    if number is None or plan.field.multiple or upper < FEWEST:
        return None
    pool = list(range(max(0, upper - MOST_CHOSEN), upper))
    columns = read.right.argmax(axis=1).tolist()
    mark = _hash(plan.model_dump_json(), encoder, [(read.texts[row], columns[row]) for row in pool])

    def find(_: Sequence[str]) -> list[Shown | None]:
        try:
            return [_find(plan, number, read, pool, columns, settings)]
        except ItemError:  # a server refuses one of the texts: before others it would spoil them all
            return [None]

    return _judged.get([mark], find)[0]


def offsets(plan: FieldPlan, read: Read, shown: Shown | None, settings: Settings) -> list[Chances]:
    """What the plan's engines say of the examples, with what is shown: what the head stands beside. Those that are
    shown, whose own prompt holds the answer, and those before the latest ``MOST_READ`` keep what is said without.

    Raises:
        ModelError, SettingsError: as ``tasks.answer``.
    """
    if shown is None:
        return list(read.each)
    lower = max(0, memory.settled(read.total) - read.before - MOST_READ)
    held = {text for text, _ in shown.turns}
    rows = [row for row in range(lower, len(read.texts)) if read.texts[row] not in held]
    return _mixed(plan, read, rows, shown, settings)


def behind(
    plan: FieldPlan, texts: Sequence[str], each: Sequence[Chances], shown: Shown, settings: Settings
) -> list[Chances]:
    """What the plan's engines say of texts with what is shown, where it is known what they say without. Raises as
    ``offsets``."""
    one, plain = plan.alone[shown.number], each[shown.number]
    mark = _hash(one.model_dump_json(), shown.turns)

    def ask(new: list[tuple[str, str]]) -> list[Chances]:
        rows: list[Chances] = []
        for first in range(0, len(new), _READ_AT_ONCE):
            part = [text for _, text in new[first : first + _READ_AT_ONCE]]
            said = chances.behind(one, shown.turns, part, settings)
            rows += [said.row(place) for place in range(len(part))]
        return rows

    said = Chances.stacked(_behind.get([(mark, text) for text in texts], ask))
    made = list(each)
    made[shown.number] = replace(plain, labels=calibration.mix(plain.labels, said.labels, shown.weight))
    return made


def _find(
    plan: FieldPlan, number: int, read: Read, pool: Sequence[int], columns: Sequence[int], settings: Settings
) -> Shown | None:
    one, vectors = plan.alone[number], _vectors(read)
    texts, its = [read.texts[row] for row in pool], [columns[row] for row in pool]
    chosen = chances.demonstrations(one, texts, its, vectors[pool], len(pool) // _PART, settings)
    turns: Turns = tuple((texts[place], its[place]) for place in chosen)
    rows = [row for place, row in enumerate(pool) if place not in chosen][-MOST_JUDGING:]
    if not turns or len(rows) < _LEAST_JUDGING:
        return None

    def evidence(said: Sequence[Chances]) -> float:
        labels = chances.together(plan, said)[0].labels[rows]
        return memory.evidence(vectors[rows], read.right[rows], labels, plan.field.multiple)

    weights = np.array(_WEIGHTS[one.engine])
    every = [Shown(number, weight, turns) for weight in weights.tolist()]
    found = np.array([evidence(_mixed(plan, read, rows, shown, settings)) for shown in every])
    if found.max() <= evidence(read.each) + _DOUBT:
        return None
    likely = np.exp(found - found.max())
    return every[int(np.abs(weights - weights @ likely / likely.sum()).argmin())]


def _mixed(plan: FieldPlan, read: Read, rows: Sequence[int], shown: Shown, settings: Settings) -> list[Chances]:
    """What the engines say of all examples, with what is shown before those of ``rows``."""
    if not rows:
        return list(read.each)
    some = [replace(one, labels=one.labels[rows]) for one in read.each]
    said = behind(plan, [read.texts[row] for row in rows], some, shown, settings)[shown.number]
    labels = read.each[shown.number].labels.copy()
    labels[rows] = said.labels
    made = list(read.each)
    made[shown.number] = replace(made[shown.number], labels=labels)
    return made


def _vectors(read: Read) -> Vectors:
    vectors = read.each[0].vectors
    assert vectors is not None
    return vectors


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()

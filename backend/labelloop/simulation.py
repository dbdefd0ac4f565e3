"""A project replayed on rows whose labels are known: how good the next answers are after so many labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from labelloop import rivals
from labelloop.errors import RequestError
from labelloop.settings import Settings
from labelloop.studio.render import render_all
from labelloop.tasks import chances, classification, plan, recollection
from labelloop.tasks.chances import Chances
from labelloop.tasks.recollection import Example, LabelMemory, Seen
from labelloop.words import Answer, Field, FieldPlan, Path

Strategy = Literal["random", "uncertain"]
_READ_AT_ONCE = 32


@dataclass(frozen=True)
class Point:
    """``budget``: labels revealed. ``seed``: of the order in which they are. ``metric``, ``value``: of the test rows.
    ``seconds``: to learn from the labels and to answer the test rows, once models have read them. ``promoted``,
    ``refused``: versions that training made until then."""

    budget: int
    seed: int
    metric: str
    value: float
    seconds: float
    promoted: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Row:
    """``text``: the rendered input; "" where there is none. ``labels``: what is right."""

    text: str
    labels: tuple[Path, ...]


def rows_of(tasks: Sequence[Mapping[str, Any]], field: Field, gold: str) -> list[Row]:
    """The tasks with a gold label.

    Raises:
        RequestError: the field does not choose among labels of the config, or the column is not right for it.
    """
    if field.structured or field.dynamic:
        raise RequestError(
            f"'{field.name}' cannot be simulated: memory is for controls that choose among labels of the config.",
            "Name such a control with --field.",
        )
    known = rivals.read_rows(tasks, field, gold)
    texts = [render_all([field], task["data"])[0].get(field.name, "") for task in known.tasks]
    return [Row(text if text.strip() else "", right) for text, right in zip(texts, known.right, strict=True)]


class Simulation:
    """One field, its rows, and what its engines say of each text, which is asked once.

    The answers come from the code that serves: ``chances.decide`` with the memory that ``recollection.remember`` makes.

    Args:
        train: whose labels are revealed. test: on which answers are scored; no text of theirs should be in ``train``.
        noise: in [0, 1), the share of revealed labels that are wrong.
        strategy: which row is labelled next: a random one, or the one whose answer is least sure so far.

    Raises:
        RequestError: there are fewer rows than labels to reveal.
    """

    def __init__(
        self,
        field: Field,
        train: Sequence[Row],
        test: Sequence[Row],
        budgets: Sequence[int],
        seeds: int,
        settings: Settings,
        noise: float = 0.0,
        strategy: Strategy = "random",
    ) -> None:
        self.field, self.test, self.settings, self.noise, self.strategy = field, test, settings, noise, strategy
        self.train = [row for row in train if row.text]
        self.budgets, self.seeds = sorted(set(budgets)), range(seeds)
        if self.budgets[-1] > len(self.train):
            raise RequestError(
                f"{len(self.train)} rows have a text and a label, fewer than the budget {self.budgets[-1]}.",
                "Give smaller --budgets, or more rows.",
            )
        self.plan: FieldPlan = plan(field, settings)
        self._encoder = recollection.encoder_of(self.plan, settings)
        self._said: dict[str, list[Chances]] = {}

    def read(self, progress: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Asks the engines of all texts that may be needed. ``progress`` hears how many of how many are done."""
        needed = self.train
        if self.strategy == "random":
            needed = [self.train[row] for seed in self.seeds for row in self.order(seed)[: self.budgets[-1]]]
        texts = list(dict.fromkeys(row.text for row in [*needed, *self.test] if row.text))
        for first in range(0, len(texts), _READ_AT_ONCE):
            part = texts[first : first + _READ_AT_ONCE]
            each = chances.opinions(self.plan, part, self._encoder, self.settings)
            for place, text in enumerate(part):
                self._said[text] = [_row(one, place) for one in each]
            progress(min(first + _READ_AT_ONCE, len(texts)), len(texts))

    def run(self) -> Iterator[Point]:
        """The points, seed by seed and each from the least budget to the greatest."""
        for seed in self.seeds:
            revealed: list[Example] = []
            order = self.order(seed)
            spoil = np.random.default_rng([seed, 1])
            for budget in self.budgets:
                while len(revealed) < budget:
                    if self.strategy == "uncertain":
                        order = self._unsure_first(order, self.learn(revealed))
                    step = max(4, len(revealed) // 4) if self.strategy == "uncertain" else budget
                    count = min(step, budget - len(revealed))
                    revealed += [self._label(self.train[row], spoil) for row in order[:count]]
                    order = order[count:]
                began = time.perf_counter()
                memory = self.learn(revealed)
                answers = self.answers([row.text for row in self.test], memory)
                seconds = time.perf_counter() - began
                tally = rivals.tally_of(self.field, [row.labels for row in self.test], answers)
                yield Point(budget, seed, tally.metric, tally.value, round(seconds, 4))

    def said(self, text: str) -> list[Chances]:
        """What each engine says of a text that was read, with its vector."""
        return self._said[text]

    def order(self, seed: int) -> list[int]:
        """In which order the rows are labelled, where that does not depend on answers."""
        return [int(row) for row in np.random.default_rng(seed).permutation(len(self.train))]

    def learn(self, revealed: Sequence[Example]) -> LabelMemory | None:
        """The memory of labels; None of none. Their texts were read."""
        usable = recollection.usable_of(self.field, revealed)
        if not usable:
            return None
        each = self._together([one.text for one in usable[-recollection.MOST_EXAMPLES :]])
        vectors = each[0].vectors
        assert vectors is not None
        seen = Seen(vectors, chances.together(self.plan, each)[0].labels)
        return recollection.remember(self.plan, usable, seen, len(revealed), self._encoder)

    def answers(self, texts: Sequence[str], memory: LabelMemory | None) -> list[Answer]:
        """One Answer per text that was read; "" is answered with the reason."""
        known = list(dict.fromkeys(text for text in texts if text))
        decided = chances.decide(self.plan, known, self._together(known), memory) if known else []
        found = dict(zip(known, decided, strict=True))
        return [found[text] if text else classification.empty(self.field) for text in texts]

    def _unsure_first(self, order: Sequence[int], memory: LabelMemory | None) -> list[int]:
        scores = [one.score for one in self.answers([self.train[row].text for row in order], memory)]
        return [row for _, _, row in sorted(zip(scores, range(len(order)), order, strict=True))]

    def _label(self, row: Row, spoil: np.random.Generator) -> Example:
        """What a person says, who errs now and then: another label, or where several are chosen one more or less."""
        paths = [label.path for label in self.field.labels]
        errs, other = spoil.random() < self.noise, paths[int(spoil.integers(len(paths)))]
        if not errs:
            return Example(row.text, row.labels)
        if self.field.multiple:
            return Example(row.text, tuple(path for path in paths if (path in row.labels) != (path == other)))
        wrong = [path for path in paths if path not in row.labels]
        return Example(row.text, (other if other in wrong else wrong[0],) if wrong else row.labels)

    def _together(self, texts: Sequence[str]) -> list[Chances]:
        each = [self.said(text) for text in texts]
        return [_stack([one[number] for one in each]) for number in range(len(self.plan.alone))]


def _row(one: Chances, place: int) -> Chances:
    rows = slice(place, place + 1)
    vectors = None if one.vectors is None else one.vectors[rows]
    return replace(one, labels=one.labels[rows], windows=one.windows[rows], vectors=vectors)


def _stack(rows: Sequence[Chances]) -> Chances:
    vectors = [one.vectors for one in rows if one.vectors is not None]
    return Chances(
        np.concatenate([one.labels for one in rows]),
        [count for one in rows for count in one.windows],
        np.concatenate(vectors) if vectors else None,
    )

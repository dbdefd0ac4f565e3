"""A project replayed on rows whose labels are known: how good the next answers are after so many labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from labelloop import gold as rights
from labelloop import rivals
from labelloop.errors import RequestError
from labelloop.replay import Memory, replay_of
from labelloop.settings import Settings
from labelloop.studio.render import render_all
from labelloop.tasks import plan
from labelloop.tasks.recollection import Example
from labelloop.words import Answer, Field, Link, Path, Reading, Span

Strategy = Literal["random", "uncertain"]
_READ_AT_ONCE = 32


@dataclass(frozen=True)
class Point:
    """``budget``: labels revealed. ``seed``: of the order in which they are. ``metric``, ``value``: of the test rows.
    ``seconds``: to learn from the labels and to answer the test rows, once models have read them. ``promoted``,
    ``refused``: versions that training made until then. ``coverage``: where a precision is wished for, how much of what
    could be suggested (labels, or spans) is; ``precision``: how much of that is right. None: off, or there is none.
    """

    budget: int
    seed: int
    metric: str
    value: float
    seconds: float
    promoted: int = 0
    refused: int = 0
    coverage: float | None = None
    precision: float | None = None


@dataclass(frozen=True)
class Row:
    """``text``: the rendered input; "" where there is none. ``labels``, ``spans``, ``links``: what is right."""

    text: str
    labels: tuple[Path, ...] = ()
    spans: tuple[Span, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def example(self) -> Example:
        return Example(self.text, self.labels, self.spans, links=self.links)

    @property
    def told(self) -> set[Hashable]:
        """What is right, one by one."""
        return _parts(self.labels, self.spans)


def _told(answer: Answer) -> set[Hashable]:
    return _parts(answer.labels, answer.spans)


def _parts(labels: Sequence[Path], spans: Sequence[Span]) -> set[Hashable]:
    return {*labels, *((span.source, span.start, span.end, span.label) for span in spans)}


def rows_of(tasks: Sequence[Mapping[str, Any]], field: Field, gold: str) -> list[Row]:
    """The tasks with a gold label. Relations are asked for between the passages that the column names, related or not;
    a label that the field has not says that there is none.

    Raises:
        RequestError: the field neither chooses among labels of the config nor marks entities or relates, or the column
            is not right for it.
    """
    spans, relates = field.kind == "entities", field.kind == "relations"
    if field.dynamic or (field.structured and not spans and not relates):
        raise RequestError(
            f"'{field.name}' cannot be simulated: what is replayed are controls that choose labels of the config, mark "
            "entities or relate.",
            "Name such a control with --field.",
        )
    known = rivals.read_rows(tasks, field, gold)
    found = []
    for task, right in zip(known.tasks, known.right, strict=True):
        given = {field.name: rights.given_of(right)} if relates else None
        text = render_all([field], task["data"], given=given)[0].get(field.name, "")
        if relates:
            offered = {label.path[-1] for label in field.labels} or {""}
            links = tuple(link for link in right if link.label in offered)
            found.append(Row("" if not text or Reading.model_validate_json(text).empty else text, links=links))
        elif spans:
            found.append(Row("" if not text or Reading.model_validate_json(text).empty else text, spans=right))
        else:
            found.append(Row(text if text.strip() else "", right))
    return found


class Simulation:
    """One field, its rows, and what its engines say of each text, which is asked once.

    The answers come from the code that serves (``replay``), with models that read nothing twice.

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
        self.replay = replay_of(plan(field, settings), settings)

    def read(self, progress: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Asks the engines of all texts that may be needed. ``progress`` hears how many of how many are done."""
        needed = self.train
        if self.strategy == "random":
            needed = [self.train[row] for seed in self.seeds for row in self.order(seed)[: self.budgets[-1]]]
        texts = list(dict.fromkeys(row.text for row in [*needed, *self.test] if row.text))
        for first in range(0, len(texts), _READ_AT_ONCE):
            self.replay.read(texts[first : first + _READ_AT_ONCE])
            progress(min(first + _READ_AT_ONCE, len(texts)), len(texts))

    def run(self) -> Iterator[Point]:
        """The points, seed by seed and each from the least budget to the greatest."""
        wished = self.replay.plan.precision
        texts = [row.text for row in self.test]
        right = [row.links or row.spans or row.labels for row in self.test]
        for seed in self.seeds:
            revealed: list[Example] = []
            order = self.order(seed)
            spoil = np.random.default_rng([seed, 1])
            for budget in self.budgets:
                while len(revealed) < budget:
                    if self.strategy == "uncertain":
                        order = self._unsure_first(order, self.replay.learn(revealed))
                    step = max(4, len(revealed) // 4) if self.strategy == "uncertain" else budget
                    count = min(step, budget - len(revealed))
                    revealed += [self._label(self.train[row], spoil) for row in order[:count]]
                    order = order[count:]
                began = time.perf_counter()
                memory = self.replay.learn(revealed)
                answers = self.replay.answers(texts, memory, every=True)
                seconds = time.perf_counter() - began
                tally = rivals.tally_of(self.field, right, answers)
                point = Point(budget, seed, tally.metric, tally.value, round(seconds, 4))
                if wished is not None:
                    coverage, precision = self._held_back(answers, memory)
                    point = replace(point, coverage=coverage, precision=precision)
                yield point

    def order(self, seed: int) -> list[int]:
        """In which order the rows are labelled, where that does not depend on answers."""
        return [int(row) for row in np.random.default_rng(seed).permutation(len(self.train))]

    def _held_back(self, every: Sequence[Answer], memory: Memory | None) -> tuple[float | None, float | None]:
        """Coverage and precision, of the test rows. ``every``: their answers with what is not suggested."""
        said = sum(len(_told(one)) for one in every)
        kept = [_told(one) for one in self.replay.answers([row.text for row in self.test], memory)]
        suggested = sum(map(len, kept))
        right = sum(len(its & row.told) for its, row in zip(kept, self.test, strict=True))
        return suggested / said if said else None, right / suggested if suggested else None

    def _unsure_first(self, order: Sequence[int], memory: Memory | None) -> list[int]:
        scores = [one.score for one in self.replay.answers([self.train[row].text for row in order], memory)]
        return [row for _, _, row in sorted(zip(scores, range(len(order)), order, strict=True))]

    def _label(self, row: Row, spoil: np.random.Generator) -> Example:
        """What a person says, who errs now and then: another label, where several are chosen one more or less, and of
        spans and relations one in so many is not marked."""
        if self.field.structured:
            return Example(
                row.text,
                spans=tuple(span for span in row.spans if spoil.random() >= self.noise),
                links=tuple(link for link in row.links if spoil.random() >= self.noise),
            )
        paths = [label.path for label in self.field.labels]
        errs, other = spoil.random() < self.noise, paths[int(spoil.integers(len(paths)))]
        if not errs:
            return Example(row.text, row.labels)
        if self.field.multiple:
            return Example(row.text, tuple(path for path in paths if (path in row.labels) != (path == other)))
        wrong = [path for path in paths if path not in row.labels]
        return Example(row.text, (other if other in wrong else wrong[0],) if wrong else row.labels)

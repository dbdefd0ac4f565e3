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
from labelloop.replay_training import Training
from labelloop.settings import Settings
from labelloop.studio.render import render_all
from labelloop.tasks import plan
from labelloop.tasks.recollection import Example
from labelloop.words import WRITTEN, Answer, Bundle, Field, Link, Path, Reading, Span, posed

Strategy = Literal["random", "uncertain"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Point:
    """``budget``: labels revealed. ``seed``: of the order in which they are. ``metric``, ``value``: of the test rows.
    ``seconds``: to learn from the labels and to answer the test rows, beyond what no label changes. ``promoted``,
    ``refused``, ``undecided``: what the gate said until then of versions that training made. ``coverage``: where a
    precision is wished for, how much of what could be suggested (labels, or spans) is; ``precision``: how much of that
    is right. None: off, or there is none.
    """

    budget: int
    seed: int
    metric: str
    value: float
    seconds: float
    promoted: int = 0
    refused: int = 0
    undecided: int = 0
    coverage: float | None = None
    precision: float | None = None


@dataclass(frozen=True)
class Row:
    """``text``: the rendered input; "" where there is none. ``labels``, ``spans``, ``links``, ``texts``: what is right,
    of which a field has one kind; any of the texts may be written or quoted, or they are ids from best to worst."""

    text: str
    labels: tuple[Path, ...] = ()
    spans: tuple[Span, ...] = ()
    links: tuple[Link, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def right(self) -> tuple[Any, ...]:
        return self.labels or self.spans or self.links or self.texts

    @property
    def example(self) -> Example:
        """What a person accepts, who writes one text."""
        return Example(self.text, self.labels, self.spans, self.texts[:1], self.links)

    @property
    def told(self) -> set[Hashable]:
        """What is right, one by one."""
        return _parts(self.labels, self.spans)


def _told(answer: Answer) -> set[Hashable]:
    return _parts(answer.labels, answer.spans)


def _parts(labels: Sequence[Path], spans: Sequence[Span]) -> set[Hashable]:
    return {*labels, *((span.source, span.start, span.end, span.label) for span in spans)}


def rows_of(tasks: Sequence[Mapping[str, Any]], field: Field, gold: str) -> list[Row]:
    """The tasks with what is right for them. Relations are asked for between the passages that the column names,
    related or not; a label that the field has not says that there is none.

    Raises:
        RequestError: the field describes single regions, or the column is not right for it.
    """
    known = rivals.read_rows(tasks, field, gold)
    kept = {"entities": "spans", "relations": "links"}.get(field.kind)
    kept = kept or ("texts" if field.kind in rights.KINDS else "labels")
    offered = {label.path[-1] for label in field.labels} or {""}
    found = []
    for task, right in zip(known.tasks, known.right, strict=True):
        given = {field.name: rights.given_of(right)} if field.kind == "relations" else None
        text = render_all([field], task["data"], given=given)[0].get(field.name, "")
        if field.kind == "relations":
            right = tuple(link for link in right if link.label in offered)
        found.append(Row("" if _blank(field, text) else text, **{kept: right}))
    return found


def _blank(field: Field, text: str) -> bool:
    if not text.strip():
        return True
    if field.structured:
        return Reading.model_validate_json(text).empty
    return field.dynamic != "" and not posed(text)[0].strip()


class Simulation:
    """One field, its rows, and what its engines say of each text, which is asked once where no label changes it.

    The answers come from the code that serves (``replay``). ``learns``: whether labels change them.

    Args:
        train: whose labels are revealed. test: on which answers are scored; no text of theirs should be in ``train``.
        noise: in [0, 1), the share of revealed labels that are wrong.
        strategy: which row is labelled next: a random one, or the one whose answer is least sure so far.
        refresh: at each budget a challenger is trained, and serves from then on if the gate promotes it. Only of plans
            that are ``trainable``.

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
        refresh: bool = False,
    ) -> None:
        self.field, self.test, self.settings, self.noise = field, test, settings, noise
        self.train = [row for row in train if row.text]
        self.budgets, self.seeds = sorted(set(budgets)), range(seeds)
        if self.budgets[-1] > len(self.train):
            raise RequestError(
                f"{len(self.train)} rows have a text and a label, fewer than the budget {self.budgets[-1]}.",
                "Give smaller --budgets, or more rows.",
            )
        self.replay = replay_of(plan(field, settings), settings)
        self.learns = field.name in Bundle(plans=(self.replay.plan,)).learning
        self._unsure = strategy == "uncertain" and self.learns
        self.trains = refresh and self.replay.plan.trainable

    def read(self, progress: Progress = lambda done, of: None) -> None:
        """Asks the engines for all that no label changes and that may be needed. ``progress`` hears how many texts of
        how many are done."""
        needed = list(self.test) if self.replay.ahead or not self.learns or 0 in self.budgets else []
        if self._unsure:
            needed += self.train
        elif self.replay.ahead:
            needed += [self.train[row] for seed in self.seeds for row in self.order(seed)[: self.budgets[-1]]]
        texts = list(dict.fromkeys(row.text for row in needed if row.text))
        progress(0, len(texts))
        for first in range(0, len(texts), self.replay.at_once):
            part = texts[first : first + self.replay.at_once]
            self.replay.read(part)
            progress(first + len(part), len(texts))

    def run(
        self, progress: Progress = lambda done, of: None, training: Callable[[float], None] = lambda share: None
    ) -> Iterator[Point]:
        """The points, seed by seed and each from the least budget to the greatest. ``progress`` hears how many rows of
        how many are answered with labels that change them, ``training`` which share of a training is done."""
        wished = self.replay.plan.precision
        texts = [row.text for row in self.test]
        right = [row.right for row in self.test]
        done, of = 0, self._to_answer() if self.learns else 0
        progress(done, of)

        def hear(count: int) -> None:
            nonlocal done
            if self.learns and labelled:
                done += count
                progress(done, of)

        for seed in self.seeds:
            labelled: list[Row] = []
            revealed: list[Example] = []
            order = self.order(seed)
            spoil = np.random.default_rng([seed, 1])
            trainer = Training(self.replay, seed, self.settings, training) if self.trains else None
            for budget in self.budgets:
                for count in self._steps(len(labelled), budget):
                    if self._unsure:
                        order = self._unsure_first(order, self.replay.learn(revealed), hear)
                    new = [self.train[row] for row in order[:count]]
                    labelled += new
                    revealed += [self._label(row, labelled, spoil) for row in new]
                    order = order[count:]
                began = time.perf_counter()
                if trainer:
                    trainer.refresh(revealed)
                memory = self.replay.learn(revealed)
                answers = self._answers(texts, memory, hear, every=True)
                seconds = time.perf_counter() - began
                tally = rivals.tally_of(self.field, right, answers)
                counts = trainer.counts if trainer else {}
                point = Point(budget, seed, tally.metric, tally.value, round(seconds, 4), **counts)
                if wished is not None:
                    coverage, precision = self._held_back(answers, memory)
                    point = replace(point, coverage=coverage, precision=precision)
                yield point

    def _steps(self, known: int, budget: int) -> Iterator[int]:
        """How many rows more are labelled, before answers choose again which ones come next."""
        while known < budget:
            step = max(4, known // 4) if self._unsure else budget
            count = min(step, budget - known)
            yield count
            known += count

    def _to_answer(self) -> int:
        """Rows that are answered with labels that change the answer, by all seeds together."""
        known, total = 0, 0
        for budget in self.budgets:
            for count in self._steps(known, budget):
                if self._unsure and known:
                    total += len(self.train) - known
                known += count
            total += len(self.test) if known else 0
        return total * len(self.seeds)

    def _answers(
        self, texts: Sequence[str], memory: Memory | None, hear: Callable[[int], None], every: bool = False
    ) -> list[Answer]:
        step = max(1, len(texts)) if self.replay.ahead else self.replay.at_once
        found: list[Answer] = []
        for first in range(0, len(texts), step):
            part = texts[first : first + step]
            found += self.replay.answers(part, memory, every)
            hear(len(part))
        return found

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

    def _unsure_first(self, order: Sequence[int], memory: Memory | None, hear: Callable[[int], None]) -> list[int]:
        scores = [one.score for one in self._answers([self.train[row].text for row in order], memory, hear)]
        return [row for _, _, row in sorted(zip(scores, range(len(order)), order, strict=True))]

    def _label(self, row: Row, labelled: Sequence[Row], spoil: np.random.Generator) -> Example:
        """What a person says, who errs now and then: another label, where several are chosen one more or less, the text
        of another of the rows that are ``labelled``, and of spans and relations one in so many is not marked."""
        if not self.learns:
            return row.example
        if self.field.kind in ("entities", "relations"):
            return Example(
                row.text,
                spans=tuple(span for span in row.spans if spoil.random() >= self.noise),
                links=tuple(link for link in row.links if spoil.random() >= self.noise),
            )
        errs = spoil.random() < self.noise
        if self.field.kind in WRITTEN:
            texts = [one.texts[:1] for one in labelled if one.texts[:1] != row.texts[:1]]
            return row.example._replace(texts=texts[int(spoil.integers(len(texts)))]) if errs and texts else row.example
        paths = [label.path for label in self.field.labels]
        other = paths[int(spoil.integers(len(paths)))]
        if not errs:
            return Example(row.text, row.labels)
        if self.field.multiple:
            return Example(row.text, tuple(path for path in paths if (path in row.labels) != (path == other)))
        wrong = [path for path in paths if path not in row.labels]
        return Example(row.text, (other if other in wrong else wrong[0],) if wrong else row.labels)

"""Alternatives for one field on the same rows: what each gains, and whether the rows tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelloop import gold as rights
from labelloop import offline
from labelloop.errors import RequestError
from labelloop.evaluation import Estimate, Tally, ahead, differing, estimate, of_labels
from labelloop.settings import Settings
from labelloop.studio.schema import Schema
from labelloop.words import Answer, Field

FEWEST = 6
"""Rows that must come out differently before a difference is believed: five that all favour one side still happen by
chance in one of 16 cases (a sign test's p is 2 / 2^5 = 0.06), which a bootstrap of so few rows does not see."""


@dataclass(frozen=True)
class Rows:
    """Tasks whose gold is known, and what is right for each. ``left_out``: tasks without gold. ``unknown``: values
    that are no label, with their numbers."""

    tasks: list[Mapping[str, Any]]
    right: list[Any]
    left_out: int
    unknown: Mapping[str, int]


def read_rows(tasks: Sequence[Mapping[str, Any]], field: Field, gold: str, most: int | None = None) -> Rows:
    """The tasks with a gold value, at most ``most`` of them, drawn at random, the same each time.

    Raises:
        RequestError: no task has the column, or none of its values can be right for the field.
    """
    known, unknown = rights.read_known(tasks, field, gold)
    pairs = [(task, right) for task, right in zip(tasks, known, strict=True) if right is not None]
    if not pairs:
        raise RequestError(f"No task has a value in the column '{gold}'.", "Name the column with what is right.")
    left_out = len(tasks) - len(pairs)
    if most is not None and most < len(pairs):
        pairs = offline.draw(pairs, most)
    return Rows([task for task, _ in pairs], [right for _, right in pairs], left_out, unknown)


@dataclass(frozen=True)
class Run:
    """One alternative on the rows. ``seconds``: to answer them, models warm."""

    name: str
    tally: Tally
    metric: Estimate
    seconds: float
    answers: Sequence[Answer]


def run(
    name: str,
    rows: Rows,
    field: Field,
    schema: Schema,
    settings: Settings,
    progress: Callable[[int], None] = lambda _: None,
) -> Run:
    """Answers the rows with these settings. Raises what ``offline.predict`` raises."""
    only = offline.with_needed(schema, field)
    offline.predict(rows.tasks[:1], only, settings)  # loads and fits what the first answer waits for
    predicted = offline.predict(rows.tasks, only, settings, progress)
    answers = [found[0] for found in predicted.answers]
    tally = tally_of(field, rows.right, answers)
    return Run(name, tally, estimate(tally), predicted.seconds, answers)


def tally_of(field: Field, right: Sequence[Any], answers: Sequence[Answer]) -> Tally:
    """What each row gained, by the metric of the field's kind: accuracy of one label, micro-F1 of several."""
    if field.kind in rights.KINDS:
        return rights.tally(field, right, answers)
    return of_labels(field, right, answers)


@dataclass(frozen=True)
class Verdict:
    """``gain``: over the first run, with its interval. ``told``: whether the rows tell the two apart."""

    gain: Estimate
    rows: int
    differ: int

    @property
    def told(self) -> bool:
        return self.differ >= FEWEST and not self.gain.low <= 0 <= self.gain.high

    @property
    def words(self) -> str:
        """What that means, as the second half of a sentence that begins with the run's name."""
        if not self.differ:
            return f"does as the first on each of {self.rows} rows"
        if self.told:
            return f"is {'better' if self.gain.value > 0 else 'worse'} than the first"
        few = f": only {self.differ} come out differently" if self.differ < FEWEST else ""
        return f"no difference can be told from {self.rows} rows{few}"


def against_first(runs: Sequence[Run]) -> list[Verdict]:
    """Of each run but the first. The more there are, the wider each interval, so that all hold together at 95 %."""
    first, others = runs[0], runs[1:]
    level = 1 - 0.05 / max(1, len(others))
    return [
        Verdict(ahead(one.tally, first.tally, level), len(first.tally.gained), differing(one.tally, first.tally))
        for one in others
    ]


def winner(runs: Sequence[Run], verdicts: Sequence[Verdict]) -> Run | None:
    """The best run that is told to be better than the first; None where there is none."""
    better = [one for one, its in zip(runs[1:], verdicts, strict=True) if its.told and its.gain.value > 0]
    return max(better, key=lambda one: one.metric.value, default=None)


def as_json(one: Run, verdict: Verdict | None) -> dict[str, Any]:
    """A run for a report: its figures, and per row what it gained of what it could."""
    made: dict[str, Any] = {
        "name": one.name,
        "metric": one.tally.metric,
        **one.metric._asdict(),
        "seconds": round(one.seconds, 3),
        "by_row": [[float(a), float(b)] for a, b in zip(one.tally.gained, one.tally.possible, strict=True)],
    }
    if verdict:
        made["against_first"] = {**verdict.gain._asdict(), "rows_that_differ": verdict.differ, "told": verdict.told}
        made["verdict"] = verdict.words
    return made

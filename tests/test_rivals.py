"""When rows tell two alternatives apart, and by which figure each kind is compared."""

import numpy as np
import pytest

from labelloop.evaluation import Tally, estimate
from labelloop.rivals import Run, against_first, tally_of, winner
from labelloop.words import Answer, Field, Link, Span


def made(name: str, gained: list[int]) -> Run:
    tally = Tally("accuracy", np.array(gained, np.float64), np.ones(len(gained)))
    return Run(name, tally, estimate(tally), 1.0, [])


def field(kind: str, multiple: bool = False) -> Field:
    return Field(name="f", tag="Choices", kind=kind, to_name="text", labels=(), sources=(), multiple=multiple)


def test_five_rows_that_differ_are_too_few_and_six_suffice() -> None:
    runs = [made("a", [0] * 6), made("b", [1] * 5 + [0]), made("c", [1] * 6)]
    few, enough = against_first(runs)
    assert not few.told and "only 5" in few.words and few.gain.low > 0  # a bootstrap alone would believe it
    assert enough.told and enough.words == "is better than the first"
    assert winner(runs, [few, enough]) is runs[2]


def test_nobody_wins_where_nothing_is_told_or_others_are_worse() -> None:
    runs = [made("a", [1, 0] * 20), made("b", [1, 0] * 20), made("c", [0, 1] * 20), made("d", [0] * 40)]
    same, swapped, worse = verdicts = against_first(runs)
    assert same.words == "does as the first on each of 40 rows"
    assert swapped.words == "no difference can be told from 40 rows"
    assert worse.told and worse.words == "is worse than the first"
    assert winner(runs, verdicts) is None


def test_the_best_of_several_better_ones_wins() -> None:
    runs = [made("a", [0] * 40), made("b", [1, 0] * 20), made("c", [1] * 40)]
    assert winner(runs, against_first(runs)) is runs[2]


def test_each_kind_is_compared_by_its_own_figure() -> None:
    one = tally_of(field("classification"), [(("a",),), (("b",),)], [answer("a"), answer("a")])
    assert (one.metric, one.value) == ("accuracy", 0.5)
    several = tally_of(field("classification", multiple=True), [(("a",), ("b",)), ()], [answer("a"), answer()])
    assert (several.metric, several.value) == ("micro-F1", pytest.approx(2 / 3))
    spans = tuple(Span(field="f", source="t", start=s, end=s + 1, text="x", label=("L",)) for s in (0, 5))
    marked = Answer(field="f", labels=(), score=1.0, spans=spans[:1])
    found = tally_of(field("entities"), [spans, ()], [marked, Answer(field="f", labels=(), score=1.0)])
    assert (found.metric, found.value) == ("exact F1", pytest.approx(2 / 3))
    link = Link(head=spans[0], tail=spans[1])
    linked = tally_of(field("relations"), [(link,)], [Answer(field="f", labels=(), score=1.0, links=(link,))])
    assert linked.value == 1.0
    quoted = tally_of(
        field("extraction"), [("red house",)], [Answer(field="f", labels=(), score=1.0, texts=("house",))]
    )
    assert quoted.value == pytest.approx(2 / 3)


def answer(*labels: str) -> Answer:
    return Answer(field="f", labels=tuple((label,) for label in labels), score=1.0)

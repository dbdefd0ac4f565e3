"""Which of two texts is better, with the real starter encoder."""

from collections.abc import Sequence

import pytest

from labelloop import tasks
from labelloop.settings import Settings
from labelloop.words import Answer, Field, Label, Passage, Reading

from .judgements import COMPARISONS

POLITE = ("Thank you for waiting, I will look into it right away.", "Stop asking, you idiot.")


def compare(pairs: Sequence[tuple[str, ...]], settings: Settings, question: str = "", query: str = "") -> list[Answer]:
    sides = tuple(Label(path=(side,), text=side) for side in ("left", "right"))
    field = Field(
        name="better", tag="Pairwise", kind="comparison", to_name="a", labels=sides, sources=(), question=question
    )
    readings = [
        Reading(passages=tuple(Passage(name=f"t{i}", text=text) for i, text in enumerate(pair)), query=query)
        for pair in pairs
    ]
    answers = tasks.answer(
        tasks.make_bundle([field], settings), [{"better": reading.dump()} for reading in readings], settings
    )
    return [one for (one,) in answers]


def test_most_obvious_comparisons_are_right_and_swapping_swaps_them(cpu: Settings) -> None:
    right = 0
    for question, query, better, worse in COMPARISONS:
        first, second = compare([(better, worse), (worse, better)], cpu, question, query)
        assert first.labels != second.labels and first.score == second.score
        assert dict(first.alternatives) == {first.labels[0]: first.score, second.labels[0]: round(1 - first.score, 4)}
        right += first.labels == (("left",),)
    assert right >= 25  # of 30; of coins at most 20 in 99 of 100 cases


def test_equal_texts_are_even(cpu: Settings) -> None:
    same, blank = compare([("Yes.", "Yes."), ("Yes.", "  ")], cpu, "Which is more polite?")
    assert same.labels == (("left",),) and same.score == 0.5
    assert blank.labels == (("left",),) and blank.score > 0.9


@pytest.mark.parametrize(
    ("question", "side"),
    [
        ("Which reply is more polite?", "left"),
        ("Which reply is ruder?", "right"),
        ("Which reply is the least polite?", "right"),
        ("Rate from most to least polite", "left"),
        ("Which is longer?", "left"),
        ("Which is shorter?", "right"),
    ],
)
def test_the_words_of_the_field_decide(cpu: Settings, question: str, side: str) -> None:
    (answer,) = compare([POLITE], cpu, question)
    assert answer.labels == ((side,),) and 0.5 < answer.score < 1


def test_a_request_decides_where_the_field_says_nothing(cpu: Settings) -> None:
    pair = ("Bread rises because of yeast.", "The tyre pressure is too low.")
    (bread,), (tyre,) = (compare([pair], cpu, query=query) for query in ("why does bread rise", "car tyres"))
    assert bread.labels == (("left",),) and tyre.labels == (("right",),)


def test_one_text_alone_cannot_be_compared(cpu: Settings) -> None:
    (answer,) = compare([("Only one.",)], cpu)
    assert answer.reason == "A comparison needs two texts." and answer.labels == () and answer.score == 0.0


def test_an_answer_does_not_depend_on_other_items(cpu: Settings) -> None:
    pairs = [
        POLITE,
        ("a", "b"),
        ("😀 Hello!\r\n", "Привет"),
        ("long " * 2000, "short"),
        *[("x y", f"z {i}") for i in range(20)],
    ]
    together = compare(pairs, cpu, "Which is more polite?")
    for index in (0, 2, 3):
        (alone,) = compare([pairs[index]], cpu, "Which is more polite?")
        assert alone.labels == together[index].labels and alone.score == pytest.approx(together[index].score, abs=2e-4)

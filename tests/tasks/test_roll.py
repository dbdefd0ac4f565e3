"""Examples that come and go: the same ones stand in the end, however they came, and of many the right ones are kept."""

from hypothesis import given
from hypothesis import strategies as st

from labelloop.tasks.roll import Example, Roll
from labelloop.words import Field, Label

NAMES = ("a", "b", "c")
FIELD = Field(
    name="f",
    tag="Choices",
    kind="classification",
    to_name="t",
    labels=tuple(Label(path=(name,), text=name) for name in NAMES),
    sources=(),
)

example = st.builds(lambda text, label: Example(text, ((label,),)), st.sampled_from("uvwxyz"), st.sampled_from("abc"))
changes = st.lists(st.tuples(st.integers(0, 5), st.none() | example), max_size=40)


@given(changes, st.integers(1, 6), st.integers(0, 3))
def test_however_examples_came_and_went_the_roll_is_that_of_what_is_left(
    its: list[tuple[int, Example | None]], most: int, beside: int
) -> None:
    roll, left = Roll(FIELD), dict[int, Example]()
    for item, one in its:
        roll.put(item, one)
        left.pop(item, None)
        if one is not None:
            left[item] = one
    fresh = Roll.of(FIELD, left.values())
    assert roll.latest(most, beside) == fresh.latest(most, beside)
    assert [roll.find(text) for text in "uvwxyz"] == [fresh.find(text) for text in "uvwxyz"]
    latest = {one.text: one for one in left.values()}
    assert len(roll) == len(latest) and {one.text: one for one in roll.latest(99)} == latest


def test_the_latest_answer_to_a_text_counts_and_the_former_again_once_it_is_gone() -> None:
    roll = Roll(FIELD)
    roll.put(1, Example("x", (("a",),)))
    roll.put(2, Example("x", (("b",),)))
    assert roll.find("x") == Example("x", (("b",),)) and len(roll) == 1
    roll.put(2, None)
    assert roll.find("x") == Example("x", (("a",),))
    roll.put(1, None)
    assert roll.find("x") is None and roll.latest(9) == []


def test_of_many_the_newest_are_taken_and_rare_labels_are_not_forgotten() -> None:
    rare = [Example(f"rare {n}", (("a",),)) for n in range(3)]
    usual = [Example(f"usual {n}", (("b",),)) for n in range(100)]
    roll = Roll.of(FIELD, [*rare, *usual])
    assert roll.latest(12) == [*rare[-2:], *usual[-10:]]  # a sixth of 12 each, as there are three labels
    assert roll.latest(12, beside=50) == [*rare[-2:], *usual[40:50]]


def test_all_are_taken_where_there_are_few() -> None:
    its = [Example(f"text {n}", (("c",),)) for n in range(5)]
    assert Roll.of(FIELD, its).latest(5) == its
    assert Roll.of(FIELD, its).latest(5, beside=2) == its[:3]

"""The dry run's verdict: from scores and the spread of answers, with a reason that a project owner can act on."""

import pytest

from labelloop.trial import judge
from labelloop.words import Answer, Field, Label, Source, Span


def field(count: int, multiple: bool = False, hints: bool = False) -> Field:
    labels = tuple(Label(path=(f"l{n}",), text=f"l{n}", description="told" if hints else "") for n in range(count))
    source = Source(name="t", tag="Text", key="text")
    return Field(
        name="f", tag="Choices", kind="classification", to_name="t", labels=labels, sources=(source,), multiple=multiple
    )


def answers(*scores: float, labels: int = 4) -> list[Answer]:
    return [Answer(field="f", labels=((f"l{n % labels}",),), score=score) for n, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("score", "labels", "helps"),
    [(0.9, 4, "yes"), (0.5, 4, "perhaps"), (0.3, 4, "no"), (0.55, 2, "no"), (0.35, 77, "no")],
)
def test_the_expected_share_of_right_answers_decides(score: float, labels: int, helps: str) -> None:
    verdict = judge(field(labels), answers(*[score] * 40))
    assert verdict.helps == helps
    assert f"{score:.0%}" in verdict.why
    assert verdict.expected == pytest.approx(score)


def test_one_answer_for_everything_is_told_and_hints_are_suggested() -> None:
    verdict = judge(field(4), answers(*[0.9] * 40, labels=1))
    assert verdict.helps == "perhaps"
    assert "'l0'" in verdict.why and "hints" in verdict.why
    assert "hints" not in judge(field(4, hints=True), answers(*[0.9] * 40, labels=1)).why


def test_labels_of_each_task_are_judged_by_their_scores_alone() -> None:
    own = field(0).model_copy(update={"dynamic": "options"})
    assert [judge(own, answers(*[score] * 40)).helps for score in (0.9, 0.5, 0.2)] == ["yes", "perhaps", "no"]


def test_items_that_cannot_be_read_are_counted() -> None:
    unread = [Answer(field="f", labels=(), score=0.0, reason="no 'text'")]
    verdict = judge(field(4), answers(0.9, 0.8) + unread)
    assert verdict.unread == 1 and "1 of 3 tasks" in verdict.why
    nothing = judge(field(4), unread)
    assert nothing.helps == "no" and "no 'text'" in nothing.why


def test_the_spread_is_that_of_the_scores() -> None:
    verdict = judge(field(4), answers(*[n / 100 for n in range(1, 100)]))
    assert verdict.quartiles == pytest.approx((0.25, 0.5, 0.75), abs=0.01)
    assert sum(verdict.chosen.values()) == 99


def test_spans_are_judged_by_their_scores_and_by_whether_there_are_any() -> None:
    spans = field(3).model_copy(update={"kind": "entities"})
    there = Span(field="f", source="t", start=0, end=1, text="x", label=("l0",))
    some = [Answer(field="f", labels=(), score=0.7, spans=(there,)) for _ in range(20)]
    none = [Answer(field="f", labels=(), score=0.9) for _ in range(20)]
    assert judge(spans, some).helps == "yes" and judge(spans, some).chosen == {"(some)": 20}
    assert judge(spans, none).helps == "perhaps" and "finds nothing" in judge(spans, none).why
    assert judge(spans, some + none).helps == "yes"

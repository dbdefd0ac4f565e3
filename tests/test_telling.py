"""An answer in one line."""

from typing import Any

import pytest

from labelloop.telling import group, tell
from labelloop.words import Answer, Field, Link, Remark, Span


def field(kind: str) -> Field:
    return Field(name="f", tag="Labels", kind=kind, to_name="t", labels=(), sources=())


def span(text: str, label: str = "person") -> Span:
    return Span(field="f", source="t", start=0, end=len(text), text=text, label=(label,))


ADA, ACME = span("Ada"), span("Acme\n Inc.", "company")


@pytest.mark.parametrize(
    ("kind", "answer", "line"),
    [
        ("classification", {"labels": (("A", "B"), ("C",))}, "B, C"),
        ("classification", {}, "–"),
        ("entities", {"spans": (ADA, ACME)}, "2 entities: Ada (person), Acme Inc. (company)"),
        ("entities", {"spans": (ADA,)}, "1 entity: Ada (person)"),
        ("entities", {}, "no entities"),
        ("entities", {"spans": (ADA,) * 7}, f"7 entities: {', '.join(['Ada (person)'] * 5)}, and 2 more"),
        ("entities", {"spans": (span("x" * 90),)}, f"1 entity: {'x' * 39}… (person)"),
        ("relations", {"links": (Link(head=ADA, tail=ACME, label="owns"),)}, "1 relation: Ada owns → Acme Inc."),
        ("relations", {"links": (Link(head=ADA, tail=ACME, direction="bi"),)}, "1 relation: Ada ↔ Acme Inc."),
        ("remarks", {"remarks": (Remark(span=ADA, labels=(("known",),)),)}, "1 remark: Ada: known"),
        ("extraction", {"texts": ("in Rome",)}, '"in Rome"'),
        ("extraction", {"spans": (ADA,)}, '"Ada"'),
        ("extraction", {}, "–"),
        ("comparison", {"labels": (("left",),)}, "left"),
        ("ranking", {"order": (("", ("b", "a")),)}, "b > a"),
        ("ranking", {"order": (("good", ("b",)), ("bad", ("a", "c")))}, "good: b; bad: a > c"),
        ("entities", {"reason": "the text is empty"}, "–"),
    ],
)
def test_each_kind_of_answer_is_one_line(kind: str, answer: dict[str, Any], line: str) -> None:
    assert tell(field(kind), Answer(**{"field": "f", "labels": (), "score": 0.5, **answer})) == line


@pytest.mark.parametrize(
    ("kind", "answer", "counted"),
    [
        ("classification", {"labels": (("A", "B"),)}, "A > B"),
        ("comparison", {"labels": (("left",),)}, "left"),
        ("entities", {"spans": (ADA,)}, "(some)"),
        ("entities", {}, "(none)"),
        ("ranking", {"order": (("", ("a",)),)}, "(some)"),
    ],
)
def test_answers_are_counted_by_what_they_have_in_common(kind: str, answer: dict[str, Any], counted: str) -> None:
    assert group(field(kind), Answer(**{"field": "f", "labels": (), "score": 0.5, **answer})) == counted

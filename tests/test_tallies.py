"""What answers gain, and which are right, of each kind that can be trained."""

import pytest

from labelloop import tallies
from labelloop.words import Answer, Field, Label, Link, Span

LABELS = (Label(path=("Person",), text="Person"), Label(path=("Place",), text="Place"))


def field(kind: str, multiple: bool = False) -> Field:
    labels = () if kind == "summarisation" else LABELS
    tag = {"classification": "Choices", "entities": "Labels", "relations": "Relations"}.get(kind, "TextArea")
    return Field(name="it", tag=tag, kind=kind, to_name="text", labels=labels, sources=(), multiple=multiple)


def span(start: int, label: str) -> Span:
    return Span(field="it", source="text", start=start, end=start + 4, text="word", label=(label,))


def test_spans_count_by_place_and_label() -> None:
    right = [(span(0, "Person"), span(9, "Place")), ()]
    answers = [
        Answer(field="it", labels=(), spans=(span(0, "Person"), span(9, "Person")), score=0.5),
        Answer(field="it", labels=(), score=1),
    ]
    its = tallies.tally(field("entities"), right, answers)
    assert (its.metric, its.gained.tolist(), its.possible.tolist()) == ("exact F1", [2.0, 0.0], [4.0, 0.0])
    assert tallies.hits(field("entities"), right, answers) == [False, True]
    assert tallies.names(field("entities"), right, answers) == [("Person",), ()]
    assert tallies.gold(field("entities"), right) == [("Person", "Place"), ()]


def test_links_count_with_their_direction_and_without_labels_that_the_field_has_not() -> None:
    link = Link(head=span(0, "Person"), tail=span(9, "Place"), label="Place", direction="right")
    turned = link.model_copy(update={"direction": "left"})
    same = turned.model_copy(update={"head": link.tail, "tail": link.head})
    other = link.model_copy(update={"label": "Other"})
    right = [(link,), (link,), (other,)]
    answers = [Answer(field="it", labels=(), links=links, score=0.5) for links in ((turned,), (same,), ())]
    assert tallies.hits(field("relations"), right, answers) == [False, True, True]
    assert tallies.tally(field("relations"), right, answers).gained.tolist() == [0.0, 2.0, 0.0]


def test_labels_count_as_ever() -> None:
    right = [(("Person",),), ()]
    answers = [Answer(field="it", labels=(("Place",),), score=0.9), Answer(field="it", labels=(), score=0.9)]
    assert tallies.hits(field("classification", multiple=True), right, answers) == [False, True]
    assert tallies.names(field("classification", multiple=True), right, answers) == [("Place",), ()]
    assert tallies.tally(field("classification"), right[:1], answers[:1]).metric == "accuracy"


def test_texts_count_by_how_near_they_are() -> None:
    right = [("The cat sat on the mat.",), ("The cat sat on the mat.",)]
    answers = [Answer(field="it", labels=(), texts=(text,), score=0.5) for text in ("The cat sat on the mat.", "No.")]
    its = tallies.tally(field("summarisation"), right, answers)
    assert its.metric == "ROUGE-L" and its.gained.tolist()[0] == pytest.approx(1) and its.gained[1] < 0.2
    assert tallies.hits(field("summarisation"), right, answers) == [True, False]
    assert tallies.names(field("summarisation"), right, answers) == [("The cat sat on the mat.",), ("No.",)]
    assert tallies.gold(field("summarisation"), right) == [(), ()]


def test_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="ranking"):
        tallies.tally(field("ranking"), [()], [Answer(field="it", labels=(), score=0.1)])

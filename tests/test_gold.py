"""Right answers from a column, and scores worked out by hand."""

from typing import Any

import pytest

from labelloop.errors import RequestError
from labelloop.gold import evaluate_right, given_of, read_right
from labelloop.studio.schema import read_config
from labelloop.words import Answer, Field, Link, Span

SPANS = """<View><Relations><Relation value="founded"/></Relations>
<Labels name="ner" toName="text"><Label value="Person"/><Label value="Company"/></Labels>
<Text name="text" value="$text"/></View>"""
QUESTION = """<View><Text name="question" value="$question"/><Text name="context" value="$context"/>
<TextArea name="answer" toName="context"/></View>"""
RANKER = '<View><List name="list" value="$items"/><Ranker name="rank" toName="list"/></View>'
TEXT = "😀 Ada founded Acme."


def field(config: str, kind: str) -> Field:
    return next(one for one in read_config(config).fields if one.kind == kind)


NER, RELATIONS = field(SPANS, "entities"), field(SPANS, "relations")
ANSWER, RANK = field(QUESTION, "extraction"), field(RANKER, "ranking")


def span(start: int, end: int, label: str = "Person", score: float = 1.0) -> Span:
    return Span(field="ner", source="text", start=start, end=end, text=TEXT[start:end], label=(label,), score=score)


def task(**data: Any) -> dict[str, Any]:
    return {"data": {"text": TEXT, **data}}


def test_spans_are_read_by_offsets_or_as_regions() -> None:
    region = {"to_name": "text", "type": "labels", "value": {"start": 14, "end": 18, "labels": ["Company"]}}
    ((first, second),) = read_right([task(gold=[{"start": 2, "end": 5, "label": "Person"}, region])], NER, "gold")
    assert (first.text, first.label) == ("Ada", ("Person",)) and (second.text, second.label) == ("Acme", ("Company",))
    assert read_right([task(gold=[]), task()], NER, "gold") == [(), None]


def test_relations_are_read_as_links_or_as_a_label_beside_head_and_tail() -> None:
    head, tail = {"start": 2, "end": 5}, {"start": 14, "end": 18}
    for data in (
        {"gold": [{"head": head, "tail": tail, "label": "founded"}]},
        {"gold": "founded(e1,e2)", "head": head, "tail": tail},
        {"gold": "founded(e2,e1)", "head": tail, "tail": head},
    ):
        ((link,),) = read_right([task(**data)], RELATIONS, "gold")
        assert (link.head.text, link.label, link.tail.text) == ("Ada", "founded", "Acme")
    ((other,),) = read_right([task(gold="Other", head=head, tail=tail)], RELATIONS, "gold")
    assert [one.text for one in given_of((other,))] == ["Ada", "Acme"]


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (NER, "Ada", "of the type str"),
        (NER, [{"start": 2, "end": 99, "label": "Person"}], "outside the text"),
        (NER, [{"start": 2}], "'end'"),
        (NER, [{"to_name": "nope", "start": 2, "end": 5}], "'nope'"),
        (RELATIONS, [{"head": {"start": 0, "end": 1}}], "'tail'"),
    ],
)
def test_another_form_is_refused_with_the_one_that_is_read(kind: Field, value: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message) as refused:
        read_right([task(gold=value)], kind, "gold")
    assert "It must be a list of" in str(refused.value) and "task 1" in str(refused.value)
    with pytest.raises(RequestError, match="gold, text"):
        read_right([task(gold=value)], kind, "other")


def test_spans_are_scored_exactly() -> None:
    right = [(span(2, 5), span(14, 18, "Company")), ()]
    answers = [
        Answer(field="ner", labels=(), score=0.9, spans=(span(2, 5, score=1.0), span(6, 13, score=0.0))),
        Answer(field="ner", labels=(), score=0.8),
    ]
    scores = evaluate_right(NER, right, answers)
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0.5, 0.5, 0.5)
    assert scores["report"]["Company"] == {"precision": 0.0, "recall": 0.0, "f1-score": 0.0, "support": 1.0}
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0) / 2) and scores["ece"] == 0.0


def test_links_count_once_whichever_way_they_are_told_and_others_are_none() -> None:
    ada, acme = span(2, 5), span(14, 18, "Company")
    right = [(Link(head=ada, tail=acme, label="founded"),), (Link(head=ada, tail=acme, label="Other"),)]
    mirrored = Link(head=acme, tail=ada, label="founded", direction="left")
    answers = [Answer(field="relations", labels=(), score=1, links=(mirrored,)) for _ in right]
    scores = evaluate_right(RELATIONS, right, answers)
    assert (scores["precision"], scores["recall"]) == (0.5, 1.0)


def test_quotes_are_scored_as_squad_does() -> None:
    rows = [
        {"question": "Who?", "context": TEXT, "gold": [{"text": "Ada"}]},
        {"question": "?", "context": "x", "gold": []},
    ]
    right = read_right([{"data": row} for row in rows], ANSWER, "gold")
    assert right == [("Ada",), ()]
    answers = [
        Answer(field="answer", labels=(), score=1, texts=("the Ada",)),
        Answer(field="answer", labels=(), score=1),
    ]
    scores = evaluate_right(ANSWER, right, answers)
    assert (scores["exact_match"], scores["f1"], scores["no_answer_accuracy"]) == (1.0, 1.0, 1.0)
    scores = evaluate_right(ANSWER, right, [answers[1], answers[0]])
    assert (scores["exact_match"], scores["f1"], scores["no_answer_accuracy"]) == (0.0, 0.0, 0.0)


def test_rankings_are_scored_by_pairs() -> None:
    items = [{"id": name, "title": name} for name in "abc"]
    right = read_right([{"data": {"items": items, "gold": ["a", "b", "c"]}}], RANK, "gold")
    scores = evaluate_right(RANK, right, [Answer(field="rank", labels=(), score=1, order=(("", ("a", "c", "b")),))])
    assert scores["pair_accuracy"] == pytest.approx(2 / 3) and scores["first_accuracy"] == 1.0

"""Spans, relations, remarks and rankings as regions: their exact form, and what may not leave."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from labelloop.studio.documents import Documents
from labelloop.studio.results import import_refuses, prediction, second_opinion, validate
from labelloop.studio.schema import read_config
from labelloop.words import Answer, Link, Remark, Span
from studio.strategies import GARBAGE, MARKED, items, marked_answers

FIELDS = read_config(MARKED).fields
BY_NAME = {field.name: field for field in FIELDS}
DATA = {
    "t": "😀 Ada met Bob.",
    "h": "<p>😀 Ada met <b>Bob</b></p>",
    "p": [{"author": "Ann", "text": "Hi 😀 Bob"}, {"author": "Bob", "text": "Ada?"}],
    "items": [{"id": 1, "title": "one"}, {"id": "b", "title": "two"}],
}
DOCUMENTS = Documents(FIELDS, DATA)


def span(field: str, words: str, label: str, last: bool = True) -> Span:
    source = BY_NAME[field].to_name
    document = DOCUMENTS.find(source)
    assert document is not None
    start = document.text.rindex(words) if last else document.text.index(words)
    place = {"start": start, "end": start + len(words), "text": words}
    return Span(**{"field": field, "source": source, "label": (label,), "score": 0.75, **place})


def said(field: str, **more: Any) -> Answer:
    return Answer(**{"field": field, "labels": (), "score": 0.5, **more})


def made(*answers: Answer) -> dict[str, Any]:
    found = prediction(FIELDS, answers, "v1-abc", DOCUMENTS)
    assert validate(found, FIELDS, DOCUMENTS) == (found, [])
    assert second_opinion(MARKED, found) == []
    return found


ADA = span("ner", "Ada", "PER")
BOB = span("ner", "Bob", "ORG")


@pytest.mark.parametrize(
    ("marked", "kind", "value"),
    [
        (ADA, "labels", {"start": 2, "end": 5, "text": "Ada", "labels": ["PER"]}),
        (
            span("hyper", "Bob", "X"),
            "hypertextlabels",
            {
                **{"start": "/p[1]/b[1]/text()[1]", "end": "/p[1]/b[1]/text()[1]", "startOffset": 0, "endOffset": 3},
                **{"globalOffsets": {"start": 10, "end": 13}, "text": "Bob", "hypertextlabels": ["X"]},
            },
        ),
        (
            span("para", "Bob", "Y", last=False),
            "paragraphlabels",
            {"start": "0", "end": "0", "startOffset": 6, "endOffset": 9, "text": "Bob", "paragraphlabels": ["Y"]},
        ),
    ],
)
def test_a_span_has_the_form_of_its_object(marked: Span, kind: str, value: dict[str, Any]) -> None:
    (region,) = made(said(marked.field, spans=(marked,)))["result"]
    assert (region["from_name"], region["to_name"]) == (marked.field, marked.source)
    assert (region["type"], region["value"], region["score"]) == (kind, value, 0.75)
    assert len(region["id"]) == 10


def test_ids_are_stable_distinct_and_of_the_version() -> None:
    ids = [region["id"] for region in made(said("ner", spans=(ADA, BOB)))["result"]]
    assert len(set(ids)) == 2
    assert [region["id"] for region in made(said("ner", spans=(BOB, ADA)))["result"]] == ids[::-1]
    other = prediction(FIELDS, [said("ner", spans=(ADA, BOB))], "v2", DOCUMENTS)
    assert not set(ids) & {region["id"] for region in other["result"]}


def test_white_space_at_the_ends_is_not_marked() -> None:
    wide = ADA.model_copy(update={"start": 1, "end": 6, "text": " Ada "})
    (region,) = made(said("ner", spans=(wide, ADA)))["result"]
    assert region["value"] == {"start": 2, "end": 5, "text": "Ada", "labels": ["PER"]}


def test_nothing_found_is_an_answer_too() -> None:
    assert made(said("ner", spans=(), score=0.9)) == {"result": [], "score": 0.9, "model_version": "v1-abc"}


def test_relations_name_regions_and_come_last() -> None:
    hyper = span("hyper", "Ada", "X")
    links = (
        Link(head=ADA, tail=BOB, label="met"),
        Link(head=ADA, tail=BOB, label="owns"),
        Link(head=BOB, tail=hyper, direction="bi"),
    )
    found = made(said("relations", links=links), said("ner", spans=(ADA, BOB)), said("hyper", spans=(hyper,)))["result"]
    ids = {(region["from_name"], region["value"]["text"]): region["id"] for region in found[:3]}
    ada, bob, other = ids["ner", "Ada"], ids["ner", "Bob"], ids["hyper", "Ada"]
    assert found[3:] == [
        {"type": "relation", "from_id": ada, "to_id": bob, "direction": "right", "labels": ["met", "owns"]},
        {"type": "relation", "from_id": bob, "to_id": other, "direction": "bi"},
    ]


def test_a_region_of_a_person_keeps_its_id_and_is_there_once() -> None:
    theirs = ADA.model_copy(update={"id": "from-them"})
    answers = [said("ner", spans=(ADA, BOB)), said("relations", links=(Link(head=theirs, tail=BOB, label="met"),))]
    found = made(*answers)["result"]
    assert [region["value"]["text"] for region in found[:2]] == ["Ada", "Bob"]
    assert found[0]["id"] == found[2]["from_id"] == "from-them"
    alone = made(said("relations", links=(Link(head=theirs, tail=BOB, label="met"),)))["result"]
    assert [region.get("id") for region in alone] == ["from-them", alone[1]["id"], None]


def test_what_describes_a_region_stands_behind_it_under_its_id() -> None:
    hyper = span("hyper", "Bob", "X")
    found = made(
        said("fame", remarks=(Remark(span=BOB, labels=(("known",),), score=0.25),)),
        said("how", remarks=(Remark(span=hyper, labels=(("4",),)),)),
        said("ner", spans=(ADA, BOB)),
        said("hyper", spans=(hyper,)),
    )["result"]
    assert [region["from_name"] for region in found] == ["ner", "ner", "fame", "hyper", "how"]
    bob, fame, marked, how = found[1:]
    assert fame["id"] == bob["id"] and how["id"] == marked["id"]
    assert fame["value"] == {"start": 10, "end": 13, "text": "Bob", "choices": ["known"]}
    assert (fame["type"], fame["to_name"], fame["score"]) == ("choices", "t", 0.25)
    place = {key: value for key, value in marked["value"].items() if key != "hypertextlabels"}
    assert how["value"] == {**place, "rating": 4}


def test_a_comparison_names_a_side_and_the_first_object() -> None:
    (region,) = made(said("better", labels=(("left",),)))["result"]
    assert (region["type"], region["to_name"], region["value"]) == ("pairwise", "t", {"selected": "left"})


def test_an_order_holds_every_entry_once() -> None:
    whole, sorted_ = made(
        said("order", order=(("", ("b", "1")),)), said("sorted", order=(("good", ("b",)), ("bad", ())))
    )["result"]
    assert whole["value"] == {"ranker": {"order": ["b", "1"]}}
    assert sorted_["value"] == {"ranker": {"good": ["b"], "bad": [], "_": ["1"]}}


def test_a_bucket_may_take_what_is_left() -> None:
    config = (
        '<View><List name="l" value="$items"/><Ranker name="r" toName="l"><Bucket name="good"/>'
        '<Bucket name="rest" default="true"/></Ranker></View>'
    )
    fields = read_config(config).fields
    documents = Documents(fields, DATA)
    found = prediction(fields, [Answer(field="r", labels=(), score=1, order=(("good", ("b",)),))], "v1", documents)
    assert found["result"][0]["value"] == {"ranker": {"good": ["b"], "rest": ["1"]}}
    assert validate(found, fields, documents) == (found, [])
    found["result"][0]["value"]["ranker"] = {"good": ["b"], "_": ["1"]}
    assert "no column '_'" in validate(found, fields, documents)[1][0]


QUESTION = """<View><Text name="q" value="$question"/><Text name="context" value="$context"/>
<Labels name="where" toName="context"><Label value="Answer"/></Labels><TextArea name="answer" toName="q"/></View>"""


def test_an_answer_is_marked_and_written() -> None:
    fields = read_config(QUESTION).fields
    data = {"question": "Who?", "context": "It was Ada."}
    documents = Documents(fields, data)
    there = Span(field="where", source="context", start=7, end=10, text="Ada", label=("Answer",))
    answers = [said("where", spans=(there,)), said("answer", texts=("Ada",))]
    found = prediction(fields, answers, "v1", documents)
    assert [(region["type"], region["to_name"]) for region in found["result"]] == [
        ("labels", "context"),
        ("textarea", "q"),
    ]
    assert found["result"][1]["value"] == {"text": ["Ada"]}
    assert validate(found, fields, documents) == (found, [])
    assert second_opinion(QUESTION, found) == []
    for wrong in ("Ada", [], [""], [" "], [5], ["\ud800"], ["a\0"], None):
        found["result"][1]["value"] = {"text": wrong}
        clean, reports = validate(found, fields, documents)
        assert [region["from_name"] for region in clean["result"]] == ["where"]
        assert len(reports) == 1


def everything() -> dict[str, Any]:
    hyper, para = span("hyper", "Bob", "X"), span("para", "Ada", "X")
    return copy.deepcopy(
        made(
            said("ner", spans=(ADA, BOB)),
            said("hyper", spans=(hyper,)),
            said("para", spans=(para,)),
            said("relations", links=(Link(head=ADA, tail=BOB, label="met"), Link(head=BOB, tail=para))),
            said("fame", remarks=(Remark(span=ADA, labels=(("known",),)),)),
            said("better", labels=(("right",),)),
            said("order", order=(("", ("b", "1")),)),
        )
    )


_HYPER = "/p[1]/b[1]/text()[1]"


@pytest.mark.parametrize(
    ("place", "change", "words"),
    [
        (2, {"start": 3}, "there stands"),
        (2, {"text": "Bobby"}, "there stands"),
        (2, {"end": 99}, "does not stand"),
        (2, {"start": -3}, "does not stand"),
        (2, {"start": 12, "end": 12}, "does not stand"),
        (2, {"start": "10"}, "does not stand"),
        (2, {"start": 10.0}, "does not stand"),
        (2, {"labels": ["ZZZ"]}, "no label"),
        (2, {"labels": ["PER", "ORG"]}, "one label"),
        (2, {"labels": []}, "list of labels"),
        (2, {"labels": "PER"}, "list of labels"),
        (2, {"start": 5, "end": 6, "text": " "}, "no words"),
        (3, {"start": "/p[2]/text()[1]", "globalOffsets": None}, "does not stand"),
        (3, {"endOffset": 9}, "does not stand"),
        (4, {"start": 1, "end": 1}, "does not stand"),
        (4, {"end": "7"}, "does not stand"),
        (1, {"choices": ["Bogus"]}, "no label"),
        (1, {"start": 10, "end": 13, "text": "Bob"}, "stands elsewhere"),
        (5, {"selected": "both"}, "no side"),
        (5, {"selected": None}, "no side"),
        (6, {"ranker": {"order": ["b"]}}, "leaves out"),
        (6, {"ranker": {"order": ["b", "1", "c"]}}, "no entry"),
        (6, {"ranker": {"order": ["b", "1", "b"]}}, "no entry"),
        (6, {"ranker": {"order": ["b", 1]}}, "no entry"),
        (6, {"ranker": {"other": ["b", "1"]}}, "no column"),
        (6, {"ranker": {"_": ["b", "1"]}}, "no column"),
        (6, {"ranker": ["b", "1"]}, "columns"),
    ],
)
def test_a_wrong_value_is_dropped_alone_and_said(place: int, change: dict[str, Any], words: str) -> None:
    found = everything()
    left = [region for region in found["result"] if region is not found["result"][place]]
    found["result"][place]["value"].update(change)
    clean, reports = validate(found, FIELDS, DOCUMENTS)
    assert words in reports[0]
    gone = found["result"][place]["id"] if place in {2, 3, 4} else ""
    assert clean["result"] == [one for one in left if gone not in {one.get("from_id"), one.get("to_id")} or not gone]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"from_id": "nobody"}, "not both are marked"),
        ({"to_id": None}, "not both are marked"),
        ({"to_id": ["x"]}, "not both are marked"),
        ({"direction": "up"}, "direction"),
        ({"direction": None}, "direction"),
        ({"labels": ["hates"]}, "no label"),
        ({"labels": "met"}, "no label"),
        ({"labels": ["met", "met"]}, "twice"),
        ({"labels": [["met"]]}, "no label"),
    ],
)
def test_a_wrong_relation_is_dropped(change: dict[str, Any], words: str) -> None:
    found = everything()
    found["result"][7].update(change)
    clean, reports = validate(found, FIELDS, DOCUMENTS)
    assert words in reports[0]
    assert clean["result"] == found["result"][:7] + found["result"][8:]


def test_a_relation_to_itself_or_twice_is_dropped() -> None:
    found = everything()
    relation = found["result"][7]
    again = {**relation, "from_id": relation["to_id"], "to_id": relation["from_id"], "direction": "left"}
    found["result"] += [relation, again, relation | {"to_id": relation["from_id"]}]
    clean, reports = validate(found, FIELDS, DOCUMENTS)
    assert clean == everything()
    assert [report.split(": ")[1] for report in reports[:2]] == ["this relation is there already"] * 2
    assert "to itself" in reports[2]


def test_a_relation_without_labels_says_nothing_of_them() -> None:
    found = everything()
    found["result"][7]["labels"] = []
    clean, reports = validate(found, FIELDS, DOCUMENTS)
    assert reports == [] and "labels" not in clean["result"][7]


def test_equal_spans_leave_once_and_overlapping_ones_all() -> None:
    found = everything()
    same = {**found["result"][2], "id": "again"}
    wider = {**same, "id": "wider", "value": {"start": 2, "end": 13, "text": "Ada met Bob", "labels": ["ORG"]}}
    found["result"] += [same, wider]
    clean, reports = validate(found, FIELDS, DOCUMENTS)
    assert "already" in reports[0] and len(reports) == 1
    assert wider in clean["result"] and same not in clean["result"]


def test_a_taken_id_is_made_distinct_and_its_relations_stay_with_the_first() -> None:
    found = everything()
    found["result"][3]["id"] = found["result"][0]["id"]
    clean, reports = validate(found, FIELDS, DOCUMENTS)
    marked = [region["id"] for region in clean["result"] if region["type"].endswith("labels")]
    assert len(set(marked)) == 4
    assert "id" in reports[0]


def test_a_remark_needs_its_region() -> None:
    found = everything()
    del found["result"][0]
    clean, reports = validate(found, FIELDS, DOCUMENTS)
    assert "describes a region that is not there" in reports[0] and "not both are marked" in reports[1]
    assert [region.get("from_name") for region in clean["result"]] == ["ner", "hyper", "para", "better", "order", None]


def test_a_remark_is_made_only_of_regions_that_show_its_control() -> None:
    config = MARKED.replace('perRegion="true">', 'perRegion="true" whenLabelValue="ORG">', 1)
    fields = read_config(config).fields
    answers = [
        said("ner", spans=(ADA, BOB)),
        said("fame", remarks=tuple(Remark(span=one, labels=(("known",),)) for one in (ADA, BOB))),
    ]
    clean, reports = validate(prediction(fields, answers, "v1", DOCUMENTS), fields, DOCUMENTS)
    assert [region["from_name"] for region in clean["result"]] == ["ner", "ner", "fame"]
    assert "regions labelled" in reports[0]


def test_without_documents_no_span_leaves() -> None:
    clean, reports = validate(everything(), FIELDS)
    assert [region["from_name"] for region in clean["result"]] == ["better"]
    assert all("cannot be read" in report or "not" in report for report in reports)
    assert prediction(FIELDS, [said("ner", spans=(ADA,))], "v1")["result"][0]["value"] == {
        "text": "Ada",
        "labels": ["PER"],
    }


def test_where_people_mark_nothing_there_is_no_region() -> None:
    across, author = span("para", "Bob\nBob: Ada", "X"), span("para", "Ann", "X")
    found = made(said("para", spans=(across, author)), said("relations", links=(Link(head=author, tail=ADA),)))
    assert found["result"] == []


def test_a_span_outside_its_text_is_reported() -> None:
    wrong = ADA.model_copy(update={"end": 99})
    found = prediction(FIELDS, [said("ner", spans=(wrong,))], "v1", DOCUMENTS)
    clean, reports = validate(found, FIELDS, DOCUMENTS)
    assert clean["result"] == [] and "does not stand in t" in reports[0]


def test_these_forms_need_no_detour_around_the_import() -> None:
    assert not import_refuses(everything(), FIELDS)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_our_regions_please_both_validators(data: st.DataObject) -> None:
    documents = Documents(FIELDS, data.draw(items()))
    found = prediction(FIELDS, data.draw(marked_answers(FIELDS, documents)), "v1-abc", documents)
    clean, _ = validate(found, FIELDS, documents)
    assert validate(clean, FIELDS, documents) == (clean, [])
    assert second_opinion(MARKED, clean) == []
    assert json.loads(json.dumps(clean)) == clean


@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_comes_in_what_leaves_is_valid(data: st.DataObject) -> None:
    garbage = data.draw(GARBAGE)
    if data.draw(st.booleans()):  # nearly right: some places of a good prediction are garbage
        found = everything()
        places = [found, *found["result"], *(one["value"] for one in found["result"] if "value" in one)]
        for _ in range(data.draw(st.integers(1, 3))):
            where = data.draw(st.sampled_from(places))
            where[data.draw(st.sampled_from(sorted(where)))] = data.draw(GARBAGE)
        garbage = found
    clean, reports = validate(garbage, FIELDS, DOCUMENTS)
    assert validate(clean, FIELDS, DOCUMENTS)[0] == clean
    assert second_opinion(MARKED, clean) == []
    assert all(isinstance(report, str) and len(report) < 400 for report in reports)
    ids = {one["id"] for one in clean["result"] if one["type"].endswith("labels")}
    assert all({one["from_id"], one["to_id"]} <= ids for one in clean["result"] if one["type"] == "relation")
    json.dumps(clean, allow_nan=False).encode()

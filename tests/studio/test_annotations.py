"""What people said, read back: every form that the editor submits, what is unsaid, and how an annotation came to be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from labelloop.studio.acceptance import came_about
from labelloop.studio.annotations import essence, read_annotation
from labelloop.studio.documents import Documents
from labelloop.studio.results import prediction, validate
from labelloop.studio.schema import read_config
from labelloop.studio.stored import SPAN_TAGS, VALUE_KEYS
from labelloop.telling import tell
from labelloop.words import Answer, Link, Span
from studio.strategies import GARBAGE, MARKED, answers, configs, items, marked_answers
from support.round_trip import CASES
from support.round_trip_cases import ADA, BOB, LABELS, MEETING, RELATIONS, TEXT, Case, Json, passage, region, related

ANY = hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FULL = f"""<View>{TEXT}{LABELS}{RELATIONS}
<Choices name="choices" toName="t"><Choice value="Sport"/><Choice value="Art"/></Choices>
<Choices name="several" toName="t" choice="multiple"><Choice value="New"/><Choice value="Old"/></Choices>
<Choices name="fame" toName="t" perRegion="true"><Choice value="known"/><Choice value="unknown"/></Choices>
<TextArea name="summary" toName="t"/><Rating name="stars" toName="t" maxRating="5"/></View>"""
FIELDS = read_config(FULL).fields
DATA = {"t": MEETING}


def read(result: Any, fields: Any = FIELDS, data: Json = DATA) -> dict[str, Answer]:
    return read_annotation(fields, data, result)


def bare(result: list[Json]) -> list[Json]:
    """Regions without what a person's answer does not have: scores, and orders of nothing; in no order."""
    kept = [{name: one for name, one in region.items() if name != "score"} for region in result]
    kept = [one for one in kept if any(one.get("value", {}).get("ranker", {"": 1}).values())]
    return sorted(kept, key=str)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_form_that_the_editor_submits_is_read(case: Case) -> None:
    fields = {field.name: field for field in read_config(case.config).fields}
    documents = Documents(list(fields.values()), case.data)
    found = read_annotation(list(fields.values()), case.data, case.result)
    written = prediction(list(fields.values()), list(found.values()), "v1", documents)["result"]
    values = [one["value"] for one in written if "value" in one]
    for one in case.result:
        field = fields.get(one.get("from_name", ""))
        if field is None:
            continue
        if field.tag in SPAN_TAGS:
            document = documents.find(one["to_name"])
            assert document is not None
            places = {(span.start, span.end, span.label[-1], span.id) for span in found[field.name].spans}
            wanted = document.span(one["value"])
            assert wanted is not None
            assert {(*wanted, label, one["id"]) for label in one["value"][VALUE_KEYS[field.tag]]} <= places
        else:
            key = VALUE_KEYS[field.tag]
            assert any(_filled(value.get(key)) == _filled(one["value"][key]) for value in values)
    for field in fields.values():
        if field.kind == "relations":
            pairs = {(one["from_id"], one["to_id"]) for one in case.result if one["type"] == "relation"}
            assert {(link.head.id, link.tail.id) for link in found[field.name].links} == pairs


def _filled(content: Any) -> Any:
    return {name: one for name, one in content.items() if one} if isinstance(content, dict) else content


@ANY
@given(data=st.data())
def test_reading_is_the_inverse_of_writing_for_choices(data: st.DataObject) -> None:
    fields = read_config(data.draw(configs())).fields
    item = {"t": "a text", "h": "<p>a page</p>"}
    given = data.draw(answers(fields))
    clean, _ = validate(prediction(fields, given, "v1"), fields)
    found = read_annotation(fields, item, clean["result"])
    assert bare(prediction(fields, list(found.values()), "v1")["result"]) == bare(clean["result"])


@ANY
@given(data=st.data())
def test_reading_is_the_inverse_of_writing_for_regions(data: st.DataObject) -> None:
    fields, item = read_config(MARKED).fields, data.draw(items())
    documents = Documents(fields, item)
    clean, _ = validate(
        prediction(fields, data.draw(marked_answers(fields, documents)), "v1", documents), fields, documents
    )
    found = read_annotation(fields, item, clean["result"])
    written = prediction(fields, list(found.values()), "v1", documents)
    again, dropped = validate(written, fields, documents)
    assert not dropped
    assert bare(again["result"]) == bare(clean["result"])
    twice = read_annotation(fields, item, again["result"])
    assert {name: essence(one) for name, one in twice.items()} == {name: essence(one) for name, one in found.items()}


@ANY
@given(result=GARBAGE | st.lists(GARBAGE, max_size=3))
def test_whatever_label_studio_has_stored_is_read(result: Any) -> None:
    fields = read_config(MARKED).fields
    for name, answer in read_annotation(fields, {"t": "a", "h": "b", "p": [], "items": []}, result).items():
        assert answer.field == name


def test_an_empty_annotation_says_that_nothing_is_marked_and_leaves_choices_unsaid() -> None:
    found = read([])
    assert set(found) == {"labels", "relations"}
    assert found["labels"].spans == () and found["relations"].links == ()
    assert tell(FIELDS[0], found["labels"]) == "no entities"


def test_labels_that_the_config_has_no_more_are_left_out() -> None:
    gone = passage(MEETING, "Rome", "Planet", "c")
    found = read([ADA, gone, region("choices", {"choices": ["Cooking"]}), region("several", {"choices": ["New", "X"]})])
    assert [span.text for span in found["labels"].spans] == ["Ada"]
    assert "choices" not in found
    assert read([region("several", {"choices": ["New", "X"]}) | {"type": "choices"}])["several"].labels == (("New",),)


def test_a_region_that_stands_nowhere_leaves_its_field_unsaid_and_no_other() -> None:
    far = region("labels", {"start": 5, "end": 900, "labels": ["Person"]}, "z")
    found = read([ADA, far, region("choices", {"choices": ["Art"]})])
    assert set(found) == {"choices"}
    assert read([ADA, region("choices", {"choices": ["Art"]})]).keys() == {"labels", "relations", "choices"}


def test_relations_and_remarks_find_their_regions() -> None:
    fame = {**BOB, "from_name": "fame", "type": "choices", "value": {"start": 8, "end": 11, "choices": ["known"]}}
    found = read([ADA, BOB, fame, related("b", "a", "left", labels=["met", "knows"]), related("a", "nowhere")])
    links = [(one.head.text, one.label, one.direction, one.tail.text) for one in found["relations"].links]
    assert links == [("Bob", "met", "left", "Ada"), ("Bob", "knows", "left", "Ada")]
    assert [(one.span.text, one.labels) for one in found["fame"].remarks] == [("Bob", (("known",),))]
    assert "fame" not in read([ADA])


def test_what_the_other_answers_hide_is_unsaid() -> None:
    config = """<View><Text name="t" value="$t"/><Choices name="a" toName="t"><Choice value="x"/><Choice value="y"/>
    </Choices><Choices name="b" toName="t" visibleWhen="choice-selected" whenTagName="a" whenChoiceValue="x">
    <Choice value="k"/><Choice value="l"/></Choices></View>"""
    fields = read_config(config).fields
    below = {**region("choices", {"choices": ["k"]}), "from_name": "b"}
    chosen = {label: {**region("choices", {"choices": [label]}), "from_name": "a"} for label in "xy"}
    assert read([chosen["x"], below], fields)["b"].labels == (("k",),)
    assert set(read([chosen["y"], below], fields)) == {"a"}


def test_equal_answers_have_one_essence() -> None:
    def span(start: int, name: str = "", score: float = 1.0) -> Span:
        return Span(field="l", source="t", start=start, end=start + 3, text="Ada", label=("P",), id=name, score=score)

    def marked(*spans: Span, links: tuple[Link, ...] = ()) -> Any:
        return essence(Answer(field="l", labels=(), score=1.0, spans=spans, links=links))

    assert marked(span(0, "a"), span(8)) == marked(span(8, "x", 0.5), span(0))
    assert marked(span(0)) != marked(span(1))
    there, back = (Link(head=span(a), tail=span(b), direction=d) for a, b, d in ((0, 8, "right"), (8, 0, "left")))
    assert marked(links=(there,)) == marked(links=(back,))
    assert marked(links=(there,)) != marked(links=(there.model_copy(update={"direction": "bi"}),))


SHOWN = [ADA, BOB, region("choices", {"choices": ["Art"]}, "c")]


def submitted(*regions: Json, parent: int | None = 7, **more: Any) -> Json:
    return {"result": list(regions), "parent_prediction": parent, "was_cancelled": False, **more}


def kept(one: Json, origin: str = "prediction", **more: Any) -> Json:
    return {name: held for name, held in one.items() if name != "score"} | {"origin": origin, **more}


ART, SPORT = (region("choices", {"choices": [label]}, "c") for label in ("Art", "Sport"))


@pytest.mark.parametrize(
    ("annotation", "shown", "how"),
    [
        (submitted(*map(kept, SHOWN)), None, "accepted"),
        (submitted(*map(kept, SHOWN)), SHOWN, "accepted"),
        (submitted(kept(ADA), kept(BOB)), None, "accepted"),  # what was deleted leaves no trace
        (submitted(kept(ADA), kept(BOB)), SHOWN, "edited"),
        (submitted(kept(SPORT, "prediction-changed")), None, "edited"),
        (submitted(kept(SPORT, "prediction-changed")), [ART], "edited"),
        (submitted(kept(ADA), kept(BOB, "manual")), None, "edited"),
        (submitted(kept(passage(MEETING, "Rome", "Place", "n"), "manual")), None, "rejected"),
        (submitted(kept(passage(MEETING, "Rome", "Place", "n"), "manual")), [ADA], "rejected"),
        (submitted(), None, "rejected"),
        (submitted(), [ADA], "rejected"),
        (submitted(), [], "by_hand"),
        (submitted(kept(ART, "manual")), [], "by_hand"),
        (submitted(kept(ART, "manual"), parent=None), None, "by_hand"),
        (submitted(ART, parent=None), None, "by_hand"),
        (submitted(parent=None), None, "by_hand"),
        (submitted(ADA, ART), None, "accepted"),  # "Create annotations from predictions"
        (submitted(kept(ADA), kept(BOB), related("a", "b", labels=["met"])), None, "accepted"),
        (submitted(kept(ADA), kept(BOB), related("a", "b")), [ADA, BOB, related("a", "b", labels=["met"])], "edited"),
        (submitted(kept(ADA), parent=None), None, "accepted"),  # its prediction has been deleted since
        (submitted(kept(ADA), was_cancelled=True), None, "skipped"),
        (submitted(kept(ADA, value=ADA["value"] | {"globalOffsets": {}})), [ADA], "accepted"),
    ],
)
def test_how_an_annotation_came_to_be(annotation: Json, shown: list[Json] | None, how: str) -> None:
    assert came_about(annotation, shown) == how


@ANY
@given(annotation=GARBAGE, shown=GARBAGE)
def test_how_something_odd_came_to_be_is_told_too(annotation: Any, shown: Any) -> None:
    told = annotation if isinstance(annotation, dict) else {"result": annotation}
    came_about(told, shown if isinstance(shown, list) else None)

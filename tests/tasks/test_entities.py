"""Named entities with the real starter encoder: what is found, where exactly, and that nothing else depends on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelloop import tasks
from labelloop.settings import Settings
from labelloop.tasks.entities import answer as answer_entities
from labelloop.tasks.entities import span_f1
from labelloop.tasks.mentions import casing_tells, words_of
from labelloop.words import Answer, Field, FieldPlan, Label, Passage, Reading, Source, Span

Finding = Callable[..., list[Answer]]

NAMES = ("PER", "ORG", "LOC")


def make_entities(labels: Sequence[str | Label] = NAMES, sources: Sequence[str] = ("text",)) -> Field:
    offered = tuple(one if isinstance(one, Label) else Label(path=(one,), text=one) for one in labels)
    read = tuple(Source(name=name, tag="Text", key=name) for name in sources)
    return Field(name="ner", tag="Labels", kind="entities", to_name=sources[0], labels=offered, sources=read)


def reading(*texts: str) -> str:
    names = ("text", "more", "other")
    return Reading(passages=tuple(Passage(name=n, text=t) for n, t in zip(names, texts, strict=False))).dump()


@pytest.fixture(scope="module")
def finding(tmp_path_factory: pytest.TempPathFactory) -> Finding:
    cpu = Settings(data_dir=tmp_path_factory.mktemp("entities"), device="cpu")

    def find(texts: Sequence[str], labels: Sequence[str | Label] = NAMES) -> list[Answer]:
        bundle = tasks.make_bundle([make_entities(labels)], cpu)
        return [one for (one,) in tasks.answer(bundle, [{"ner": reading(text)} for text in texts], cpu)]

    return find


def told(one: Answer) -> list[tuple[str, str]]:
    return [(span.text, span.label[0]) for span in one.spans]


def test_names_are_found_with_their_labels(finding: Finding) -> None:
    (one,) = finding(["Angela Merkel met Emmanuel Macron in Berlin on Friday."])
    assert told(one) == [("Angela Merkel", "PER"), ("Emmanuel Macron", "PER"), ("Berlin", "LOC")]
    assert one.reason is None and one.score == min(span.score for span in one.spans)


def test_lower_case_headlines_and_other_scripts_are_read_too(finding: Finding) -> None:
    lower, shouted, title, chinese = finding(
        ["i met john smith in paris", "OBAMA VISITS KENYA IN JULY", "Obama Visits Kenya In July", "李明在北京工作。"]
    )
    assert ("john smith", "PER") in told(lower) and ("paris", "LOC") in told(lower)
    assert [text.lower() for text, _ in told(shouted)] == ["obama", "kenya"]
    assert told(title) == [("Obama", "PER"), ("Kenya", "LOC")]
    assert ("李明", "PER") in told(chinese)


@pytest.mark.parametrize(
    "before", ["", "😀 ", "👩‍👩‍👧 e\u0301 ", "First line.\r\n", "\ufeff", "\t  ", "“", "a\u0000b "]
)
def test_offsets_are_characters_of_the_passage(finding: Finding, before: str) -> None:
    text = f"{before}Angela Merkel lives in Berlin."
    (one,) = finding([text])
    found = {span.text: (span.start, span.end) for span in one.spans}
    assert found["Berlin"] == (text.index("Berlin"), text.index("Berlin") + 6)
    assert all(text[start:end] == its for its, (start, end) in found.items())


def test_a_text_without_names_has_none_which_is_an_answer(finding: Finding) -> None:
    (one,) = finding(["The soup was cold and there was nothing to see."])
    assert one.spans == () and one.reason is None and 0.5 <= one.score <= 1


def test_a_name_does_not_go_on_in_the_next_line(finding: Finding) -> None:
    (one,) = finding(["Meeting with Maria Lopez\nBerlin is nice"])
    assert ("Maria Lopez", "PER") in told(one)
    assert not any("\n" in span.text for span in one.spans)


def test_a_name_does_not_go_on_in_the_next_cell(finding: Finding) -> None:
    (one,) = finding(["Angela Merkel\tBerlin"])
    assert told(one) == [("Angela Merkel", "PER"), ("Berlin", "LOC")]


def test_possessives_hyphens_and_marks_are_no_part_of_a_name_unless_they_are(finding: Finding) -> None:
    (one,) = finding(['"Jean-Paul Moreau\'s wife", said O\'Brien, "left (Paris)."'])
    assert [text for text, _ in told(one)] == ["Jean-Paul Moreau", "O'Brien", "Paris"]


def test_other_labels_than_names(finding: Finding) -> None:
    (one,) = finding(["Aspirin caused severe stomach bleeding in two patients."], ["Drug", "Adverse reaction"])
    assert told(one) == [("Aspirin", "Drug"), ("stomach bleeding", "Adverse reaction")]
    (one,) = finding(["The food was great but the service was slow."], ["aspect", "opinion"])
    assert {("food", "aspect"), ("service", "aspect"), ("great", "opinion")} <= set(told(one))
    (one,) = finding(["My order for the Galaxy S21 was due on 5 May."], ["Product", "Date"])
    assert told(one) == [("Galaxy S21", "Product"), ("5 May", "Date")]


def test_a_label_of_an_unknown_spelling_works_by_its_meaning(finding: Finding) -> None:
    (one,) = finding(["Lionel Messi moved from Barcelona to Paris."], ["Footballer", "City"])
    assert ("Lionel Messi", "Footballer") in told(one) and ("Paris", "City") in told(one)


def test_no_answer_depends_on_the_others(finding: Finding) -> None:
    texts = ["Angela Merkel met Emmanuel Macron in Berlin.", "nothing", "i met john smith in paris", "IBM sued Oracle."]
    together = finding(texts)
    assert [told(one) for one in together] == [told(finding([text])[0]) for text in texts]
    assert all(a.score == pytest.approx(finding([t])[0].score, abs=2e-3) for a, t in zip(together, texts, strict=True))


def test_a_long_text_is_read_to_its_end(finding: Finding) -> None:
    filler = "The soup was cold and the road was long. " * 200
    text = f"{filler}Angela Merkel lives in Berlin."
    (one,) = finding([text])
    assert told(one)[-2:] == [("Angela Merkel", "PER"), ("Berlin", "LOC")]
    assert one.spans[-1].start == text.index("Berlin")


def test_each_object_has_spans_of_its_own_and_others_are_left_alone(tmp_path: Path) -> None:
    cpu = Settings(data_dir=tmp_path, device="cpu")
    bundle = tasks.make_bundle([make_entities(sources=("text", "more"))], cpu)
    item = {"ner": reading("Angela Merkel spoke.", "She left for Berlin.", "Paris")}
    ((one,),) = tasks.answer(bundle, [item], cpu)
    assert [(span.source, span.text) for span in one.spans] == [("text", "Angela Merkel"), ("more", "Berlin")]
    ((empty,),) = tasks.answer(bundle, [{"ner": reading(" \n", "")}], cpu)
    assert empty.reason and not empty.spans


@given(text=st.text(max_size=60) | st.text(alphabet="Ada Bob\r\n😀e\u0301 .,-'(\u0130李", max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_text_every_span_is_inside_it(finding: Finding, text: str) -> None:
    (one,) = finding([text])
    last = 0
    for span in one.spans:
        assert last <= span.start < span.end <= len(text) and text[span.start : span.end] == span.text
        assert 0 <= span.score <= 1
        last = span.end


def test_words_are_split_as_names_are_written() -> None:
    text = "Dr. O'Brien's U.S. shop, Jean-Paul paid $3.50 to a.b@c.de. 李明 end.Next D.C"
    words = [text[start:end] for start, end in words_of(text)]
    for word in ("O'Brien", "U.S.", "Jean-Paul", "3.50", "a.b@c.de", "李", "明", "end", "Next", "D.C"):
        assert word in words


def test_when_capitals_tell() -> None:
    assert casing_tells(["Ada", "met", "Bob", "in", "Oslo", "last", "year"])
    assert not casing_tells(["i", "met", "john", "smith", "in", "paris"])
    assert not casing_tells(["OBAMA", "VISITS", "KENYA", "IN", "JULY"])
    assert not casing_tells(["Obama", "Visits", "Kenya", "In", "July"])
    assert casing_tells(["Berlin"]) and not casing_tells(["李", "明"])


def test_span_f1_counts_exact_spans() -> None:
    def span(start: int, end: int, label: str = "PER") -> Span:
        return Span(field="ner", source="text", start=start, end=end, text="", label=(label,))

    gold = [[span(0, 3), span(5, 9)], []]
    assert span_f1(gold, gold) == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "gold": 2, "found": 2, "right": 2}
    third = span_f1(gold, [[span(0, 3), span(5, 8), span(5, 9, "LOC")], []])
    assert third == {"precision": 1 / 3, "recall": 0.5, "f1": 0.4, "gold": 2, "found": 3, "right": 1}
    assert span_f1(gold, [[span(0, 3, "LOC")], []])["f1"] == 0.0
    assert span_f1([[]], [[]])["f1"] == 0.0


class OwnSpans:
    """An engine that finds spans by itself, as GLiNER does; here always the same ones."""

    def spans(self, texts: Sequence[str], labels: Sequence[str]) -> list[list[tuple[int, int, int, float]]]:
        assert labels == ["PER", "ORG", "LOC"]
        return [[(0, 3, 0, 0.9), (0, 7, 1, 0.6), (8, 12, 2, 0.8), (8, 9, 2, 0.1)] for _ in texts]


def test_an_engine_with_spans_of_its_own_is_asked_for_them() -> None:
    plan = FieldPlan(
        field=make_entities(), engine="gliner", model="m", revision="r", prompt="entities/v1", prompt_hash=""
    )
    one = Reading.model_validate_json(reading("Ada met Oslo"))
    (found,) = answer_entities(plan, [one], OwnSpans(), None)  # type: ignore[arg-type]
    assert told(found) == [("Ada", "PER"), ("Oslo", "LOC")] and found.score == 0.8

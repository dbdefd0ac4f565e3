"""Question answering: what is asked, where the answer stands, and that there may be none; with scripted replies."""

import pytest

from labelloop.engines import Written
from labelloop.prompting import load_file
from labelloop.tasks import question_answering
from labelloop.tasks.writing import Craft, answer, chance
from labelloop.words import Answer, Field, FieldPlan, Label, Passage, Reading
from support.scripted import Scripted

PROMPT = load_file("question_answering/v1", "", question_answering.Prompt)
TEXT = "The mill was built in 1845 by Anna Weiss. In 1845 Anna Weiss was forty."


def plan(kind: str = "question_answering", **changes: object) -> FieldPlan:
    field = Field(name="out", tag="TextArea", kind=kind, to_name="t", labels=(), sources=()).model_copy(update=changes)
    return FieldPlan(field=field, engine="causal", model="m", revision="r", prompt="p/v1", prompt_hash="")


def ask(
    writer: Scripted,
    text: str,
    query: str = "",
    its: FieldPlan | None = None,
    craft: Craft = question_answering.CRAFT,
) -> Answer:
    reading = Reading(passages=(Passage(name="t", text=text),), query=query)
    return answer(craft, its or plan(), [reading], writer, PROMPT)[0]


def test_an_answer_that_stands_in_the_text_is_spelt_as_there_and_has_its_place() -> None:
    found = ask(Scripted("anna weiss."), TEXT, "Who built the mill?")
    start = TEXT.index("Anna")
    assert found.texts == ("Anna Weiss",)
    assert found.provenance["span"] == {"source": "t", "start": start, "end": start + 10}


def test_of_several_places_that_nearest_to_the_question_is_taken() -> None:
    found = ask(Scripted("1845"), TEXT, "When was Anna Weiss forty?")
    assert found.provenance["span"]["start"] == TEXT.rindex("1845")


def test_a_control_that_marks_gets_the_passage_as_a_region() -> None:
    labels = (Label(path=("Answer",), text="Answer"),)
    found = ask(Scripted("Anna Weiss"), TEXT, "Who built the mill?", plan(tag="Labels", labels=labels))
    (span,) = found.spans
    assert found.texts == () and TEXT[span.start : span.end] == span.text == "Anna Weiss" and span.label == ("Answer",)


def test_a_free_answer_need_not_stand_in_the_text() -> None:
    found = ask(Scripted("A woman of forty"), TEXT, "Who built the mill?")
    assert found.texts == ("A woman of forty",) and "span" not in found.provenance


def test_a_number_that_nobody_gave_is_refused_and_the_nearest_sentence_serves() -> None:
    text = "It rains in the hills. The old mill was closed when its wheel broke. The town has two mills."
    found = ask(Scripted("It burnt down in 1967."), text, "Why was the mill closed?")
    assert found.texts == ("The old mill was closed when its wheel broke",)
    assert found.provenance["refused"] == {"has a number that the text has not": 1}
    assert found.provenance["origin"].startswith("extracted") and found.score == PROMPT.constants.fallback
    assert ask(Scripted("Two, in 1967."), text, "Who owns boats?").reason


def test_a_window_with_a_reply_comes_before_one_with_a_sentence_of_its_own() -> None:
    text = " ".join(f"Crew {place} of the mill painted wall {place} of the hall." for place in range(20, 60))
    writer = Scripted("in 1967", Written("Ann Weiss", -2.0, 2, True), room=400)
    found = ask(writer, text, "Who painted the wall of the hall?")
    assert found.texts == ("Ann Weiss",) and found.provenance["windows"] > 1


def test_extraction_drops_what_does_not_stand_in_the_text() -> None:
    writer = Scripted(Written("Peter Braun", -0.1, 2, True))
    found = ask(writer, TEXT, "Who built the mill?", plan("extraction"), question_answering.QUOTING)
    assert found.texts == () and found.spans == () and found.reason is None
    assert found.provenance["dropped"] == "Peter Braun"
    assert found.score == pytest.approx(1 - chance(-0.1, PROMPT), abs=1e-3)


@pytest.mark.parametrize("reply", ["not in the text", "The text does not say.", "Unanswerable"])
def test_no_answer_is_an_answer(reply: str) -> None:
    found = ask(Scripted(reply), TEXT, "How high is the mill?")
    assert found.texts == () and found.reason is None and found.score > 0 and found.provenance["no_answer"]


def test_a_text_without_a_question_object_is_the_question() -> None:
    writer = Scripted("eight")
    ask(writer, "How many legs has a spider?")
    last = writer.asks[0].messages[-1][1]
    assert last == "Question: How many legs has a spider?" and "Text:" not in str(writer.asks[0].messages)


def test_words_beside_the_control_ask_where_they_are_a_question() -> None:
    writer = Scripted("1845")
    ask(writer, TEXT, its=plan(question="When was it built?"))
    assert writer.asks[0].messages[-1][1] == f"Text: {TEXT}\n\nQuestion: When was it built?"


def test_of_a_long_text_the_window_with_an_answer_counts() -> None:
    text = "\n".join([*(f"Line {place} tells nothing at all about it." for place in range(20)), "Anna Weiss built it."])
    writer = Scripted("not in the text", "Anna Weiss", room=230)
    found = ask(writer, text, "Who built it?")
    assert found.provenance["windows"] == 2 and found.texts == ("Anna Weiss",)

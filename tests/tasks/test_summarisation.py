"""Summaries: wished lengths, what is no summary; with scripted replies."""

import pytest

from labelloop.prompting import load_file
from labelloop.tasks import summarisation
from labelloop.tasks.writing import answer
from labelloop.words import Answer, Field, FieldPlan, Passage, Reading
from support.scripted import Scripted

PROMPT = load_file("summarisation/v1", "", summarisation.Prompt).model_copy(update={"samples": 1, "beside": ()})
TEXT = " ".join(f"On day {place} the crew painted wall {place} of the hall." for place in range(1, 12))


def summarise(writer: Scripted, text: str = TEXT, **options: str) -> Answer:
    told = tuple(sorted(options.items()))
    field = Field(name="s", tag="TextArea", kind="summarisation", to_name="t", labels=(), sources=(), options=told)
    plan = FieldPlan(field=field, engine="causal", model="m", revision="r", prompt="p/v1", prompt_hash="")
    return answer(summarisation.CRAFT, plan, [Reading(passages=(Passage(name="t", text=text),))], writer, PROMPT)[0]


def test_a_wished_number_of_sentences_is_kept_and_told() -> None:
    writer = Scripted("They painted. It took days. All are glad. The end came.")
    found = summarise(writer, sentences="2")
    assert found.texts == ("They painted. It took days.",) and "2 sentences" in str(writer.asks[0].messages[-1])


def test_a_wished_number_of_words_is_kept_in_whole_sentences() -> None:
    found = summarise(Scripted("The crew painted walls. It took eleven days in all. Everyone is glad."), words="10")
    assert found.texts == ("The crew painted walls. It took eleven days in all.",)


@pytest.mark.parametrize("wish", ["many", "0", "-3"])
def test_a_wish_that_is_no_number_is_named(wish: str) -> None:
    found = summarise(Scripted(), words=wish)
    assert found.reason and "words" in found.reason and wish in found.reason


def test_what_is_no_shorter_than_the_text_is_no_summary() -> None:
    found = summarise(Scripted(TEXT))
    assert found.texts != (TEXT,)

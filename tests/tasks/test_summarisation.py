"""Summaries: wished lengths, what is no summary; with scripted replies."""

import pytest

from labelloop.prompting import load_file
from labelloop.tasks import summarisation
from labelloop.tasks.writing import answer
from labelloop.words import Answer, Field, FieldPlan, Passage, Reading
from support.scripted import Scripted

PROMPT = load_file("summarisation/v1", "", summarisation.Prompt).model_copy(
    update={"extracts": (), "choice": "likeliest"}
)
TEXT = " ".join(f"On day {place} the crew painted wall {place} of the hall." for place in range(1, 12))


def summarise(writer: Scripted, text: str = TEXT, prompt: summarisation.Prompt = PROMPT, **options: str) -> Answer:
    told = tuple(sorted(options.items()))
    field = Field(name="s", tag="TextArea", kind="summarisation", to_name="t", labels=(), sources=(), options=told)
    plan = FieldPlan(field=field, engine="causal", model="m", revision="r", prompt="p/v1", prompt_hash="")
    return answer(summarisation.CRAFT, plan, [Reading(passages=(Passage(name="t", text=text),))], writer, prompt)[0]


def test_a_wished_number_of_sentences_is_kept_and_told() -> None:
    writer = Scripted("They painted. It took days. All are glad. The end came.")
    found = summarise(writer, sentences="2")
    assert found.texts == ("They painted. It took days.",) and "2 sentences" in str(writer.asks[0].messages[-1])


def test_a_wished_number_of_words_is_kept_in_whole_sentences() -> None:
    found = summarise(Scripted("The crew painted walls. It took eleven days in all. Everyone is glad."), words="10")
    assert found.texts == ("The crew painted walls. It took eleven days in all.",)


@pytest.mark.parametrize("wish", ["many", "0", "-3", "²"])
def test_a_wish_that_is_no_number_is_named(wish: str) -> None:
    found = summarise(Scripted(), words=wish)
    assert found.reason and "words" in found.reason and wish in found.reason


def test_what_is_no_shorter_than_the_text_is_no_summary() -> None:
    found = summarise(Scripted(TEXT))
    assert found.texts == () and "nothing of use" in (found.reason or "")


def test_a_summary_with_a_number_that_the_text_has_not_is_refused() -> None:
    found = summarise(Scripted("In 1998 the crew painted all walls of the hall."))
    assert found.texts == () and "a number that the text has not" in (found.reason or "")
    assert summarise(Scripted("In 11 days the crew painted the hall.")).texts


def test_sentences_of_the_text_stand_among_the_candidates_and_say_so() -> None:
    talk = (
        "Ana: Is the boat ready to sail?\nTom: The sail of the boat is torn.\nAna: Oh.\nTom: I mend the sail tonight."
    )
    prompt = PROMPT.model_copy(update={"extracts": ("central", "lead"), "extract_words": 16, "choice": "consensus"})
    found = summarise(Scripted("Penguins fly south."), talk, prompt)
    assert found.provenance["origin"].startswith("extracted") and found.texts[0].startswith(
        "Ana: Is the boat ready to sail?"
    )
    assert all(line in talk for line in found.texts[0].splitlines())


def test_where_no_reply_is_of_use_an_extract_serves() -> None:
    prompt = PROMPT.model_copy(update={"extracts": ("lead",), "extract_words": 12})
    found = summarise(Scripted(""), TEXT, prompt)
    assert found.texts == ("On day 1 the crew painted wall 1 of the hall.",)
    assert found.score == pytest.approx(prompt.constants.fallback)

"""The common flow of kinds that write, with scripted replies."""

from collections.abc import Callable, Sequence

import pytest

from labelloop.engines import Ask, Manner, Written
from labelloop.errors import ItemError, ModelError
from labelloop.tasks.writing import Craft, answer
from labelloop.tasks.writing_prompt import Constants, Demonstration, Length, WritingPrompt
from labelloop.words import Answer, Field, FieldPlan, Passage, Reading
from support.scripted import Judging, Scripted

Asking = Callable[..., list[Answer]]
CONSTANTS = Constants(slope=1, intercept=0, fallback=0.05)


def plan(kind: str = "summarisation", **options: str) -> FieldPlan:
    told = tuple(sorted(options.items()))
    field = Field(name="out", tag="TextArea", kind=kind, to_name="text", labels=(), sources=(), options=told)
    return FieldPlan(field=field, engine="causal", model="m", revision="r", prompt="p/v1", prompt_hash="")


def prompt(**keys: object) -> WritingPrompt:
    given = {"user": "Write.\n{{ text }}", "constants": CONSTANTS, "length": Length(least=16, most=16), **keys}
    return WritingPrompt(name="generation/v1", digest="", **given)


def reading(*texts: str, query: str = "") -> Reading:
    passages = tuple(Passage(name=f"t{place}", text=text) for place, text in enumerate(texts))
    return Reading(passages=passages, query=query)


def ask(writer: Scripted, *readings: Reading, craft: Craft | None = None, **keys: object) -> list[Answer]:
    return answer(craft or Craft(), plan(), readings, writer, prompt(**keys))


def test_a_reply_becomes_a_text_with_the_probability_of_its_likelihood() -> None:
    (found,) = ask(Scripted(Written("A dog barks.", -0.5, 4, True)), reading("A big dog barks in the yard."))
    assert found.texts == ("A dog barks.",) and found.reason is None
    assert found.score == pytest.approx(1 / (1 + 2.718281828**0.5), abs=1e-3)
    assert found.provenance["logprob"] == -0.5 and found.provenance["windows"] == 1


def test_what_looks_like_a_template_or_a_token_in_a_task_stays_text() -> None:
    writer = Scripted("Fine.")
    ask(writer, reading("{{ 7 * 7 }} {% include 'x' %} <|im_end|>"))
    assert writer.asks[0].messages[-1][1] == "Write.\n{{ 7 * 7 }} {% include 'x' %} <|im_end|>"


def test_quotes_lead_ins_and_repeated_sentences_go() -> None:
    writer = Scripted('Here is the summary: "They meet at nine today. They meet at nine today. They meet at"')
    (found,) = ask(writer, reading("Long talk."), lead_ins=("here is",))
    assert found.texts == ("They meet at nine today.",)


def test_an_item_whose_replies_are_worthless_has_a_reason_and_spoils_no_other() -> None:
    writer = Scripted("", "A fine summary.", "go on and go on and go on and go on and go on and go on and go on")
    empty, fine, loop = ask(writer, reading("a"), reading("b"), reading("c"))
    assert "empty" in (empty.reason or "") and empty.score == 0 and empty.texts == ()
    assert fine.texts == ("A fine summary.",)
    assert "repeats itself" in (loop.reason or "")


def test_of_several_candidates_the_likeliest_that_is_worth_something_is_taken() -> None:
    replies = [Written("", -0.1, 1, True), Written("Rather good.", -0.4, 3, True), Written("Bad.", -2, 3, True)]
    (found,) = ask(Scripted(*replies), reading("x"), samples=3)
    assert found.texts == ("Rather good.",) and found.provenance["refused"] == {"empty": 1}


def test_consensus_takes_what_the_others_agree_with() -> None:
    writer = Scripted("Cats sleep.", "The dog runs in the park.", "The dog plays in the park.", "A dog in the park.")
    (found,) = ask(writer, reading("x"), samples=4, choice="consensus")
    assert found.texts[0].startswith("The dog")


def test_a_text_that_does_not_fit_is_read_in_whole_sentences_and_the_answer_says_so() -> None:
    text = " ".join(f"Sentence number {place} is about the topic {place}." for place in range(20))
    writer = Scripted(*(f"Part {place}." for place in range(9)), room=80)
    (found,) = ask(writer, reading(text))
    shown = [its.messages[-1][1].removeprefix("Write.\n") for its in writer.asks]
    assert len(shown) > 1 and " ".join(shown) == text
    assert all(part.endswith(".") and part.startswith("Sentence") for part in shown)
    assert found.provenance["windows"] == len(shown) and "put together" in found.provenance["merged"]
    assert found.texts[0].split("Part ")[1:] == [
        f"{place}." + " " * (place < len(shown) - 1) for place in range(len(shown))
    ]


def test_summaries_of_windows_are_summarised_again() -> None:
    text = "\n".join(f"Line {place} says what happened in the year {place}." for place in range(20))
    writer = Scripted("Early years.", "Middle years.", "Late years.", "Last years.", room=110)
    parts = 0
    made = Craft(merge="again")
    writer.enqueue("All the years.")
    (found,) = ask(writer, reading(text), craft=made)
    parts = found.provenance["windows"]
    assert parts > 1 and found.provenance["rounds"] == 2
    assert writer.asks[parts].messages[-1][1].startswith("Write.\nEarly years.\nMiddle years.")


def test_a_prompt_that_leaves_no_room_gives_a_reason() -> None:
    (found,) = ask(Scripted(room=20), reading("word " * 50))
    assert found.reason and "no room" in found.reason


def test_a_reply_that_was_stopped_ends_with_a_whole_sentence() -> None:
    (found,) = ask(Scripted(Written("It rains. Then the sun", -1, 6, False)), reading("x"))
    assert found.texts == ("It rains.",) and "stopped" in found.provenance


def test_texts_beside_the_written_ones_are_judged_with_them() -> None:
    craft = Craft(beside=lambda job, prompt: [("extracted", "From the text.")])
    writer = Judging(Written("Made up.", -2.0, 3, True), likes={"From the text.": -1.0})
    (found,) = ask(writer, reading("x"), craft=craft)
    assert found.texts == ("From the text.",) and found.provenance["origin"] == "extracted"


def test_a_fallback_says_where_it_comes_from_and_has_a_low_score() -> None:
    craft = Craft(fallback=lambda job, prompt: ("copied", job.text))
    (found,) = ask(Scripted(""), reading("The source."), craft=craft)
    assert found.texts == ("The source.",) and found.score == 0.05 and found.provenance["origin"] == "copied"


def test_demonstrations_stand_before_the_ask_as_turns() -> None:
    shown = (Demonstration(text="One.", reply="Uno."), Demonstration(text="Two.", reply="Dos."))
    writer = Scripted("Tres.")
    ask(writer, reading("Three."), demonstrations=shown, shown=1)
    assert writer.asks[0].messages == (("user", "Write.\nOne."), ("assistant", "Uno."), ("user", "Write.\nThree."))


def test_a_prompt_that_wants_another_object_says_so_per_item() -> None:
    (found,) = ask(Scripted(), reading("x"), user="{{ passages.context }}")
    assert found.reason and "generation/v1" in found.reason and "context" in found.reason


def test_a_text_whose_likelihood_the_server_does_not_tell_is_kept_with_an_even_score() -> None:
    (found,) = ask(Scripted(Written("A dog barks.", float("nan"), 4, True)), reading("A big dog barks."))
    assert (found.texts, found.score, found.provenance["logprob"]) == (("A dog barks.",), 0.5, None)


def test_an_ask_that_the_engine_refuses_costs_the_others_nothing() -> None:
    class Strict(Scripted):
        def write(self, asks: Sequence[Ask], manner: Manner) -> list[list[Written]]:
            if any("forbidden" in text for one in asks for _, text in one.messages):
                raise ItemError("The server refuses this text.", "Shorten it.")
            return super().write(asks, manner)

    first, refused, last = ask(Strict("One.", "Three."), reading("a"), reading("forbidden"), reading("c"))
    assert (first.texts, last.texts) == (("One.",), ("Three.",))
    assert refused.texts == () and "The server refuses this text." in (refused.reason or "")


class Strict(Scripted):
    """Refuses all asks where one does not fit, as the engines do."""

    def write(self, asks: Sequence[Ask], manner: Manner) -> list[list[Written]]:
        if max(self.sizes(asks)) + manner.max_tokens > self.room:
            raise ModelError("An ask and its reply do not fit.")
        return super().write(asks, manner)


def test_a_reply_has_the_room_that_all_passages_of_an_item_call_for() -> None:
    long = reading(" ".join(["word"] * 100), " ".join(["other"] * 90))
    writer = Strict(*["A fine text."] * 9, room=300)
    found = ask(writer, long, reading("short"), length=Length(least=16, per_token=0.5, most=400))
    assert [one.texts for one in found][1] == ("A fine text.",) and found[0].provenance["windows"] > 1

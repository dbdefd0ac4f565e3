"""Dialogue: turns of a transcript, who speaks next, and replies that are one turn of that speaker."""

import pytest

from labelloop.engines import Written
from labelloop.prompting import load_file
from labelloop.tasks import dialogue
from labelloop.tasks.turns import Turn, next_speaker, one_turn, read
from labelloop.tasks.writing import answer
from labelloop.words import Answer, Field, FieldPlan, Passage, Reading
from support.scripted import Judging, Scripted

from .conftest import Answering, MakeField

PROMPT = load_file(dialogue.PROMPT, "", dialogue.Prompt)
TEA = "Ann: Would you like some tea?\nBen: What kinds are there?\nAnn: Green and black."


def reply(
    writer: Scripted, *texts: str, question: str = "", keys: dict[str, object] | None = None, **options: str
) -> Answer:
    told = tuple(sorted(options.items()))
    field = Field(
        name="next",
        tag="TextArea",
        kind="dialogue",
        to_name="chat",
        labels=(),
        sources=(),
        options=told,
        question=question,
    )
    plan = FieldPlan(field=field, engine="causal", model="m", revision="r", prompt=PROMPT.name, prompt_hash="")
    reading = Reading(passages=tuple(Passage(name=f"o{place}", text=text) for place, text in enumerate(texts)))
    prompt = PROMPT.model_copy(update={"samples": 1, "choice": "likeliest", **(keys or {})})
    (found,) = answer(dialogue.CRAFT, plan, [reading], writer, prompt)
    return found


def test_a_transcript_has_the_turns_of_its_speakers() -> None:
    assert read("Dr. Smith: How are you?\n\nAnn: Fine.\nAnd you?\nNote: 10:30") == [
        Turn("Dr. Smith", "How are you?"),
        Turn("Ann", "Fine. And you?"),
        Turn("Note", "10:30"),
    ]
    assert read("Hello there\nHi: yes\nGood day\nBye") == [
        Turn("A", "Hello there"),
        Turn("B", "Hi: yes"),
        Turn("A", "Good day"),
        Turn("B", "Bye"),
    ]
    assert read("") == []


@pytest.mark.parametrize(
    ("text", "words", "speaker"),
    [
        (TEA, "", "Ben"),
        ("Ann: Hi\nBen: Hi\nCarl: Hello all", "", "Ben"),
        ("Ann: Hi\nBen: Hi\nCarl: Hello all", "Write Ann's reply", "Ann"),
        ("Ann: Hi\nBen: Hi\nAnn: Hello all", "What would Ann hear next?", "Ben"),
        ("user: What is tea?", "", "assistant"),
        ("Customer: It is broken.", "", "Agent"),
        ("Kim: It rains.", "", "B"),
        ("Hello\nHi", "", "A"),
        ("Hello", "", "B"),
    ],
)
def test_who_speaks_next(text: str, words: str, speaker: str) -> None:
    assert next_speaker(read(text), "", words)[0] == speaker


@pytest.mark.parametrize(
    ("reply_", "turn"),
    [
        ("Ben: Black, please.", "Black, please."),
        ("**Ben**: Black, please.", "Black, please."),
        ("Black, please.\nAnn: Here you are.", "Black, please."),
        ("Black, please. Ann: Here you are.", "Black, please."),
        ("Black, please.\nMilk too.", "Black, please. Milk too."),
        ("Black, please.\n\n(He drinks.)", "Black, please."),
        ("Ann: Here you are.", ""),
    ],
)
def test_a_reply_is_one_turn_of_the_next_speaker(reply_: str, turn: str) -> None:
    assert one_turn(reply_, "Ben", ["Ann", "Ben"]) == turn


def test_the_model_reads_the_dialogue_and_begins_as_the_next_speaker() -> None:
    writer = Scripted("Black, please. Ann: Sure.")
    found = reply(writer, TEA)
    assert writer.asks[0].messages[-1][1].startswith(TEA) and "what Ben says next" in writer.asks[0].messages[-1][1]
    assert writer.asks[0].begun == "Ben:"
    assert found.texts == ("Black, please.",)
    assert found.provenance["speaker"] == "Ben" and "before the last" in found.provenance["speaker_by"]


def test_the_fields_option_or_words_decide_who_speaks() -> None:
    writer = Scripted("Fine.", "Fine.")
    assert reply(writer, TEA, speaker="Carl").provenance["speaker"] == "Carl"
    assert reply(writer, "A: x\nB: y\nC: z", question="Reply of A").provenance["speaker"] == "A"
    assert [one.begun for one in writer.asks] == ["Carl:", "A:"]


@pytest.mark.parametrize("said", ["Green and black.", "ann: Green and black!", "Would you like some tea?"])
def test_what_only_says_again_what_was_said_is_refused(said: str) -> None:
    found = reply(Scripted(said), TEA)
    assert found.texts == () and found.score == 0 and found.reason


def test_another_candidate_is_taken_where_the_likeliest_says_again_what_was_said() -> None:
    writer = Scripted(
        Written("Green and black.", -0.1, 3, True),
        Written("I'm not sure.", -0.2, 3, True),
        Written("Black tea, please.", -0.9, 3, True),
    )
    found = reply(writer, TEA, keys={"samples": 3})
    assert found.texts == ("I'm not sure.",)
    assert found.provenance["refused"] == {dialogue.SAYS_AGAIN: 1}


def test_a_reply_to_the_point_is_preferred_to_one_that_fits_everywhere() -> None:
    class Pointed(Judging):
        def judge(self, asks, replies):  # type: ignore[no-untyped-def]
            import numpy as np

            return [
                np.array(
                    [
                        {"I'm not sure.": -0.5}.get(text, -1.0 if "Green" in ask.messages[-1][1] else -4.0)
                        for text in its
                    ]
                )
                for ask, its in zip(asks, replies, strict=True)
            ]

    writer = Pointed("I'm not sure.", "Black tea, please.", likes={})
    found = reply(writer, TEA, keys={"samples": 2, "choice": "pointed"})
    assert found.texts == ("Black tea, please.",)


def test_of_a_long_history_the_last_turns_are_read_and_the_answer_says_so() -> None:
    turns = [f"{'Ann' if place % 2 else 'Ben'}: This is turn number {place} of our talk." for place in range(60)]
    writer = Scripted("I see.", room=400)
    found = reply(writer, "\n".join(turns))
    shown = [line for line in writer.asks[0].messages[-1][1].splitlines() if "turn number" in line]
    assert 5 < len(shown) < 60 and shown == turns[-len(shown) :]
    assert found.provenance["speaker"] == "Ben" and "characters" in found.provenance["left_out"]
    assert "last lines" in found.provenance["merged"]


def test_what_is_no_dialogue_is_context() -> None:
    writer = Scripted("Black, please.")
    reply(writer, TEA, "Ben loves black tea and hates green tea. He is at Ann's.")
    assert writer.asks[0].messages[-1][1].startswith("Ben loves black tea")


def test_a_dialogue_without_names_has_an_answer() -> None:
    assert reply(Scripted("At nine."), "When do we meet?").texts == ("At nine.",)


ACTS = ("statement", "question", "request", "greeting", "thanks", "apology")
SAID = {
    "statement": "Ole: We went to the lake, and it rained all day.",
    "question": "Ann: How much does this cost?",
    "request": "Pia: I am freezing.\nPia: Please close the window.",
    "greeting": "Leo: Hello, good morning!",
    "thanks": "Eva: Here is your bag.\nJim: Thank you very much.",
    "apology": "Boss: You are late.\nWorker: I am so sorry, I apologize.",
}


def test_dialogue_acts_are_labels_that_the_prompt_explains(make_field: MakeField, answering: Answering) -> None:
    found = answering(make_field(ACTS, question="Dialogue act of the last turn"), [SAID[act] for act in ACTS])
    right = [answer.labels == ((act,),) for act, answer in zip(ACTS, found, strict=True)]
    assert sum(right) >= 5  # of 6; by chance 1

"""Generation by instruction: controls are told, measured, and decide which candidate is taken."""

import pytest

from labelloop import tasks
from labelloop.engines import Written
from labelloop.prompting import load_file
from labelloop.settings import Settings
from labelloop.tasks import generation
from labelloop.tasks.writing import answer
from labelloop.words import Answer, Field, FieldPlan, Passage, Reading
from support.scripted import Scripted

PROMPT = load_file(generation.PROMPT, "", generation.Prompt)


def field(question: str = "", **options: str) -> Field:
    told = tuple(sorted(options.items()))
    return Field(
        name="out",
        tag="TextArea",
        kind="generation",
        to_name="text",
        labels=(),
        sources=(),
        question=question,
        options=told,
    )


def write(writer: Scripted, *texts: str, question: str = "", tries: int = 0, **options: str) -> list[Answer]:
    plan = FieldPlan(
        field=field(question, **options), engine="causal", model="m", revision="r", prompt=PROMPT.name, prompt_hash=""
    )
    readings = [Reading(passages=(Passage(name="text", text=text),)) for text in texts]
    return answer(generation.CRAFT, plan, readings, writer, PROMPT.model_copy(update={"tries": tries}))


def told(writer: Scripted, place: int = 0) -> str:
    return writer.asks[place].messages[-1][1]


def test_the_text_is_the_instruction_where_the_field_has_none() -> None:
    writer = Scripted("It is a drink.")
    (found,) = write(writer, "Explain what tea is.")
    assert told(writer) == "Explain what tea is." and found.texts == ("It is a drink.",)
    assert "fulfilment" not in found.provenance


def test_an_instruction_stands_before_the_text_and_its_controls_between() -> None:
    writer = Scripted("Could you please come?")
    write(writer, "come!", instruction="Rewrite the message.", style="polite", words="<=20")
    assert told(writer) == "Rewrite the message. Use at most 20 words. Use a polite style.\n\ncome!"


def test_every_control_is_told_to_the_model() -> None:
    writer = Scripted(*"xxxx")
    write(
        writer,
        "Write.",
        words="20-40",
        sentences="2",
        keywords="storm, umbrella",
        avoid="rain",
        language="german",
        style="formal",
    )
    assert told(writer) == (
        "Write. Use 20 to 40 words. Write 2 sentences. Use a formal style. "
        'Use the words "storm", "umbrella". Do not use the words "rain". Write in German.'
    )


def test_demonstrations_have_the_controls_of_the_field() -> None:
    writer = Scripted("A storm.", "Water.", "):\n    pass")
    write(writer, "Write about rain.", keywords="storm")
    write(writer, "What is rain?")
    write(writer, "Write a function.", format="code:python")
    shown = [" ".join(text for _, text in ask.messages[:-1]) for ask in writer.asks]
    assert "Use the words" in shown[0] and "```" not in shown[0]
    assert "Use the words" not in shown[1] and "?" in shown[1]
    assert shown[2].count("```python") == 3


def test_a_control_that_cannot_be_read_spoils_its_own_field_alone() -> None:
    (found,) = write(Scripted(), "Write.", words="lots")
    assert found.texts == () and found.score == 0 and "option words is 'lots'" in (found.reason or "")


def test_fulfilment_comes_first_and_likelihood_second() -> None:
    writer = Scripted(
        Written("A storm came.", -0.1, 3, True),
        Written("The sun and the storm.", -0.1, 3, True),
        Written("A storm came and we opened the umbrella.", -2.0, 3, True),
        Written("The storm took our umbrella.", -1.0, 3, True),
        Written("Umbrella and storm and umbrella.", -3.0, 3, True),
        *[Written(" is all that we saw.", -1.5, 5, True)] * 3,
    )
    (found,) = write(writer, "Write about the weather.", tries=4, keywords="storm, umbrella")
    assert found.texts == ("The storm took our umbrella.",)
    assert found.provenance["fulfilment"] == {"keywords": 1.0}


def test_no_more_is_written_where_the_first_reply_does_all_that_is_wished() -> None:
    writer = Scripted("A storm came.")
    (found,) = write(writer, "Write about the weather.", tries=4, keywords="storm", words="<=10")
    assert len(writer.asks) == 1 and found.provenance["fulfilment"] == {"words": 1.0, "keywords": 1.0}


def test_missing_keywords_begin_what_is_written_next() -> None:
    writer = Scripted("A storm came. It was dark.", ".", ".", " were all around us.")
    (found,) = write(writer, "Write about the weather.", keywords="storm, umbrella")
    assert [one.begun for one in writer.asks[1:]] == [
        "A storm came. It was dark. Umbrella",
        "A storm came. Umbrella",
        "Storm and umbrella",
    ]
    assert found.texts == ("Storm and umbrella were all around us.",)
    assert found.provenance["fulfilment"] == {"keywords": 1.0}


def test_a_text_that_is_too_long_is_cut_after_a_sentence_and_the_answer_says_so() -> None:
    writer = Scripted("The sea is wide and blue. The sand is warm. The sun goes down late.")
    (found,) = write(writer, "Describe a beach.", words="<=10")
    assert found.texts == ("The sea is wide and blue. The sand is warm.",)
    assert found.provenance["repaired"] == ["length: cut after a sentence"]
    assert found.provenance["fulfilment"] == {"words": 1.0}


def test_a_long_text_is_rewritten_in_parts_and_controls_hold_for_the_whole() -> None:
    text = "\n".join(f"Line {place} tells what happened in the year {place}." for place in range(40))
    writer = Scripted(*[f"Part {place} is short and good." for place in range(9)], room=260)
    (found,) = write(writer, text, instruction="Rewrite.", words="<=14")
    assert found.provenance["windows"] > 2 and "put together" in found.provenance["merged"]
    assert " ".join(found.texts[0].split()) == "Part 0 is short and good. Part 1 is short and good."
    assert found.provenance["fulfilment"] == {"words": 1.0} and found.provenance["repaired"]


def test_what_is_not_fulfilled_lowers_the_score() -> None:
    (whole,) = write(Scripted("A storm and an umbrella."), "a", keywords="storm, umbrella")
    (part,) = write(Scripted("The sun."), "a", avoid="sun, moon")
    assert part.score < whole.score and part.provenance["fulfilment"] == {"avoid": 0.5}


def test_code_begins_with_the_head_of_the_function_and_leaves_as_bare_code() -> None:
    writer = Scripted("):\n    return 2 * x\n```\nThis doubles x.")
    (found,) = write(writer, "Write a Python function `twice(x)`, which doubles x.", format="code:python")
    assert writer.asks[0].begun == "```python\ndef twice(x"
    assert found.texts == ("def twice(x):\n    return 2 * x",)
    assert found.provenance["fulfilment"] == {"format": 1.0}


def test_of_several_candidates_code_that_parses_is_taken() -> None:
    writer = Scripted(
        Written("):\n    return 2 *\n", -0.1, 5, True),
        Written("):\n    return 2 ** \n", -0.1, 5, True),
        Written("):\n    return 2 * x\n", -1.0, 5, True),
    )
    (found,) = write(writer, "Write `twice(x)`.", tries=2, format="code:python")
    assert found.texts == ("def twice(x):\n    return 2 * x",)


def test_a_list_and_json_are_taken_out_of_the_reply() -> None:
    writer = Scripted("Sure, here are some:\n- red\n- blue\nEnjoy!", 'Here: {"name": "Ann"}')
    (colours,) = write(writer, "Name two colours.", format="list")
    (person,) = write(writer, "Invent a person.", format="json")
    assert colours.texts == ("- red\n- blue",) and person.texts == ('{"name": "Ann"}',)
    assert writer.manners[1].schema == '{"type":"object"}' and writer.manners[0].schema == ""


def test_as_many_different_texts_as_are_wished() -> None:
    replies = ["It is cold today.", "It is cold today.", "Today is a cold day!", "What a freezing morning.", "Brr."]
    (found,) = write(Scripted(*replies), "It's cold.", instruction="Say it in other words.", samples="3", tries=2)
    assert len(found.texts) == 3 and len(set(found.texts)) == 3
    (fewer,) = write(Scripted("Brr.", "Brr."), "It's cold.", instruction="Say it in other words.", samples="2")
    assert fewer.texts == ("Brr.",) and fewer.provenance["texts_wished"] == 2


@pytest.mark.parametrize("copied", ["describe a beach", "Describe a beach."])
def test_the_instruction_itself_is_no_answer(copied: str) -> None:
    (found,) = write(Scripted(copied), "Describe a beach.")
    assert found.texts == () and generation.COPIES in (found.reason or "")


def test_a_long_wish_gets_the_tokens_that_it_needs() -> None:
    writer = Scripted("x", "y", "z")
    for words in ("<=20", ">=400"):
        write(writer, "Describe a beach.", words=words)
    assert writer.manners[0].max_tokens < 96 < 600 < writer.manners[1].max_tokens


def test_a_prompt_without_a_wording_is_refused() -> None:
    keys = PROMPT.model_dump() | {"wordings": {**PROMPT.wordings, "style": {}}}
    with pytest.raises(ValueError, match="wordings must have these keys"):
        generation.Prompt(**keys)
    keys = PROMPT.model_dump() | {"wordings": {**PROMPT.wordings, "style": {"is": "{{ secret }}"}}}
    with pytest.raises(ValueError, match="style"):
        generation.Prompt(**keys)


def test_the_starter_writes_under_controls(cpu: Settings) -> None:
    options = {"keywords": "storm, umbrella", "words": "<=30"}
    bundle = tasks.make_bundle([field(**options)], cpu)
    reading = Reading(passages=(Passage(name="text", text="Write about the weather."),))
    ((found,),) = tasks.answer(bundle, [{"out": reading.dump()}], cpu)
    assert found.provenance["fulfilment"] == {"words": 1.0, "keywords": 1.0} and 0 < found.score <= 1
    assert "umbrella" in found.texts[0].lower()

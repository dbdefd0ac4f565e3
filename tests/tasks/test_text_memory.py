"""Accepted texts as demonstrations: which are shown, in which order, at what cost; with scripted replies."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from labelloop import tasks
from labelloop.engines import Vectors
from labelloop.engines.causal import Causal
from labelloop.settings import Settings
from labelloop.tasks import dialogue, recollection, text_memory, translation
from labelloop.tasks.text_memory import Accepted, TextMemory, representatives
from labelloop.tasks.writing import Craft, answer
from labelloop.tasks.writing_prompt import Constants, Demonstration, Length, WritingPrompt
from labelloop.words import Answer, Bundle, Field, FieldPlan, Passage, Reading
from support.scripted import Scripted

TOPICS = ["boat", "goat", "train", "soup", "song", "snow"]
CONSTANTS = Constants(slope=1, intercept=0, fallback=0.05)
OWN = (Demonstration(text="One.", reply="Uno."), Demonstration(text="Two.", reply="Dos."))
PLAN = FieldPlan(
    field=Field(name="out", tag="TextArea", kind="summarisation", to_name="text", labels=(), sources=()),
    engine="causal", model="m", revision="r", prompt="p/v1", prompt_hash="",
)  # fmt: skip


def counted(texts: Sequence[str]) -> Vectors:
    """Vectors that count the topics, and a little of how long a text is."""
    rows = [[*(one.lower().count(topic) for topic in TOPICS), 0.1, len(one) / 1000] for one in texts]
    made = np.array(rows, np.float32).reshape(len(texts), len(TOPICS) + 2)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def reading(text: str, query: str = "") -> Reading:
    return Reading(passages=(Passage(name="text", text=text),), query=query)


def remembered(*pairs: tuple[str, str], epoch: int = 1) -> TextMemory:
    examples = [Accepted(reading(text), (reply,)) for text, reply in pairs]
    found = text_memory.learn(examples, epoch, ("counted", "1"), Settings(), counted)
    assert found is not None
    return found


def ask(
    writer: Scripted, memory: TextMemory | None, *texts: str, craft: Craft | None = None, **keys: object
) -> list[Answer]:
    given = {"user": "Write.\n{{ text }}", "constants": CONSTANTS, "demonstrations": OWN, "shown": 4, **keys}
    prompt = WritingPrompt(name="generation/v1", digest="", **{"length": Length(least=16, most=16), **given})
    return answer(craft or Craft(), PLAN, [reading(text) for text in texts], writer, prompt, memory)


def shown(writer: Scripted, place: int = 0) -> list[str]:
    """The replies of the demonstrations before an ask."""
    return [text for role, text in writer.asks[place].messages if role == "assistant"]


MANY = [(f"The {topic} number {n} is here.", f"{topic} {n}!") for n in range(3) for topic in TOPICS]


def test_accepted_texts_stand_before_an_ask_behind_the_prompts_own() -> None:
    writer = Scripted("A song.", "A goat.", "A boat.")
    memory = remembered(("The boat leaves.", "Boat!"), ("The soup is hot.", "Soup!"), ("Snow falls.", "Snow!"))
    (found,) = ask(writer, memory, "A song is sung.")
    assert shown(writer) == ["Uno.", "Boat!", "Soup!", "Snow!"]
    assert writer.asks[0].messages[2] == ("user", "Write.\nThe boat leaves.")
    assert found.provenance["demonstrations"] == 3 and found.provenance["memory"] == 3
    ask(writer, None, "A goat.")
    assert shown(writer, 1) == ["Uno.", "Dos."]
    ask(writer, memory, "A boat.", shown=0)  # a prompt that shows nothing
    assert shown(writer, 2) == []


def test_without_memory_nothing_changes() -> None:
    one, other = Scripted("Fine."), Scripted("Fine.")
    given = WritingPrompt(name="generation/v1", digest="", user="{{ text }}", constants=CONSTANTS, demonstrations=OWN)
    assert answer(Craft(), PLAN, [reading("x")], one, given) == answer(
        Craft(), PLAN, [reading("x")], other, given, None
    )
    assert one.asks == other.asks and one.manners == other.manners


def test_of_many_the_nearest_stand_last_and_what_all_items_share_first() -> None:
    writer = Scripted("a", "b")
    memory = remembered(*MANY)
    one, two = ask(writer, memory, "Warm soup in a bowl, soup for all.", "Snow on the snow.")
    first, second = shown(writer, 0), shown(writer, 1)
    assert first[:2] == second[:2] and first != second and len(first) == len(second) == 4
    assert "soup" in first[-1] and "snow" in second[-1]
    assert len({text.split()[0] for text in first}) > 1  # no near duplicates
    assert one.provenance["demonstrations"] == two.provenance["demonstrations"] == 4
    alone = Scripted("a")
    ask(alone, memory, "Snow on the snow.")
    assert alone.asks[0] == writer.asks[1]  # no item's demonstrations depend on the others


def test_what_was_accepted_for_the_same_text_is_its_answer_and_never_its_demonstration() -> None:
    memory = remembered(("The boat  leaves.", "Old."), ("Snow falls.", "Snow!"), (" The boat leaves.", "Boat!"))
    assert memory.examples == 2  # the last answer to a text counts
    writer = Scripted("Nothing new.")
    known, new = ask(writer, memory, "The boat leaves.", "The boat leaves soon.")
    assert known.texts == ("Boat!",) and known.score == 0.95
    assert known.provenance == {"memory": 2, "origin": "accepted before"}
    assert len(writer.asks) == 1 and new.texts == ("Nothing new.",)
    near = memory.nearest([reading("The boat leaves.")], 5)[0]
    assert [memory.accepted[place].texts[0] for place in near] == ["Snow!"]


@pytest.mark.parametrize("reply", [1, 40])
@pytest.mark.parametrize("room", [60, 100, 140, 200, 400, 4000])
def test_demonstrations_never_push_an_items_text_out(room: int, reply: int) -> None:
    text = " ".join(f"Sentence {place} tells of the boat." for place in range(10))  # 60 words
    long = [(f"{topic} {n} " + "and more of it " * 5, f"{topic} {n}. " * reply) for n in range(5) for topic in TOPICS]
    plain, with_memory = (Scripted(*["Good."] * 20, room=room) for _ in range(2))
    (before,) = ask(plain, None, text)
    (after,) = ask(with_memory, remembered(*long), text)
    assert after.provenance["windows"] <= before.provenance["windows"]
    assert (after.reason is None) == (before.reason is None)
    for one in with_memory.asks:
        words = sum(len(content.split()) for _, content in one.messages[:-1])
        assert words <= max(room // 3, 6)  # 6: the prompt's own
    sizes = with_memory.sizes(with_memory.asks)
    assert all(size + its.max_tokens <= room for size, its in zip(sizes, with_memory.manners, strict=True))
    if room == 4000:
        assert after.provenance["demonstrations"] == 4


def test_a_reply_may_become_as_long_as_what_people_accept() -> None:
    writer = Scripted("Fine.", "Fine.")
    ask(writer, remembered(("The boat.", "word " * 50)), "The goat.")
    ask(writer, None, "The goat.")
    assert [one.max_tokens for one in writer.manners] == [64, 32]


def test_a_question_counts_as_much_as_its_text() -> None:
    text = "The boat is red. The goat is old. " * 10
    examples = [Accepted(reading(text, query), (query,)) for query in ("Which song?", "Which soup?", "Which snow?")]
    memory = text_memory.learn(examples, 1, ("counted", "q"), Settings(), counted)
    assert memory is not None
    (near,) = memory.nearest([reading("The boat was green, the goat young.", "What soup is it?")], 1)
    assert memory.accepted[near[0]].texts == ("Which soup?",)


def test_representatives_differ_from_each_other_and_stop_where_all_are_alike() -> None:
    vectors = counted(["boat", "boat", "boat", "goat", "goat", "song"])
    assert representatives(vectors, 10) == [0, 3, 5]


def test_what_cannot_be_used_is_left_out() -> None:
    blank = [Accepted(reading("x"), (" ",)), Accepted(reading(" "), ("y",)), Accepted(reading("x"), ())]
    assert text_memory.learn(blank, 1, ("counted", "1"), Settings(), counted) is None


def test_a_beginning_that_is_kept_is_not_said_twice() -> None:
    writer = Scripted(" fine.")
    memory = remembered(("The boat.", "Well, a boat."), ("The soup.", "A soup, in short."))
    (found,) = ask(writer, memory, "The goat.", begin="Well,", keep_begin=True, demonstrations=())
    assert shown(writer) == ["Well, a boat."]  # what begins otherwise is not shown
    assert found.texts == ("Well, fine.",) and found.provenance["demonstrations"] == 1


def test_a_translation_is_shown_by_sentences_and_in_its_languages() -> None:
    prompt = tasks.structured.prompt_of("translation", "causal", Settings())
    field = PLAN.field.model_copy(update={"kind": "translation", "options": (("target_language", "German"),)})
    memory = remembered(("The boat is red. The goat is old.", "Das Boot ist rot. Die Ziege ist alt."))
    writer = Scripted("Der Schnee ist kalt.")
    plan = PLAN.model_copy(update={"field": field})
    (found,) = answer(translation.CRAFT, plan, [reading("The snow is cold.")], writer, prompt, memory)
    assert found.texts == ("Der Schnee ist kalt.",)
    assert shown(writer)[-2:] == ["Das Boot ist rot.", "Die Ziege ist alt."]
    assert "German" in writer.asks[0].messages[-3][1] and found.provenance["demonstrations"] == 1


def test_a_dialogues_speaker_begins_each_reply() -> None:
    prompt = tasks.structured.prompt_of("dialogue", "causal", Settings()).model_copy(
        update={"samples": 1, "choice": "likeliest"}
    )
    memory = remembered(("Ann: Is the boat here?\nBob: No.\nAnn: And the goat?", "It is in\nthe barn."))
    writer = Scripted("It melts soon.")
    plan = PLAN.model_copy(update={"field": PLAN.field.model_copy(update={"kind": "dialogue"})})
    said = reading("Eve: Look at the snow!\nTom: Oh.\nEve: It is white.")
    (found,) = answer(dialogue.CRAFT, plan, [said], writer, prompt, memory)
    assert shown(writer)[-1] == "Bob: It is in the barn." and found.provenance["speaker"] == "Tom"


def test_the_starter_answers_in_the_manner_of_what_was_accepted(cpu: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    field = PLAN.field.model_copy(update={"kind": "generation", "options": (("instruction", "What is it about?"),)})
    bundle = Bundle(plans=(tasks.plan(field, cpu),))
    texts = ["My card was charged twice.", "The parcel is late.", "I forgot my password.", "The invoice is wrong."]
    names = ["TOPIC: card", "TOPIC: parcel", "TOPIC: password", "TOPIC: invoice"]
    examples = [
        recollection.Example(reading(text).dump(), texts=(name,)) for text, name in zip(texts, names, strict=True)
    ]
    memory = recollection.learn(bundle.plans[0], examples, 4, cpu)
    assert isinstance(memory, TextMemory) and memory.epoch == 4 and bundle.remembering == {"out"}
    new = [{"out": reading(text).dump()} for text in ("The courier lost my parcel.", "Where is my invoice?", texts[0])]
    shares: list[int] = []
    shared = Causal._shared
    monkeypatch.setattr(Causal, "_shared", lambda *its: shares.append(shared(*its)) or shares[-1])
    (first,), (second,), (same,) = tasks.answer(bundle, new, cpu, {"out": memory})
    assert first.texts[0].startswith("TOPIC: ") and second.texts[0].startswith("TOPIC: ")
    assert first.provenance["demonstrations"] == 4 and same.texts == ("TOPIC: card",)
    assert max(shares) > 100  # tokens, read once for both: all demonstrations
    before = [one.texts for (one,) in tasks.answer(bundle, new, cpu)]
    assert not any(texts and texts[0].startswith("TOPIC") for texts in before)
    assert [one.texts for (one,) in tasks.answer(bundle, new, cpu, {})] == before


def test_the_prompt_goes_on_where_it_was_when_a_label_comes() -> None:
    asks = []
    for count in range(1, 5):
        writer = Scripted("Fine.")
        ask(writer, remembered(*MANY[:count]), "The goat and the boat.", demonstrations=())
        asks.append([text for _, text in writer.asks[0].messages[:-1]])
    assert all(more[: len(fewer)] == fewer for fewer, more in pairwise(asks))

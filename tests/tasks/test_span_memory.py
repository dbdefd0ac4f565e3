"""Marked spans in serving: what is marked next, under which label, and what stays as it was."""

from collections.abc import Sequence

import numpy as np
import pytest

from labelloop import tasks
from labelloop.settings import Settings
from labelloop.tasks import span_memory
from labelloop.tasks.entities import Candidate
from labelloop.tasks.recollection import Example, learn
from labelloop.tasks.span_memory import Marked, SpanMemory
from labelloop.words import Answer, Bundle, Field, Label, Passage, Reading, Source, Span

FIELD = Field(
    name="ner",
    tag="Labels",
    kind="entities",
    to_name="text",
    labels=tuple(Label(path=(name,), text=name) for name in ("Person", "Place")),
    sources=(Source(name="text", tag="Text", key="text"),),
)


def reading(text: str) -> str:
    return Reading(passages=(Passage(name="text", text=text),)).dump()


def example(text: str, **marked: str) -> Example:
    """``marked``: label by the words, with "_" for spaces."""
    spans = []
    for words, label in marked.items():
        start = text.index(words.replace("_", " "))
        end = start + len(words)
        spans.append(Span(field="ner", source="text", start=start, end=end, text=text[start:end], label=(label,)))
    return Example(reading(text), spans=tuple(spans))


@pytest.fixture(scope="module")
def cpu(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("spans"), device="cpu")


def answers(texts: Sequence[str], cpu: Settings, memory: object) -> list[Answer]:
    bundle = Bundle(plans=(tasks.plan(FIELD, cpu),))
    memories = {"ner": memory} if memory else None
    return [one for (one,) in tasks.answer(bundle, [{"ner": reading(text)} for text in texts], cpu, memories)]  # type: ignore[arg-type]


def told(one: Answer) -> list[tuple[str, str]]:
    return [(span.text, span.label[0]) for span in one.spans]


def test_a_name_that_was_corrected_comes_back_corrected(cpu: Settings) -> None:
    text = "In the evening Angela Merkel arrived."
    assert ("Angela Merkel", "Person") in told(answers([text], cpu, None)[0])
    examples = [
        example("They met Angela Merkel in the harbour.", Angela_Merkel="Place"),
        example("Angela Merkel sank off the coast.", Angela_Merkel="Place"),
        example("We boarded Angela Merkel at noon.", Angela_Merkel="Place"),
    ]
    memory = learn(tasks.plan(FIELD, cpu), examples, 3, cpu)
    assert isinstance(memory, SpanMemory) and memory.epoch == 3
    (found,) = answers([text], cpu, memory)
    assert told(found) == [("Angela Merkel", "Place")] and found.provenance == {"memory": 3}


def test_what_people_leave_is_not_marked_again(cpu: Settings) -> None:
    text = "A letter from Peter Miller came."
    assert told(answers([text], cpu, None)[0]) == [("Peter Miller", "Person")]
    left = [example(f"{words} Peter Miller.") for words in ("Sincerely,", "Greetings from", "Written by", "Yours,")]
    left += [example("Peter Miller, our sales desk, is closed."), example("Ask Peter Miller for help.")]
    assert told(answers([text], cpu, learn(tasks.plan(FIELD, cpu), left, 1, cpu))[0]) == []


def test_an_accepted_text_is_marked_where_models_find_nothing_unless_it_was_left(cpu: Settings) -> None:
    new = "nothing was heard of the glass room since."
    assert told(answers([new], cpu, None)[0]) == []
    once = [example("we slept in the glass room again.", glass_room="Place")]
    plan = tasks.plan(FIELD, cpu)
    assert told(answers([new], cpu, learn(plan, once, 1, cpu))[0]) == [("glass room", "Place")]
    left = [*once, example("a glass room is a room of glass."), example("he drew a glass room.")]
    assert told(answers([new], cpu, learn(plan, left, 1, cpu))[0]) == []


def test_answers_are_whole_and_depend_on_no_other(cpu: Settings) -> None:
    memory = learn(
        tasks.plan(FIELD, cpu), [example("Anna Berg lives in Oslo.", Anna_Berg="Person", Oslo="Place")], 1, cpu
    )
    texts = ["Anna Berg left Oslo for Rome.", "Tom Hill saw it.", "", "Oslo, Oslo and Oslo."]
    together = answers(texts, cpu, memory)
    assert together[2].reason
    for text, one in zip(texts, together, strict=True):
        (alone,) = answers([text], cpu, memory)
        assert told(alone) == told(one)
        assert all(text[span.start : span.end] == span.text and 0 <= span.score <= 1 for span in one.spans)
        ends = [0, *(span.end for span in one.spans)]
        assert all(end <= span.start for end, span in zip(ends, one.spans, strict=False))


def test_fields_without_examples_or_with_other_engines_have_no_span_memory(cpu: Settings) -> None:
    plan = tasks.plan(FIELD, cpu)
    assert learn(plan, [], 1, cpu) is None
    assert learn(plan.model_copy(update={"engine": "causal"}), [example("Anna left.", Anna="Person")], 1, cpu) is None


def test_votes_count_beside_what_models_say() -> None:
    passage = Passage(name="text", text="Anna")
    sure = Candidate(0, 0, 4, 0, 0.8, np.array([0.1, 0.8, 0.1]))
    place = Span(field="ner", source="text", start=0, end=4, text="Anna", label=("Place",))
    once = span_memory.learn(FIELD, [Marked(passage, (place,), (sure,))], 1)
    assert once is not None and once.drafts([passage], [sure]) == [(0, 0, 4, 1, pytest.approx(0.55))]
    left = span_memory.learn(FIELD, [Marked(passage, (), (sure,))], 1)
    assert left is not None and left.drafts([passage], [sure]) == [(0, 0, 4, 0, pytest.approx(0.8 / 1.5))]
    often = span_memory.learn(FIELD, [Marked(passage, (), (sure,))] * 3, 1)
    assert often is not None and often.drafts([passage], [sure]) == []


def test_lost_labels_are_no_trouble() -> None:
    passage = Passage(name="text", text="Anna")
    gone = Span(field="ner", source="text", start=0, end=4, text="Anna", label=("Gone",))
    nothing = span_memory.learn(FIELD, [Marked(passage, (gone,), ())], 1)
    assert nothing is not None and nothing.votes == {} and nothing.drafts([passage], []) == []
    assert span_memory.learn(FIELD, [], 1) is None


def test_runs_of_words_are_cut_as_spans_are() -> None:
    found = [text for _, _, text in span_memory.runs("Jean-Paul met U.S. troops.")]
    assert "Jean-Paul" in found and "U.S. troops" in found and "Jean" not in found
    assert all(one == "a b c d e f g h i j"[start:end] for start, end, one in span_memory.runs("a b c d e f g h i j"))

"""Answers to questions, with the real starter encoder: what an annotator sees marked."""

import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from labelloop import tasks
from labelloop.errors import SettingsError
from labelloop.settings import Settings
from labelloop.tasks.metrics import exact_match, normalise, overlap_f1
from labelloop.words import Answer, Field, Label, Passage, Reading

BRIDGE = (
    "The bridge over the Aare was built in 1844 by Rudolf Gatschet, an engineer from Bern. It is 190 metres long. "
    "Every day 12,000 cars cross it. In winter, swans sleep under its arches."
)
LABEL = Label(path=("Answer",), text="Answer")
Asking = Callable[..., list[Answer]]


def a_field(tag: str = "Labels", question: str = "") -> Field:
    return Field(name="answer", tag=tag, kind="extraction", to_name="t", labels=(LABEL,), sources=(), question=question)


def reading(text: str | Sequence[str], question: str) -> Reading:
    texts = [text] if isinstance(text, str) else text
    return Reading(
        passages=tuple(Passage(name=f"t{index}", text=one) for index, one in enumerate(texts)), query=question
    )


@pytest.fixture
def asking(cpu: Settings) -> Asking:
    """Answers to (text, question) pairs."""

    def ask(pairs: Sequence[tuple[str | Sequence[str], str]], field: Field | None = None) -> list[Answer]:
        bundle = tasks.make_bundle([field or a_field()], cpu)
        items = [{"answer": reading(text, question).dump()} for text, question in pairs]
        return [one for (one,) in tasks.answer(bundle, items, cpu)]

    return ask


@pytest.fixture
def always(cpu: Settings, tmp_path: Path) -> Settings:
    """Settings with a prompt for projects in which every question has an answer."""
    shipped = Path(__file__).parents[2] / "prompts" / "extraction" / "v1.yaml"
    content = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    (tmp_path / "extraction").mkdir()
    (tmp_path / "extraction" / "v1.yaml").write_text(yaml.safe_dump({**content, "answerable": 1.0}))
    return cpu.model_copy(update={"prompts_dir": str(tmp_path)})


def quote(answer: Answer) -> str:
    return answer.spans[0].text if answer.spans else ""


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who built the bridge?", "Rudolf Gatschet"),
        ("When was the bridge built?", "1844"),
        ("What sleeps under the arches in winter?", "swans"),
    ],
)
def test_the_passage_that_answers_is_marked(asking: Asking, question: str, expected: str) -> None:
    (answer,) = asking([(BRIDGE, question)])
    (span,) = answer.spans
    assert normalise(span.text) == normalise(expected) and span.text == BRIDGE[span.start : span.end]
    assert span.source == "t0" and span.field == "answer" and span.label == ("Answer",)
    assert 0.3 < span.score == answer.score < 1 and answer.reason is None


@pytest.mark.parametrize(
    "question",
    ["What is the capital of Mongolia?", "How many people died in the war?", "Who did not build the bridge?"],
)
def test_no_answer_is_an_answer(asking: Asking, question: str) -> None:
    (answer,) = asking([(BRIDGE, question)])
    assert answer.spans == () and answer.texts == () and answer.reason is None and answer.score > 0.5


def test_where_every_question_has_an_answer_one_is_always_marked(always: Settings) -> None:
    bundle = tasks.make_bundle([a_field()], always)
    questions = [
        "How many cars cross the bridge every day?",
        "Where did the engineer come from?",
        "Who dug the tunnel?",
    ]
    items = [{"answer": reading(BRIDGE, question).dump()} for question in questions]
    cars, town, some = (one for (one,) in tasks.answer(bundle, items, always))
    assert "12,000" in quote(cars) and quote(town) == "Bern" and quote(some)
    assert all(one.provenance["chances"]["none"] == 0 for one in (cars, town, some))


def test_a_text_area_gets_the_passage_as_it_stands(asking: Asking) -> None:
    yes, no = asking([(BRIDGE, "Who built the bridge?"), (BRIDGE, "What is pi?")], a_field("TextArea"))
    assert yes.texts == ("Rudolf Gatschet",) and yes.spans == () and no.texts == ()
    best = yes.provenance["best"]
    assert BRIDGE[best["start"] : best["end"]] == "Rudolf Gatschet"


def test_the_words_of_the_field_are_the_question_where_the_item_has_none(asking: Asking) -> None:
    (answer,) = asking([(BRIDGE, "")], a_field(question="When was the bridge built?"))
    assert quote(answer) == "1844"


@pytest.mark.parametrize("question", ["", "  ", "?!", "😀"])
def test_without_a_question_there_is_a_reason(asking: Asking, question: str) -> None:
    (answer,) = asking([(BRIDGE, question)])
    assert answer.reason == "There is no question." and answer.score == 0.0 and answer.spans == ()


@pytest.mark.parametrize("text", ["Hi", "...", "of the", "😀😀", "?"])
def test_texts_with_next_to_nothing_in_them(asking: Asking, text: str) -> None:
    (answer,) = asking([(text, "When was the bridge built?")])
    assert answer.reason is None and 0 <= answer.score <= 1


def test_an_empty_text_gets_a_reason(asking: Asking) -> None:
    (answer,) = asking([(" \n", "Who?")])
    assert answer.reason == "The text is empty."


@pytest.mark.parametrize(
    ("text", "question", "expected"),
    [
        (
            "🎉🎉 Hi 👩‍👩‍👧!\r\n\r\nThe party 🎈 of Tim began in 1999.\r\nBring cake.",
            "When did Tim's party begin?",
            "1999",
        ),
        (BRIDGE.lower(), "when was the bridge built?", "1844"),
        ("Die Brücke wurde 1844 von Rudolf Gatschet gebaut.", "Wann wurde die Brücke gebaut?", "1844"),
        ("Cafe\u0301 Noir was opened in 1921 by Zoë.", "When was Cafe\u0301 Noir opened?", "1921"),
    ],
)
def test_offsets_are_exact_in_any_text(asking: Asking, text: str, question: str, expected: str) -> None:
    (answer,) = asking([(text, question)])
    (span,) = answer.spans
    assert span.text == text[span.start : span.end] == expected


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("东京是日本的首都。人口约1400万。", "日本的首都是哪里？"),
        ("مدينة القاهرة هي عاصمة مصر. تأسست سنة 969.", "متى تأسست القاهرة؟"),
        ("पानी ठंडा है। राम घर गया।", "राम कहाँ गया?"),
    ],
)
def test_what_is_marked_in_other_scripts_is_literally_there(always: Settings, text: str, question: str) -> None:
    ((answer,),) = tasks.answer(
        tasks.make_bundle([a_field()], always), [{"answer": reading(text, question).dump()}], always
    )
    (span,) = answer.spans
    assert span.text and span.text == text[span.start : span.end]


def test_the_passage_is_named_where_there_are_several(asking: Asking) -> None:
    (answer,) = asking([(["Anna lives in Paris.", "Ben moved to Oslo in 2011."], "When did Ben move to Oslo?")])
    (span,) = answer.spans
    assert (span.source, span.text, span.start) == ("t1", "2011", 21)


def test_answers_do_not_depend_on_the_other_items(asking: Asking) -> None:
    pairs = [
        (BRIDGE, "Who built the bridge?"),
        (BRIDGE, "When was the bridge built?"),
        ("Ben moved to Oslo in 2011.", "When did Ben move?"),
        (BRIDGE * 20, "What sleeps under the arches?"),
        *((f"Room {index} was painted in {1900 + index}.", "When was the room painted?") for index in range(20)),
    ]
    together, backwards = asking(pairs), asking(pairs[::-1])[::-1]
    for index in (0, 1, 2, 3, 23):
        (alone,) = asking([pairs[index]])
        for other in (together[index], backwards[index]):
            assert quote(other) == quote(alone) and other.score == pytest.approx(alone.score, abs=5e-4)


def test_of_a_long_text_only_the_sentences_that_matter_are_read(asking: Asking) -> None:
    filler = "The committee met again and talked about many things without any result. "
    text = (filler * 700)[:50_000] + " The treaty was signed in 1783 in Versailles."
    asking([(BRIDGE, "Who?")])  # the model is warm
    tracemalloc.start()
    (answer,) = asking([(text, "When was the treaty signed?")])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert quote(answer) == "1783" and answer.spans[0].start > 50_000
    assert answer.provenance["sentences"] == 64 and peak < 200e6


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    ["x" * 50_000, "a.b,c;" * 8_000, '"' * 50_000 + " a", "1 " * 25_000],
    ids=["one word", "no spaces", "quotes", "digits"],
)
def test_hostile_texts(asking: Asking, text: str) -> None:
    (answer,) = asking([(text, "How many bridges were built?")])
    assert 0 <= answer.score <= 1 and len(quote(answer)) < 1000


def test_a_prompt_with_an_unknown_weight_is_refused(cpu: Settings, tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "prompts" / "extraction" / "v1.yaml"
    content = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    (tmp_path / "extraction").mkdir()
    content["weights"]["luck"] = 1.0
    (tmp_path / "extraction" / "v1.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SettingsError, match=r"weights .*unknown \['luck'\]"):
        tasks.make_bundle([a_field()], cpu.model_copy(update={"prompts_dir": str(tmp_path)}))


def test_metrics_are_those_of_squad() -> None:
    assert exact_match("The U.S. Army", ["us army!"]) == 1.0
    assert exact_match("", []) == 1.0 and exact_match("x", []) == 0.0 and exact_match("", ["x"]) == 0.0
    assert overlap_f1("in the year 1844", ["1844"]) == pytest.approx(0.5)
    assert overlap_f1("a b", ["c", "a b d"]) == pytest.approx(2 / 3) and overlap_f1("", []) == 1.0

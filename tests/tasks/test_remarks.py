"""What is said of single regions, with the real starter encoder."""

import time
from collections.abc import Sequence

import pytest

from labelloop import tasks
from labelloop.settings import Settings
from labelloop.tasks.remarks import Clauses
from labelloop.words import Answer, Field, Label, Passage, Reading, Source, Span

MEAL = "The food was great but the service was slow."


def mark(text: str, *words: str, score: float = 1.0) -> Reading:
    spans = [
        Span(field="aspect", source="text", start=text.index(word), end=text.index(word) + len(word), text=word,
             label=("aspect",), score=score)
        for word in words
    ]  # fmt: skip
    return Reading(passages=(Passage(name="text", text=text),), given=tuple(spans))


def ask(settings: Settings, labels: Sequence[str], readings: Sequence[Reading], **changes: object) -> list[Answer]:
    field = Field(
        name="opinion",
        tag="Choices",
        kind="remarks",
        to_name="text",
        labels=tuple(Label(path=(label,), text=label) for label in labels),
        sources=(Source(name="text", tag="Text", key="text"),),
        regions_of=("aspect",),
        **changes,
    )
    bundle = tasks.make_bundle([field], settings)
    return [one for (one,) in tasks.answer(bundle, [{"opinion": reading.dump()} for reading in readings], settings)]


def told(answer: Answer) -> dict[str, str]:
    return {remark.span.text: remark.labels[0][0] for remark in answer.remarks}


def test_two_aspects_of_one_sentence(cpu: Settings) -> None:
    answers = ask(
        cpu,
        ["positive", "negative"],
        [
            mark(MEAL, "food", "service"),
            mark("Awful room, wonderful breakfast.", "room", "breakfast"),
            mark("The app crashes all the time. Support fixed it within minutes, superb!", "app", "Support"),
        ],
    )
    assert [told(answer) for answer in answers] == [
        {"food": "positive", "service": "negative"},
        {"room": "negative", "breakfast": "positive"},
        {"app": "negative", "Support": "positive"},
    ]
    for answer in answers:
        one, other = answer.remarks
        assert answer.score == pytest.approx(one.score * other.score, abs=1e-3) and answer.labels == ()


def test_aspects_that_share_their_verdict(cpu: Settings) -> None:
    (answer,) = ask(cpu, ["positive", "negative"], [mark("Food and service were excellent.", "Food", "service")])
    assert told(answer) == {"Food": "positive", "service": "positive"}


def test_a_rating_and_several_labels(cpu: Settings) -> None:
    steps = [str(step) for step in range(1, 6)]
    (answer,) = ask(cpu, steps, [mark("Awful room, wonderful breakfast.", "room", "breakfast")], ordinal=True)
    room, breakfast = (int(remark.labels[0][0]) for remark in answer.remarks)
    assert room < breakfast
    (answer,) = ask(cpu, ["sports", "cooking"], [mark("We baked bread. It rained.", "bread")], multiple=True)
    assert told(answer) == {"bread": "cooking"}


def test_doubts_about_a_region_count(cpu: Settings) -> None:
    sure, unsure = ask(cpu, ["positive", "negative"], [mark(MEAL, "food", score=score) for score in (1.0, 0.5)])
    assert unsure.remarks[0].score == pytest.approx(sure.remarks[0].score / 2, abs=1e-3)
    assert unsure.score == sure.score


def test_no_regions_no_remarks(cpu: Settings) -> None:
    none, empty = ask(cpu, ["positive", "negative"], [mark(MEAL), mark("  ")])
    assert none.remarks == () and none.score == 1.0 and none.reason is None
    assert empty.reason == "The text is empty."


def test_no_answer_depends_on_the_other_items(cpu: Settings) -> None:
    readings = [mark(MEAL, "food", "service"), mark("Great! " * 300 + MEAL, "service"), mark("A dull plot.", "plot")]
    together = ask(cpu, ["positive", "negative"], readings)
    for other, reading in zip(together, readings, strict=True):
        (alone,) = ask(cpu, ["positive", "negative"], [reading])
        assert told(other) == told(alone) and other.score == pytest.approx(alone.score, abs=3e-4)


def test_the_clause_around_a_region() -> None:
    def around(text: str, word: str) -> str:
        start = text.index(word)
        return Clauses(text).around(start, start + len(word))

    assert around(MEAL, "service") == "the service was slow."
    assert around("Rude waiters, delicious soup.", "soup") == "delicious soup."
    assert around("The bar and the pool were dirty; the bed was fine.", "bar") == "The bar and the pool were dirty"
    assert around("It rained. The bed was fine. We slept.", "bed") == "The bed was fine"
    assert around("bed", "bed") == "bed"


def test_a_text_without_full_stops_gives_a_region_only_what_is_near_it() -> None:
    text = "word " * 20_000 + "bed " + "word " * 20_000
    around = Clauses(text).around(100_000, 100_003)
    assert "bed" in around and len(around) < 3_000


def test_the_ends_of_clauses_are_looked_for_once_for_all_regions() -> None:
    clauses = Clauses(f"{MEAL} " * 5_000)
    places = range(4, 5_000 * (len(MEAL) + 1), len(MEAL) + 1)
    started = time.monotonic()
    assert {clauses.around(place, place + 4) for place in places} == {"The food was great"}
    assert time.monotonic() - started < 5  # a search for each region takes ten times as long

"""Training for fields that mark entities, with the real starter encoder: small lessons, a few steps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from labelloop import tasks
from labelloop.engines.adapters import Sizes
from labelloop.engines.training import Recipe
from labelloop.errors import ModelError
from labelloop.settings import Settings
from labelloop.tasks import recollection, refresh_places, refresh_spans, trained, trained_spans
from labelloop.tasks.refresh_labels import Refreshed, Watch
from labelloop.tasks.refresh_spans import SpanLesson
from labelloop.tasks.roll import Example
from labelloop.tasks.trained_spans import TrainedSpans
from labelloop.words import Answer, Bundle, Field, FieldPlan, Label, Passage, Reading, Source, Span

RECIPE = Recipe(sizes=Sizes(layers=1, rank=4), rate=3e-3, fewest_steps=16, epochs=1, batch=8)
PEOPLE = ["Anna", "Peter", "Maria", "George", "Laura", "Henry", "Julia", "Martin", "Susan", "Robert", "Emma", "Frank"]
PLACES = [
    "Rome",
    "Paris",
    "Oslo",
    "Madrid",
    "Vienna",
    "Berlin",
    "Lisbon",
    "Dublin",
    "Athens",
    "Prague",
    "Cairo",
    "Lima",
]
SENTENCES = [
    *("Yesterday {} went to {} by train.", "In spring {} moved to {}.", "They say {} was born in {}."),
    *("A letter from {} came from {}.",),
]
NEW = ["Last week Walter flew to Boston.", "In winter Alice came back from Kyoto."]


def make_field(*names: str) -> Field:
    labels = tuple(Label(path=(name,), text=name) for name in names)
    source = Source(name="text", tag="Text", key="text")
    return Field(name="ner", tag="Labels", kind="entities", to_name="text", labels=labels, sources=(source,))


def reading(text: str) -> str:
    return Reading(passages=(Passage(name="text", text=text),)).dump()


def mark(text: str, words: str, label: str) -> Span:
    start = text.index(words)
    return Span(field="ner", source="text", start=start, end=start + len(words), text=words, label=(label,))


def examples(person: str, place: str, count: int = 36) -> list[Example]:
    """A label of "": such passages are left."""
    made = []
    for number in range(count):
        who, where = PEOPLE[number % 12], PLACES[(number * 5 + number // 12) % 12]
        text = SENTENCES[number % len(SENTENCES)].format(who, where)
        spans = [mark(text, words, label) for words, label in ((who, person), (where, place)) if label]
        made.append(Example(reading(text), spans=tuple(spans)))
    return made


def train(
    its: FieldPlan, known: Sequence[Example], cpu: Settings, watch: Watch = lambda share: None, **more: float
) -> tuple[SpanLesson, Path | None, Refreshed]:
    lesson = refresh_spans.lesson(its, known, cpu)
    return lesson, *refresh_places.train(its, lesson, cpu, watch, how=RECIPE, **more)


def answers(its: FieldPlan, texts: Sequence[str], cpu: Settings, memory: object = None) -> list[Answer]:
    memories = {"ner": memory} if memory else None
    bundle = Bundle(plans=(its,))
    return [one for (one,) in tasks.answer(bundle, [{"ner": reading(text)} for text in texts], cpu, memories)]  # type: ignore[arg-type]


def told(one: Answer) -> list[tuple[str, str]]:
    return [(span.text, span.label[0]) for span in one.spans]


@pytest.fixture(scope="module")
def cpu(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("spans"), device="cpu")


@pytest.fixture(scope="module")
def crossed(cpu: Settings) -> tuple[FieldPlan, SpanLesson, Path, Refreshed]:
    """People are called places, and places people: what names of labels say is all wrong."""
    its = tasks.plan(make_field("Person", "Place"), cpu)
    lesson, folder, made = train(its, examples("Place", "Person"), cpu)
    assert folder is not None, made.told
    return its, lesson, folder, made


def serving(its: FieldPlan, folder: Path, cpu: Settings) -> tuple[FieldPlan, TrainedSpans]:
    plan = its.model_copy(update={"adapter": folder.name})
    return plan, trained.ready(plan, cpu)


def test_it_learns_what_people_mean_and_serves_names_that_it_has_not_seen(
    cpu: Settings, crossed: tuple[FieldPlan, SpanLesson, Path, Refreshed]
) -> None:
    its, _, folder, made = crossed
    assert made.told["f1_adapter"] > made.told["f1_zero_shot"]
    assert made.told["f1_both"] >= made.told["f1_memory"]
    plan, _ = serving(its, folder, cpu)
    memory = recollection.learn(plan, examples("Place", "Person"), 1, cpu)
    assert told(answers(its, NEW[:1], cpu, memory)[0]) == [("Walter", "Person"), ("Boston", "Place")]
    found = answers(plan, NEW, cpu, memory)
    assert told(found[0]) == [("Walter", "Place"), ("Boston", "Person")]
    assert all(0 <= span.score <= 1 for one in found for span in one.spans)
    assert [told(one) for one in answers(plan, NEW[1:], cpu, memory)] == [told(found[1])]


def test_it_serves_without_memory_too(cpu: Settings, crossed: tuple[FieldPlan, SpanLesson, Path, Refreshed]) -> None:
    plan, adapter = serving(crossed[0], crossed[2], cpu)
    found = answers(plan, [*NEW, ""], cpu)
    assert found[2].reason and all(one.text in NEW[0] for one in found[0].spans)
    assert adapter.rows([], {}) == {}


def test_what_is_judged_was_not_seen(cpu: Settings, crossed: tuple[FieldPlan, SpanLesson, Path, Refreshed]) -> None:
    """Of each example one answer, and what nobody proposes without it is not in it."""
    its, lesson, _, made = crossed
    assert made.before is not None and made.after is not None
    before, after = lesson.answers(made.before), lesson.answers(made.after)
    assert len(before) == len(after) == len(lesson.learned) == 36
    right = [{(span.start, span.end, span.label) for span in one.spans} for one in examples("Place", "Person")]
    hits = [
        sum(len(gold & {(s.start, s.end, s.label) for s in one.spans}) for gold, one in zip(right, said, strict=True))
        for said in (before, after)
    ]
    assert hits[1] >= hits[0]
    strange = Example(reading("we met at xyzzy."), spans=(mark("we met at xyzzy.", "xyzzy", "Place"),))
    alone = refresh_spans.lesson(its, [*examples("Place", "Person", 4), strange], cpu)
    row = next(row for row, (owner, start, _) in enumerate(alone.where) if (owner, start) == (4, 10))
    out = np.array([row])
    assert np.isnan(alone.remembered([(out, np.arange(row))])[row]).all()


def test_a_label_that_was_never_trained_on_is_still_found(cpu: Settings) -> None:
    """Dates were never marked, and never left either."""
    its = tasks.plan(make_field("Person", "Place", "Date"), cpu)
    _, folder, made = train(its, examples("Place", "Person"), cpu)
    assert folder is not None and not made.taught[3]
    plan, _ = serving(its, folder, cpu)
    text = "On 4 March 1931 it began to snow."
    assert told(answers(its, [text], cpu)[0]) == [("4 March 1931", "Date")]
    assert ("4 March 1931", "Date") in told(answers(plan, [text], cpu)[0])


def test_names_of_nothing_are_left(cpu: Settings) -> None:
    """Places are never marked here, and the adapter tells them from people."""
    its = tasks.plan(make_field("Person", "Place"), cpu)
    lesson, folder, _ = train(its, examples("Person", ""), cpu)
    assert lesson.right[:, 0].any() and not lesson.right[:, 2].any()
    if folder is not None:
        plan, _ = serving(its, folder, cpu)
        memory = recollection.learn(plan, examples("Person", ""), 1, cpu)
        assert ("Walter", "Person") in told(answers(plan, NEW[:1], cpu, memory)[0])


def test_too_few_examples_train_nothing(cpu: Settings) -> None:
    its = tasks.plan(make_field("Person", "Place"), cpu)
    _, folder, made = train(its, examples("Person", "Place", 8), cpu)
    assert folder is None and "8 examples are too few" in str(made.told["why_not"]) and made.before is None
    assert refresh_spans.lesson(its, [], cpu).examples == 0


def test_without_time_nothing_is_trained(cpu: Settings) -> None:
    its = tasks.plan(make_field("Person", "Place"), cpu)
    _, folder, made = train(its, examples("Place", "Person"), cpu, seconds=0.0)
    assert folder is None and made.told["why_not"] == "0 seconds are too few for this machine"


def test_who_watches_can_stop_it(cpu: Settings) -> None:
    class StopNow(Exception):
        pass

    def stop(share: float) -> None:
        raise StopNow

    with pytest.raises(StopNow):
        train(tasks.plan(make_field("Person", "Place"), cpu), examples("Place", "Person"), cpu, stop)


def test_spans_with_lost_labels_are_no_evidence(cpu: Settings) -> None:
    its = tasks.plan(make_field("Person"), cpu)
    lesson = refresh_spans.lesson(its, examples("Person", "Gone", 12), cpu)
    assert len(lesson.where) > 0
    gone = {(o, s.start, s.end) for o, one in enumerate(examples("Person", "Gone", 12)) for s in one.spans[1:]}
    assert not gone & set(lesson.where)


def test_an_adapter_that_is_damaged_or_for_another_kind_is_refused(
    cpu: Settings, crossed: tuple[FieldPlan, SpanLesson, Path, Refreshed], tmp_path: Path
) -> None:
    its, _, folder, _ = crossed
    with pytest.raises(ModelError, match="cannot be read"):
        answers(its.model_copy(update={"adapter": "0" * 64}), NEW, cpu)
    relating = its.model_copy(update={"field": its.field.model_copy(update={"kind": "relations"})})
    with pytest.raises(ModelError, match="was not trained for relations"):
        trained_spans.serve(relating, folder, cpu)
    broken = tmp_path / folder.name
    broken.mkdir()
    for file in folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelError, match="not what its name says"):
        trained_spans.serve(its, broken, cpu)

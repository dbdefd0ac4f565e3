"""Training for fields that mark entities, with the real starter encoder: small lessons, a few steps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from labelloop import tasks
from labelloop.engines.adapters import Sizes
from labelloop.engines.training import Recipe
from labelloop.errors import ModelError, SettingsError
from labelloop.settings import Settings
from labelloop.tasks import recollection, refresh_places, refresh_spans, trained, trained_spans, training
from labelloop.tasks.refresh_labels import Refreshed, Watch
from labelloop.tasks.refresh_spans import SpanLesson
from labelloop.tasks.roll import Example
from labelloop.tasks.trained_spans import TrainedSpans
from labelloop.words import Answer, Bundle, Field, FieldPlan, Label, Passage, Reading, Source, Span

RECIPE = Recipe(sizes=Sizes(layers=1, rank=4), rate=3e-3, fewest_steps=16, epochs=1, batch=8)
NAMES = """
Anna Peter Maria George Laura Henry Julia Martin Susan Robert Emma Frank Oscar Nina Thomas Clara Simon Alice Victor
Helen Daniel Sophie Paul Irene Edward Rosa Arthur Judith Felix Martha Oliver Hannah Philip Sarah Leonard Grace
"""
CITIES = """
Rome Paris Oslo Madrid Vienna Berlin Lisbon Dublin Athens Prague Cairo Lima London Tokyo Warsaw Zurich Geneva Munich
Hamburg Milan Naples Turin Venice Seville Toronto Chicago Dallas Denver Seattle Sydney Delhi Mumbai Moscow Kyiv Riga
Stockholm
"""
PEOPLE, PLACES = NAMES.split(), CITIES.split()
SENTENCES = [
    *("Yesterday {} went to {} by train.", "In spring {} moved to {}.", "They say {} was born in {}."),
    *("A letter from {} came from {}.",),
]
NEW = ["Last week Walter flew to Boston.", "In winter Wanda came back from Kyoto."]


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
        who, where = PEOPLE[number], PLACES[number]
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


def test_a_label_that_was_never_trained_on_is_still_found(
    cpu: Settings, crossed: tuple[FieldPlan, SpanLesson, Path, Refreshed]
) -> None:
    """It came to the config after the training."""
    later = tasks.plan(make_field("Date", "Person", "Place"), cpu)
    _, adapter = serving(later, crossed[2], cpu)
    assert adapter.places.taught.tolist() == [False, False, True, True]  # nothing was left, either
    text = "On 4 March 1931 Walter came."
    known = {(0, 3, 15): np.array([0.1, 0.8, 0.06, 0.04]), (0, 16, 22): np.array([0.1, 0.1, 0.6, 0.2])}
    date, name = adapter.rows([text], known).values()
    assert date.argmax() == 1 and name.argmax() == 3
    assert date.sum() == pytest.approx(1) and name.sum() == pytest.approx(1)


def test_what_people_leave_is_learned_as_nothing(cpu: Settings) -> None:
    its = tasks.plan(make_field("Person", "Place"), cpu)
    lesson = refresh_spans.lesson(its, examples("Person", "", 12), cpu)
    names = [lesson.marked[owner].passage.text[start:end] for owner, start, end in lesson.where]
    for name, right in zip(names, lesson.right, strict=True):
        assert right.tolist() == ([False, True, False] if name in PEOPLE else [True, False, False]), name
    assert {"Anna", "Rome"} <= set(names)


def test_a_training_ends_in_answers_with_and_without_what_served_before(
    cpu: Settings, crossed: tuple[FieldPlan, SpanLesson, Path, Refreshed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh_places, "recipe", lambda settings: RECIPE)
    its, _, folder, _ = crossed
    known = examples("Place", "Person")
    done = training.train(its.model_copy(update={"adapter": folder.name}), known, cpu)
    assert done.adapter is not None and done.texts == done.learned == tuple(one.text for one in known)
    assert len(done.before) == len(done.after) == len(known)
    right = [{(span.start, span.label) for span in one.spans} for one in known]

    def hits(said: Sequence[Answer]) -> int:
        return sum(len(gold & {(s.start, s.label) for s in one.spans}) for gold, one in zip(right, said, strict=True))

    assert crossed[3].before is not None
    assert hits(done.before) >= hits(crossed[1].answers(crossed[3].before))  # the adapter that serves has learned this
    with pytest.raises(SettingsError, match="'ner' cannot be trained: it is served by causal"):
        training.train(its.model_copy(update={"engine": "causal"}), known, cpu)


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
    known = examples("Person", "Gone", 12)
    lesson = refresh_spans.lesson(tasks.plan(make_field("Person", "Place"), cpu), known, cpu)
    gone = {(owner, one.spans[1].start, one.spans[1].end) for owner, one in enumerate(known)}
    assert len(lesson.where) > 0 and not gone & set(lesson.where)


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

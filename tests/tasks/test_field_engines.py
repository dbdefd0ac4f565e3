"""Engines of single fields, from the setting to the answer, with small models that are trained here."""

from collections.abc import Callable

import pytest

from labelloop.errors import SettingsError
from labelloop.prompting import load_prompt
from labelloop.settings import Settings
from labelloop.tasks import answer, calibrate, make_bundle, plan, readings
from labelloop.tasks.verbalizers import verbalize
from labelloop.words import Field, Label
from support import tiny_models

MakeField = Callable[..., Field]
TEXTS = {"sports": "our team won the match", "music": "the band played a song"}
ABOUT = [f"This text is about {label}." for label in TEXTS]


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with an NLI model that knows what the two texts are about."""
    tokenizer = tiny_models.wordpiece([*TEXTS.values(), *ABOUT, *load_prompt("entailment/v1").everyday], 600)
    id2label = {0: "entailment", 1: "neutral", 2: "contradiction"}
    model = tiny_models.build("Bert", "ForSequenceClassification", tokenizer, id2label=id2label)
    pairs = [(text, statement) for text in TEXTS.values() for statement in ABOUT]
    tiny_models.train_pairs(model, tokenizer, pairs, [0, 2, 2, 0], 120)
    return tiny_models.save(model, tokenizer, tmp_path_factory.mktemp("nli"))


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a masked language model that knows the same."""
    prompt = load_prompt("cloze/v1")
    tokenizer = tiny_models.wordpiece([*TEXTS.values(), "It is about sports music.", *prompt.everyday], 600)
    model = tiny_models.build("Bert", "ForMaskedLM", tokenizer)
    lines = [(f"{text} It is about ___.", label) for label, text in TEXTS.items()]
    tiny_models.train_masks(model, tokenizer, lines, 120)
    return tiny_models.save(model, tokenizer, tmp_path_factory.mktemp("masked"))


def choose(engine: str, model: str, name: str = "topic") -> Settings:
    return Settings(device="cpu", fields={name: {"engine": engine, "model": model}})


def test_an_nli_model_and_a_masked_one_serve_two_fields_beside_the_encoder(
    make_field: MakeField, nli: str, masked: str
) -> None:
    chosen = {"topic": {"engine": "crossencoder", "model": nli}, "gap": {"engine": "cloze", "model": masked}}
    settings = Settings(device="cpu", fields=chosen)
    fields = [make_field(list(TEXTS), name) for name in ("topic", "gap", "plain")]
    bundle = make_bundle(fields, settings)
    assert [(one.engine, one.prompt) for one in bundle.plans] == [
        ("crossencoder", "entailment/v1"),
        ("cloze", "cloze/v1"),
        ("encoder", "classification/v1"),
    ]
    assert calibrate(bundle, [], settings) == bundle
    items = [dict.fromkeys(("topic", "gap", "plain"), text) for text in TEXTS.values()]
    for item, label in zip(answer(bundle, items, settings), TEXTS, strict=True):
        assert [one.labels for one in item] == [((label,),)] * 3
        assert all(0.5 < one.score <= 1 and one.provenance == {"windows": 1} for one in item)


def test_answers_do_not_depend_on_the_batch(make_field: MakeField, nli: str) -> None:
    settings = choose("crossencoder", nli)
    bundle = make_bundle([make_field(list(TEXTS), "topic", multiple=True)], settings)
    texts = [*TEXTS.values(), "rain " * 300, ""]
    together = answer(bundle, [{"topic": text} for text in texts], settings)
    assert [answer(bundle, [{"topic": text}], settings)[0] for text in texts] == together
    assert together[2][0].provenance["windows"] > 2 and together[3][0].reason


def test_labels_that_come_with_the_items_are_served_too(make_field: MakeField, nli: str) -> None:
    from labelloop.words import pose

    settings = choose("crossencoder", nli)
    bundle = make_bundle([make_field([], "topic", dynamic="options")], settings)
    labels = tuple(Label(path=(name,), text=name) for name in TEXTS)
    answers = answer(bundle, [{"topic": pose(text, labels)} for text in TEXTS.values()], settings)
    assert [one.labels for (one,) in answers] == [(("sports",),), (("music",),)]


def test_the_version_changes_with_engine_and_model(make_field: MakeField, nli: str, masked: str) -> None:
    field = make_field(list(TEXTS), "topic")
    made = {
        make_bundle([field], settings).digest
        for settings in (Settings(), choose("crossencoder", nli), choose("cloze", masked), choose("encoder", nli))
    }
    assert len(made) == 4
    assert make_bundle([field], choose("cloze", masked, "another")).digest == make_bundle([field], Settings()).digest


def test_how_often_texts_are_read(make_field: MakeField, nli: str) -> None:
    fields = [make_field([f"label {index}" for index in range(9)], name) for name in ("topic", "plain")]
    assert readings(make_bundle(fields, choose("crossencoder", nli))) == 5
    assert readings(make_bundle(fields, Settings())) == 1


def test_a_star_stands_for_every_field_that_has_no_own_entry(make_field: MakeField, nli: str, masked: str) -> None:
    chosen = {"topic": {"engine": "cloze", "model": masked}, "*": {"engine": "crossencoder", "model": nli}}
    chosen["own"] = {"engine": "encoder"}
    settings = Settings(fields=chosen)
    plans = make_bundle([make_field(list(TEXTS), name) for name in ("topic", "other", "own")], settings).plans
    assert [one.engine for one in plans] == ["cloze", "crossencoder", "encoder"]
    assert plans[2].model == "starter"
    spans = Settings(fields={"*": {"engine": "gliner", "model": "acme/gliner"}})
    assert plan(make_field(list(TEXTS)), spans).engine == "encoder"


def test_an_engine_that_cannot_serve_the_field_is_named(make_field: MakeField) -> None:
    settings = choose("gliner", "acme/gliner")
    with pytest.raises(SettingsError, match=r"'topic'.*gliner.*classification.*encoder, crossencoder, cloze"):
        plan(make_field(list(TEXTS), "topic"), settings)


@pytest.mark.parametrize("name", ["entailment/v1", "cloze/v1"])
def test_every_label_is_told_in_few_ways(make_field: MakeField, name: str) -> None:
    prompt = load_prompt(name)
    described = [Label(path=(label,), text=label, description="A hint.") for label in ("Sci/Tech", "billing")]
    fields = [
        make_field(["positive", "negative", "neutral"]),
        make_field(["joy", "anger", "fear"]),
        make_field([f"{n} stars" for n in range(2, 6)]),
        make_field(described, question="What is it about?"),
        make_field(["1", "2", "3"], "rating", ordinal=True),
        make_field([("Sport", "Tennis"), ("Sport", "Golf")]),
    ]
    for field in fields:
        for texts in verbalize(field, prompt).texts:
            assert 1 <= len(texts) <= 3
            if name == "cloze/v1":
                assert all(text.count("⟦") == text.count("⟧") == 1 for text in texts)


@pytest.mark.parametrize("name", ["entailment/v1", "cloze/v1"])
def test_no_label_is_spelt_twice_in_a_group(name: str) -> None:
    for group in load_prompt(name).groups.values():
        spellings = [spelling for spellings in group.labels for spelling in spellings.split("|")]
        assert len(spellings) == len(set(spellings))

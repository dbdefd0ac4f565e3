"""Fields that a causal model chooses labels for, from the setting to the answer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labelloop.errors import SettingsError
from labelloop.prompting import load_prompt
from labelloop.settings import Settings
from labelloop.tasks import answer, calibrate, make_bundle, readings
from labelloop.tasks.verbalizers import verbalize
from labelloop.words import Field
from support import tiny_models

MakeField = Callable[..., Field]


def test_a_causal_model_answers_a_field(make_field: MakeField, tmp_path: Path) -> None:
    folder = tiny_models.save(*tiny_models.causal(), tmp_path)
    settings = Settings(device="cpu", fields={"topic": {"engine": "causal", "model": folder}})
    bundle = make_bundle([make_field(["sports", "business"], "topic"), make_field(["a", "b"], "plain")], settings)
    assert [(one.engine, one.prompt) for one in bundle.plans] == [
        ("causal", "continuation/v1"),
        ("encoder", "classification/v1"),
    ]
    assert calibrate(bundle, [], settings) == bundle
    texts = ["it was good", "the weather " * 40, "it was bad"]
    together = answer(bundle, [{"topic": text} for text in texts], settings)
    for text, (found,) in zip(texts, together, strict=True):
        (alone,) = answer(bundle, [{"topic": text}], settings)[0]
        assert alone.labels == found.labels and alone.score == pytest.approx(found.score, abs=1e-3)
        assert sum(chance for _, chance in found.alternatives) == pytest.approx(1, abs=1e-3)


def test_two_causal_fields_of_one_text_share_its_reading(make_field: MakeField, tmp_path: Path) -> None:
    folder = tiny_models.save(*tiny_models.causal(), tmp_path)
    settings = Settings(device="cpu", fields={"*": {"engine": "causal", "model": folder}})
    fields = [make_field(["sports", "business"], "topic"), make_field(["good", "bad"], "tone")]
    both = answer(make_bundle(fields, settings), [{"topic": "it was good", "tone": "it was good"}], settings)[0]
    for field, found in zip(fields, both, strict=True):
        (alone,) = answer(make_bundle([field], settings), [{field.name: "it was good"}], settings)[0]
        assert alone.labels == found.labels and alone.score == pytest.approx(found.score, abs=1e-3)


def test_a_causal_model_is_expected_to_take_longer(make_field: MakeField, tmp_path: Path) -> None:
    folder = tiny_models.save(*tiny_models.causal(), tmp_path)
    field = make_field(["a", "b"], "topic")
    causal = make_bundle([field], Settings(fields={"topic": {"engine": "causal", "model": folder}}))
    assert readings(causal) > 5 * readings(make_bundle([field], Settings()))


def test_sentiment_has_words_of_its_own_and_a_topic_its_name(make_field: MakeField) -> None:
    prompt = load_prompt("continuation/v1")
    told = verbalize(make_field(["Positive", "Negative"], "tone"), prompt).texts
    assert told[0] == ("Sentiment: ⟦positive⟧", "Sentiment: ⟦great⟧")
    assert verbalize(make_field(["Sci/Tech", "World"], "topic"), prompt).texts[0] == (
        "Category: ⟦science and technology⟧",
    )


def test_a_lead_is_refused_for_engines_that_have_no_use_for_it(make_field: MakeField, tmp_path: Path) -> None:
    folder = tmp_path / "classification"
    folder.mkdir()
    shipped = Path(__file__).parents[2] / "prompts" / "classification" / "v1.yaml"
    (folder / "v1.yaml").write_text(shipped.read_text(encoding="utf-8") + 'lead: "Text: "\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="has a lead, which the engine encoder has no use for"):
        make_bundle([make_field(["a", "b"], "topic")], Settings(prompts_dir=str(tmp_path)))

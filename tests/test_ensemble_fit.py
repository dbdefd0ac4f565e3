"""Fitting how much a second engine counts: the weight, what it gains, and what the command writes."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from labelloop import ensemble
from labelloop.cli import app
from labelloop.errors import LabelLoopError, RequestError
from labelloop.settings import get_settings
from labelloop.tasks.calibration import Array
from labelloop.words import Field, Label
from support import tiny_models
from support.samples import CHOICES

NLI = {0: "entailment", 1: "neutral", 2: "contradiction"}


def noisy(right: np.ndarray, trust: float, seed: int) -> Array:
    """Chances of an engine that is right to this degree, with errors of its own."""
    odds = trust * right + np.random.default_rng(seed).normal(size=right.shape)
    return np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)


def gold(n: int) -> np.ndarray:
    return np.eye(4, dtype=bool)[np.random.default_rng(0).integers(0, 4, n)]


def test_two_engines_with_errors_of_their_own_gain_from_each_other() -> None:
    right = gold(400)
    first, second = noisy(right, 2, 1), noisy(right, 2, 2)
    fit = ensemble.fit(first, second, right, several=False)
    assert 0.3 < fit.weight < 0.7 and fit.spread[0] <= fit.weight <= fit.spread[1]
    one, other, both = (ensemble.tallies(made, right, False) for made in (first, second, fit.mixed))
    assert both[0].metric == "accuracy" and both[0].value > max(one[0].value, other[0].value) + 0.05
    assert both[1].value < min(one[1].value, other[1].value)


def test_an_engine_that_knows_nothing_gets_no_weight() -> None:
    right = gold(400)
    known, nothing = noisy(right, 3, 1), noisy(right, 0, 2)
    assert ensemble.fit(known, nothing, right, several=False).weight < 0.1
    assert ensemble.fit(nothing, known, right, several=False).weight > 0.9


def test_no_row_is_mixed_by_a_weight_that_has_seen_it() -> None:
    right = gold(20)
    first, second = noisy(right, 0.5, 1), noisy(right, 0.5, 2)
    before = ensemble.fit(first, second, right, several=False)
    row = 7
    right[row] = np.roll(right[row], 1)  # another gold label must not change what is said of this row
    after = ensemble.fit(first, second, right, several=False)
    assert after.mixed[row] == pytest.approx(before.mixed[row])


def test_several_labels_are_fitted_one_by_one() -> None:
    right = np.random.default_rng(3).random((300, 3)) < 0.4
    chances = [1 / (1 + np.exp(-(3 * right - 1.5 + np.random.default_rng(s).normal(size=right.shape)))) for s in (4, 5)]
    fit = ensemble.fit(chances[0], chances[1], right, several=True)
    figures = [ensemble.tallies(made, right, True)[0] for made in (*chances, fit.mixed)]
    assert figures[0].metric == "micro-F1" and figures[2].value > max(figures[0].value, figures[1].value)


def test_gold_labels_become_columns() -> None:
    labels = tuple(Label(path=(name,), text=name) for name in "ab")
    field = Field(name="f", tag="Choices", kind="classification", to_name="t", labels=labels, sources=())
    assert ensemble.rights(field, [(("b",),), ()]).tolist() == [[False, True], [False, False]]


@pytest.fixture
def files(terminal: Path) -> Path:
    texts = ["My parcel never came.", "I was charged twice.", "I forgot my password."]
    rows = [
        {"text": f"{text} {n}", "right": label}
        for n in range(40)
        for text, label in zip(texts, ("Delivery", "Payment", "Account"), strict=True)
    ]
    (terminal / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (terminal / "config.xml").write_text(CHOICES)
    tokenizer = tiny_models.wordpiece([*texts, "This text is about parcels."], 300)
    model = tiny_models.build("Bert", "ForSequenceClassification", tokenizer, id2label=NLI)
    tiny_models.save(model, tokenizer, terminal / "nli")
    return terminal


def run(*arguments: str) -> tuple[str, LabelLoopError | None]:
    done = CliRunner().invoke(app, ["ensemble", "fit", *arguments, "--config", "config.xml", "--gold", "right"])
    assert done.exception is None or isinstance(done.exception, LabelLoopError), done.exception
    return done.stdout, done.exception


def test_the_command_shows_each_and_both_and_writes_nothing_that_is_not_better(files: Path) -> None:
    said, error = run("rows.jsonl", "--engines", f"encoder,crossencoder={files / 'nli'}", "--rows", "24", "--pick")
    assert error is None, error
    assert all(word in said for word in ("accuracy", "log-loss", "both, crossencoder", "Over encoder alone"))
    assert "Nothing is written" in said and not (files / "labelloop.toml").exists()


def test_a_mix_that_is_better_is_written_for_the_field(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = np.tile(np.eye(3, dtype=bool), (40, 1))
    said = iter([noisy(right, 1, 1), noisy(right, 1, 2)])
    monkeypatch.setattr("labelloop.cli.ensemble._ask", lambda *_: next(said))
    monkeypatch.setattr("labelloop.evaluation.SAMPLES", 200)
    shown, _ = run("rows.jsonl", "--engines", f"encoder,crossencoder={files / 'nli'}", "--pick")
    assert "Written" in shown, shown
    its = tomllib.loads((files / "labelloop.toml").read_text())["fields"]["topic"]
    assert its["engine"] == "encoder" and its["beside"]["model"] == str(files / "nli")
    get_settings.cache_clear()
    assert get_settings().fields["topic"].beside is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rows.jsonl", "--engines", "encoder"), "Two engines are needed"),
        (("rows.jsonl", "--engines", "encoder,oracle"), "no engine 'oracle'"),
        (("rows.jsonl", "--engines", "encoder,cloze"), "cloze needs a model"),
        (("few.jsonl", "--engines", "encoder,encoder=nli"), "20 are the least"),
    ],
)
def test_mistakes_are_named(files: Path, arguments: tuple[str, ...], message: str) -> None:
    (files / "few.jsonl").write_text(json.dumps({"text": "My parcel never came.", "right": "Delivery"}))
    error = run(*arguments)[1]
    assert isinstance(error, RequestError) and message in error.message and error.remedy

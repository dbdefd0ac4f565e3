"""Scores of dialogue and generation, worked out by hand; generation also without right answers."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labelloop.cli import app
from labelloop.gold import evaluate_right
from labelloop.tasks.text_metrics import distinct, fulfilled
from labelloop.words import Answer, Field
from support.samples import CHOICES


def field(kind: str) -> Field:
    return Field(name="out", tag="TextArea", kind=kind, to_name="text", labels=(), sources=())


def answer(text: str, **fulfilment: float) -> Answer:
    facts = {"fulfilment": fulfilment} if fulfilment else {}
    return Answer(field="out", labels=(), texts=(text,), score=0.5, provenance=facts)


NONE = Answer(field="out", labels=(), score=0.0, reason="nothing of use")


def test_replies_are_scored_against_the_nearest_of_several_and_by_how_they_differ() -> None:
    right = [("Yes, please.", "No, thank you."), ("At nine.",)]
    scores = evaluate_right(field("dialogue"), right, [answer("No, thank you!"), answer("No, thank you!")])
    assert scores["f1"] == 0.5 and scores["exact_match"] == 0.5 and 0.4 < scores["chrf"] < 0.6
    assert scores["distinct_1"] == 0.5 and scores["distinct_2"] == 0.5
    assert "fulfilment" not in scores


def test_runs_of_words_that_differ() -> None:
    assert distinct(["I see. I see."], 1) == 0.5
    assert distinct(["I see.", "I know."], 2) == 1.0
    assert distinct(["", "Yes."], 2) == 0.0


def test_generation_is_scored_by_its_controls_without_right_answers() -> None:
    answers = [answer("a", words=1.0, keywords=0.5), answer("b", words=0.5, keywords=0.5), NONE]
    scores = evaluate_right(field("generation"), [(), (), ()], answers)
    assert scores["fulfilments"] == {"keywords": pytest.approx(1 / 3), "words": 0.5}
    assert scores["fulfilment"] == pytest.approx(5 / 12) and scores["no_answer"] == 1
    assert "f1" not in scores
    assert fulfilled([]) == {}


def test_generation_is_scored_by_both_where_there_are_right_answers() -> None:
    scores = evaluate_right(field("generation"), [("two red cars",)], [answer("two red cars", words=1.0)])
    assert scores["exact_match"] == scores["chrf"] == scores["fulfilment"] == 1.0


def test_a_control_that_needs_right_answers_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.xml").write_text(CHOICES)
    (tmp_path / "data.jsonl").write_text(json.dumps({"text": "Where is my parcel?"}))
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path / "data.jsonl"), "--config", str(tmp_path / "config.xml")])
    assert done.exit_code != 0 and "--gold" in str(done.exception) + done.output

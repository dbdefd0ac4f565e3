"""The demo's messages fit its label config, and its check of predictions finds each kind of wrong one."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from labelloop.demo.project import CONFIG, MESSAGES, problems, texts
from labelloop.studio.schema import read_config

VERSION = "v1-0a1b2c3d"
LABEL_CONFIG = CONFIG.read_text(encoding="utf-8")


def _region(name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "from_name": name, "to_name": "message", "type": kind, "value": value, "score": 0.5}


def _task() -> dict[str, Any]:
    result = [
        _region("topic", "choices", {"choices": ["Delivery"]}),
        _region("tone", "choices", {"choices": ["Happy", "Confused"]}),
        _region("urgency", "rating", {"rating": 5}),
    ]
    return {"id": 7, "predictions": [{"model_version": VERSION, "score": 0.25, "result": result}]}


def test_there_are_enough_different_messages_of_every_kind() -> None:
    rows = [json.loads(line) for line in MESSAGES.read_text(encoding="utf-8").splitlines()]
    assert len({row["text"] for row in rows}) == len(rows) >= 120
    assert min(Counter(row["topic"] for row in rows).values()) >= 15
    assert min(Counter(tone for row in rows for tone in row["tone"]).values()) >= 10
    assert {row["urgency"] for row in rows} == {1, 2, 3, 4, 5}


def test_what_a_person_would_answer_are_labels_of_the_config() -> None:
    fields = {field.name: {label.text for label in field.labels} for field in read_config(LABEL_CONFIG).fields}
    for line in MESSAGES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert row["topic"] in fields["topic"]
        assert set(row["tone"]) <= fields["tone"]
        assert str(row["urgency"]) in fields["urgency"]


def test_every_label_of_the_config_has_a_description() -> None:
    described = [
        label for field in read_config(LABEL_CONFIG).fields if field.tag == "Choices" for label in field.labels
    ]
    assert len(described) == 11
    assert all(label.description for label in described)


def test_label_studio_sees_the_texts_alone() -> None:
    assert all(set(data) == {"text"} for data in texts())


def test_a_good_prediction_has_no_problems() -> None:
    older = {"model_version": "v0-00000000", "score": None, "result": []}
    task = _task()
    task["predictions"].append(older)
    assert problems(LABEL_CONFIG, [task], VERSION) == []


def _prediction(task: dict[str, Any]) -> Any:
    return task["predictions"][0]


def _value(task: dict[str, Any], region: int) -> Any:
    return _prediction(task)["result"][region]["value"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda task: task["predictions"].clear(), "holds 0 predictions"),
        (lambda task: task["predictions"].append(copy.deepcopy(_prediction(task))), "holds 2 predictions"),
        (lambda task: _prediction(task).update(model_version="v2-ffffffff"), "holds 0 predictions"),
        (lambda task: _prediction(task).update(score=None), "score None"),
        (lambda task: _prediction(task).update(score=1.01), "score 1.01"),
        (lambda task: _prediction(task).update(score=float("nan")), "score nan"),
        (lambda task: _prediction(task)["result"].pop(0), "topic is not filled in"),
        (lambda task: _prediction(task)["result"].append(_prediction(task)["result"][0]), "filled in twice"),
        (lambda task: _prediction(task)["result"][0].update(from_name="subject"), "no control 'subject'"),
        (lambda task: _prediction(task)["result"][0].update(to_name="text"), "to_name 'text'"),
        (lambda task: _prediction(task)["result"][2].update(type="choices"), "urgency has type 'choices'"),
        (lambda task: _prediction(task)["result"][1].update(score=-0.1), "tone has the score -0.1"),
        (lambda task: _value(task, 0).update(choices=["Weather"]), "unknown labels ['Weather']"),
        (lambda task: _value(task, 0).update(choices=["Delivery", "Return"]), "topic has the choices"),
        (lambda task: _value(task, 1).update(choices="Happy"), "tone has the choices 'Happy'"),
        (lambda task: _value(task, 1).update(choices=["Happy", "Happy"]), "tone has the choices"),
        (lambda task: _value(task, 2).update(rating=0), "rating 0"),
        (lambda task: _value(task, 2).update(rating=6), "rating 6"),
        (lambda task: _value(task, 2).update(rating=2.5), "rating 2.5"),
    ],
)
def test_each_kind_of_wrong_prediction_is_found(spoil: Callable[[dict[str, Any]], None], said: str) -> None:
    task = _task()
    spoil(task)
    found = problems(LABEL_CONFIG, [_task(), task], VERSION)
    assert found
    assert any(said in line for line in found)

"""Directions in the extra params of a model connection: stored with it, followed by its version, refused in words."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labelloop.settings import Settings
from support.web import Web, close, make_web

CONFIG = """<View><Text name="text" value="$text"/><TextArea name="note" toName="text"/>
<Choices name="topic" toName="text"><Choice value="Art"/><Choice value="Sport"/></Choices></View>"""
TOLD = {"fields": {"note": {"task": "summarisation", "options": {"words": "20"}}}}


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Web]:
    """A web process without a Redis that answers: nothing here is scored."""
    made = make_web(Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:9/0"))
    yield made
    close(made)


def served(web: Web) -> dict[str, Any]:
    connection = web.store.connection_of_key(web.key)
    version = web.store.champion(connection.id) if connection else None
    assert version is not None
    return {plan.field.name: (plan.field.kind, dict(plan.field.options)) for plan in version.bundle.plans}


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_extra_params_make_a_version_of_their_own_and_stay(alone: Web, form: Any) -> None:
    plain = alone.setup(CONFIG, extra_params=None).json["model_version"]
    assert set(served(alone)) == {"topic"}
    told = alone.setup(CONFIG, extra_params=form(TOLD)).json["model_version"]
    assert told != plain and served(alone)["note"] == ("summarisation", {"words": "20"})
    assert alone.setup(CONFIG, extra_params=form(TOLD)).json["model_version"] == told
    changed = CONFIG.replace("Art", "Music")
    alone.post("/webhook", {"action": "PROJECT_UPDATED", "project": {"id": 5, "label_config": changed}})
    assert served(alone)["note"][0] == "summarisation", "a changed label config forgets no direction"
    assert alone.setup(CONFIG).json["model_version"] == told, "a caller that sends none changes none"
    assert alone.setup(CONFIG, extra_params=None).json["model_version"] == plain


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("{", "not JSON"),
        ({"note": {"task": "sing"}}, "task"),
        ({"note": {"engine": "remote"}}, "operator"),
        ({"note": {"task": "summarisation", "prompt": "translation/v1"}}, "cannot use the prompt"),
        ({"note": {"task": "summarisation", "prompt": "../../etc/passwd"}}, "prompt"),
    ],
)
def test_wrong_extra_params_are_refused_where_label_studio_shows_it(alone: Web, extra: Any, words: str) -> None:
    before = alone.setup(CONFIG, extra_params=TOLD).json["model_version"]
    answer = alone.setup(CONFIG, extra_params=extra)
    assert answer.status_code == 400 and words in answer.json["error"]
    assert words in answer.status, "of a refusal Label Studio shows its users the status line alone"
    assert alone.setup(CONFIG).json["model_version"] == before


def test_a_direction_for_no_field_is_reported_and_hurts_nobody(alone: Web, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert alone.setup(CONFIG, extra_params={"nobody": {"task": "people"}}).status_code == 200
    assert '"nobody"' in caplog.text
    assert set(served(alone)) == {"topic"}


def wished(web: Web) -> float | None:
    connection = web.store.connection_of_key(web.key)
    version = web.store.champion(connection.id) if connection else None
    assert version is not None
    return next(plan.precision for plan in version.bundle.plans if plan.field.name == "topic")


def test_a_wished_precision_makes_a_version_of_its_own(alone: Web, caplog: pytest.LogCaptureFixture) -> None:
    plain = alone.setup(CONFIG, extra_params=None).json["model_version"]
    with caplog.at_level(logging.WARNING):
        told = alone.setup(CONFIG, extra_params={"fields": {"topic": {"precision": 0.9}}}).json["model_version"]
    assert told != plain and wished(alone) == 0.9 and "no effect" not in caplog.text
    changed = alone.setup(CONFIG, extra_params={"topic": {"precision": 0.95}}).json["model_version"]
    assert changed not in {plain, told} and wished(alone) == 0.95
    alone.setup(CONFIG, extra_params={"*": {"precision": 0.8}})
    assert wished(alone) == 0.8
    assert alone.setup(CONFIG, extra_params=None).json["model_version"][3:] == plain[3:], "the same bundle as before"
    assert wished(alone) is None


@pytest.mark.parametrize("value", [0, 1.1, -1, True, "much", float("nan")])
def test_a_precision_that_is_none_is_refused(alone: Web, value: Any) -> None:
    answer = alone.setup(CONFIG, extra_params=json.dumps({"topic": {"precision": value}}))
    assert answer.status_code == 400 and "must be a number above 0 and at most 1" in answer.json["error"]
    assert "precision" in answer.json["error"]


def test_a_text_box_cannot_have_a_precision(alone: Web) -> None:
    answer = alone.setup(CONFIG, extra_params={"note": {"task": "summarisation", "precision": 0.9}})
    assert answer.status_code == 400 and "'note', which is of kind summarisation" in answer.json["error"]

"""The remote engine with a real server, whose address is LABELLOOP_TEST_REMOTE_URL; `make test-remote` starts one."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labelloop import doctor
from labelloop.engines import Ask, Manner, load
from labelloop.engines.remote import Remote
from labelloop.errors import ItemError
from labelloop.settings import Settings
from remote.record import scenario

URL = os.environ.get("LABELLOOP_TEST_REMOTE_URL", "")
pytestmark = [pytest.mark.remote, pytest.mark.skipif(not URL, reason="LABELLOOP_TEST_REMOTE_URL names no server")]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, remote_url=URL, remote_timeout_s=200, remote_retries=1, remote_concurrency=2)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Remote]:
    made = load("remote", "default", "", settings)
    assert isinstance(made, Remote)
    yield made


def test_everything_that_the_engine_asks_is_answered(engine: Remote) -> None:
    found = scenario(engine)
    assert np.allclose(np.exp(found["rank"]).sum(axis=1), 1)
    assert "Paris" in found["capital"][0].text and not math.isnan(found["capital"][0].logprob)
    assert len(found["candidates"]) == 3 and found["begun"][0].text
    assert set(json.loads(found["json"][0].text)) >= {"name", "age"}


def test_answers_do_not_depend_on_the_batch(engine: Remote, settings: Settings) -> None:
    asks = [Ask((("user", f"Say {word}."),)) for word in ("hello", "goodbye", "thanks")]
    together = [found[0].text for found in engine.write(asks, Manner(max_tokens=6))]
    other = Remote(engine._client, "default", settings)
    assert [other.write([ask], Manner(max_tokens=6))[0][0].text for ask in reversed(asks)] == together[::-1]


def test_a_text_that_is_longer_than_the_context_is_refused_alone(engine: Remote, settings: Settings) -> None:
    believed = Remote(engine._client, "default", settings.model_copy(update={"remote_context": 100_000}))
    with pytest.raises(ItemError, match="LABELLOOP_REMOTE_CONTEXT"):
        believed.write([Ask((("user", "word " * 9000),))], Manner(max_tokens=5))
    assert believed.write([Ask((("user", "Say hello."),))], Manner(max_tokens=5))[0][0].text


def test_the_doctor_finds_it_well(settings: Settings) -> None:
    found = list(doctor._remote(settings))
    assert [one.state for one in found] == ["ok", "ok"]

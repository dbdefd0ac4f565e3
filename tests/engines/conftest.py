"""The starter models, loaded once for all tests of this folder."""

import pytest

from labelloop.engines import load
from labelloop.engines.causal import Causal
from labelloop.engines.encoder import Encoder
from labelloop.engines.identity import identify
from labelloop.settings import Settings


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    engine = load("encoder", "starter", identify("starter"), Settings(device="cpu"))
    assert isinstance(engine, Encoder)
    return engine


@pytest.fixture(scope="session")
def writer() -> Causal:
    engine = load("causal", "starter", identify("starter", engine="causal"), Settings(device="cpu"))
    assert isinstance(engine, Causal)
    return engine

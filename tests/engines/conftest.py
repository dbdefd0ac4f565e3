"""The starter encoder, loaded once for all tests of this folder."""

import pytest

from labelloop.engines import load
from labelloop.engines.encoder import Encoder
from labelloop.engines.identity import identify
from labelloop.settings import Settings


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    engine = load("encoder", "starter", identify("starter"), Settings(device="cpu"))
    assert isinstance(engine, Encoder)
    return engine

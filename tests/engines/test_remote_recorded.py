"""The remote engine against what a real server answered: llama-cpp-python with SmolLM2. `make test-remote` records."""

import json
import math
from pathlib import Path

import numpy as np

from remote.record import scenario
from support.model_server import recorded, serving


def test_a_real_server_s_answers_are_understood(tmp_path: Path) -> None:
    answer, models = recorded("llama_cpp_python")
    with serving(answer, tmp_path, model="default", models=models, remote_concurrency=1) as (engine, server):
        found = scenario(engine)
        asked = server.asked
    assert found["rank"].shape == (2, 3) and np.allclose(np.exp(found["rank"]).sum(axis=1), 1)
    assert len(set(found["rank"].ravel())) == 6
    (capital,) = found["capital"]
    assert "Paris" in capital.text and capital.finished and -3 < capital.logprob < 0 and capital.tokens > 1
    assert len(found["candidates"]) == 3 and found["candidates"][0] == capital
    (begun,) = found["begun"]
    assert begun.text and not begun.text.startswith("Dear")  # this server begins anew
    assert json.loads(found["json"][0].text) == {"name": "Ann", "age": 34} and not math.isnan(found["json"][0].logprob)
    forms = [payload["response_format"]["type"] for _, payload in asked if "response_format" in payload]
    assert forms == ["json_schema", "json_object"]  # refused, with status 500; understood

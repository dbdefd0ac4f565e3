"""Writes down what a real server answers: `python tests/remote/record.py http://localhost:8000/v1 llama_cpp_python`.

The exchanges go to tests/engines/recorded/<name>.json, from which tests/engines/test_remote_recorded.py replays them.
`make test-remote RECORD=1` does both with a server of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "backend")]

from labelloop.engines import Ask, Manner  # noqa: E402
from labelloop.engines.remote import UNNAMED, Remote  # noqa: E402
from labelloop.engines.remote_client import Client  # noqa: E402
from labelloop.settings import Settings  # noqa: E402

TEXTS = ("Our team won the final by one goal.", "The government will vote on the new law next month.")
LABELS = (("sports",), ("politics",), ("music",))
CAPITAL = Ask((("system", "Answer in one word."), ("user", "What is the capital of France?")))
LETTER = Ask((("user", "Write the first line of a letter."),), begun="Dear")
PERSON = Ask((("user", "Tell me about a person named Ann who is 34 years old, as JSON."),))
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    }
)


def scenario(engine: Remote) -> dict[str, Any]:
    """One of each thing that the engine asks of a server."""
    return {
        "rank": engine.rank(TEXTS, LABELS),
        "capital": engine.write([CAPITAL], Manner(max_tokens=8))[0],
        "candidates": engine.write([CAPITAL], Manner(max_tokens=8, samples=3))[0],
        "begun": engine.write([LETTER], Manner(max_tokens=8, stop=("\n",)))[0],
        "json": engine.write([PERSON], Manner(max_tokens=60, schema=SCHEMA))[0],
    }


class Recorder(Client):
    """A client that keeps what it sends and gets."""

    exchanges: list[dict[str, Any]]

    def _once(self, method: str, path: str, payload: Mapping[str, Any] | None) -> tuple[httpx.Response, bytes]:
        response, content = super()._once(method, path, payload)
        if payload is not None:
            body = json.loads(content)
            self.exchanges.append({"path": path, "request": payload, "status": response.status_code, "response": body})
        return response, content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("name")
    parser.add_argument("--about", default="", help="which server, version and model it is")
    arguments = parser.parse_args()
    client = Recorder(arguments.url, "", 120.0, 0, 1)
    client.exchanges = []
    with tempfile.TemporaryDirectory() as folder:
        engine = Remote(
            client, UNNAMED, Settings(data_dir=Path(folder), remote_url=arguments.url, remote_concurrency=1)
        )
        scenario(engine)
        models = client.get("/models")
        engine.close()
    written = {"about": arguments.about, "models": models, "exchanges": client.exchanges}
    path = ROOT / "tests" / "engines" / "recorded" / f"{arguments.name}.json"
    path.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

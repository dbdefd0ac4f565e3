"""docs/api.md: each of its requests is sent, in order, and answered as it shows; each route of the app stands there."""

import json
import re
from collections.abc import Iterator
from typing import Any

from labelloop.scoring import wire
from support.documented import ROOT, Block, blocks
from support.web import Web

PAGE = ROOT / "docs" / "api.md"


def exchanges() -> Iterator[tuple[Block, Block]]:
    """(a request, its answer)."""
    found = [block for block in blocks(PAGE) if block.language == "http" or block.named.isdigit()]
    assert len(found) % 2 == 0
    yield from zip(found[::2], found[1::2], strict=True)


def differs(shown: Any, said: Any, where: str = "answer") -> str:
    """Where an answer is not as shown; "" where it is. It may have more keys; "…" and figures may be others."""
    if isinstance(shown, dict) and isinstance(said, dict):
        missing = [f"{where} has no {key!r}" for key in shown if key not in said]
        return next(iter(missing), "") or _first(differs(shown[key], said[key], f"{where}.{key}") for key in shown)
    if isinstance(shown, list) and isinstance(said, list):
        if len(shown) != len(said):
            return f"{where} has {len(said)} entries"
        return _first(differs(one, other, where) for one, other in zip(shown, said, strict=True))
    if isinstance(shown, str) and isinstance(said, str):
        pattern = ".*".join(map(re.escape, shown.split("…")))
        return "" if re.fullmatch(pattern, said, re.DOTALL) else f"{where} is {said!r}"
    if isinstance(shown, float):
        return "" if isinstance(said, float) else f"{where} is {said!r}"
    return "" if shown == said else f"{where} is {said!r}"


def _first(found: Iterator[str]) -> str:
    return next(filter(None, found), "")


def test_every_request_is_answered_as_the_page_shows(web: Web) -> None:
    alive = wire.ALIVE.format(lane="refresh")
    redis = web.client.application.extensions["labelloop"].scoring.redis
    redis.set(alive, 1, ex=60)  # a trainer that lives; what it is asked for is taken back below
    try:
        for request, answer in exchanges():
            head, _, body = request.text.partition("\n")
            method, path = head.split()
            done = web.client.open(
                path.replace("<key>", web.key), method=method, json=json.loads(body) if body.strip() else None
            )
            assert done.status_code == int(answer.named), f"{PAGE}:{request.line}: {done.status_code} {done.text}"
            if answer.language == "json":
                assert not differs(json.loads(answer.text), done.json), f"{PAGE}:{answer.line}: {done.text}"
            else:
                assert all(re.search(rf"^{re.escape(line)}(\.0)?$", done.text, re.MULTILINE)
                           for line in answer.text.splitlines()), done.text  # fmt: skip
    finally:
        redis.delete(alive, wire.REFRESH_WANTED, wire.rq_list("refresh"), wire.REFRESH.format(connection=1))


def test_every_route_is_on_the_page(web: Web) -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:GET|POST|`) ?(?:/k/<key>)?(/[a-z_.]*)(?=[`\s])", text))
    paths = {path.removeprefix("/k/{key}") for path in web.client.get("/openapi.json").json["paths"]}
    assert paths - named == set()

"""A server of the OpenAI protocol that answers from recorded exchanges, or as a test says, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

from labelloop.engines.remote import Remote
from labelloop.engines.remote_client import Client
from labelloop.settings import Settings
from support.local_server import LocalServer

RECORDED = Path(__file__).parents[1] / "engines" / "recorded"
KEY = "sk-secret-0123456789"
Payload = dict[str, Any]


class Reply(NamedTuple):
    """``body``: JSON, or bytes as they are. ``hang``: the connection ends without an answer."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}
    hang: bool = False


class ModelServer(LocalServer):
    """``answer(path, payload)`` makes the replies; ``asked`` holds the POSTs so far, ``most_at_once`` how many ran
    together."""

    def __init__(self, answer: Callable[[str, Payload], Reply]) -> None:
        self.answer = answer
        self.models: Any = {"object": "list", "data": [{"id": "small", "max_model_len": 2048}]}
        self.asked: list[tuple[str, Payload]] = []
        self.headers: list[dict[str, str]] = []
        self.running = self.most_at_once = 0
        self.lock = threading.Lock()
        super().__init__(_handler(self))

    @property
    def url(self) -> str:
        return f"{super().url}/v1"


@contextmanager
def serving(
    answer: Callable[[str, Payload], Reply], folder: Path, naps: list[float] | None = None, **changes: Any
) -> Iterator[tuple[Remote, ModelServer]]:
    """An engine and its server. It does not wait before it asks again, but notes in ``naps`` how long it would have."""
    model, models = changes.pop("model", "small"), changes.pop("models", ())
    with ModelServer(answer) as server:
        server.models = server.models if models == () else models
        settings = Settings(data_dir=folder, remote_url=server.url, remote_key=KEY, **changes)
        client = Client(
            server.url,
            KEY,
            settings.remote_timeout_s,
            settings.remote_retries,
            settings.remote_concurrency,
            sleep=(naps if naps is not None else []).append,
        )
        engine = Remote(client, model, settings)
        try:
            yield engine, server
        finally:
            engine.close()


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._send(Reply(body=server.models) if server.models is not None else Reply(404, {"detail": "Not Found"}))

        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            path = self.path.removeprefix("/v1")
            with server.lock:
                server.asked.append((path, payload))
                server.headers.append(dict(self.headers))
                server.running += 1
                server.most_at_once = max(server.most_at_once, server.running)
            try:
                reply = server.answer(path, payload)
            finally:
                with server.lock:
                    server.running -= 1
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            if reply.hang:
                self.close_connection = True
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


def chat(text: str, logprobs: Any = (), finish: str = "stop", usage: int = 12, **more: Any) -> Reply:
    """A completion as OpenAI documents it. ``logprobs``: (token, logprob, {alternative: logprob}) each; None for a
    server that tells none."""
    content = [
        {"token": token, "logprob": value, "top_logprobs": [{"token": t, "logprob": v} for t, v in top.items()]}
        for token, value, top in logprobs or ()
    ]
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    if logprobs is not None:
        choice["logprobs"] = {"content": content}
    counts = {"prompt_tokens": usage - 2, "completion_tokens": 2, "total_tokens": usage}
    return Reply(body={"object": "chat.completion", "choices": [choice], "usage": counts} | more)


def letters(chances: Mapping[str, float]) -> Reply:
    """The reply to a question with options: the log-probabilities of first tokens."""
    best = max(chances, key=chances.__getitem__)
    return chat(best, [(best, chances[best], dict(chances))])


def refuse(message: str, status: int = 400, code: str = "", **headers: str) -> Reply:
    return Reply(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}}, headers)


def recorded(name: str) -> tuple[Callable[[str, Payload], Reply], Any]:
    """The answers of a real server, as ``tests/remote/record.py`` wrote them down, and the models that it listed. An
    exchange is found by all of its request but the address."""
    content = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    known = {_key(one["path"], one["request"]): Reply(one["status"], one["response"]) for one in content["exchanges"]}

    def answer(path: str, payload: Payload) -> Reply:
        return known.get(_key(path, payload)) or refuse(f"was not recorded: {path} {json.dumps(payload)}", 418)

    return answer, content["models"]


def _key(path: str, payload: Payload) -> str:
    return f"{path} {json.dumps(payload, sort_keys=True)}"


def options_of(payload: Payload) -> Iterator[tuple[str, str]]:
    """(letter, text) of the options in a question."""
    for line in payload["messages"][-1]["content"].splitlines():
        if line[1:3] == ". ":
            yield line[0], line[3:]

"""What one server understands of the OpenAI protocol: asks for everything, and remembers what was refused."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from labelloop.engines import Ask
from labelloop.engines.recent import Recent
from labelloop.engines.remote_budget import Budget
from labelloop.engines.remote_client import Client, Refusal
from labelloop.engines.remote_text import plain, size, unmasked
from labelloop.errors import ItemError, ModelError

MOST_TOP = 20  # top_logprobs: more is refused by OpenAI, and by vLLM unless it is told otherwise
_MOST_STOPS = 4  # OpenAI's limit; the reply is cut here at all of them
_TURN = "\n\nUser:"
_TOO_LONG = re.compile(
    r"context.?length|context.?window|context.?size|maximum.?context|exceed\w* .*context|too many tokens"
)
CONCESSIONS = {
    "chat": r"chat.?template|not a chat model",
    "continue": r"continue_final_message|add_generation_prompt|assistant message|last message",
    "json_schema": r"response_format|json_schema|literal_error",
    "json_object": r"response_format|json_object",
    "guided_json": r"guided|structured_outputs",
    "choice": r"guided|structured_outputs",
    "n": r"\bn\b|candidates|multiple choices",
    "logprobs": r"logprobs|logits_all",
    "max_tokens": r"max_tokens|max_completion_tokens",
    "seed": r"seed",
    "temperature": r"temperature",
    "stop": r"\bstop\b",
}
"""What may be left out or said otherwise, in the order in which it is tried; and how a refusal names it."""


class Request(NamedTuple):
    """One question to the model. ``top``: how many alternatives of each token are told, 0 for none beside the token
    itself. ``choices``: the reply is one of them, where the server can see to that."""

    ask: Ask
    max_tokens: int
    temperature: float = 0.0
    n: int = 1
    seed: int = 0
    stop: tuple[str, ...] = ()
    schema: str = ""
    top: int = 0
    choices: tuple[str, ...] = ()


class Token(NamedTuple):
    """A token of a reply. ``top``: the likeliest in its place with their log-probabilities, itself included."""

    text: str
    logprob: float
    top: dict[str, float]


class Choice(NamedTuple):
    """A candidate. ``logprobs``: of its tokens, None where the server gives none."""

    text: str
    logprobs: list[Token] | None
    finished: bool
    tokens: int


class Dialect:
    """A model on a server. What it refuses (CONCESSIONS) is found out by asking: a request that is refused is said in
    simpler ways until one is accepted; only then is the difference remembered for all that follow. A request that is
    refused in every way is to blame itself.

    Replies are remembered for a while: where one item of a batch fails, the others are asked singly once more and cost
    nothing.
    """

    def __init__(self, client: Client, model: str, budget: Budget, refused: frozenset[str] = frozenset()) -> None:
        self.model = model
        self.refused = refused
        self._client, self._budget = client, budget
        self._accepted: set[frozenset[str]] = set()
        self._replies: Recent[str, list[Choice]] = Recent(2048)
        self._changing = threading.Lock()

    def complete(self, request: Request) -> list[Choice]:
        """``request.n`` candidates; fewer where the server makes but one at a time.

        Raises:
            ItemError: the server refuses this request, however it is put.
            ModelError: as ``Client.post``; or it lacks the model; or the day's budget is spent.
        """
        refused = self.refused
        first: Refusal | None = None
        while True:
            path, payload = self._payload(request, refused)
            try:
                choices = self._ask(path, payload, request)
            except Refusal as refusal:
                first = first or refusal
                refused |= {self._concession(refusal, request, refused, first)}
                continue
            if request.n > len(choices):
                refused |= {"n"}
            if choices[0].logprobs is None:
                refused |= {"logprobs"}
            with self._changing:
                self._accepted.add(frozenset(payload))
                self.refused |= refused
            return choices

    def _ask(self, path: str, payload: Mapping[str, Any], request: Request) -> list[Choice]:
        name = hashlib.sha256(f"{path} {json.dumps(payload, sort_keys=True)}".encode()).hexdigest()
        return self._replies.get([name], lambda _: [_choices(self._post(path, payload, request))])[0]

    def _post(self, path: str, payload: Mapping[str, Any], request: Request) -> Any:
        set_aside = size(request.ask) + request.n * request.max_tokens
        self._budget.set_aside(set_aside)
        used = 0  # an answer that got lost is not counted
        try:
            body = self._client.post(path, payload)
            usage = body.get("usage") if isinstance(body, dict) else None
            total = usage.get("total_tokens") if isinstance(usage, dict) else None
            used = total if isinstance(total, int) else set_aside
            return body
        finally:
            self._budget.settle(set_aside, used)

    def _payload(self, request: Request, refused: frozenset[str]) -> tuple[str, dict[str, Any]]:
        """Where to, and what to send, without what is refused."""
        most = "max_completion_tokens" if "max_tokens" in refused else "max_tokens"
        payload: dict[str, Any] = {"model": self.model, most: request.max_tokens}
        stops = list(request.stop)
        if "chat" in refused:
            path = "/completions"
            payload["prompt"] = rendered(request.ask)
            stops.append(_TURN)
            if "logprobs" not in refused:
                payload["logprobs"] = request.top or 1
        else:
            path = "/chat/completions"
            payload["messages"] = [{"role": role, "content": plain(content)} for role, content in request.ask.messages]
            if request.ask.begun:
                payload["messages"].append({"role": "assistant", "content": plain(request.ask.begun)})
                if "continue" not in refused:
                    payload |= {"continue_final_message": True, "add_generation_prompt": False}
            if "logprobs" not in refused:
                payload |= {"logprobs": True, "top_logprobs": request.top or 1}  # llama-cpp-python tells none with 0
        if "temperature" not in refused:
            payload["temperature"] = request.temperature
        if "seed" not in refused:
            payload["seed"] = request.seed
        if stops and "stop" not in refused:
            payload["stop"] = stops[:_MOST_STOPS]
        if request.n > 1 and "n" not in refused:
            payload["n"] = request.n
        if request.choices and "choice" not in refused:
            choices = list(request.choices)
            payload |= {"guided_choice": choices, "structured_outputs": {"choice": choices}}
        return path, payload | _schema(request.schema, refused)

    def _concession(self, refusal: Refusal, request: Request, refused: frozenset[str], first: Refusal) -> str:
        """What to leave out next. Raises what ``complete`` raises where nothing is left, or leaving out is no help."""
        said = refusal.message.lower()
        if "chat" not in refused and re.search(CONCESSIONS["chat"], said):
            return "chat"
        missing = refusal.status in {404, 405}
        if refusal.code == "model_not_found" or (missing and "model" in said and "method" not in said):
            raise ModelError(
                f"The remote server has no model {self.model} ({refusal.message}).",
                "Set LABELLOOP_REMOTE_MODEL (LABELLOOP_FIELDS for single fields) to one that "
                f"{self._client.url}/models lists.",
            )
        if missing:
            if "chat" in refused:
                raise ModelError(
                    f"{self._client.url} has neither /chat/completions nor /completions.",
                    "Correct LABELLOOP_REMOTE_URL: most end with /v1.",
                )
            return "chat"
        path, payload = self._payload(request, refused)
        known = frozenset(payload) in self._accepted  # the server understands all of it: the request itself is amiss
        if known or refusal.code == "context_length_exceeded" or _TOO_LONG.search(said) or refusal.status == 413:
            raise _to_blame(refusal)
        left = [
            name
            for name in CONCESSIONS
            if name not in refused and name != "chat" and self._payload(request, refused | {name}) != (path, payload)
        ]
        if not left:
            raise _to_blame(first)
        return next((name for name in left if re.search(CONCESSIONS[name], said)), left[0])


def rendered(ask: Ask) -> str:
    """A conversation for a model without a chat template, as most base models have seen some."""
    names = {"system": "", "user": "User: ", "assistant": "Assistant: "}
    turns = [f"{names.get(role, '')}{plain(content)}" for role, content in ask.messages]
    return "\n\n".join([*turns, f"Assistant: {plain(ask.begun)}".rstrip()])


def _schema(schema: str, refused: frozenset[str]) -> dict[str, Any]:
    """How a JSON schema is told: OpenAI's way, llama.cpp's, vLLM's former one; {} where none is understood."""
    if not schema:
        return {}
    content = json.loads(schema)
    if "json_schema" not in refused:
        named = {"name": "reply", "schema": content, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if "json_object" not in refused:
        return {"response_format": {"type": "json_object", "schema": content}}
    return {"guided_json": content} if "guided_json" not in refused else {}


def _to_blame(refusal: Refusal) -> ItemError:
    return ItemError(
        f"The remote model's server refuses this text ({refusal.status}: {refusal.message}).",
        "If it is too long for the model, set LABELLOOP_REMOTE_CONTEXT to the model's context, in tokens.",
    )


def _choices(body: Any) -> list[Choice]:
    """Raises ItemError where the answer is not one of the protocol."""
    try:
        usage = body.get("usage") or {}
        choices = sorted(body["choices"], key=lambda choice: choice.get("index") or 0)
        alone = usage.get("completion_tokens") if len(choices) == 1 else None
        found = [_choice(choice, alone) for choice in choices]
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise _misshapen(body) from error
    if not found:
        raise _misshapen(body)
    return found


def _misshapen(body: Any) -> ItemError:
    keys = ", ".join(map(str, body))[:80] if isinstance(body, dict) else type(body).__name__
    return ItemError(
        f"The remote model's server answered with something else than a completion (it holds: {keys}).",
        "See whether LABELLOOP_REMOTE_URL is an OpenAI-compatible server; `labelloop doctor` asks it.",
    )


def _choice(choice: Mapping[str, Any], tokens: int | None) -> Choice:
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    logprobs = _logprobs(choice.get("logprobs"))
    text = unmasked(text or "")
    count = tokens if tokens is not None else len(logprobs) if logprobs is not None else -(-len(text) // 4)
    ended = choice.get("finish_reason") not in {None, "length", "content_filter"}
    return Choice(text, logprobs, ended, count)


def _logprobs(told: Any) -> list[Token] | None:
    """From either form: that of chat, or that of completions (which some servers use for both)."""
    if not isinstance(told, dict):
        return None
    if isinstance(content := told.get("content"), list):
        return [_token(one["token"], one["logprob"], _alternatives(one.get("top_logprobs"))) for one in content]
    tokens, values = told.get("tokens"), told.get("token_logprobs")
    if tokens is None or values is None:
        return None
    tops: Sequence[Any] = told.get("top_logprobs") or [None] * len(tokens)
    triples = zip(tokens, values, tops, strict=True)
    return [_token(text, value, _alternatives(top)) for text, value, top in triples if value is not None]


def _token(text: str, logprob: float, top: dict[str, float]) -> Token:
    return Token(text, float(logprob), {text: float(logprob)} | top)


def _alternatives(top: Any) -> dict[str, float]:
    if isinstance(top, dict):
        return {str(text): float(value) for text, value in top.items()}
    return {str(one["token"]): float(one["logprob"]) for one in top or ()}

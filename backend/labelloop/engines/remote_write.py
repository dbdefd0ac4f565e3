"""Writing with a remote model: candidates, where a reply ends, and replies that keep to a JSON schema."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema
import numpy as np

from labelloop.engines import Ask, Manner, Written
from labelloop.engines.remote_dialect import Choice, Dialect, Request
from labelloop.errors import ItemError, ModelError

NATIVE = frozenset({"json_schema", "json_object"})
_FENCED = re.compile(r"\A\s*```\w*\n(.*?)\n?```\s*\Z", re.DOTALL)
_WISH = "Reply with JSON that keeps to this JSON schema, and with nothing else:\n"


def write(dialect: Dialect, ask: Ask, manner: Manner) -> list[Written]:
    """``manner.samples`` candidates, the first greedy.

    ``Written.logprob`` is the mean over the tokens that the server reports, which with most does not include the one
    that ends the reply; NaN where it reports none.

    Raises:
        ItemError: the server refuses the ask, or the greedy reply does not keep to the schema, when asked twice.
        ModelError: as ``Dialect.complete``.
    """
    if manner.schema:
        return _write_json(dialect, ask, manner)
    request = Request(ask, manner.max_tokens, seed=seed_of(ask), stop=manner.stop)
    found = [*dialect.complete(request)[:1], *_drawn(dialect, request, manner)]
    return [_written(choice, ask.begun, manner.stop) for choice in found]


def seed_of(ask: Ask) -> int:
    """A seed that depends on the ask alone."""
    return int.from_bytes(hashlib.sha256(json.dumps(ask).encode()).digest()[:4]) >> 1


def _drawn(dialect: Dialect, request: Request, manner: Manner) -> list[Choice]:
    """The candidates beside the greedy one: in one request, or one by one where the server makes one at a time."""
    wanted = manner.samples - 1
    drawn: list[Choice] = []
    while len(drawn) < wanted:
        several = 1 if "n" in dialect.refused else wanted - len(drawn)
        again = request._replace(temperature=manner.temperature, n=several, seed=request.seed + 1 + len(drawn))
        drawn += dialect.complete(again)[:several]
    return drawn


def _written(choice: Choice, begun: str, stop: tuple[str, ...]) -> Written:
    text, ended = choice.text, choice.finished
    if begun.strip() and text.lstrip().startswith(begun.strip()):  # it began anew instead of going on
        text = text.lstrip()[len(begun.strip()) :]
    cut = min((place for one in stop if (place := text.find(one)) >= 0), default=-1)
    if cut >= 0:
        text, ended = text[:cut], True
    return Written(text, _mean(choice), choice.tokens, ended)


def _mean(choice: Choice) -> float:
    return float(np.mean([token.logprob for token in choice.logprobs])) if choice.logprobs else float("nan")


def _write_json(dialect: Dialect, ask: Ask, manner: Manner) -> list[Written]:
    """A schema rules the whole reply, so what it begins with is not given; where the reply begins so, it is taken off.

    The server is asked to see to the schema; what comes is checked all the same. A reply that does not fit is asked for
    once more, with what is wrong; a candidate that does not fit gives way to the greedy one.
    """
    try:
        schema = json.loads(manner.schema)
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except (ValueError, jsonschema.SchemaError) as error:
        raise ModelError(f"The schema of the reply is wrong: {str(error).splitlines()[0]}", "Correct it.") from error
    whole = ask._replace(begun="")
    request = Request(_wishing(dialect, whole, manner), manner.max_tokens, seed=seed_of(ask), schema=manner.schema)
    greedy = dialect.complete(request)[0]
    if greedy.finished and (wrong := _wrong(greedy.text, schema)):
        asked = (*_wished(whole, manner).messages, ("assistant", greedy.text), ("user", f"That is wrong: {wrong}"))
        greedy = dialect.complete(request._replace(ask=Ask(asked)))[0]
        if greedy.finished and (wrong := _wrong(greedy.text, schema)):
            raise ItemError(
                f"The remote model's reply does not keep to its schema: {wrong}",
                "Choose a model that follows instructions better, or a server with response_format (vLLM, llama.cpp).",
            )
    drawn = _drawn(dialect, request, manner)
    kept = [greedy, *(greedy if one.finished and _wrong(one.text, schema) else one for one in drawn)]
    return [_written(one._replace(text=_bare(one.text)), ask.begun, ()) for one in kept]


def _wishing(dialect: Dialect, ask: Ask, manner: Manner) -> Ask:
    """With the schema in words too, where the server is not known to see to it."""
    return _wished(ask, manner) if dialect.refused >= NATIVE else ask


def _wished(ask: Ask, manner: Manner) -> Ask:
    return ask._replace(messages=(*ask.messages[:-1], _with_wish(ask.messages[-1], manner.schema)))


def _with_wish(message: tuple[str, str], schema: str) -> tuple[str, str]:
    return message[0], f"{message[1]}\n\n{_WISH}{schema}"


def _bare(text: str) -> str:
    """Without the fence that models like to put around code."""
    fenced = _FENCED.match(text)
    return (fenced[1] if fenced else text).strip()


def _wrong(text: str, schema: Mapping[str, Any]) -> str:
    """What is wrong with the reply, in a line; "" for nothing."""
    try:
        content = json.loads(_bare(text))
    except (ValueError, RecursionError) as error:
        return f"it is no JSON ({error})."
    problem = next(jsonschema.validators.validator_for(schema)(schema).iter_errors(content), None)
    return "" if problem is None else f"{problem.json_path}: {problem.message[:200]}."

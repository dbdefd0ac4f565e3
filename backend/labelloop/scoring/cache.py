"""The cache of answers: bundle digest + memory epoch + field + hash of the rendered input -> Answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redis.client import Pipeline

from labelloop.scoring import wire
from labelloop.scoring.wire import RedisBytes
from labelloop.words import Answer


def key(digest: str, epoch: int, field: str, text: str) -> str:
    """Where the answer for ``text`` lies. An engine, prompt, adapter or calibration that changes changes the digest."""
    return f"labelloop:answer:{digest[:32]}:{epoch}:{field}:{wire.text_hash(text)}"


def keys(digest: str, epoch: int, rendered: Mapping[str, str]) -> list[str]:
    return [key(digest, epoch, field, text) for field, text in rendered.items()]


def get(redis: RedisBytes, names: Sequence[str]) -> list[Answer | None]:
    """The answers that lie under these keys, in their order; None where there is none."""
    return parse(redis.mget(names)) if names else []


def parse(values: Sequence[bytes | None]) -> list[Answer | None]:
    return [None if value is None else Answer.model_validate_json(value) for value in values]


def put(pipeline: Pipeline, name: str, value: bytes | str, ttl_s: int) -> None:
    """Adds one write to ``pipeline``; ``value`` is the Answer's JSON."""
    pipeline.set(name, value, ex=ttl_s)

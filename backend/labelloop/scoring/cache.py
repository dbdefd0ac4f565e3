"""The cache of answers: bundle digest + memory epoch + field + hash of the rendered input -> Answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redis.client import Pipeline

from labelloop.scoring import wire
from labelloop.scoring.wire import ZERO_SHOT, Epoch, RedisBytes
from labelloop.words import WRITTEN, Answer, Bundle


def keys(bundle: Bundle, digest: str, epoch: Epoch, rendered: Mapping[str, str]) -> list[str]:
    """Where the answers for an item's texts lie, in their order. An engine, prompt, adapter or calibration that changes
    changes the digest; a new label changes the epoch, and with it the keys of fields that remember.

    Of fields that write, only when the labels of the connection have doubled: a writer takes seconds for what an
    encoder reads in milliseconds, and the hundredth accepted text changes little of what the first fifty did. What is
    written meanwhile knows all labels; what lies here already, at least half of them.
    """
    follow = {
        one.name: epoch.step if one.kind in WRITTEN else epoch
        for one in bundle.fields
        if one.name in bundle.remembering
    }
    return [key(digest, follow.get(name, ZERO_SHOT), name, text) for name, text in rendered.items()]


def key(digest: str, epoch: Epoch, field: str, text: str) -> str:
    """As ``keys``, of one field that remembers, or with ZERO_SHOT of any."""
    labels = f"{epoch.connection}.{epoch.number}" if epoch.number else "0"
    return f"labelloop:answer:{digest[:32]}:{labels}:{field}:{wire.text_hash(text)}"


def get(redis: RedisBytes, names: Sequence[str]) -> list[Answer | None]:
    """The answers that lie under these keys, in their order; None where there is none."""
    return parse(redis.mget(names)) if names else []


def parse(values: Sequence[bytes | None]) -> list[Answer | None]:
    return [None if value is None else Answer.model_validate_json(value) for value in values]


def keep(pipeline: Pipeline, names: Sequence[str], answers: Sequence[Answer], ttl_s: int) -> None:
    """Adds the writes of an item's answers, which lie under ``names``, to ``pipeline``; none where it could not be
    scored just now."""
    if not failed(answers):
        for name, one in zip(names, answers, strict=True):
            pipeline.set(name, one.model_dump_json(), ex=ttl_s)


def failed(answers: Sequence[Answer]) -> bool:
    """Whether the item could not be scored just now, which may be otherwise when it is asked again."""
    return any(one.provenance.get("failed") for one in answers)

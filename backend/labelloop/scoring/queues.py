"""The asking side: hands items to workers over Redis and waits for their answers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

from prometheus_client import Counter
from pydantic import TypeAdapter

from labelloop import errors, logs
from labelloop.errors import LabelLoopError, NoWorkerError, QueueDownError, UnavailableError
from labelloop.scoring import cache, tickets, wire
from labelloop.scoring.wire import ZERO_SHOT, Epoch, RedisBytes, redis_errors
from labelloop.settings import Settings
from labelloop.words import Answer, Bundle

Lane = Literal["interactive", "predict"]

LOOKUPS = Counter(
    "labelloop_cache_lookups", "Answers that requests looked up in the cache: hit or miss.", ("lane", "outcome")
)
_LOOK_S = 1.0  # longest single wait for a reply, so that the end of this process is noticed
_REPLY = TypeAdapter(list[tuple[int, list[Answer]]])


class Scoring:
    """Scores items through the workers. One object per process; safe to use from many threads."""

    def __init__(self, redis_url: str, settings: Settings) -> None:
        self._settings = settings
        self.redis: RedisBytes = wire.connect(redis_url)
        self._closes = math.inf

    def close_in(self, seconds: float) -> None:
        """From then on nobody waits for answers here: this process ends. What is late, a later call finds elsewhere."""
        self._closes = time.monotonic() + seconds

    def publish(self, bundle: Bundle) -> None:
        """Makes a bundle known to the workers.

        Raises:
            QueueDownError: Redis does not answer.
        """
        with redis_errors():
            _publish(self.redis, bundle, bundle.digest)

    def score(
        self, bundle: Bundle, rendered: Sequence[Mapping[str, str]], lane: Lane, wait_s: float, epoch: Epoch = ZERO_SHOT
    ) -> list[list[Answer] | None]:
        """Answers for items, from the cache where they are known.

        ``rendered``: per item the text that the model reads, by field name. ``epoch``: the labels that must be known;
        later ones may be, too. Returns per item one Answer per field that it names, in the bundle's order; None where
        the answer was not ready within ``wait_s`` seconds: the work goes on, and a later call finds it in the cache.

        Raises:
            QueueDownError: Redis does not answer.
            NoWorkerError: no worker lives.
            UnavailableError: too many items wait already.
        """
        deadline = time.monotonic() + wait_s
        order = {field.name: place for place, field in enumerate(bundle.fields)}
        items = [tuple((name, item[name]) for name in sorted(item, key=order.__getitem__)) for item in rendered]
        distinct = list(dict.fromkeys(items))
        with redis_errors():
            found = self._score(bundle, distinct, lane, deadline, epoch)
        answers = dict(zip(distinct, found, strict=True))
        return [answers[item] for item in items]

    def _score(
        self, bundle: Bundle, items: list[tuple[tuple[str, str], ...]], lane: Lane, deadline: float, epoch: Epoch
    ) -> list[list[Answer] | None]:
        digest = bundle.digest
        stream = wire.STREAM.format(lane=lane, digest=digest)
        pipeline = self.redis.pipeline(transaction=False)
        names = [name for item in items for name in cache.keys(bundle, digest, epoch, dict(item))]
        if names:
            pipeline.mget(names)
        pipeline.expire(wire.BUNDLE.format(digest=digest), wire.BUNDLE_S)
        pipeline.exists(wire.ALIVE.format(lane=lane))
        pipeline.xlen(stream)
        *known, published, alive, length = pipeline.execute()
        cached = iter(cache.parse(known[0] if known else []))
        answers = [{name: answer for name, _ in item if (answer := next(cached))} for item in items]
        hits = sum(map(len, answers))
        LOOKUPS.labels(lane, "hit").inc(hits)
        LOOKUPS.labels(lane, "miss").inc(len(names) - hits)
        missing = {
            index: {name: text for name, text in item if name not in answers[index]}
            for index, item in enumerate(items)
            if len(answers[index]) < len(item)
        }
        if missing:
            if not alive:
                raise no_worker(lane)
            if length + len(missing) > wire.QUEUE_LIMIT:
                raise UnavailableError(
                    f"{length} items wait already; these {len(missing)} found no room.", "Ask again in a moment."
                )
            reply, request = uuid4().hex, next(iter(logs.requests()), "")
            pipeline = self.redis.pipeline(transaction=False)
            if not published:
                _publish(pipeline, bundle, digest)
            pipeline.sadd(wire.STREAMS.format(lane=lane), digest)
            for index, texts in missing.items():
                item = {"texts": texts, "epoch": epoch, "index": index, "reply": reply, "request": request}
                pipeline.xadd(stream, {"item": json.dumps(item)})
            ticket = tickets.reserve(pipeline, lane, digest)
            if pipeline.execute()[-1]:
                tickets.send(self.redis, lane, digest, ticket)
            self._collect(lane, reply, set(missing), answers, deadline)
        return [
            [found[name] for name, _ in item] if len(found) == len(item) else None
            for item, found in zip(items, answers, strict=True)
        ]

    def _collect(
        self, lane: str, reply: str, missing: set[int], answers: list[dict[str, Answer]], deadline: float
    ) -> None:
        """Waits for answers to ``missing`` until the deadline, or until no worker lives; puts them into ``answers``."""
        key, heard = wire.REPLY.format(id=reply), time.monotonic()
        while missing:
            left = min(deadline, self._closes) - time.monotonic()
            if left <= 0:
                return
            message = self.redis.blpop([key], timeout=max(0.01, min(left, _LOOK_S)))
            if message is None and time.monotonic() - heard < wire.BLOCK_S:
                continue
            heard = time.monotonic()
            if message is None:
                if not self.redis.exists(wire.ALIVE.format(lane=lane)):
                    return
                continue
            for index, found in _REPLY.validate_json(message[1]):
                answers[index].update((answer.field, answer) for answer in found)
                missing.discard(index)

    def calibrate(self, bundle: Bundle, sample: Sequence[Mapping[str, str]], wait_s: float) -> Bundle:
        """The bundle with priors frozen from ``sample`` (rendered texts by field name); a worker computes them.

        Raises:
            QueueDownError: Redis does not answer.
            NoWorkerError: no worker lives.
            UnavailableError: it was not ready within ``wait_s`` seconds.
            LabelLoopError: the worker could not do it; the class is that of the worker's error.
        """
        deadline = time.monotonic() + wait_s
        number = uuid4().hex
        order = json.dumps({"bundle": bundle.model_dump(mode="json"), "sample": [dict(item) for item in sample]})
        with redis_errors():
            if not self.redis.exists(wire.ALIVE.format(lane="predict")):
                raise no_worker("predict")
            self.redis.set(wire.SAMPLE.format(id=number), order, ex=max(60, int(wait_s) + 1))
            wire.enqueue("predict", self.redis, "calibrate", number)
            while (left := deadline - time.monotonic()) > 0:
                message = self.redis.blpop([wire.REPLY.format(id=number)], timeout=min(left, wire.BLOCK_S))
                if message is not None:
                    return _calibrated(json.loads(message[1]))
        raise UnavailableError(f"The calibration was not ready within {wait_s:.0f} s.", "Try again when less waits.")

    def status(self) -> dict[str, Any]:
        """How the queues stand, as JSON values: items waiting per lane, living workers, running pushes.

        Raises:
            QueueDownError: Redis does not answer.
        """
        return standing(self.redis)


def standing(redis: RedisBytes) -> dict[str, Any]:
    """As ``Scoring.status``."""
    from labelloop.scoring import push

    with redis_errors():
        return {
            "waiting": {lane: waiting_items(redis, lane) for lane in wire.SCORING_LANES},
            "jobs": {lane: redis.llen(wire.rq_list(lane)) for lane in (*wire.LANES, "refresh")},
            "workers": living_workers(redis),
            "pushes": push.running(redis),
        }


def tell_queues(state: Mapping[str, Any]) -> str:
    """What waits, of ``Scoring.status``, in words.

    >>> tell_queues({"waiting": {"interactive": 0, "predict": 3}, "jobs": {"push": 1}})
    'waiting items: 0 interactive, 3 predict; waiting jobs: 1 push'
    """
    each = [", ".join(f"{count} {lane}" for lane, count in state[what].items()) for what in ("waiting", "jobs")]
    return f"waiting items: {each[0]}; waiting jobs: {each[1]}"


def no_worker(lane: str) -> NoWorkerError:
    return NoWorkerError(f"No worker serves the queue '{lane}'.", "Start one: `labelloop worker` (or `labelloop up`).")


def waiting_items(redis: RedisBytes, lane: str) -> int:
    pipeline = redis.pipeline(transaction=False)
    for digest in tickets.streams(redis, lane):
        pipeline.xlen(wire.STREAM.format(lane=lane, digest=digest))
    return sum(pipeline.execute())


def living_workers(redis: RedisBytes) -> list[dict[str, Any]]:
    """Each worker that has given a sign of life: name, host, pid, queues, state, and seconds since that sign."""
    workers = []
    for name in sorted(member.decode() for member in redis.smembers(wire.WORKERS)):
        key = wire.WORKER.format(name=name)
        value, left_ms = redis.pipeline(transaction=False).get(key).pttl(key).execute()
        if value is None:
            redis.srem(wire.WORKERS, name)
        else:
            workers.append({"name": name, **json.loads(value), "age_s": round(wire.ALIVE_S - left_ms / 1000, 1)})
    return workers


def is_warm(worker: Mapping[str, Any]) -> bool:
    """Whether one of ``living_workers`` is past its start, with its models loaded."""
    return bool(worker["state"] != "starting")


def workers_alive(settings: Settings, queue: str) -> int:
    """How many warm workers serve a queue; 0 too where Redis does not answer."""
    redis = wire.connect(settings.find_redis_url())
    try:
        with redis_errors():
            return sum(queue in one["queues"] and is_warm(one) for one in living_workers(redis))
    except QueueDownError:
        return 0
    finally:
        redis.close()


def _publish(redis: Any, bundle: Bundle, digest: str) -> None:
    redis.set(wire.BUNDLE.format(digest=digest), bundle.model_dump_json(), ex=wire.BUNDLE_S)
    redis.lrem(wire.RECENT, 0, digest)
    redis.lpush(wire.RECENT, digest)
    redis.ltrim(wire.RECENT, 0, 3)


def _calibrated(reply: dict[str, Any]) -> Bundle:
    if "error" in reply:
        kind = getattr(errors, reply["error"], LabelLoopError)
        raise kind(reply["message"], reply["remedy"])
    return Bundle.model_validate(reply["bundle"])

"""What lies where in Redis: the connection, the names of keys and lanes, and the RQ queues that carry tickets.

Items to score lie in one stream per lane and bundle. An RQ job is a ticket: it says "drain this stream". Redis holds
queues, caches and progress only; everything here may be lost without losing a label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from labelloop import logs
from labelloop.errors import QueueDownError, SettingsError

LANES = ("interactive", "predict", "push")  # most urgent first
SCORING_LANES = ("interactive", "predict")  # those that have streams of items
GROUP = "workers"

TRAIN_S = 4 * 3600  # a training is given up after so long; its own budget ends it far sooner
ALONE_S = 300  # a job is given up when it has scored nothing for so long
BEAT_S = 3.0  # a worker says that it lives
ALIVE_S = 15  # ... and is taken for dead when it has been silent for so long
STALE_MS = ALIVE_S * 1000  # items that a worker took and did not touch for so long belong to the next one
TICKET_S = 60  # a ticket that was lost blocks new ones for at most so long
REPLY_S = 120  # answers wait so long for whoever asked
BUNDLE_S = 30 * 86400
MOST_DELIVERIES = 5  # an item that was with so many workers when they died is refused
QUEUE_LIMIT = 20_000  # items that may wait in one stream
BLOCK_S = 5.0  # longest single blocking read, so that a dead connection is noticed
_SOCKET_S = 15.0

STREAMS = "labelloop:streams:{lane}"
STREAM = "labelloop:items:{lane}:{digest}"
TICKET = "labelloop:ticket:{lane}:{digest}"
BUNDLE = "labelloop:bundle:{digest}"
RECENT = "labelloop:recent-bundles"
MEASURED = "labelloop:measured"
REPLY = "labelloop:reply:{id}"
SAMPLE = "labelloop:sample:{id}"
WORKERS = "labelloop:workers"
WORKER = "labelloop:worker:{name}"
ALIVE = "labelloop:alive:{lane}"
PUSHES = "labelloop:pushes"
PUSH = "labelloop:push:{connection}"
PUSH_CHUNKS = "labelloop:push:{connection}:chunks"
PUSH_FAILED = "labelloop:push:{connection}:failed"
PUSH_LEASE = "labelloop:push:{connection}:lease"
SYNC_RECENT = "labelloop:sync:recent"
SYNC_LEASE = "labelloop:sync:lease"

FRESHEN = "labelloop:freshen"
FRESHENING = "labelloop:freshening"
REFRESH = "labelloop:refresh:{connection}"
REFRESH_WANTED = "labelloop:refresh:wanted"
REFRESH_SERVED = "labelloop:refresh:served"
REFRESH_LOOKED = "labelloop:refresh:{connection}:looked"
REFRESH_SWEPT = "labelloop:refresh:swept"
REFRESH_LEASE = "labelloop:refresh:{connection}:{field}:lease"
TURN = "labelloop:turn:{machine}"
TURN_WANTED = "labelloop:turn:{machine}:wanted"
FRESHEN_LEASE = "labelloop:freshen:{connection}:lease"

RedisBytes: TypeAlias = Any  # a Redis that answers in bytes; redis-py's own types cannot say so


class Epoch(NamedTuple):
    """Which labels an answer knows: those of a connection, up to its memory epoch. ``number`` 0: none."""

    connection: int = 0
    number: int = 0

    @property
    def step(self) -> Epoch:
        """The last epoch that is a power of two: what answers that take seconds follow, so that a hundred labels cost
        seven of them and not a hundred."""
        return self._replace(number=1 << self.number.bit_length() - 1) if self.number else self


ZERO_SHOT = Epoch()


def connect(url: str, patience_s: float = _SOCKET_S) -> RedisBytes:
    """A client whose commands give up after ``patience_s`` and are tried twice at most, for a restarted server.

    Raises:
        SettingsError: the address is not one.
    """
    try:
        client: RedisBytes = Redis.from_url(
            url,
            protocol=2,
            socket_connect_timeout=2.0,
            socket_timeout=patience_s,
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        raise SettingsError(
            f"LABELLOOP_REDIS_URL is not a Redis address: {error}.", "Use redis://host:6379/0 or unix:///path?db=0."
        ) from None
    return client


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns what redis-py raises while the server is away or full into QueueDownError."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise QueueDownError(
            f"Redis does not answer: {error}.", "Start it, or correct LABELLOOP_REDIS_URL; `labelloop doctor` tests it."
        ) from error
    except OutOfMemoryError as error:
        raise QueueDownError("Redis is full.", "Give it more memory (maxmemory), policy volatile-lru.") from error
    except ResponseError as error:
        raise QueueDownError(f"Redis refuses: {error}.", "It must be a writable Redis 6.2 or later.") from error
    except RedisError as error:
        raise QueueDownError(f"Redis fails: {error}.", "See its log.") from error


def rq_queue(lane: str, redis: RedisBytes) -> Queue:
    """The RQ queue of a lane. Jobs are JSON, never pickle."""
    return Queue(f"labelloop-{lane}", connection=redis, serializer=JSONSerializer, default_timeout=600)


def rq_list(lane: str) -> str:
    """The Redis list in which RQ keeps the ids of a lane's waiting jobs."""
    return f"{Queue.redis_queue_namespace_prefix}labelloop-{lane}"


def enqueue(
    lane: str, redis: RedisBytes, function: str, *arguments: Any, timeout: int = 600, job_id: str | None = None
) -> None:
    """Puts a call of ``labelloop.scoring.jobs.<function>`` on a lane, in one round trip. Failures stay an hour. The
    worker's log names the request that it is put there for."""
    queue = rq_queue(lane, redis)
    call = queue.prepare_data(
        f"labelloop.scoring.jobs.{function}",
        args=arguments,
        timeout=timeout,
        result_ttl=0,
        failure_ttl=3600,
        description=function,  # RQ's own would show the arguments
        job_id=job_id,
        meta={"requests": list(logs.requests()[:1])},
    )
    pipeline = redis.pipeline(transaction=True)
    queue.enqueue_many([call], pipeline=pipeline)
    pipeline.execute()


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

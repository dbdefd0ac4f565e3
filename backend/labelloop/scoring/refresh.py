"""Refreshes, seen from outside the trainer: asking for one, and how far it is. One per field at a time."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from labelloop.learning.refreshes import Trigger
from labelloop.scoring import wire
from labelloop.scoring.queues import no_worker
from labelloop.scoring.wire import RedisBytes, redis_errors

_KEPT_S = 86400
_LOOK_S = 60
"""So often at most, new labels make the trainer look whether a refresh is due."""
_SWEEP_S = 300


@dataclass(frozen=True)
class Progress:
    """How far the refresh of a field is. ``state``: "waiting", "training", or what became of it (``refreshes.State``).
    ``share``: of the training that is done. ``words``: what the gate said, or why there is nothing to say. ``began``,
    ``told``: Unix seconds, when the training began, and when this was said. ``trigger``: why it is trained
    (``refreshes.Trigger``)."""

    connection_id: int
    field: str
    state: str
    share: float = 0.0
    words: str = ""
    began: float = 0.0
    told: float = 0.0
    trigger: str = ""

    @property
    def running(self) -> bool:
        return self.state in ("waiting", "training")

    @property
    def eta_s(self) -> float | None:
        """About how many seconds are left; None while nothing can be said."""
        if self.state != "training" or self.share < 0.02:
            return None
        return (self.told - self.began) * (1 - self.share) / self.share


def lease(connection_id: int, field: str) -> str:
    """The key that a trainer holds while it trains a field."""
    return wire.REFRESH_LEASE.format(connection=connection_id, field=wire.text_hash(field)[:16])


def ask(redis: RedisBytes, connection_id: int, field: str, trigger: Trigger) -> None:
    """Has a field trained; joins what is asked for, or trained, already.

    What is asked for stays written down until the attempt is in the store (``begun``): a trainer that stops or dies in
    between takes it up when it starts, and so does whoever asks again.

    Raises:
        QueueDownError: Redis does not answer.
        NoWorkerError: no trainer lives.
    """
    with redis_errors():
        if not redis.exists(wire.ALIVE.format(lane="refresh")):
            raise no_worker("refresh")
        if not redis.exists(lease(connection_id, field)):
            issue(redis, connection_id, field, trigger)


def issue(redis: RedisBytes, connection_id: int, field: str, trigger: Trigger) -> None:
    """Writes down that it is asked for, and sees to it that a job waits that does it."""
    known = redis.hget(wire.REFRESH_WANTED, _wanted(connection_id, field))
    if known is not None and _waits(redis, json.loads(known)["job"]):
        return
    told = {"trigger": trigger, "job": uuid4().hex}
    redis.hset(wire.REFRESH_WANTED, _wanted(connection_id, field), json.dumps(told))
    tell(redis, Progress(connection_id, field, "waiting", trigger=trigger))
    arguments = (connection_id, field, trigger)
    wire.enqueue("refresh", redis, "refresh", *arguments, timeout=wire.TRAIN_S, job_id=told["job"])


def _wanted(connection_id: int, field: str) -> str:
    return json.dumps([connection_id, field])


def _waits(redis: RedisBytes, job_id: str) -> bool:
    return redis.lpos(wire.rq_list("refresh"), job_id) is not None


def wanted(redis: RedisBytes, connection_id: int, field: str) -> bool:
    """Whether it is asked for, and not begun yet."""
    return bool(redis.hexists(wire.REFRESH_WANTED, _wanted(connection_id, field)))


def begun(redis: RedisBytes, connection_id: int, field: str) -> None:
    """The store knows of the attempt, or of why there is none."""
    redis.hdel(wire.REFRESH_WANTED, _wanted(connection_id, field))


def left(redis: RedisBytes) -> list[tuple[int, str, Trigger]]:
    """What is asked for and waits for no trainer any more: (connection, field, trigger)."""
    found = []
    for name, content in sorted(redis.hgetall(wire.REFRESH_WANTED).items()):
        (connection_id, field), told = json.loads(name), json.loads(content)
        if not _waits(redis, told["job"]):
            found.append((connection_id, field, told["trigger"]))
    return found


def look(redis: RedisBytes, connection_id: int) -> None:
    """Has the trainer look, soon, whether a connection's labels are enough for a refresh. Nothing where none lives."""
    if not redis.exists(wire.ALIVE.format(lane="refresh")):
        return
    if redis.set(wire.REFRESH_LOOKED.format(connection=connection_id), 1, nx=True, ex=_LOOK_S):
        wire.enqueue("refresh", redis, "refresh_due", connection_id, timeout=wire.TRAIN_S)


def sweep(redis: RedisBytes) -> bool:
    """Has the trainer look at all connections, now and then: what comes by schedule comes without a label."""
    if not redis.exists(wire.ALIVE.format(lane="refresh")):
        return False
    if not redis.set(wire.REFRESH_SWEPT, 1, nx=True, ex=_SWEEP_S):
        return False
    wire.enqueue("refresh", redis, "refresh_swept", timeout=wire.TRAIN_S)
    return True


def tell(redis: RedisBytes, progress: Progress) -> None:
    """Writes down how far a refresh is."""
    key = wire.REFRESH.format(connection=progress.connection_id)
    content = json.dumps({**asdict(progress), "told": time.time()})
    redis.pipeline(transaction=False).hset(key, progress.field, content).expire(key, _KEPT_S).execute()


def progress(redis: RedisBytes, connection_id: int) -> list[Progress]:
    """How far the refreshes of a connection are, those of the last day included, by field.

    Raises:
        QueueDownError: Redis does not answer.
    """
    with redis_errors():
        found: dict[bytes, Any] = redis.hgetall(wire.REFRESH.format(connection=connection_id))
    return sorted((Progress(**json.loads(value)) for value in found.values()), key=lambda one: one.field)

"""Refreshes, seen from outside the trainer: asking for one, and how far it is. One per field at a time."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from labelloop.learning.refreshes import Trigger
from labelloop.scoring import wire
from labelloop.scoring.queues import no_worker
from labelloop.scoring.wire import RedisBytes, redis_errors

_KEPT_S = 86400
_LOOK_S = 60
"""So often at most, new labels make the trainer look whether a refresh is due."""


@dataclass(frozen=True)
class Progress:
    """How far the refresh of a field is. ``state``: "waiting", "training", or what became of it (``refreshes.State``).
    ``share``: of the training that is done. ``words``: what the gate said, or why there is nothing to say. ``began``,
    ``told``: Unix seconds, when the training began, and when this was said."""

    connection_id: int
    field: str
    state: str
    share: float = 0.0
    words: str = ""
    began: float = 0.0
    told: float = 0.0

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

    Raises:
        QueueDownError: Redis does not answer.
        NoWorkerError: no trainer lives.
    """
    with redis_errors():
        if not redis.exists(wire.ALIVE.format(lane="refresh")):
            raise no_worker("refresh")
        if trigger != "resumed" and redis.exists(lease(connection_id, field)):
            return
        if redis.sadd(wire.REFRESH_WANTED, json.dumps([connection_id, field])):
            tell(redis, Progress(connection_id, field, "waiting"))
            wire.enqueue("refresh", redis, "refresh", connection_id, field, trigger, timeout=wire.TRAIN_S)


def look(redis: RedisBytes, connection_id: int) -> None:
    """Has the trainer look, soon, whether a connection's labels are enough for a refresh. Nothing where none lives."""
    if not redis.exists(wire.ALIVE.format(lane="refresh")):
        return
    if redis.set(wire.REFRESH_LOOKED.format(connection=connection_id), 1, nx=True, ex=_LOOK_S):
        wire.enqueue("refresh", redis, "refresh_due", connection_id, timeout=wire.TRAIN_S)


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

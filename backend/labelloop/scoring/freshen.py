"""Freshen: after a new label, the tasks that an annotator sees next get predictions that know it.

Label Studio does not ask again for a task that holds a prediction of the current version. So the next tasks of the
ordering are scored again, and those predictions that say something else now are replaced in place (never doubled). The
work is bounded by the setting ``freshen``, and however many labels come at once, one run follows them all.
"""

from __future__ import annotations

from labelloop.scoring import wire
from labelloop.scoring.wire import RedisBytes


def want(redis: RedisBytes, connection_id: int) -> None:
    """Has what the annotators of a connection see next made fresh, soon; joins what is wanted already."""
    if redis.sadd(wire.FRESHEN, connection_id):
        wire.enqueue("predict", redis, "freshen", timeout=wire.ALONE_S)


def sweep(redis: RedisBytes) -> bool:
    """Has done what is wanted and waits for no job: the worker that was at it, or had the job, died."""
    if redis.llen(wire.rq_list("predict")):
        return False  # a job for it is there, or comes to be issued once these are done
    for begun in redis.smembers(wire.FRESHENING):
        if not redis.exists(_lease(begun)):
            redis.smove(wire.FRESHENING, wire.FRESHEN, begun)
    if all(redis.exists(_lease(wanted)) for wanted in redis.smembers(wire.FRESHEN)):
        return False  # nothing is wanted, or whoever is at it looks again
    wire.enqueue("predict", redis, "freshen", timeout=wire.ALONE_S)
    return True


def _lease(connection: bytes) -> str:
    return wire.FRESHEN_LEASE.format(connection=connection.decode())

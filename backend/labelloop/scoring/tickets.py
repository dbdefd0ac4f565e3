"""Tickets: at most one RQ job waits per stream, and a sweep mends what a crash lost."""

from __future__ import annotations

import logging
from uuid import uuid4

from redis.client import Pipeline

from labelloop.scoring import wire
from labelloop.scoring.wire import RedisBytes

log = logging.getLogger(__name__)

_IDLE_STREAM_MS = 86_400_000

# Deletes a stream that is empty and has not been used for a day. One script, so that no item can arrive in between.
_FORGET = """
if redis.call('XLEN', KEYS[1]) > 0 then return 0 end
redis.call('DEL', KEYS[1])
return redis.call('SREM', KEYS[2], ARGV[1])
"""


def issue(redis: RedisBytes, lane: str, digest: str) -> bool:
    """Sees to it that a ticket waits for this stream. False: one waited already."""
    pipeline = redis.pipeline(transaction=False)
    job_id = reserve(pipeline, lane, digest)
    if not pipeline.execute()[-1]:
        return False
    send(redis, lane, digest, job_id)
    return True


def reserve(pipeline: Pipeline, lane: str, digest: str) -> str:
    """Adds to ``pipeline`` the command that makes room for one ticket; where it succeeds, ``send`` must follow."""
    job_id = uuid4().hex
    pipeline.set(wire.TICKET.format(lane=lane, digest=digest), job_id, nx=True, ex=wire.TICKET_S)
    return job_id


def send(redis: RedisBytes, lane: str, digest: str, job_id: str) -> None:
    """Puts the reserved ticket on its queue."""
    wire.enqueue(lane, redis, "drain", lane, digest, timeout=wire.ALONE_S, job_id=job_id)


def streams(redis: RedisBytes, lane: str) -> list[str]:
    """Digests of the bundles that have a stream in this lane."""
    return sorted(member.decode() for member in redis.smembers(wire.STREAMS.format(lane=lane)))


def waiting(redis: RedisBytes, lanes: tuple[str, ...]) -> list[tuple[str, str]]:
    """(lane, digest) of each stream of these lanes for which a ticket waits, most urgent lane first."""
    if not lanes:
        return []
    pipeline = redis.pipeline(transaction=False)
    for lane in lanes:
        pipeline.llen(wire.rq_list(lane))
    found = []
    for lane, length in zip(lanes, pipeline.execute(), strict=True):
        if length:
            digests = streams(redis, lane)
            held = redis.mget([wire.TICKET.format(lane=lane, digest=digest) for digest in digests]) if digests else []
            found += [(lane, digest) for digest, ticket in zip(digests, held, strict=True) if ticket]
    return found


def sweep(redis: RedisBytes) -> int:
    """Issues a ticket for every stream that has items and none waiting; forgets streams that nobody uses.

    A ticket can be lost with the worker that took it off its queue, items with the worker that had read them.
    Returns how many were issued.
    """
    issued = 0
    for lane in wire.SCORING_LANES:
        for digest in streams(redis, lane):
            stream = wire.STREAM.format(lane=lane, digest=digest)
            key = wire.TICKET.format(lane=lane, digest=digest)
            length, ticket = redis.pipeline(transaction=False).xlen(stream).get(key).execute()
            if not length:
                _forget_if_old(redis, lane, digest, stream)
            elif ticket is None:
                issued += issue(redis, lane, digest)
            elif redis.lpos(wire.rq_list(lane), ticket.decode()) is None:
                redis.delete(key)
                issued += issue(redis, lane, digest)
    return issued


def _forget_if_old(redis: RedisBytes, lane: str, digest: str, stream: str) -> None:
    if not redis.exists(stream):
        redis.eval(_FORGET, 2, stream, wire.STREAMS.format(lane=lane), digest)
        return
    last = int(redis.xinfo_stream(stream)["last-generated-id"].split(b"-")[0])
    seconds, _ = redis.time()
    if seconds * 1000 - last > _IDLE_STREAM_MS:
        redis.eval(_FORGET, 2, stream, wire.STREAMS.format(lane=lane), digest)
        log.debug("forgot the empty stream %s", stream)

"""Pushes: whole projects pre-annotated through Label Studio's API. Starting, joining, watching and reviving them.

The state of a push lies in one Redis hash; what a worker does next follows from it alone (``push_steps``), so a push
goes on after any death, and where Redis lost it, the next start finds the same tasks still lacking a prediction.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from uuid import uuid4

from redis.client import Pipeline

from labelloop.errors import RequestError, UnavailableError
from labelloop.learning.store import Connection, Store
from labelloop.scoring import wire
from labelloop.scoring.queues import Scoring, no_worker
from labelloop.scoring.wire import RedisBytes, redis_errors
from labelloop.settings import Settings

State = Literal["planning", "scoring", "finishing", "done", "failed"]

RUNNING = ("planning", "scoring", "finishing")
_KEPT_S = 7 * 86400
_LOOK_S = 0.25
_NOBODY_S = 20.0


@dataclass(frozen=True)
class Progress:
    """How far a push is.

    ``total``: tasks of the project. ``skipped``: those that held the version before. ``done``: predictions stored.
    ``failed``: tasks without one, and ``reasons``: why, by task id (the first hundred). ``dropped``: regions that our
    validator removed. ``started``, ``finished``: Unix seconds. ``error``: why the whole push failed.
    """

    push_id: str
    connection_id: int
    version: str
    state: State
    total: int = 0
    skipped: int = 0
    done: int = 0
    failed: int = 0
    dropped: int = 0
    started: float = 0.0
    scoring_since: float = 0.0
    finished: float | None = None
    error: str = ""
    note: str = ""
    reasons: dict[int, str] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return self.state in RUNNING

    @property
    def eta_s(self) -> float | None:
        """About how many seconds are left; None while nothing can be said."""
        handled = self.done + self.failed
        if self.state != "scoring" or not handled:
            return None
        return (self.total - self.skipped - handled) * (time.time() - self.scoring_since) / handled


def token_of(connection: Connection, settings: Settings) -> str:
    """The token for the connection's server: its own, else the configured one, for the configured server only."""
    if connection.token:
        return connection.token
    if connection.server_url and connection.server_url == settings.label_studio_url:
        return settings.label_studio_token.get_secret_value()
    return ""


def start(connection_id: int, settings: Settings, store: Store, scoring: Scoring) -> str:
    """Starts a push of the champion version, or joins the one that runs; returns its id. Asks no Label Studio.

    A running push of the same version looks once more for new tasks before it ends; one of another version starts
    over with this one.

    Raises:
        RequestError: the connection has no project, token or version yet.
        QueueDownError: Redis does not answer.
    """
    connection = store.connection(connection_id)
    if not connection.server_url or connection.project_id is None or not token_of(connection, settings):
        raise RequestError(
            "This connection has no access token, so nothing can be pushed into its project.",
            "Run `labelloop connect --project P --url LABEL_STUDIO --token T`.",
        )
    version = store.champion(connection_id)
    if version is None:
        raise RequestError("This connection has no version yet.", "Run `labelloop connect` for its project.")
    key = wire.PUSH.format(connection=connection_id)

    def begin(pipeline: Pipeline) -> str:
        known = _decode(pipeline.hgetall(key))
        pipeline.multi()
        if known.get("state") in RUNNING and known["version"] == version.name:
            pipeline.hset(key, mapping={"again": 1, "retry_at": 0})
            return str(known["push_id"])
        push_id = uuid4().hex
        new = Progress(push_id, connection_id, version.name, "planning", started=time.time())
        pipeline.delete(key, wire.PUSH_CHUNKS.format(connection=connection_id))
        pipeline.delete(wire.PUSH_FAILED.format(connection=connection_id))
        pipeline.hset(key, mapping={k: v for k, v in asdict(new).items() if isinstance(v, str | int | float)})
        pipeline.sadd(wire.PUSHES, connection_id)
        return push_id

    with redis_errors():
        push_id = scoring.redis.transaction(begin, key, value_from_callable=True)
        issue(scoring.redis, connection_id)
    return str(push_id)


def issue(redis: RedisBytes, connection_id: int) -> bool:
    """Sees to it that a job waits that takes the next step of this push. False: one waited already."""
    job_id = uuid4().hex
    if not redis.set(wire.TICKET.format(lane="push", digest=connection_id), job_id, nx=True, ex=wire.TICKET_S):
        return False
    wire.enqueue("push", redis, "push_step", connection_id, timeout=1800, job_id=job_id)
    return True


def read(redis: RedisBytes, connection_id: int) -> Progress | None:
    """The push of this connection; None where there was none within a week."""
    pipeline = redis.pipeline(transaction=True)
    pipeline.hgetall(wire.PUSH.format(connection=connection_id))
    pipeline.hlen(wire.PUSH_FAILED.format(connection=connection_id))
    pipeline.hscan(wire.PUSH_FAILED.format(connection=connection_id), count=100)
    found, failed, (_, reasons) = pipeline.execute()
    known = _decode(found)
    if "push_id" not in known:
        return None
    numbers = {name: int(known.get(name, 0)) for name in ("total", "skipped", "done", "dropped")}
    return Progress(
        push_id=known["push_id"],
        connection_id=connection_id,
        version=known["version"],
        state=known["state"],  # type: ignore[arg-type]
        failed=failed,
        started=float(known["started"]),
        scoring_since=float(known.get("scoring_since", 0)),
        finished=float(known["finished"]) if "finished" in known else None,
        error=known.get("error", ""),
        note=known.get("note", ""),
        reasons={int(task): reason.decode() for task, reason in list(reasons.items())[:100]},
        **numbers,
    )


def progress(connection_id: int, scoring: Scoring) -> Progress | None:
    """How far the connection's latest push is; None where there was none within a week.

    Raises:
        QueueDownError: Redis does not answer.
    """
    with redis_errors():
        return read(scoring.redis, connection_id)


def wait(connection_id: int, scoring: Scoring, on_progress: Callable[[Progress], None] = lambda _: None) -> Progress:
    """Waits until the push has ended, successfully or not; ``on_progress`` hears of every change.

    Ctrl-C ends the waiting, not the push.

    Raises:
        QueueDownError: Redis does not answer.
        NoWorkerError: no worker has lived for 20 s; the push goes on when one starts.
        UnavailableError: Redis lost the push; start it again.
    """
    last: Progress | None = None
    lonely_since = time.monotonic()
    while True:
        now = progress(connection_id, scoring)
        if now is None:
            raise UnavailableError(
                "Redis has lost the push.", "Run `labelloop preannotate` again: it goes on from there."
            )
        if now != last:
            on_progress(now)
            last = now
        if not now.running:
            return now
        with redis_errors():
            if scoring.redis.exists(wire.ALIVE.format(lane="push")):
                lonely_since = time.monotonic()
        if time.monotonic() - lonely_since > _NOBODY_S:
            raise no_worker("push")
        time.sleep(_LOOK_S)


def running(redis: RedisBytes) -> list[dict[str, Any]]:
    """The pushes under way, as JSON values."""
    found = [read(redis, int(member)) for member in sorted(redis.smembers(wire.PUSHES), key=int)]
    return [
        {name: value for name, value in asdict(one).items() if name not in {"reasons", "finished"}}
        | {"eta_s": one.eta_s}
        for one in found
        if one is not None and one.running
    ]


def sweep(redis: RedisBytes) -> int:
    """Issues a job for every running push that nobody works on and for which none waits; returns how many."""
    issued = 0
    for member in redis.smembers(wire.PUSHES):
        connection_id = int(member)
        ticket_key = wire.TICKET.format(lane="push", digest=connection_id)
        pipeline = redis.pipeline(transaction=False)
        pipeline.hmget(wire.PUSH.format(connection=connection_id), "state", "retry_at")
        pipeline.exists(wire.PUSH_LEASE.format(connection=connection_id))
        pipeline.get(ticket_key)
        (state, retry_at), leased, ticket = pipeline.execute()
        if state is None or state.decode() not in RUNNING:
            redis.srem(wire.PUSHES, member)
            continue
        if leased or float(retry_at or 0) > time.time():
            continue
        if ticket is not None and redis.lpos(wire.rq_list("push"), ticket.decode()) is None:
            redis.delete(ticket_key)  # lost with the worker that took it
        issued += issue(redis, connection_id)
    return issued


def change(redis: RedisBytes, connection_id: int, push_id: str, fill: Callable[[Pipeline], None]) -> None:
    """Applies the commands that ``fill`` adds, all or nothing, unless a newer push has taken this one's place."""
    key = wire.PUSH.format(connection=connection_id)

    def apply(pipeline: Pipeline) -> None:
        known = _decode(pipeline.hgetall(key))
        pipeline.multi()
        if known.get("push_id") == push_id:
            fill(pipeline)

    redis.transaction(apply, key)


def end(redis: RedisBytes, connection_id: int, push_id: str, state: State, error: str = "") -> None:
    """Ends this push, unless new tasks were announced meanwhile: then it plans again. A newer push is left alone."""
    key = wire.PUSH.format(connection=connection_id)

    def close(pipeline: Pipeline) -> None:
        known = _decode(pipeline.hgetall(key))
        pipeline.multi()
        if known.get("push_id") != push_id:
            return
        if state == "done" and known.get("again") == "1":
            pipeline.hset(key, mapping={"state": "planning", "again": 0})
            return
        pipeline.hset(key, mapping={"state": state, "error": error, "finished": time.time()})
        pipeline.srem(wire.PUSHES, connection_id)
        pipeline.delete(wire.PUSH_CHUNKS.format(connection=connection_id))
        pipeline.expire(key, _KEPT_S)
        pipeline.expire(wire.PUSH_FAILED.format(connection=connection_id), _KEPT_S)

    redis.transaction(close, key)


def chunks_of(ids: list[int], size: int) -> list[str]:
    """Task ids as the JSON lists that lie in Redis, ``size`` ids each."""
    return [json.dumps(ids[start : start + size]) for start in range(0, len(ids), size)]


def _decode(found: Any) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in found.items()}

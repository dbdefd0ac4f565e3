"""The warm worker: an RQ SimpleWorker that beats while it works, stops cleanly, and outlives a Redis restart."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any
from uuid import uuid4

from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from labelloop import logs
from labelloop.errors import LabelLoopError
from labelloop.scoring import wire
from labelloop.scoring.beat import Beat
from labelloop.scoring.measured import JOBS
from labelloop.scoring.workplace import Workplace, occupy
from labelloop.settings import Settings
from labelloop.words import Bundle, Field, Label, Passage, Reading, pose

log = logging.getLogger(__name__)

_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_RQ_TTL_S = 20  # RQ derives from it: blocking reads of 5 s, socket timeouts of 15 s, its record expires after 80 s


class WarmWorker(SimpleWorker):
    """Executes jobs in this process, where the models stay loaded.

    RQ's own bookkeeping between two jobs costs many round trips; most of it is left to the heartbeat's thread. The
    listener for remote commands is not started: nobody sends us any.
    """

    max_connection_wait_time = 5.0

    def __init__(self, place: Workplace, queues: Sequence[str]) -> None:
        super().__init__(
            [wire.rq_queue(lane, place.redis) for lane in queues],
            name=f"{place.name}-{uuid4().hex[:6]}",  # after an outage RQ may still know the former name
            connection=place.redis,
            serializer=JSONSerializer,
            log_job_description=False,
            default_result_ttl=0,
            worker_ttl=_RQ_TTL_S,
        )
        self._place = place
        self._beaten = 0.0
        self.interruptible = False

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """Waits for a job. Only here may a signal interrupt: no job is in hand."""
        self.interruptible = True
        try:
            if self._place.stopping.is_set():
                raise StopRequested
            return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
        finally:
            self.interruptible = False

    def perform_job(self, job: Any, queue: Any, execution: Any) -> bool:
        """Does a job; the log names it, and the request that it was put on the queue for."""
        with logs.working(job.meta.get("requests", ()), job.id):
            done = bool(super().perform_job(job, queue, execution))
        self._place.measured.add(JOBS, queue.name.removeprefix("labelloop-"), "done" if done else "failed")
        return done

    def set_state(self, state: str, pipeline: Any = None) -> None:
        if pipeline is not None or state not in {WorkerStatus.IDLE, WorkerStatus.BUSY}:
            super().set_state(state, pipeline)
        self._state = state

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        if pipeline is not None or time.monotonic() - self._beaten > wire.BEAT_S:
            super().heartbeat(timeout, pipeline)
            self._beaten = time.monotonic()

    def beat(self) -> None:
        """Keeps RQ's records of this worker and its job alive; called by the heartbeat's thread."""
        for execution in list(self.executions.values()):
            if execution._job is not None:
                self.maintain_heartbeats(execution._job, execution)
        self.connection.hset(self.key, "state", self._state)
        super().heartbeat()

    def subscribe(self) -> None:
        """See the class."""

    def unsubscribe(self) -> None:
        """See the class."""

    def _install_signal_handlers(self) -> None:
        """``run`` has installed its own, which outlive this object."""

    def stop_after_job(self) -> None:
        self._stop_requested = True


class _Signals:
    """SIGTERM and SIGINT: the micro-batch is finished, the rest is given back, the process exits 0."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self.worker: WarmWorker | None = None
        self.starting = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._place.stopping.set()
        if self.starting:
            raise SystemExit(0)
        if self.worker is not None:
            self.worker.stop_after_job()
            if self.worker.interruptible:
                raise StopRequested


def run(settings: Settings, queues: Sequence[str] = wire.LANES) -> int:
    """Works until SIGTERM or SIGINT; returns the exit code, 0.

    Raises:
        SettingsError: no Redis is configured.
        ModelError: the model cannot be loaded.
    """
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
    place = Workplace(settings.find_redis_url(), settings, name)
    occupy(place)
    signals = _Signals(place)
    beat = Beat(place, queues)
    beat.start()
    try:
        if set(queues) & set(wire.LANES):
            _warm_up(place)
        signals.starting = False
        if "refresh" in queues:
            wire.enqueue("refresh", place.redis, "refresh_resumed")
        beat.state = "ready"
        beat.now()
        log.info("worker %s is warm and serves %s", name, ", ".join(queues))
        _work(place, queues, signals, beat)
    finally:
        place.stopping.set()
        beat.stop()
        place.close()
    log.info("worker %s has stopped", name)
    return 0


def _work(place: Workplace, queues: Sequence[str], signals: _Signals, beat: Beat) -> None:
    """RQ's work loop, again after each outage of Redis."""
    failures = 0
    while not place.stopping.is_set():
        began = time.monotonic()
        try:
            signals.worker = beat.worker = WarmWorker(place, queues)
            signals.worker.work(logging_level="WARNING")
        except StopRequested:
            break
        except (RedisError, OSError) as error:
            log.warning("Redis does not answer (%s); trying again", error)
        finally:
            signals.worker = beat.worker = None
        place.forget_held()
        failures = 0 if time.monotonic() - began > 30 else failures + 1
        place.stopping.wait(_BACKOFF_S[min(failures, len(_BACKOFF_S)) - 1])


def _warm_up(place: Workplace) -> None:
    """Loads the models of the bundles that were used last, else the configured one, so that no annotator waits."""
    from labelloop import engines, tasks
    from labelloop.engines.identity import identify

    try:
        digests = [value.decode() for value in place.redis.lrange(wire.RECENT, 0, -1)]
        bundles = [bundle for digest in digests if (bundle := place.bundle(digest))]
    except RedisError as error:
        log.warning("Redis does not answer yet (%s)", error)
        bundles = []
    for bundle in bundles:
        try:
            tasks.calibrate(bundle, [], place.settings)
            tasks.answer(bundle, [_greetings(bundle)], place.settings)
        except LabelLoopError as error:  # an old bundle's model may be gone; the others are not
            log.warning("bundle %s cannot be warmed up: %s", bundle.digest[:8], error)
    if not bundles:
        settings = place.settings
        revision = identify(settings.encoder, settings.encoder_revision)
        engines.load("encoder", settings.encoder, revision, settings).embed(["Good morning."])


def _greetings(bundle: Bundle) -> dict[str, str]:
    """By field name what to warm up with: of all but those that a writer serves, whose models are warm once they are
    loaded, and whose reply nobody would read."""
    return {one.field.name: _greeting(one.field) for one in bundle.plans if one.engine not in {"causal", "remote"}}


def _greeting(field: Field) -> str:
    """An input to warm up with: a text, labels where items bring their own, and passages where these are read."""
    if field.structured:
        names = [source.name for source in field.sources]
        return Reading(passages=tuple(Passage(name=name, text="Good morning.") for name in names)).dump()
    labels = tuple(Label(path=(word,), text=word) for word in ("yes", "no"))
    return pose("Good morning.", labels) if field.dynamic else "Good morning."

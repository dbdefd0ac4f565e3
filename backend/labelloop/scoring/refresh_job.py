"""What the trainer does: trains the fields that are asked for, one at a time, and says how far it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from labelloop.errors import LabelLoopError
from labelloop.learning import refresh as learning
from labelloop.learning import refreshes, triggers, versions, watching
from labelloop.learning.judging import Stopped
from labelloop.learning.refreshes import Trigger
from labelloop.scoring import push, queues, wire
from labelloop.scoring import refresh as asking
from labelloop.scoring.measured import REFRESH
from labelloop.scoring.refresh import Progress
from labelloop.scoring.workplace import Workplace
from labelloop.words import Bundle

log = logging.getLogger(__name__)

_TELL_S = 1.0


def serve(place: Workplace, connection_id: int, field: str, trigger: Trigger) -> bool:
    """Trains one field, if nobody is at it; False: somebody is."""
    with place.lease(asking.lease(connection_id, field)) as ours:
        if ours:
            if trigger != "resumed" or (connection_id, field) in _unfinished(place):
                _train(place, connection_id, field, trigger)
            else:
                _begun(place, connection_id, field)
        return ours


def asked(place: Workplace, connection_id: int, field: str, trigger: Trigger) -> None:
    """Trains what was asked for, unless another job has begun it meanwhile. A trainer that died holds its lease for
    some seconds more; what it left is taken up after that."""
    if not asking.wanted(place.redis, connection_id, field) or serve(place, connection_id, field, trigger):
        return
    if not place.stopping.wait(wire.ALIVE_S + 1) and asking.wanted(place.redis, connection_id, field):
        serve(place, connection_id, field, trigger)


def _train(place: Workplace, connection_id: int, field: str, trigger: Trigger) -> None:
    began, told, known = time.time(), 0.0, False

    def tell(state: str, share: float = 0.0, words: str = "") -> None:
        if state != "training":
            place.measured.observe(REFRESH, state, values=(time.time() - began,))
        asking.tell(place.redis, Progress(connection_id, field, state, share, words, began, trigger=trigger))

    def watch(share: float) -> None:
        nonlocal told, known
        if place.stopping.is_set():
            raise Stopped
        if not known:
            known = True
            _begun(place, connection_id, field)
        between()
        if time.time() - told > _TELL_S:
            told = time.time()
            try:
                tell("training", share)
            except RedisError as error:  # a training of minutes is not lost for a note
                log.warning("how far a training is cannot be told: %s", error)

    try:
        if place.stopping.is_set():
            raise Stopped
        tell("training")
        _fetch(place, connection_id)
        with _pushing(place, connection_id), place.turns.training() as between:
            done = learning.attempt(place.store, connection_id, field, trigger, place.settings, watch)
    except Stopped:
        tell("stopped", words="The trainer was stopped.")
        return
    except LabelLoopError as error:
        log.warning("connection %d, field %s: nothing is trained: %s", connection_id, field, error)
        _begun(place, connection_id, field)
        tell("failed", words=str(error))
        return
    except Exception as error:  # out of memory, say; whoever waits must hear of it
        log.exception("connection %d, field %s: the training failed", connection_id, field)
        _begun(place, connection_id, field)
        tell("failed", words=f"{type(error).__name__}: {error}")
        raise
    _begun(place, connection_id, field)
    tell(done.state, 1.0, done.words)
    log.info("connection %d, field %s: %s", connection_id, field, done.words)


def _begun(place: Workplace, connection_id: int, field: str) -> None:
    try:
        asking.begun(place.redis, connection_id, field)
    except RedisError as error:  # it is trained once more then, which does no harm
        log.warning("that a training has begun cannot be told: %s", error)


def _unfinished(place: Workplace) -> set[tuple[int, str]]:
    return {(one.connection_id, one.field) for one in refreshes.unfinished(place.store)}


def look(place: Workplace, connection_id: int) -> None:
    """Lets a former version serve again that answers the new labels better, and trains those fields of a connection
    that are due."""
    if not place.settings.refresh or place.stopping.is_set():
        return
    for left in refreshes.listed(place.store, connection_id):
        if left.state == "running" and not place.redis.exists(asking.lease(connection_id, left.field)):
            refreshes.died(place.store, left.id)  # also where three did, and none is begun anew
    _fetch(place, connection_id)
    with _pushing(place, connection_id):
        for one in _withdrawn(place, connection_id):
            log.warning("connection %d, field %s: %s", connection_id, one.field, one.words)
            asking.tell(place.redis, Progress(connection_id, one.field, "withdrawn", 1.0, one.words))
    for field, trigger in triggers.due_fields(place.store, connection_id, place.settings).items():
        if place.stopping.is_set():
            return
        serve(place, connection_id, field, trigger)


def _withdrawn(place: Workplace, connection_id: int) -> list[watching.Withdrawn]:
    try:
        return watching.watch(place.store, connection_id, place.settings)
    except LabelLoopError as error:  # that must keep nobody from training something better
        log.warning("connection %d: what was promoted cannot be compared: %s", connection_id, error)
        return []


def _fetch(place: Workplace, connection_id: int) -> None:
    """The adapters that serve the connection, which may have been trained on another machine."""
    if (champion := place.store.champion(connection_id)) is not None:
        place.fetch(champion.bundle)


def resume(place: Workplace) -> None:
    """Does what a trainer left undone when it died or was stopped: the push of what it let serve, and its trainings,
    those that it had not begun yet as well."""
    for connection in place.store.connections():
        _push_owed(place, connection.id)
    for connection_id, field in sorted(_unfinished(place)):
        asking.issue(place.redis, connection_id, field, "resumed")
    for connection_id, field, trigger in asking.left(place.redis):
        asking.issue(place.redis, connection_id, field, trigger)


def put_back(place: Workplace, digest: str) -> None:
    """Serves the version before, wherever the bundle of this digest, which cannot be served, is the champion."""
    for connection in place.store.connections():
        champion = place.store.champion(connection.id)
        if champion is None or champion.bundle.digest != digest:
            continue
        try:
            _, now = versions.put_back(place.store, connection, place.settings)
        except LabelLoopError:  # there is none: what was trained is left out
            plans = tuple(one.model_copy(update={"adapter": None}) for one in champion.bundle.plans)
            now = place.store.serve(connection.id, Bundle(plans=plans), champion.skipped)
        log.error("connection %d: %s cannot be served; %s serves instead", connection.id, champion.name, now.name)
        _push(place, connection.id)


@contextmanager
def _pushing(place: Workplace, connection_id: int) -> Iterator[None]:
    """What comes to serve in the block is pushed after it; by the next trainer where this one dies in between."""
    place.redis.hsetnx(wire.REFRESH_SERVED, str(connection_id), _serving(place, connection_id))
    try:
        yield
    finally:
        _push_owed(place, connection_id)


def _push_owed(place: Workplace, connection_id: int) -> None:
    """Pushes the champion, if another version served when a trainer last set to work on the connection."""
    served = place.redis.hget(wire.REFRESH_SERVED, str(connection_id))
    if served is None:
        return
    if served.decode() == _serving(place, connection_id) or _push(place, connection_id):
        place.redis.hdel(wire.REFRESH_SERVED, str(connection_id))


def _serving(place: Workplace, connection_id: int) -> str:
    champion = place.store.champion(connection_id)
    return champion.name if champion else ""


def _push(place: Workplace, connection_id: int) -> bool:
    """The new version into the project's tasks; its name stands there when all of them have it. False: not yet."""
    connection = place.store.connection(connection_id)
    if not (connection.server_url and push.token_of(connection, place.settings)):
        return True
    try:
        scoring = queues.Scoring(place.settings.find_redis_url(), place.settings)
        push.start(connection_id, place.settings, place.store, scoring)
    except LabelLoopError as error:
        log.warning("connection %d: the new version is not pushed yet: %s", connection_id, error)
        return False
    return True

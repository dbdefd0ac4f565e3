"""What the trainer does: trains the fields that are asked for, one at a time, and says how far it is."""

from __future__ import annotations

import json
import logging
import time

from labelloop.errors import LabelLoopError, RequestError
from labelloop.learning import refresh as learning
from labelloop.learning import refreshes, versions, watching
from labelloop.learning.refreshes import Trigger
from labelloop.scoring import push, queues, wire
from labelloop.scoring import refresh as asking
from labelloop.scoring.refresh import Progress
from labelloop.scoring.workplace import Workplace

log = logging.getLogger(__name__)

_TELL_S = 1.0


class Stopped(Exception):
    """The trainer has to stop; what it has not finished is asked for again."""


def serve(place: Workplace, connection_id: int, field: str, trigger: Trigger) -> None:
    """Trains one field, if nobody is at it. A trainer that died holds its lease for some seconds more; what it left is
    taken up after that."""
    place.redis.srem(wire.REFRESH_WANTED, json.dumps([connection_id, field]))
    for wait_s in (0, wire.ALIVE_S + 1) if trigger == "resumed" else (0,):
        if place.stopping.wait(wait_s):
            return
        with place.lease(asking.lease(connection_id, field)) as ours:
            if ours:
                _train(place, connection_id, field, trigger)
                return


def _train(place: Workplace, connection_id: int, field: str, trigger: Trigger) -> None:
    began, told = time.time(), 0.0

    def watch(share: float) -> None:
        nonlocal told
        if place.stopping.is_set():
            raise Stopped
        if time.time() - told > _TELL_S:
            told = time.time()
            asking.tell(place.redis, Progress(connection_id, field, "training", share, began=began))

    try:
        watch(0.0)
        done = learning.attempt(place.store, connection_id, field, trigger, place.settings, watch)
    except Stopped:
        asking.tell(place.redis, Progress(connection_id, field, "stopped", words="The trainer was stopped."))
        return
    except LabelLoopError as error:
        log.warning("connection %d, field %s: nothing is trained: %s", connection_id, field, error)
        asking.tell(place.redis, Progress(connection_id, field, "failed", words=str(error)))
        return
    asking.tell(place.redis, Progress(connection_id, field, done.state, 1.0, done.words, began))
    log.info("connection %d, field %s: %s", connection_id, field, done.words)
    if done.state == "promoted":
        _push(place, connection_id)


def look(place: Workplace, connection_id: int) -> None:
    """Lets a former version serve again that answers the new labels better, and trains those fields of a connection
    whose labels are enough for it."""
    if not place.settings.refresh:
        return
    for one in watching.watch(place.store, connection_id, place.settings):
        log.warning("connection %d, field %s: %s", connection_id, one.field, one.words)
        asking.tell(place.redis, Progress(connection_id, one.field, "withdrawn", 1.0, one.words))
        _push(place, connection_id)
    for field in learning.due_fields(place.store, connection_id, place.settings):
        if place.stopping.is_set():
            return
        serve(place, connection_id, field, "labels")


def resume(place: Workplace) -> None:
    """Asks again for what a trainer left unfinished when it died or was stopped."""
    for one in refreshes.unfinished(place.store):
        asking.ask(place.redis, one.connection_id, one.field, "resumed")


def put_back(place: Workplace, digest: str) -> None:
    """Serves the version before, wherever the bundle of this digest, which cannot be served, is the champion."""
    for connection in place.store.connections():
        champion = place.store.champion(connection.id)
        if champion is None or champion.bundle.digest != digest:
            continue
        try:
            former, now = versions.put_back(place.store, connection)
        except RequestError as error:
            log.error("connection %d: %s cannot be served: %s", connection.id, champion.name, error)
            continue
        log.error("connection %d: %s cannot be served; %s serves again", connection.id, former.name, now.name)
        _push(place, connection.id)


def _push(place: Workplace, connection_id: int) -> None:
    """The new version into the project's tasks; its name stands there when all of them have it."""
    connection = place.store.connection(connection_id)
    if not (connection.server_url and push.token_of(connection, place.settings)):
        return
    try:
        scoring = queues.Scoring(place.settings.find_redis_url(), place.settings)
        push.start(connection_id, place.settings, place.store, scoring)
    except LabelLoopError as error:
        log.warning("connection %d: the new version is not pushed yet: %s", connection_id, error)

"""The periodic reading back of labels: a job of a worker, of which one runs at a time for all connections."""

from __future__ import annotations

import logging
import time

from labelloop.errors import RequestError, StudioError, UnavailableError
from labelloop.learning import intake
from labelloop.learning.store import Connection
from labelloop.learning.sync import Synced, sync
from labelloop.scoring import refresh, wire
from labelloop.scoring.push import token_of
from labelloop.scoring.wire import RedisBytes
from labelloop.scoring.workplace import Workplace
from labelloop.studio.client import StudioClient

log = logging.getLogger(__name__)

_TURN_S = 30.0  # after so long, other jobs of the lane have their turn


def sweep(redis: RedisBytes, every_s: int) -> bool:
    """Issues the job where the last one ended ``every_s`` seconds ago; never with 0. However long one takes, no second
    one waits behind it: pushes wait on the same lane. One that was lost with its worker is made up for after a minute.
    """
    if not every_s or redis.exists(wire.SYNC_LEASE):
        return False
    if not redis.set(wire.SYNC_RECENT, 1, nx=True, ex=every_s + wire.TICKET_S):
        return False
    wire.enqueue("push", redis, "read_back", timeout=1800)
    return True


def read_all(place: Workplace) -> None:
    """Brings every connection's labels up to date; what is not done in one turn goes on in the next job."""
    with place.lease(wire.SYNC_LEASE) as ours:
        if not ours:
            return
        until = time.monotonic() + _TURN_S
        finished = True
        for connection in place.store.connections():
            try:
                finished = _read(place, connection, until) and finished
                if place.settings.refresh:  # also the last labels of a burst, and those that no webhook brought
                    refresh.look(place.redis, connection.id)
            except (StudioError, RequestError, UnavailableError) as error:
                log.warning("connection %d: its labels cannot be read back: %s", connection.id, error)
        if finished and place.settings.sync_s:
            place.redis.set(wire.SYNC_RECENT, 1, ex=place.settings.sync_s)
    if not finished and not place.stopping.is_set():
        wire.enqueue("push", place.redis, "read_back", timeout=1800)


def _read(place: Workplace, connection: Connection, until: float) -> bool:
    """False: there is more to read. Urgent items are answered meanwhile: to be read, Label Studio may ask for them."""
    from labelloop.scoring.push_job import ask  # it needs the engines, and the heartbeat needs this module

    token = token_of(connection, place.settings)
    if not connection.server_url or not token:
        intake.catch_up(place.store, connection.id)
        return True

    first = iter((True,))  # one page at least, however long the others before took

    def go_on() -> bool:
        return not place.stopping.is_set() and (next(first, False) or time.monotonic() < until)

    def read() -> Synced:
        with StudioClient(connection.server_url, token) as studio:
            return sync(place.store, connection, studio, brief=True, go_on=go_on)

    return ask(place, read).finished

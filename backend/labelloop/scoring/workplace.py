"""What a worker process has at hand: Redis, the store, bundles, the items it holds, and whether it must stop."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from redis.exceptions import ResponseError

from labelloop.errors import ModelError, UnavailableError
from labelloop.scoring import wire
from labelloop.scoring.measured import WAIT, Measured
from labelloop.scoring.memories import Memories
from labelloop.scoring.turns import Turns
from labelloop.scoring.wire import Epoch
from labelloop.settings import Settings
from labelloop.words import Bundle

if TYPE_CHECKING:
    from labelloop.learning.store import Store
    from labelloop.tasks import Recollection

log = logging.getLogger(__name__)

_BUNDLES = 16
_IF_OURS = "if redis.call('GET', KEYS[1]) == ARGV[1] then {command} end"
_GIVEN_BACK_MS = 86_400_000  # an idle time so long that whoever reads next may claim the item at once


@dataclass(frozen=True)
class Item:
    """One entry of a stream: the texts to score by field name, and where the answer is awaited.

    ``deliveries``: how often it was read; more than once after a stop or a death. ``request``: the id of the request
    that asks, for the log.
    """

    entry: bytes
    deliveries: int
    texts: dict[str, str]
    epoch: Epoch
    index: int
    reply: str
    request: str = ""


_ITEM_KEYS = {one.name for one in dataclasses.fields(Item)} - {"entry", "deliveries"}


class Workplace:
    """One per worker process; the job functions find it with ``here()``."""

    def __init__(self, redis_url: str, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name = name
        self.redis = wire.connect(redis_url)
        self.stopping = threading.Event()
        self.measured = Measured()
        self._bundles: OrderedDict[str, Bundle] = OrderedDict()
        self._held: dict[str, set[bytes]] = {}
        self._leases: dict[str, str] = {}
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._memories = Memories(settings)
        self._adapters: frozenset[str] = frozenset()
        self.turns = Turns(self.redis, settings)

    @property
    def store(self) -> Store:
        if self._store is None:
            from labelloop.learning.store import Store

            self._store = Store(self.settings.store_url)
        return self._store

    def bundle(self, digest: str) -> Bundle | None:
        """The bundle of this digest; None where Redis has lost it."""
        if digest in self._bundles:
            self._bundles.move_to_end(digest)
            return self._bundles[digest]
        value = self.redis.get(wire.BUNDLE.format(digest=digest))
        if value is None:
            return None
        bundle = Bundle.model_validate_json(value)
        self._bundles[digest] = bundle
        if len(self._bundles) > _BUNDLES:
            self._bundles.popitem(last=False)
        return bundle

    def fetch(self, bundle: Bundle) -> None:
        """Brings the bundle's adapters to this machine, once. Where one is lost, the version before serves again."""
        wanted = frozenset(plan.adapter for plan in bundle.plans if plan.adapter)
        if wanted <= self._adapters:
            return
        from labelloop.learning.adapters import fetch
        from labelloop.tasks.trained import check, folder

        try:
            fetch(self.store, bundle, folder(self.settings), check)
            self._adapters |= wanted
        except ModelError as error:
            log.error("bundle %s cannot serve: %s", bundle.digest[:8], error)
            wire.enqueue("push", self.redis, "put_back", bundle.digest)
        except (UnavailableError, OSError) as error:
            log.error("bundle %s: its adapters are not here yet: %s", bundle.digest[:8], error)

    def memories(self, bundle: Bundle, digest: str, epoch: Epoch) -> Mapping[str, Recollection]:
        """What the connection's labels say beside the engines, up to this epoch at least."""
        return self._memories.of(self.store, bundle, digest, epoch) if epoch.number else {}

    def read(self, lane: str, stream: str, ticket: str, limit: int) -> list[Item]:
        """Takes up to twice ``limit`` items: what was given back or left by a dead worker, and what is new.

        The key ``ticket`` is deleted first, so that whatever arrives after this read finds none and issues a new one.
        """
        while True:
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.delete(ticket)
            pipeline.xautoclaim(stream, wire.GROUP, self.name, min_idle_time=wire.STALE_MS, count=limit)
            pipeline.xreadgroup(wire.GROUP, self.name, {stream: ">"}, count=limit)
            pipeline.time()
            try:
                _, claimed, fresh, (seconds, micros) = pipeline.execute()
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                self._create_group(stream)  # the first read, or Redis came back empty
                continue
            new = [entry for _, entries in fresh or () for entry in entries]
            moment = seconds + micros / 1e6
            self.measured.observe(WAIT, lane, values=[max(0.0, moment - _order(entry)[0] / 1000) for entry, _ in new])
            entries = list(claimed[1]) + new
            counts = self._deliveries(stream, [entry for entry, fields in claimed[1] if fields])
            items = [_item(entry, fields, counts.get(entry, 1)) for entry, fields in entries if fields]
            with self._lock:
                self._held.setdefault(stream, set()).update(item.entry for item in items)
            return items

    def _deliveries(self, stream: str, entries: list[bytes]) -> dict[bytes, int]:
        """How many workers have had each of these items."""
        if not entries:
            return {}
        pending = self.redis.xpending_range(
            stream, wire.GROUP, min=min(entries, key=_order), max=max(entries, key=_order), count=100_000,
            consumername=self.name,
        )  # fmt: skip
        return {one["message_id"]: one["times_delivered"] for one in pending}

    def _create_group(self, stream: str) -> None:
        try:
            self.redis.xgroup_create(stream, wire.GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):  # another worker was first
                raise

    def done(self, stream: str, entries: Iterable[bytes]) -> None:
        """These items are acknowledged."""
        with self._lock:
            self._held.get(stream, set()).difference_update(entries)

    def give_back(self, stream: str, entries: Iterable[bytes]) -> None:
        """Lets go of items that were read and not scored, so that the next read, by any worker, takes them."""
        entries = list(entries)
        if not entries:
            return
        with self._lock:  # the heartbeat must not touch them afterwards
            self._held.get(stream, set()).difference_update(entries)
            self.redis.xclaim(stream, wire.GROUP, self.name, 0, entries, idle=_GIVEN_BACK_MS, justid=True)

    def held(self, stream: str) -> list[bytes]:
        """Entries that were read and neither acknowledged nor given back."""
        with self._lock:
            return sorted(self._held.get(stream, ()))

    def give_back_all(self) -> None:
        for stream in list(self._held):
            self.give_back(stream, self.held(stream))

    def touch(self) -> None:
        """Tells Redis that the held items and leases are still being worked on. Called by the heartbeat's thread."""
        with self._lock:
            for stream, entries in self._held.items():
                if entries:
                    self.redis.xclaim(stream, wire.GROUP, self.name, 0, list(entries), idle=0, justid=True)
            for key, token in self._leases.items():
                script = _IF_OURS.format(command="return redis.call('EXPIRE', KEYS[1], ARGV[2])")
                self.redis.eval(script, 1, key, token, wire.ALIVE_S)

    @contextmanager
    def lease(self, key: str) -> Iterator[bool]:
        """Holds ``key`` while the block runs, so that one worker at a time does a thing; yields whether it is ours.

        The heartbeat prolongs it. It expires by itself when this process dies.
        """
        token = uuid4().hex
        if not self.redis.set(key, token, nx=True, ex=wire.ALIVE_S):
            yield False
            return
        with self._lock:
            self._leases[key] = token
        try:
            yield True
        finally:
            with self._lock:
                self._leases.pop(key, None)
            self.redis.eval(_IF_OURS.format(command="return redis.call('DEL', KEYS[1])"), 1, key, token)

    def close(self) -> None:
        self.redis.close()
        if self._store is not None:
            self._store.close()

    def forget_held(self) -> None:
        """After Redis was away: what we held is pending there, and is claimed again when its time is up."""
        with self._lock:
            self._held.clear()


def _item(entry: bytes, fields: dict[bytes, bytes], deliveries: int) -> Item:
    content = json.loads(fields[b"item"])
    known = {name: content[name] for name in _ITEM_KEYS & content.keys()}  # a web process may be newer than its worker
    return Item(entry, deliveries, **{**known, "epoch": Epoch(*content["epoch"])})


def _order(entry: bytes) -> tuple[int, int]:
    milliseconds, number = entry.split(b"-")
    return int(milliseconds), int(number)


_current: list[Workplace] = []


def occupy(place: Workplace) -> None:
    """Makes ``place`` the one that jobs of this process use."""
    _current[:] = [place]


def here() -> Workplace:
    """This process's workplace; it exists in worker processes only."""
    if not _current:
        raise RuntimeError("labelloop's jobs run in `labelloop worker`, not in a plain RQ worker")
    return _current[0]

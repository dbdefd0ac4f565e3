"""What workers and the trainer measure, for whoever serves /metrics: they may run elsewhere, and nobody asks them.

A worker counts in memory and adds what is new to one Redis hash at each heartbeat, so scoring waits for nothing. The
sums outlive the workers; one that is killed takes its last seconds with it, and with Redis all begins at 0 again, which
Prometheus takes for what it is.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass

from redis.exceptions import RedisError

from labelloop.scoring import wire
from labelloop.scoring.wire import RedisBytes

SUM = "sum"
_MOST = 10_000
"""Numbers that wait for a Redis that is away; there are some hundreds as long as nobody makes labels up."""


@dataclass(frozen=True)
class Measure:
    """A counter, or with ``buckets`` (upper bounds, ascending) a histogram. ``words``: what it says."""

    name: str
    words: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

WAIT = Measure("labelloop_wait_seconds", "Time from asking for an item to a worker's taking it.", ("lane",), _SECONDS)
SERVICE = Measure("labelloop_batch_seconds", "Time in which a worker scored one micro-batch.", ("lane",), _SECONDS)
BATCH = Measure(
    "labelloop_batch_items", "Texts in one micro-batch.", ("lane",), (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
FILL = Measure(
    "labelloop_batch_fill_ratio",
    "Tokens of a micro-batch as a share of those that there was time for; above 1 where the model wants more at once.",
    ("lane",),
    (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1, 2, 5),
)
TOKENS = Measure("labelloop_tokens", "Tokens that workers have read, as far as their texts' lengths tell.", ("lane",))
ITEMS = Measure(
    "labelloop_items",
    "Items that workers have dealt with: scored, cached (somebody else had asked), failed, or refused.",
    ("lane", "outcome"),
)
LOOKUPS = Measure(
    "labelloop_worker_cache_lookups", "Answers that workers looked up in the cache: hit or miss.", ("lane", "outcome")
)
JOBS = Measure("labelloop_jobs", "Jobs that workers and the trainer have ended: done or failed.", ("queue", "outcome"))
PUSHED = Measure(
    "labelloop_pushed_predictions", "Predictions that pushes brought to tasks: stored or failed.", ("outcome",)
)
FRESHENED = Measure("labelloop_freshened_predictions", "Predictions that were replaced after a label.", ())
FRESHEN = Measure("labelloop_freshen_seconds", "Time to make the next tasks fresh after a label.", (), _SECONDS)
REFRESH = Measure(
    "labelloop_refresh_seconds",
    "Time of one training with its gate, by what came of it.",
    ("outcome",),
    (5, 10, 30, 60, 120, 300, 600, 1200, 3600, 14400),
)

_ALL = (WAIT, SERVICE, BATCH, FILL, TOKENS, ITEMS, LOOKUPS, JOBS, PUSHED, FRESHENED, FRESHEN, REFRESH)
MEASURES = {one.name: one for one in _ALL}

Series = dict[tuple[str, ...], dict[str, float]]
"""By the values of the labels: of a counter {"": its value}; of a histogram how many fell into each bucket, by its
upper bound as a text ("+Inf" is the last), and ``SUM``."""


class Measured:
    """What this process has measured and not handed over yet. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: dict[tuple[str, tuple[str, ...], str], float] = defaultdict(float)

    def add(self, measure: Measure, *labels: str, by: float = 1) -> None:
        """Counts."""
        if by:
            with self._lock:
                self._new[measure.name, labels, ""] += by

    def observe(self, measure: Measure, *labels: str, values: tuple[float, ...] | list[float]) -> None:
        """Puts values into a histogram."""
        with self._lock:
            for value in values:
                place = bisect_left(measure.buckets, value)
                bound = str(measure.buckets[place]) if place < len(measure.buckets) else "+Inf"
                self._new[measure.name, labels, bound] += 1
            self._new[measure.name, labels, SUM] += sum(values)

    def hand_over(self, redis: RedisBytes) -> None:
        """Adds what is new to the sums of all workers. Where Redis does not answer, it is kept for the next time.

        Raises:
            RedisError: as redis-py does.
        """
        with self._lock:
            new, self._new = self._new, defaultdict(float)
        if not new:
            return
        pipeline = redis.pipeline(transaction=True)
        for (name, labels, bound), value in new.items():
            pipeline.hincrbyfloat(wire.MEASURED, json.dumps([name, labels, bound]), value)
        try:
            pipeline.execute()
        except (RedisError, OSError):
            with self._lock:
                for key, value in new.items():
                    if key in self._new or len(self._new) < _MOST:
                        self._new[key] += value
            raise


def totals(redis: RedisBytes) -> dict[str, Series]:
    """The sums of all workers, by name of the measure; with nothing of measures that this version does not know."""
    found: dict[str, Series] = {name: {} for name in MEASURES}
    for key, value in redis.hgetall(wire.MEASURED).items():
        name, labels, bound = json.loads(key)
        if name in MEASURES and len(labels) == len(MEASURES[name].labels):
            found[name].setdefault(tuple(labels), {})[bound] = float(value)
    return found

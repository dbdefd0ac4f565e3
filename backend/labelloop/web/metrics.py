"""/metrics for Prometheus: what this process has counted, what all workers have, and how everything stands right now.

One address tells all: workers and the trainer hand over what they measure through Redis (``scoring.measured``). What
is not counted by this process itself is the same at every web process, so of several take the greatest, not the sum.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast

import prometheus_client
from flask import Blueprint, Flask, Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Histogram, generate_latest
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from labelloop import __version__
from labelloop.errors import UnavailableError
from labelloop.learning.observed import Observed, observe
from labelloop.scoring import measured, queues, wire
from labelloop.scoring.measured import Measure, Series
from labelloop.service import Backend

log = logging.getLogger(__name__)
blueprint = Blueprint("metrics", __name__)
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each, which nobody asks for

REQUESTS = Histogram(
    "labelloop_request_seconds",
    "Time to answer a request, by route and status.",
    ("route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
_PATIENCE_S = 2.0  # with Redis: Prometheus itself gives up after ten seconds
_KEPT_S = 60.0  # what the store says is asked for so often at most

Values = Mapping[tuple[str, ...], float]


class Standing:
    """Asks Redis and the store when Prometheus asks us. One per app."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._redis = wire.connect(backend.settings.find_redis_url(), _PATIENCE_S)
        self._lock = threading.Lock()
        self._observed: Observed | None = None
        self._observed_at = 0.0

    def collect(self) -> Iterator[Metric]:
        yield _gauge("labelloop_build_info", "1; the version stands beside it.", {(__version__,): 1}, "version")
        yield from self._ask_redis()
        yield from self._ask_store()
        waiting, refused = self._backend.spool.count()
        yield _gauge("labelloop_spool_events", "Webhooks that wait on disk for the store.", {(): waiting})
        yield _gauge("labelloop_spool_refused_events", "Webhooks on disk that the store refused.", {(): refused})

    def _ask_redis(self) -> Iterator[Metric]:
        status: dict[str, Any] = {"waiting": {}, "jobs": {}, "workers": [], "pushes": []}
        totals: dict[str, Series] = {name: {} for name in measured.MEASURES}
        memory: dict[str, Any] = {}
        try:
            with wire.redis_errors():
                memory = self._redis.info("memory")
                status, totals = queues.standing(self._redis), measured.totals(self._redis)
        except UnavailableError as error:
            log.warning("metrics: %s", error)
        yield _gauge("labelloop_redis_up", "1 where Redis answers.", {(): bool(memory)})
        used = {(): memory["used_memory"]} if memory else {}
        yield _gauge("labelloop_redis_memory_bytes", "What Redis holds.", used)
        most = {(): memory["maxmemory"]} if memory else {}
        yield _gauge("labelloop_redis_memory_limit_bytes", "What Redis may hold; 0: no limit.", most)
        yield _gauge("labelloop_waiting_items", "Items that wait for a worker.", _by_name(status["waiting"]), "lane")
        yield _gauge("labelloop_waiting_jobs", "Jobs that wait for a worker.", _by_name(status["jobs"]), "queue")
        yield from _workers(status["workers"])
        yield from _pushes(status["pushes"])
        for name, measure in measured.MEASURES.items():
            yield _family(measure, totals[name])

    def _ask_store(self) -> Iterator[Metric]:
        known = self._observe()
        found = known or Observed()
        yield _gauge("labelloop_store_up", "1 where the store answers.", {(): known is not None})
        yield _gauge(
            "labelloop_connections", "Connected projects.", {(): found.connections} if known is not None else {}
        )
        yield _gauge(
            "labelloop_pending_events",
            "Webhooks that are stored and not applied to the labels yet.",
            {(): found.pending} if known is not None else {},
        )
        said = {str(number): one for number, one in found.said.items()}
        how = {(number, how): count for number, one in said.items() for how, count in one.how.items()}
        yield _gauge("labelloop_annotations", "What people have said, by how it came to be.", how, "connection", "how")
        yield _gauge(
            "labelloop_agreement_ratio",
            "Share of the last 100 suggestions that people left as they were.",
            {(number,): one.agreement for number, one in said.items() if one.agreement is not None},
            "connection",
        )
        yield _gauge(
            "labelloop_field_agreement_ratio",
            "The same of what was suggested for one control.",
            {(number, name): share for number, one in said.items() for name, share in one.by_field.items()},
            "connection",
            "field",
        )
        refreshes = CounterMetricFamily(
            "labelloop_refreshes", "Trainings, by what the gate said of them.", labels=("connection", "outcome")
        )
        for (number, outcome), count in found.refreshes.items():
            refreshes.add_metric((str(number), outcome), count)
        yield refreshes

    def _observe(self) -> Observed | None:
        """What the store says, or said a moment ago; None while it is down."""
        with self._lock:
            if self._observed is None or time.monotonic() - self._observed_at > _KEPT_S:
                former, self._observed = self._observed, None
                try:
                    self._observed, self._observed_at = observe(self._backend.store, former), time.monotonic()
                except UnavailableError as error:
                    log.warning("metrics: %s", error)
            return self._observed


def _gauge(name: str, words: str, values: Values | Mapping[Any, float], *labels: str) -> GaugeMetricFamily:
    made = GaugeMetricFamily(name, words, labels=labels)
    for its, value in values.items():
        made.add_metric(its, float(value))
    return made


def _by_name(values: Mapping[str, float]) -> Values:
    return {(name,): value for name, value in values.items()}


def _workers(living: list[dict[str, Any]]) -> Iterator[Metric]:
    def role(one: dict[str, Any]) -> str:
        return "trainer" if one["queues"] == ["refresh"] else "worker"

    counts = {(which, state): 0 for which in ("worker", "trainer") for state in ("starting", "ready")}
    for one in living:
        counts[role(one), one["state"]] = counts.get((role(one), one["state"]), 0) + 1
    yield _gauge("labelloop_workers", "Workers and trainers that live.", counts, "role", "state")
    names = {one["name"]: (one["name"], role(one)) for one in living}
    for name, words, key in (
        ("labelloop_heartbeat_age_seconds", "Time since a worker's or trainer's last sign of life.", "age_s"),
        ("labelloop_worker_memory_bytes", "Memory of a worker or trainer.", "resident"),
        (
            "labelloop_gpu_memory_bytes",
            "Memory in use, by all processes, of the GPU of a worker or trainer.",
            "gpu_used",
        ),
        ("labelloop_gpu_memory_limit_bytes", "Memory of the GPU of a worker or trainer.", "gpu_total"),
    ):
        yield _gauge(name, words, {names[one["name"]]: one[key] for one in living if key in one}, "worker", "role")


def _pushes(running: list[dict[str, Any]]) -> Iterator[Metric]:
    tasks: dict[tuple[str, str], float] = {}
    for one in running:
        left = max(0, one["total"] - one["skipped"] - one["done"] - one["failed"])
        for outcome, count in {"done": one["done"], "failed": one["failed"], "left": left}.items():
            tasks[str(one["connection_id"]), outcome] = count
    yield _gauge("labelloop_pushes", "Pushes under way.", {(): len(running)})
    yield _gauge(
        "labelloop_push_tasks", "Tasks of the pushes under way: done, failed, left.", tasks, "connection", "outcome"
    )


def _family(measure: Measure, series: Series) -> Metric:
    if not measure.buckets:
        counter = CounterMetricFamily(measure.name, measure.words, labels=measure.labels)
        for labels, values in series.items():
            counter.add_metric(labels, values.get("", 0.0))
        return counter
    histogram = HistogramMetricFamily(measure.name, measure.words, labels=measure.labels)
    for labels, values in series.items():
        below, buckets = 0.0, []
        for bound in [*map(str, measure.buckets), "+Inf"]:
            below += values.get(bound, 0.0)
            buckets.append((bound, below))
        histogram.add_metric(labels, buckets, values.get(measured.SUM, 0.0))
    return histogram


@blueprint.record_once
def _prepare(state: Any) -> None:
    app = cast(Flask, state.app)
    app.extensions["labelloop.standing"] = Standing(app.extensions["labelloop"])


@blueprint.get("/metrics")
def metrics() -> Response:
    """Counters, histograms and the state of queues, workers and labels in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(current_app.extensions["labelloop.standing"])
    return Response(generate_latest(REGISTRY) + generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

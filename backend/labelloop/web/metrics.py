"""/metrics for Prometheus: what this process counted, and how the queues stand at the moment of asking."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Histogram, generate_latest
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily

from labelloop.errors import UnavailableError
from labelloop.scoring.queues import Scoring

blueprint = Blueprint("metrics", __name__)

REQUESTS = Histogram(
    "labelloop_request_seconds",
    "Time to answer a request, by route and status.",
    ("route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)


class _Queues:
    """Asks Redis when Prometheus asks us."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("labelloop_redis_up", "1 where Redis answers.")
        try:
            state = self._scoring.status()
        except UnavailableError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        waiting = GaugeMetricFamily("labelloop_waiting_items", "Items that wait for a worker.", labels=["lane"])
        for lane, count in state["waiting"].items():
            waiting.add_metric([lane], count)
        yield waiting
        jobs = GaugeMetricFamily("labelloop_waiting_jobs", "RQ jobs that wait for a worker.", labels=["queue"])
        for queue, count in state["jobs"].items():
            jobs.add_metric([queue], count)
        yield jobs
        workers = GaugeMetricFamily("labelloop_workers", "Workers that gave a sign of life.", labels=["state"])
        states = [one["state"] for one in state["workers"]]
        for name in sorted(set(states)):
            workers.add_metric([name], states.count(name))
        yield workers


@blueprint.get("/metrics")
def metrics() -> Response:
    """Counters and queue depths in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Queues(current_app.extensions["labelloop"].scoring))
    return Response(generate_latest(REGISTRY) + generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

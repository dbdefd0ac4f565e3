"""/metrics: what operators, dashboards and alerts rely on is there, under Prometheus's rules for names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from labelloop.learning.store import Store
from labelloop.scoring import measured, wire
from labelloop.scoring.beat import Beat
from labelloop.scoring.measured import BATCH, REFRESH, TOKENS, Measured
from labelloop.scoring.workplace import Workplace
from labelloop.settings import Settings
from labelloop.web import metrics
from support.samples import PARCEL, PASSWORD
from support.waiting import until
from support.web import Web, close, make_web

DOCKER = Path(__file__).parents[2] / "docker"
DASHBOARDS = sorted((DOCKER / "grafana" / "dashboards").glob("*.json"))
ALERTS = DOCKER / "prometheus" / "labelloop-alerts.yml"
DOCUMENT = DOCKER.parent / "docs" / "operations.md"


def scrape(web: Web) -> dict[str, Metric]:
    answer = web.client.get("/metrics")
    assert answer.status_code == 200
    families = list(text_string_to_metric_families(answer.text))
    names = [one.name for one in families]
    assert len(names) == len(set(names)), "a family stands twice"
    return {one.name: one for one in families}


def value(families: dict[str, Metric], name: str, **labels: str) -> float | None:
    """Of the one sample with this name and these labels; None where there is none."""
    found = [
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) < 2, found
    return found[0] if found else None


def series(families: dict[str, Metric]) -> set[str]:
    """Every name that a query may use, also of families that have no sample yet."""
    names = set()
    for family in families.values():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def used(query: str) -> set[str]:
    """The metrics of ours in a query."""
    return set(re.findall(r"\blabelloop_[a-z0-9_]+", query))


def dashboard_queries() -> Iterator[tuple[str, str]]:
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield panel["title"], target["expr"]


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture
def alone(living_redis: str, tmp_path: Path) -> Iterator[Web]:
    """A web app with a part of Redis that no worker uses."""
    settings = Settings(data_dir=tmp_path, redis_url=living_redis.replace("db=0", "db=8"))
    redis = wire.connect(settings.redis_url)
    redis.flushdb()
    made = make_web(settings)
    yield made
    close(made)
    redis.flushdb()
    redis.close()


def test_every_metric_of_dashboard_and_alerts_is_exported_and_every_exported_one_is_looked_at(alone: Web) -> None:
    families = scrape(alone)
    queries = [(title, used(query)) for title, query in dashboard_queries()]
    queries += [(rule["alert"], used(rule["expr"])) for rule in alerts()]
    assert len(queries) > 50
    for name, metrics_used in queries:
        assert metrics_used <= series(families), name
    looked_at = set().union(*(metrics_used for _, metrics_used in queries))
    for name, family in families.items():
        if name.startswith("labelloop_"):
            assert series({name: family}) & looked_at, f"{name} stands nowhere"


def test_names_follow_the_rules_of_prometheus_and_say_what_they_are(alone: Web) -> None:
    for family in scrape(alone).values():
        assert family.documentation.strip(), family.name
        if family.name.startswith(("python_", "process_")):  # of the client library
            continue
        assert re.fullmatch(r"labelloop_[a-z][a-z0-9_]*[a-z0-9]", family.name)
        assert not re.search(r"_(total|count|sum|bucket|created)$", family.name), family.name
        assert not re.search(r"_(ms|milliseconds|minutes|hours|percent|mb|mib)$", family.name), family.name
        if family.type == "histogram" and not family.name.endswith(("_seconds", "_ratio", "_items")):
            pytest.fail(f"{family.name} names no unit")
        assert family.type in {"counter", "gauge", "histogram"}, family.name


def test_the_document_names_every_metric_and_no_other(alone: Web) -> None:
    table = set(re.findall(r"^\| `(labelloop_[a-z0-9_]+)`", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    exported = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in scrape(alone).values()
        if family.name.startswith("labelloop_")
    }
    assert table == exported
    named = set(re.findall(r"`(LabelLoop[A-Z]\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    assert named == {rule["alert"] for rule in alerts()}


def test_what_a_real_worker_did_is_told_by_the_web_process(web: Web) -> None:
    web.setup()
    before = scrape(web)
    web.predict(PARCEL, PASSWORD, {"text": f"a text of this test alone, in {web.settings.data_dir}"})
    web.predict(PARCEL)

    def more(name: str, **labels: str) -> float:
        return (value(scrape(web), name, **labels) or 0) - (value(before, name, **labels) or 0)

    until(lambda: more("labelloop_batch_seconds_count", lane="predict"), 20)
    assert more("labelloop_tokens_total", lane="predict") > 10
    assert more("labelloop_wait_seconds_count", lane="predict") >= 1
    assert more("labelloop_cache_lookups_total", lane="interactive", outcome="hit") == 1
    assert more("labelloop_tasks_total", outcome="answered") == 4
    found = scrape(web)
    assert value(found, "labelloop_workers", role="worker", state="ready") == 1
    assert value(found, "labelloop_workers", role="trainer", state="ready") == 0
    assert 0 <= (value(found, "labelloop_heartbeat_age_seconds", role="worker") or 0) < wire.ALIVE_S
    assert (value(found, "labelloop_worker_memory_bytes", role="worker") or 0) > 50_000_000
    assert value(found, "labelloop_redis_up") == value(found, "labelloop_store_up") == 1


def test_histograms_are_cumulative_and_of_all_workers(alone: Web) -> None:
    redis = wire.connect(alone.settings.redis_url)
    for seconds in (3.0, 40.0, 100_000.0):
        one = Measured()
        one.observe(REFRESH, "promoted", values=(seconds,))
        one.observe(BATCH, "push", values=(2,))
        one.add(TOKENS, "push", by=5)
        one.hand_over(redis)
    found = scrape(alone)
    buckets = {
        sample.labels["le"]: sample.value
        for sample in found["labelloop_refresh_seconds"].samples
        if sample.name.endswith("_bucket")
    }
    assert buckets == {
        **{"5": 1, "10": 1, "30": 1, "60": 2, "120": 2, "300": 2, "600": 2, "1200": 2, "3600": 2, "14400": 2, "+Inf": 3}
    }
    assert value(found, "labelloop_refresh_seconds_sum", outcome="promoted") == 100_043
    assert value(found, "labelloop_batch_items_count", lane="push") == 3
    assert value(found, "labelloop_tokens_total", lane="push") == 15
    redis.close()


def test_a_gpu_is_told_of_where_a_worker_has_one(alone: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {"resident": 5, "gpu_used": 3_000, "gpu_total": 80_000}
    monkeypatch.setattr("labelloop.scoring.beat.in_use", lambda: memory)
    place = Workplace(alone.settings.redis_url, alone.settings, "w1")
    Beat(place, ("refresh",)).now()
    found = scrape(alone)
    assert value(found, "labelloop_gpu_memory_bytes", worker="w1", role="trainer") == 3_000
    assert value(found, "labelloop_gpu_memory_limit_bytes", worker="w1", role="trainer") == 80_000
    place.close()


def label(web: Web, number: int, origin: str | None, choice: str = "Payment") -> None:
    region = {"id": "r", "from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": [choice]}}
    annotation = {
        **{"id": number, "task": number, "updated_at": f"2026-11-01T10:{number:02}:00Z", "completed_by": 1},
        **{"result": [{**region, "origin": origin} if origin else region], "parent_prediction": 7 if origin else None},
    }
    body = {
        **{"action": "ANNOTATION_CREATED", "annotation": annotation, "task": {"id": number, "data": PARCEL}},
        "project": {"id": 5, "created_at": "2026-11-23T13:44:03Z"},
    }
    assert web.post("/webhook", body).status_code == 201


def test_labels_agreement_and_the_gate_are_told_by_connection_and_control(
    alone: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labelloop.learning import refreshes

    monkeypatch.setattr(metrics, "_KEPT_S", 0.0)
    alone.project = "5.1795441443"
    alone.setup()
    for number, origin in enumerate(["prediction", "prediction", "prediction-changed", None], 1):
        label(alone, number, origin)
    connection = alone.store.connection_of_key(alone.key)
    assert connection is not None
    for state in ("promoted", "refused", "refused"):
        refreshes.end(alone.store, refreshes.begin(alone.store, connection.id, "topic", "labels", 32, ""), state)  # type: ignore[arg-type]
    refreshes.begin(alone.store, connection.id, "topic", "labels", 64, "")  # it runs, so nothing came of it yet
    found, which = scrape(alone), str(connection.id)
    assert value(found, "labelloop_connections") == 1
    assert value(found, "labelloop_annotations", connection=which, how="accepted") == 2
    assert value(found, "labelloop_annotations", connection=which, how="by_hand") == 1
    assert value(found, "labelloop_agreement_ratio", connection=which) == pytest.approx(2 / 3)
    assert value(found, "labelloop_field_agreement_ratio", connection=which, field="topic") == pytest.approx(2 / 3)
    assert value(found, "labelloop_refreshes_total", connection=which, outcome="refused") == 2
    assert len(found["labelloop_refreshes"].samples) == 2
    assert value(found, "labelloop_pending_events") == 0


def test_names_that_callers_make_up_make_no_series(alone: Web) -> None:
    alone.setup()
    before = value(scrape(alone), "labelloop_events_total", action="other") or 0
    for number in range(3):
        body = {"action": f"MADE_UP_{number}", "project": {"id": 5}}
        assert alone.post("/webhook", body).status_code == 201
        alone.client.get(f"/k/{alone.key}/made-up-{number}")
    found = scrape(alone)
    assert value(found, "labelloop_events_total", action="other") == before + 3
    assert "MADE_UP" not in alone.client.get("/metrics").text and alone.key not in alone.client.get("/metrics").text


def test_without_redis_and_store_what_is_left_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = make_web(Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1/0"))
    backend = broken.client.application.extensions["labelloop"]
    backend.store.close()
    backend.store = Store(f"sqlite:///{tmp_path}")  # a folder is no database
    backend.spool.save(None, {"action": "START_TRAINING"})
    found = scrape(broken)
    assert value(found, "labelloop_redis_up") == value(found, "labelloop_store_up") == 0
    assert value(found, "labelloop_spool_events") == 1
    assert series(found) >= {f"{name}_total" for name, one in measured.MEASURES.items() if not one.buckets}
    assert value(found, "labelloop_connections") is None  # nothing is not zero
    close(broken)

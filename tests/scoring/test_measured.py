"""What workers count: summed over all of them, kept when one ends, and begun anew with Redis."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from labelloop.scoring import wire
from labelloop.scoring.beat import Beat
from labelloop.scoring.embedded import EmbeddedRedis
from labelloop.scoring.measured import BATCH, ITEMS, LOOKUPS, SUM, TOKENS, WAIT, Measured, totals
from labelloop.scoring.queues import Scoring
from labelloop.scoring.workplace import Workplace
from labelloop.settings import Settings
from labelloop.words import Bundle
from support.scoring import FakeEngine
from support.waiting import until

Start = Callable[..., subprocess.Popen[bytes]]


def asked(*texts: str) -> list[dict[str, str]]:
    return [{"topic": text} for text in texts]


def test_counts_of_several_processes_add_up(settings: Settings) -> None:
    redis = wire.connect(settings.redis_url)
    one, other = Measured(), Measured()
    one.add(TOKENS, "predict", by=7)
    one.observe(BATCH, "predict", values=(1, 3, 3, 600))
    one.hand_over(redis)
    one.hand_over(redis)  # what was handed over is not new
    other.add(TOKENS, "predict", by=5)
    other.add(TOKENS, "push", by=0)
    other.observe(BATCH, "predict", values=(2,))
    other.hand_over(redis)
    found = totals(redis)
    assert found[TOKENS.name] == {("predict",): {"": 12}}
    assert found[BATCH.name] == {("predict",): {"1": 1, "2": 1, "4": 2, "+Inf": 1, SUM: 609}}
    redis.close()


def test_what_a_former_or_later_version_counted_does_no_harm(settings: Settings) -> None:
    redis = wire.connect(settings.redis_url)
    redis.hincrbyfloat(wire.MEASURED, '["labelloop_bygone", ["predict"], ""]', 1)
    redis.hincrbyfloat(wire.MEASURED, '["labelloop_tokens", ["predict", "of two"], ""]', 1)
    found = totals(redis)
    assert "labelloop_bygone" not in found and found[TOKENS.name] == {}
    redis.close()


def test_while_redis_is_away_counts_wait_and_a_redis_that_lost_them_begins_at_nothing(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        redis = wire.connect(server.url)
        measured = Measured()
        measured.add(TOKENS, "predict", by=3)
        server.kill()
        with pytest.raises((RedisError, OSError)):
            measured.hand_over(redis)
        measured.add(TOKENS, "predict", by=4)
        server.start()
        measured.hand_over(redis)
        assert totals(redis)[TOKENS.name] == {("predict",): {"": 7}}
        redis.flushdb()
        measured.add(TOKENS, "predict", by=1)
        measured.hand_over(redis)
        assert totals(redis)[TOKENS.name] == {("predict",): {"": 1}}
        redis.close()


def test_each_item_is_counted_once_by_what_became_of_it(
    scoring: Scoring, bundle: Bundle, place: Workplace, engine: FakeEngine
) -> None:
    from labelloop.scoring.jobs import drain

    scoring.score(bundle, asked("a", "b", "BOOM", "b"), "predict", 0)
    drain("predict", bundle.digest)
    scoring.score(bundle, asked("a", "b"), "predict", 0)  # they come out of the cache
    place.measured.hand_over(place.redis)
    found = totals(place.redis)
    assert found[ITEMS.name] == {("predict", "scored"): {"": 2}, ("predict", "failed"): {"": 1}}
    waits = found[WAIT.name]["predict",]
    assert sum(count for bound, count in waits.items() if bound != SUM) == 3 and 0 <= waits[SUM] < 60
    assert sum(count for bound, count in found[BATCH.name]["predict",].items() if bound != SUM) == 1
    assert LOOKUPS.name in found


def test_what_another_request_had_scored_meanwhile_counts_as_cached(
    scoring: Scoring, bundle: Bundle, place: Workplace, engine: FakeEngine
) -> None:
    from labelloop.scoring.jobs import drain

    scoring.score(bundle, asked("a"), "predict", 0)
    scoring.score(bundle, asked("a"), "interactive", 0)
    drain("interactive", bundle.digest)
    drain("predict", bundle.digest)
    place.measured.hand_over(place.redis)
    assert totals(place.redis)[ITEMS.name] == {("interactive", "scored"): {"": 1}, ("predict", "cached"): {"": 1}}


def test_a_heartbeat_hands_over_and_tells_of_memory(scoring: Scoring, place: Workplace) -> None:
    place.measured.add(TOKENS, "push", by=9)
    Beat(place, wire.LANES).now()
    assert totals(place.redis)[TOKENS.name] == {("push",): {"": 9}}
    [worker] = scoring.status()["workers"]
    assert worker["resident"] > 10_000_000 and "gpu_used" not in worker


def test_counts_outlive_the_workers_that_made_them(scoring: Scoring, bundle: Bundle, start_worker: Start) -> None:
    first = start_worker()
    scoring.score(bundle, asked("a", "b"), "predict", 30)
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert totals(scoring.redis)[ITEMS.name]["predict", "scored"] == {"": 2}
    start_worker()
    scoring.score(bundle, asked("c"), "predict", 30)
    until(lambda: totals(scoring.redis)[ITEMS.name]["predict", "scored"] == {"": 3}, 20)

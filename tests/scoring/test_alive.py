"""Who lives: what the health check of a container sees, and what callers are told while workers come and go."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname

import pytest

from labelloop.scoring import wire
from labelloop.scoring.alive import beats, main
from labelloop.scoring.beat import Beat
from labelloop.scoring.embedded import EmbeddedRedis
from labelloop.scoring.workplace import Workplace
from labelloop.settings import Settings, get_settings


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with EmbeddedRedis(tmp_path / "redis") as server:
        yield server.url


@contextmanager
def beating(url: str, folder: Path, name: str, state: str = "ready") -> Iterator[Beat]:
    place = Workplace(url, Settings(data_dir=folder, redis_url=url), name)
    beat = Beat(place, ["predict"])
    beat.state = state
    beat.now()
    yield beat
    beat.stop()
    place.close()


def test_a_container_is_healthy_once_its_worker_is_warm(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELLOOP_REDIS_URL", redis_url)
    get_settings.cache_clear()
    redis = wire.connect(redis_url)
    assert main() == 1
    with beating(redis_url, tmp_path, "one", "starting") as beat:
        assert main() == 1
        beat.state = "ready"
        beat.now()
        assert main() == 0
        assert not beats(redis, f"not-{gethostname()}")
    assert main() == 1
    redis.close()


def test_a_worker_that_stops_leaves_its_lane_to_another(redis_url: str, tmp_path: Path) -> None:
    redis = wire.connect(redis_url)
    alive = wire.ALIVE.format(lane="predict")
    with beating(redis_url, tmp_path, "stays"):
        with beating(redis_url, tmp_path, "goes"):
            assert redis.get(alive) == b"goes"
        assert redis.get(alive) == b"stays"  # at once, not at its next beat
    assert redis.get(alive) is None
    redis.close()


def test_a_worker_that_is_not_warm_yet_takes_no_lane_over(redis_url: str, tmp_path: Path) -> None:
    redis = wire.connect(redis_url)
    with beating(redis_url, tmp_path, "starts", "starting"), beating(redis_url, tmp_path, "goes"):
        pass
    assert redis.get(wire.ALIVE.format(lane="predict")) is None
    redis.close()

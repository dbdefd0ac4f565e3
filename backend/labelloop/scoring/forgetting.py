"""What Redis holds of a store, forgotten: after another store's rows have taken its place, its answers are wrong."""

from __future__ import annotations

from labelloop.errors import QueueDownError, RequestError, SettingsError
from labelloop.scoring import wire
from labelloop.scoring.embedded import EmbeddedRedis
from labelloop.scoring.queues import living_workers
from labelloop.scoring.wire import redis_errors
from labelloop.settings import Settings

_KEYS = "labelloop:*"


def refuse_while_working(settings: Settings) -> None:
    """Workers and trainer know the labels by heart, so none may run while these are replaced.

    Raises:
        RequestError: one runs.
    """
    try:
        redis = wire.connect(settings.find_redis_url())
        with redis_errors():
            names = [one["name"] for one in living_workers(redis)]
        redis.close()
    except (SettingsError, QueueDownError):
        return
    if names:
        raise RequestError(
            f"LabelLoop runs: {', '.join(names)}.",
            "Stop `labelloop up`, or web, workers and trainer on every machine, and start them when this is done.",
        )


def forget(settings: Settings) -> bool:
    """Empties Redis of all that is ours, the embedded one also while it is off. False: it does not answer."""
    try:
        redis = wire.connect(settings.find_redis_url())
        with redis_errors():
            for key in redis.scan_iter(_KEYS, count=1000):
                redis.unlink(key)
        redis.close()
    except SettingsError:
        EmbeddedRedis(settings.data_dir).forget()
    except QueueDownError:
        return False
    return True

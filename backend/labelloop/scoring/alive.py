"""Says by its exit code whether a worker or trainer of this host beats: `python -m labelloop.scoring.alive`, for the
health checks of containers. Imports no torch, and nothing of the command line, so that it answers within a second."""

from __future__ import annotations

import socket
import sys

from labelloop.errors import LabelLoopError
from labelloop.scoring import wire
from labelloop.scoring.queues import is_warm, living_workers
from labelloop.settings import get_settings


def beats(redis: wire.RedisBytes, host: str) -> bool:
    """Whether a worker of ``host`` has said within ``wire.ALIVE_S`` seconds that it lives and is past its start."""
    return any(one["host"] == host and is_warm(one) for one in living_workers(redis))


def main() -> int:
    try:
        redis = wire.connect(get_settings().find_redis_url())
        with wire.redis_errors():
            alive = beats(redis, socket.gethostname())
    except LabelLoopError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())

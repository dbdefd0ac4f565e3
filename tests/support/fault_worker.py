"""A worker process whose engine is slow on purpose and whose clocks run fast, so that tests can kill it in between."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence

from labelloop import logs, tasks
from labelloop.scoring import beat, wire, worker
from labelloop.settings import Settings
from labelloop.words import Answer, Bundle
from support import scoring

SLOW_S = float(sys.argv[1])


def slow_answer(
    bundle: Bundle, rendered: Sequence[Mapping[str, str]], settings: Settings, memories: object = None
) -> list[list[Answer]]:
    time.sleep(SLOW_S * len(rendered))
    if any("BOOM" in text for item in rendered for text in item.values()):
        raise RuntimeError("this text breaks the engine")
    return scoring.answer(bundle, rendered)


if __name__ == "__main__":
    logs.start(Settings(), "worker")
    tasks.answer = slow_answer
    wire.BEAT_S = 0.2
    wire.ALIVE_S = 2
    wire.ALONE_S = int(os.environ.get("LABELLOOP_TEST_ALONE_S", wire.ALONE_S))
    wire.STALE_MS = int(os.environ.get("LABELLOOP_TEST_STALE_MS", "1000"))
    beat.SWEEP_S = 0.3
    worker._warm_up = lambda place: None
    sys.exit(worker.run(Settings()))

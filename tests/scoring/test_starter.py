"""The real starter encoder in a real worker process: the same answers as in this process, cold and warm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop import tasks
from labelloop.scoring.queues import Scoring, workers_alive
from labelloop.settings import Settings
from labelloop.studio.schema import read_config
from labelloop.words import Answer, Bundle
from support.samples import CHOICES
from support.waiting import until

TEXTS = [
    "Where is my parcel? The courier never rang the bell.",
    "I forgot my password and cannot log in any more.",
    "You charged my card twice for the same invoice.",
    "short",
    "The parcel was wet, the card was charged, and the password does not work. " * 60,
]


@pytest.fixture
def bundle(settings: Settings) -> Bundle:
    return tasks.make_bundle(read_config(CHOICES).fields, settings)


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    log = (tmp_path / "worker.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "labelloop", "worker"],
        env={**os.environ, **settings.environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=log,
        stderr=log,
    )
    log.close()
    until(lambda: process.poll() is not None or workers_alive(settings, "predict"), 120)
    assert process.poll() is None, (tmp_path / "worker.log").read_text()
    yield process
    process.kill()
    process.wait()


def close_to(found: list[list[Answer] | None], wanted: list[list[Answer]]) -> bool:
    """Whether the answers are the same, up to the rounding that differs between batches."""
    return all(
        one is not None
        and [(a.field, a.labels) for a in one] == [(a.field, a.labels) for a in other]
        and [a.score for a in one] == pytest.approx([a.score for a in other], abs=1e-4)
        for one, other in zip(found, wanted, strict=True)
    )


def test_a_worker_answers_as_the_engine_does(
    settings: Settings, scoring: Scoring, bundle: Bundle, worker: subprocess.Popen[bytes]
) -> None:
    items = [{"topic": text} for text in TEXTS]
    wanted = tasks.answer(bundle, items, settings)
    assert close_to(scoring.score(bundle, items, "predict", 60), wanted)
    assert close_to(scoring.score(bundle, items[:1], "interactive", 60), wanted[:1])

    calibrated = scoring.calibrate(bundle, items, 120)
    assert calibrated == tasks.calibrate(bundle, items, settings)
    assert close_to(scoring.score(calibrated, items, "predict", 60), tasks.answer(calibrated, items, settings))

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0

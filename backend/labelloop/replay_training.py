"""Training in a replay: challengers of what is replayed, judged by the gate as they would be for a connection."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from labelloop.learning.judging import Judged, Labelled, Past, Watch, judge
from labelloop.learning.refreshes import FEWEST, GROWTH
from labelloop.replay import Replay
from labelloop.settings import Settings
from labelloop.tasks.roll import Example, Roll

log = logging.getLogger(__name__)


class Training:
    """The versions of one run. Who made it begins with what is served without training.

    ``watch``: as of ``judging.judge``. ``counts``: how many challengers the gate has "promoted", "refused" or left
    "undecided" so far. ``last``: the latest of them; None before there is one.
    """

    def __init__(self, replay: Replay, seed: int, settings: Settings, watch: Watch = lambda share: None) -> None:
        self._replay, self._settings, self._watch = replay, settings, watch
        replay.plan = replay.plan.model_copy(update={"adapter": None})
        self._past = Past(salt=f"simulation {seed}")
        self._last = 0
        self._counts: Counter[str] = Counter()
        self.last: Judged | None = None

    @property
    def counts(self) -> dict[str, int]:
        return {name: self._counts[name] for name in ("promoted", "refused", "undecided")}

    def refresh(self, revealed: Sequence[Example]) -> None:
        """Trains on what is revealed, where that is enough for another attempt; what is promoted serves from now on."""
        its = Roll.of(self._replay.plan.field, revealed).items()
        if len(its) < max(FEWEST, GROWTH * self._last):
            return
        self._last = len(its)
        known = Labelled(
            tuple(item for item, _ in its),
            tuple(one for _, one in its),
            tuple(False for _ in its),
            tuple(False for _ in its),
        )
        done = self.last = judge(self._replay.plan, known, self._past, self._settings, self._watch)
        log.info("%d labels: %s", len(its), done.words)
        self._counts[done.state] += 1
        held_out = self._past.held_out or done.held_out
        if done.state == "promoted" and done.plan is not None:
            self._replay.plan = done.plan
            self._past = Past(self._past.salt, held_out, done.learned, done.judged)
        else:
            judged = self._past.attempts + ("gate" in done.stored)
            self._past = replace(self._past, held_out=held_out, attempts=judged)

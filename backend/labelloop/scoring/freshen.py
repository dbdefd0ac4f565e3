"""Freshen: after a new label, the tasks that an annotator sees next get predictions that know it.

Label Studio does not ask again for a task that holds a prediction of the current version. So the next tasks of the
ordering are scored again, and those predictions that say something else now are replaced in place (never doubled). The
work is bounded by the setting ``freshen``, and however many labels come at once, one run follows them all.
"""

from __future__ import annotations

from labelloop.scoring import wire
from labelloop.scoring.wire import RedisBytes


def want(redis: RedisBytes, connection_id: int) -> None:
    """Has what the annotators of a connection see next made fresh, soon; joins what is wanted already."""
    if redis.sadd(wire.FRESHEN, connection_id):
        wire.enqueue("predict", redis, "freshen", timeout=wire.ALONE_S)

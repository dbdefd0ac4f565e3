"""What a worker remembers of the labels of the connections that it serves; brought up to date by memory epoch."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labelloop.errors import LabelLoopError
from labelloop.learning.reading import take_in
from labelloop.scoring.wire import Epoch
from labelloop.settings import Settings
from labelloop.words import Bundle, FieldPlan

if TYPE_CHECKING:
    from labelloop.learning.store import Store
    from labelloop.tasks import Recollection
    from labelloop.tasks.roll import Roll

log = logging.getLogger(__name__)

_MOST = 32  # connections of a worker; of others the labels are read again when they are asked for


@dataclass
class _Held:
    """Of one connection and bundle: how far its labels are known, the examples by field, and what they say."""

    epoch: int = 0
    rolls: dict[str, Roll] = field(default_factory=dict)
    memories: dict[str, Recollection] = field(default_factory=dict)


class Memories:
    """One per worker. Not safe for several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: OrderedDict[tuple[int, str], _Held] = OrderedDict()

    def of(self, store: Store, bundle: Bundle, digest: str, epoch: Epoch) -> Mapping[str, Recollection]:
        """By field name what the connection's labels say, up to ``epoch`` at least. Where the labels cannot be read or
        learnt from just now, what was known before: an answer is worth more than none."""
        key = (epoch.connection, digest)
        held = self._held.setdefault(key, _Held())
        self._held.move_to_end(key)
        while len(self._held) > _MOST:
            self._held.popitem(last=False)
        if held.epoch < epoch.number:
            try:
                self._bring(store, bundle, epoch, held)
            except LabelLoopError as error:
                log.error("connection %d: new labels are not known yet: %s", epoch.connection, error)
        return held.memories

    def _bring(self, store: Store, bundle: Bundle, epoch: Epoch, held: _Held) -> None:
        from labelloop.tasks.recollection import learn

        upto = store.memory_epoch(epoch.connection)  # before reading: what comes later is read again
        memories = dict(held.memories)
        for plan in bundle.plans:
            name = plan.field.name
            if name not in bundle.learning:
                continue
            if not self._read(store, bundle, plan, epoch.connection, held):
                continue
            memory = learn(plan, held.rolls[name], upto, self._settings)
            memories.pop(name, None)
            if memory is not None:
                memories[name] = memory
        held.memories, held.epoch = memories, max(upto, epoch.number)

    def _read(self, store: Store, bundle: Bundle, plan: FieldPlan, connection_id: int, held: _Held) -> bool:
        """Whether something changed for the field since ``held.epoch``."""
        from labelloop.tasks.roll import Roll

        several = self._settings.several
        found = store.examples(connection_id, plan.field, bundle.fields, after_epoch=held.epoch, several=several)
        roll = held.rolls.setdefault(plan.field.name, Roll(plan.field))
        for item in found.gone:
            roll.put(item, None)
        take_in(roll, plan, found.found, self._settings)
        return bool(found.gone or found.found)

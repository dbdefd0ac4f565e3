"""A bounded memory of values that are costly to make: the ones used last stay."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """At most ``size`` values; threads may share it. Two threads that miss a key at once both make its value."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, keys: Sequence[Key], make: Callable[[list[Key]], Sequence[Value]]) -> list[Value]:
        """The value of each key, in order; ``make`` is asked once, for the keys that are new."""
        unique = list(dict.fromkeys(keys))
        with self._lock:
            known = {key: self._values[key] for key in unique if key in self._values}
        new = [key for key in unique if key not in known]
        if new:
            known.update(zip(new, make(new), strict=True))
        with self._lock:
            for key in unique:
                self._values[key] = known[key]
                self._values.move_to_end(key)
            while len(self._values) > self.size:
                self._values.popitem(last=False)
        return [known[key] for key in keys]

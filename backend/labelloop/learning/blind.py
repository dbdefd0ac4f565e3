"""The blind slice: a few items of a large project are shown without a suggestion, because labels that were accepted
flatter the version that suggested them.

Which ones depends on the item's text and the connection alone, so they are the same for every version, in every process
and for every copy of a text. It begins when a project first has more than ``FEWEST`` tasks, and does not end when tasks
are deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelloop.learning import held_out
from labelloop.learning.store import Connection, Store
from labelloop.learning.tables import now
from labelloop.settings import Settings
from labelloop.studio.values import text_of
from labelloop.words import Example, Field, How

FEWEST = 200
"""Tasks of a project up to which all are shown with a suggestion: of fewer, a share would tell nothing."""


@dataclass(frozen=True)
class Blind:
    """The blind slice of a connection. ``share``: of its items; 0 where it has none. ``salt``: the connection's."""

    share: float
    salt: str

    def hides(self, fields: Sequence[Field], data: Any) -> bool:
        """Whether an item is shown without a suggestion.

        Args:
            fields: that are filled; what they read of ``data`` is the item's text, wherever it lies.
        """
        if not self.share or not isinstance(data, Mapping):
            return False
        text = text_of([source for one in fields for source in (*one.sources, *one.query)], data)
        return bool(text.strip()) and held_out.shown_blind(text, self.salt, self.share)

    def labelled(self, fields: Sequence[Field], data: Any, how: How) -> bool:
        """Whether a label was given blind: where its item is shown without a suggestion now, it may have been shown
        with one before the slice began."""
        return how == "by_hand" and self.hides(fields, data)

    def example(self, fields: Sequence[Field], one: Example) -> bool:
        """Whether an example's answer was given blind."""
        return self.labelled(fields, one.data, one.how)


def slice_of(connection: Connection, settings: Settings) -> Blind:
    """The connection's blind slice; an empty one where it has not begun, or is switched off."""
    return Blind(settings.blind_share if connection.blind_since else 0.0, str(connection.id))


def begin(store: Store, connection: Connection, tasks: int, settings: Settings) -> None:
    """Begins the blind slice of a connection whose project has so many tasks, if they are enough and it has not begun.

    What was shown must be read back to know how a label came to be, so projects that are connected without a token,
    of which nobody counts the tasks either, have none.
    """
    if connection.blind_since is None and settings.blind_share and tasks > FEWEST:
        store.update_connection(connection.id, blind_since=now())


def hidden(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The prediction of an item that is shown without a suggestion: Label Studio takes it for one, so it does not ask
    again, and by its score the item comes when it would have come."""
    return {**prediction, "result": []}

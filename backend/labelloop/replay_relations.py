"""What models say of the pairs of regions that texts come with, asked once and kept, for a field that relates."""

from __future__ import annotations

from collections.abc import Sequence

from labelloop.settings import Settings
from labelloop.tasks import classification, recollection, structured, trained
from labelloop.tasks.pairs import Pair
from labelloop.tasks.recollection import Example
from labelloop.tasks.relation_memory import RelationMemory
from labelloop.tasks.relation_prompt import Ends
from labelloop.tasks.relations import Judged, pairs_of
from labelloop.words import Answer, FieldPlan, Reading

_READ_AT_ONCE = 32


class Relations:
    """A ``replay.Replay``: ``recollection.related`` and ``structured.related``, on the regions of ``Reading.given``."""

    ahead, at_once = True, _READ_AT_ONCE

    def __init__(self, plan: FieldPlan, settings: Settings) -> None:
        self.plan, self._settings = plan, settings
        self._said: dict[str, list[Judged]] = {}
        self._by_pair: dict[tuple[str, Ends, Ends], Judged] = {}

    def read(self, texts: Sequence[str]) -> None:
        readings = [Reading.model_validate_json(text) for text in texts]
        self._said.update({text: [] for text in texts})
        for one in structured.judged_pairs(self.plan, pairs_of(readings), self._settings):
            self._said[texts[one.owner]].append(one)
            self._by_pair[one.text, *one.pair.ends] = one

    def learn(self, revealed: Sequence[Example]) -> RelationMemory | None:
        return recollection.related(self.plan, revealed, len(revealed), self._known, self._settings)

    def judged(self, text: str) -> list[Judged]:
        """What models say of the pairs of a text that was read."""
        return self._said[text]

    def _known(self, pairs: Sequence[tuple[str, Pair]]) -> list[Judged]:
        return [self._by_pair[text, *pair.ends] for text, pair in pairs]

    def answers(self, texts: Sequence[str], memory: RelationMemory | None, every: bool = False) -> list[Answer]:
        known = [text for text in dict.fromkeys(texts) if text]
        judged = [[one._replace(owner=place) for one in self._said[text]] for place, text in enumerate(known)]
        asked, adapter = [its for its in judged if its], trained.ready(self.plan, self._settings)
        made = structured.related(self.plan, len(known), asked, self._settings, memory, adapter)
        found = dict(zip(known, made, strict=True))
        return [found[text] if text else classification.empty(self.plan.field) for text in texts]

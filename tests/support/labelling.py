"""A Label Studio in a few lines: what people do in it, the webhooks that it sends, and what it answers when read."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from labelloop.learning.events import reduce_event
from labelloop.learning.store import Store
from labelloop.learning.tables import AnnotationRow, ItemRow

Json = dict[str, Any]
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROJECT = {"id": 3, "created_at": "2026-11-23T12:00:00Z", "token": "SECRET"}


def choice(label: str, **more: Any) -> Json:
    value = {"choices": [label]}
    return {"id": "r1", "from_name": "topic", "to_name": "text", "type": "choices", "value": value, **more}


@dataclass
class Labelling:
    """One project, numbered 3 and made in second 4. ``events``: the webhooks so far, as (action, reduced body)."""

    tasks: dict[int, Json] = field(default_factory=dict)
    annotations: dict[int, Json] = field(default_factory=dict)
    events: list[tuple[str, Json]] = field(default_factory=list)
    clock: int = 0
    numbers: int = 0
    pages: int = 0
    predictions: dict[int, list[Json]] = field(default_factory=dict)

    def now(self) -> str:
        self.clock += 1
        return (START + timedelta(seconds=self.clock)).isoformat()

    def tell(self, action: str, **body: Any) -> None:
        action, _, kept = reduce_event(copy.deepcopy({"action": action, "project": PROJECT, **body}))
        self.events.append((action, kept))

    def add_task(self, text: str) -> int:
        number = len(self.tasks) + 1
        self.tasks[number] = {"id": number, "data": {"text": text}, "updated_at": self.now()}
        self.tell("TASKS_CREATED", tasks=[self.tasks[number]])
        return number

    def annotate(self, task: int, label: str, who: int = 1, **more: Any) -> int:
        self.numbers += 1
        now = self.now()
        made = {"id": self.numbers, "task": task, "result": [choice(label)], "completed_by": who, "created_at": now}
        made |= {"updated_at": now, "was_cancelled": False, "ground_truth": False, "parent_prediction": None, **more}
        self.annotations[self.numbers] = made
        self.tasks[task]["updated_at"] = now
        self.tell("ANNOTATION_CREATED", annotation=made, task=self.tasks[task])
        return self.numbers

    def change(self, annotation: int, **more: Any) -> None:
        made = self.annotations[annotation]
        made |= {"updated_at": self.now(), **more}
        self.tasks[made["task"]]["updated_at"] = made["updated_at"]
        self.tell("ANNOTATION_UPDATED", annotation=made, task=self.tasks[made["task"]])

    def delete(self, annotation: int) -> None:
        made = self.annotations.pop(annotation)
        self.tasks[made["task"]]["updated_at"] = self.now()
        self.tell("ANNOTATIONS_DELETED", annotations=[{"id": annotation}])

    def delete_task(self, task: int) -> None:
        self.tasks.pop(task)
        self.annotations = {number: one for number, one in self.annotations.items() if one["task"] != task}
        self.tell("TASKS_DELETED", tasks=[{"id": task}])

    # What the API answers: the methods of ``StudioClient`` that reading back uses

    def project(self, _project: Any) -> Any:
        return SimpleNamespace(id=3, created_at=4)

    def last_change(self, _project: int) -> datetime | None:
        times = [datetime.fromisoformat(task["updated_at"]) for task in self.tasks.values()]
        return max(times, default=None)

    def _whole(self, task: Json) -> Json:
        its = [{**one} for _, one in sorted(self.annotations.items()) if one["task"] == task["id"]]
        return copy.deepcopy({**task, "annotations": its, "predictions": self.predictions.get(task["id"], [])})

    def _matching(self, filters: Sequence[Json]) -> list[Json]:
        found = [self._whole(task) for _, task in sorted(self.tasks.items())]
        for item in filters:
            column, value = item["filter"].removeprefix("filter:tasks:"), item["value"]
            if column == "updated_at":
                since = datetime.fromisoformat(value)
                found = [task for task in found if datetime.fromisoformat(task["updated_at"]) > since]
            else:
                skips = {"total_annotations": False, "cancelled_annotations": True}[column]
                found = [task for task in found if any(one["was_cancelled"] == skips for one in task["annotations"])]
        return found

    def totals(self, _project: int, filters: Sequence[Json]) -> tuple[int, int]:
        found = self._matching(filters)
        labels = [one for task in found for one in task["annotations"] if not one["was_cancelled"]]
        return len(found), len(labels)

    def tasks_by_ids(self, _project: int, ids: Sequence[int]) -> list[Json]:
        return [self._whole(self.tasks[number]) for number in ids if number in self.tasks]

    def read(self, _project: int, size: int, filters: Sequence[Json] = (), *, after: int = 0) -> Iterator[list[Json]]:
        """As ``StudioClient.tasks``, of which only the first page is asked for."""
        self.pages += 1
        found = [task for task in self._matching(filters) if task["id"] > after]
        yield found[:size]

    @property
    def state(self) -> dict[int, tuple[Any, ...]]:
        """What a store that knows everything holds, by annotation id."""
        return {
            number: (one["task"], one["result"], one["completed_by"], one["was_cancelled"], one["ground_truth"],
                     self.tasks[one["task"]]["data"])
            for number, one in self.annotations.items()
        }  # fmt: skip


def state(store: Store, connection_id: int) -> dict[int, tuple[Any, ...]]:
    """What the store holds, in the same form."""
    mine = AnnotationRow.connection_id == connection_id
    with store.session() as session:
        items = session.scalars(select(ItemRow).where(ItemRow.connection_id == connection_id, ~ItemRow.deleted))
        data = {row.item_id: row.data for row in items}
        rows = session.scalars(select(AnnotationRow).where(mine, ~AnnotationRow.deleted))
        return {
            row.annotation_id: (row.item_id, row.result, row.who, row.was_cancelled, row.ground_truth,
                                data.get(row.item_id or 0))
            for row in rows
        }  # fmt: skip


class Api:
    """The project as reading back sees it: a StudioClient."""

    def __init__(self, labelling: Labelling) -> None:
        self._labelling = labelling
        self.tasks = labelling.read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._labelling, name)

"""What a worker does to make fresh what annotators see next (``freshen`` says what that is)."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from labelloop.errors import LabelLoopError
from labelloop.learning.store import Version
from labelloop.scoring import known, wire
from labelloop.scoring.push import token_of
from labelloop.scoring.push_job import ask
from labelloop.scoring.wire import Epoch
from labelloop.scoring.workplace import Workplace
from labelloop.studio.client import StudioClient
from labelloop.studio.documents import Documents
from labelloop.studio.render import render_all
from labelloop.studio.results import prediction, validate
from labelloop.tasks.precision import withheld
from labelloop.words import fields_of

log = logging.getLogger(__name__)

_AT_ONCE = 4  # predictions that are replaced at the same time; each takes Label Studio about 0.1 s
_NEAR = 0.05  # a score that moves by less is left as it is
_MOST_SCORES = 12  # of one run; the first of the ordering, where a score decides who comes next

Json = dict[str, Any]


def serve(place: Workplace) -> None:
    """Does what is wanted, if nobody is at it; what is wanted meanwhile is done, too."""
    while not place.stopping.is_set() and (wanted := place.redis.spop(wire.FRESHEN)) is not None:
        connection_id = int(wanted)
        with place.lease(wire.FRESHEN_LEASE.format(connection=connection_id)) as ours:
            if not ours:  # whoever is at it looks again when it is done
                place.redis.sadd(wire.FRESHEN, connection_id)
                return
            try:
                _freshen(place, connection_id)
            except LabelLoopError as error:
                log.warning("connection %d: the next tasks are not fresh: %s", connection_id, error)


def _freshen(place: Workplace, connection_id: int) -> int:
    """How many predictions were replaced."""
    began = time.perf_counter()
    connection = place.store.connection(connection_id)
    version = place.store.champion(connection_id)
    token = token_of(connection, place.settings)
    if version is None or connection.project_id is None or not connection.server_url or not token:
        return 0
    if not version.bundle.remembering or not place.settings.freshen:
        return 0
    epoch = Epoch(connection_id, place.store.memory_epoch(connection_id))
    with StudioClient(connection.server_url, token) as studio:
        tasks = ask(place, partial(studio.next_tasks, connection.project_id, version.name, place.settings.freshen))
        stale = _stale(place, version, epoch, tasks)

        def replace() -> None:
            with ThreadPoolExecutor(_AT_ONCE, "freshen") as pool:
                list(pool.map(lambda one: studio.update_prediction(*one), stale))

        if stale:
            ask(place, replace)
    log.info(
        "connection %d: %d of the next %d tasks are fresh after %.2f s, at epoch %d",
        *(connection_id, len(stale), len(tasks), time.perf_counter() - began, epoch.number),
    )
    return len(stale)


def _stale(place: Workplace, version: Version, epoch: Epoch, tasks: Sequence[Json]) -> list[tuple[int, Json]]:
    """(prediction id, what it must say now): first of those that say something else, then of those that are no longer
    as sure; both in the order of the tasks. One that says nothing any more stays, unless what it would say is not sure
    enough for a wished precision."""
    bundle, limit = version.bundle, place.settings.max_text_chars
    documents = {task["id"]: Documents(bundle.fields, task["data"]) for task in tasks}
    texts = {
        task["id"]: render_all(bundle.fields, task["data"], limit=limit, documents=documents[task["id"]])[0]
        for task in tasks
    }
    answers = known.answers(place, bundle, epoch, {task: its for task, its in texts.items() if its}, "predict") or {}
    others: list[tuple[int, Json]] = []
    scores: list[tuple[int, Json]] = []
    for task in tasks:
        number = task["id"]
        held = [one for one in task["predictions"] if one["model_version"] == version.name]
        its = answers.get(number)
        if not held or not its or all(one.reason for one in its):
            continue
        fields = fields_of(bundle.fields, texts[number])
        made, _ = validate(prediction(fields, its, version.name, documents[number]), fields, documents[number])
        if not made["result"] and not withheld(its):
            continue
        replacement = (held[-1]["id"], {"task": number, **made})
        if [_said(one) for one in held[-1].get("result") or ()] != [_said(one) for one in made["result"]]:
            others.append(replacement)
        elif abs(float(held[-1].get("score") or 0) - float(made["score"])) >= _NEAR:
            scores.append(replacement)
    return others + scores[:_MOST_SCORES]


def _said(region: Json) -> Json:
    return {name: region.get(name) for name in ("from_name", "to_name", "type", "value", "labels", "direction")}

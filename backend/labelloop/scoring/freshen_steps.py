"""What a worker does to make fresh what annotators see next (``freshen`` says what that is)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from labelloop.errors import LabelLoopError
from labelloop.learning import blind
from labelloop.learning.store import Connection, Version
from labelloop.scoring import known, wire
from labelloop.scoring.measured import FRESHEN, FRESHENED
from labelloop.scoring.push import token_of
from labelloop.scoring.push_job import ask
from labelloop.scoring.wire import Epoch
from labelloop.scoring.workplace import Workplace
from labelloop.studio.client import UNCERTAIN, StudioClient
from labelloop.studio.documents import Documents
from labelloop.studio.render import render_all
from labelloop.studio.results import prediction, validate
from labelloop.tasks.precision import withheld
from labelloop.words import WRITTEN, fields_of

log = logging.getLogger(__name__)

_AT_ONCE = 4  # predictions that are replaced at the same time; each takes Label Studio about 0.1 s
_ORDER_S = 60.0  # so long a project is taken to keep its order of tasks; to ask costs as much as to read the tasks
_orders: dict[int, tuple[float, bool]] = {}
_TURN = 8  # so many are replaced before a newer label may begin anew
_NEAR = 0.05  # a score that moves by less is left as it is
_WRITTEN_ANEW = 5  # tasks whose texts are written anew, the next ones: a writer takes seconds for each
_MOST_SCORES = 12  # of one run; the first of the ordering, where a score decides who comes next

Json = dict[str, Any]


def serve(place: Workplace) -> None:
    """Does what is wanted, if nobody is at it; what is wanted meanwhile is done, too."""
    while not place.stopping.is_set() and (wanted := place.redis.srandmember(wire.FRESHEN)) is not None:
        connection_id = int(wanted)
        with place.lease(wire.FRESHEN_LEASE.format(connection=connection_id)) as ours:
            if not ours:  # whoever is at it looks again when it is done; ``freshen.sweep`` does where it died
                return
            place.redis.smove(wire.FRESHEN, wire.FRESHENING, wanted)
            try:
                _freshen(place, connection_id)
            except LabelLoopError as error:
                log.warning("connection %d: the next tasks are not fresh: %s", connection_id, error)
            finally:
                place.redis.srem(wire.FRESHENING, wanted)


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
        tasks = ask(place, lambda: _next_tasks(studio, connection, version.name, place.settings.freshen))

        def newer() -> bool:
            return bool(place.redis.sismember(wire.FRESHEN, connection_id))

        def replace(stale: Sequence[tuple[int, Json]]) -> int:
            done = 0
            while done < len(stale) and not (done and newer()):
                part = stale[done : done + _TURN]
                ask(place, partial(_replace, studio, part))
                done += len(part)
            log.info(
                "connection %d: %d of the next %d tasks say something else; %d replaced after %.2f s, at epoch %d",
                *(connection_id, len(stale), len(tasks), done, time.perf_counter() - began, epoch.number),
            )
            return done

        written = version.bundle.remembering & _written(version)
        done = 0
        if version.bundle.remembering - written:
            done += replace(_stale(place, version, epoch, tasks, written))
        if written and not newer():
            first = ask(place, lambda: _next_tasks(studio, connection, version.name, _WRITTEN_ANEW))
            done += replace(_stale(place, version, epoch, first))
    place.measured.add(FRESHENED, by=done)
    place.measured.observe(FRESHEN, values=(time.perf_counter() - began,))
    return done


def _written(version: Version) -> frozenset[str]:
    return frozenset(field.name for field in version.bundle.fields if field.kind in WRITTEN)


def _next_tasks(studio: StudioClient, connection: Connection, version: str, count: int) -> list[Json]:
    assert connection.project_id is not None
    at, uncertain = _orders.get(connection.id, (0.0, False))
    if time.monotonic() - at > _ORDER_S:
        uncertain = studio.project(connection.project_id).sampling == UNCERTAIN
        _orders[connection.id] = (time.monotonic(), uncertain)
    return studio.next_tasks(connection.project_id, version, count, uncertain=uncertain)


def _replace(studio: StudioClient, part: Sequence[tuple[int, Json]]) -> None:
    with ThreadPoolExecutor(_AT_ONCE, "freshen") as pool:
        list(pool.map(lambda one: studio.update_prediction(*one), part))


def _stale(
    place: Workplace, version: Version, epoch: Epoch, tasks: Sequence[Json], as_held: frozenset[str] = frozenset()
) -> list[tuple[int, Json]]:
    """(prediction id, what it must say now): first of those that say something else, the surest first; then of those
    that are no longer as sure, in the order of the tasks. One that says nothing any more stays, unless what
    it would say is not sure enough for a wished precision, or its task is shown without a suggestion. What fields
    ``as_held`` say stays as it is."""
    bundle, limit = version.bundle, place.settings.max_text_chars
    asked = [field for field in bundle.fields if field.name not in as_held]
    documents = {task["id"]: Documents(bundle.fields, task["data"]) for task in tasks}
    texts = {
        task["id"]: render_all(asked, task["data"], limit=limit, documents=documents[task["id"]])[0] for task in tasks
    }
    answers = known.answers(place, bundle, epoch, {task: its for task, its in texts.items() if its}, "predict") or {}
    slice_of = blind.slice_of(place.store.connection(version.connection_id), place.settings)
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
        unseen = slice_of.hides(bundle.fields, task["data"])
        if unseen and as_held and not held[-1].get("result"):
            continue  # its score is of all fields, and so not to be had from a part of them
        if not made["result"] and not (unseen or withheld(its)):
            continue
        kept = [one for one in held[-1].get("result") or () if one.get("from_name") in as_held]
        if unseen:
            made = blind.hidden(made)
        elif kept:
            made["result"] = made["result"] + kept
            made["score"] = min([made["score"], *(float(one.get("score") or 0) for one in kept)])
        replacement = (held[-1]["id"], {"task": number, **made})
        if _said(held[-1].get("result") or ()) != _said(made["result"]):
            others.append(replacement)
        elif abs(float(held[-1].get("score") or 0) - float(made["score"])) >= _NEAR:
            scores.append(replacement)
    others.sort(key=lambda one: -float(one[1]["score"]))
    return others + scores[:_MOST_SCORES]


def _said(result: Sequence[Json]) -> list[str]:
    """What regions say, in an order of their own."""
    names = ("from_name", "to_name", "type", "value", "labels", "direction")
    by_id = {one["id"]: (one.get("from_name"), one.get("value")) for one in result if "id" in one}
    told = []
    for one in result:
        ends = [by_id.get(one.get(end)) for end in ("from_id", "to_id")]  # of a relation; its own ids say nothing
        told.append({**{name: one.get(name) for name in names}, "ends": ends})
    return sorted(json.dumps(one, sort_keys=True) for one in told)

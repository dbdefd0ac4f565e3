"""What a worker does for a push, one step per job: plan it, score and import one chunk, or finish it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from redis.client import Pipeline

from labelloop.errors import ItemError, LabelLoopError, StudioError, UnavailableError
from labelloop.learning.store import Connection, Version
from labelloop.scoring import cache, push, wire
from labelloop.scoring.jobs import failed, score_in_batches, serve_urgent
from labelloop.scoring.pace import cost
from labelloop.scoring.push import Progress, token_of
from labelloop.scoring.workplace import Workplace
from labelloop.studio.client import StudioClient
from labelloop.studio.results import prediction, validate
from labelloop.studio.schema import render
from labelloop.words import Answer, Bundle

log = logging.getLogger(__name__)

Answered = TypeVar("Answered")

_ATTEMPTS = 6
_LOOK_S = 0.05
_PAGE = 500
_RETRY_S = (2.0, 5.0, 15.0, 60.0, 120.0)


@dataclass
class _Push:
    """One step's tools."""

    place: Workplace
    progress: Progress
    connection: Connection
    version: Version
    studio: StudioClient

    @property
    def id(self) -> int:
        return self.connection.id

    @property
    def project(self) -> int:
        assert self.connection.project_id is not None
        return self.connection.project_id

    @property
    def key(self) -> str:
        return wire.PUSH.format(connection=self.id)

    def ask(self, call: Callable[[], Answered]) -> Answered:
        """What ``call``, which speaks to Label Studio, returns; urgent items are answered while it waits.

        They must be: Label Studio itself may ask us for predictions before it answers (a project that evaluates
        predictions automatically does when tasks are read, and a renamed backend is called).
        """
        with ThreadPoolExecutor(1, "label-studio") as pool:
            future = pool.submit(call)
            while not futures.wait([future], timeout=_LOOK_S).done:
                if not self.place.stopping.is_set():
                    serve_urgent(self.place, "push")
            return future.result()

    def change(self, fill: Callable[[Pipeline], None]) -> None:
        push.change(self.place.redis, self.id, self.progress.push_id, fill)


@dataclass
class _Chunk:
    """What became of a chunk's tasks: those to import, how many are there already, and why others have none."""

    predictions: list[dict[str, Any]] = field(default_factory=list)
    there: int = 0
    gone: int = 0
    dropped: int = 0
    failed: dict[int, str] = field(default_factory=dict)


def step(place: Workplace, connection_id: int) -> None:
    """Takes the next step of this connection's push, if no other worker is at it."""
    redis = place.redis
    redis.delete(wire.TICKET.format(lane="push", digest=connection_id))
    with place.lease(wire.PUSH_LEASE.format(connection=connection_id)) as ours:
        progress = push.read(redis, connection_id)
        if not ours or progress is None or not progress.running:
            return
        key = wire.PUSH.format(connection=connection_id)
        attempts = redis.hincrby(key, "attempts", 1)  # counts deaths too: reset below, when the step is done
        waits_s = 0.0
        try:
            if attempts > _ATTEMPTS:
                raise LabelLoopError("It failed several times, or the worker died at it.", "The worker's log says why.")
            _take(place, progress)
            redis.hset(key, mapping={"attempts": 0, "note": "", "retry_at": 0})
        except (StudioError, UnavailableError) as error:
            waits_s = _retry(place, progress, attempts, error)
        except LabelLoopError as error:
            log.error("push of connection %d failed: %s", connection_id, error)
            push.end(redis, connection_id, progress.push_id, "failed", str(error))
    if not waits_s and not place.stopping.is_set():
        after = push.read(redis, connection_id)
        if after is not None and after.running:
            push.issue(redis, connection_id)


def _take(place: Workplace, progress: Progress) -> None:
    """One step, by the state that the push is in."""
    connection = place.store.connection(progress.connection_id)
    version = place.store.champion(connection.id)
    if version is None or version.name != progress.version:
        raise LabelLoopError(
            f"The version {progress.version} serves no more.", "Run `labelloop preannotate` for the one that does."
        )
    steps: dict[str, Callable[[_Push], None]] = {"planning": _plan, "scoring": _score_chunk, "finishing": _finish}
    with StudioClient(connection.server_url, token_of(connection, place.settings)) as studio:
        steps[progress.state](_Push(place, progress, connection, version, studio))


def _retry(place: Workplace, progress: Progress, attempts: int, error: StudioError | UnavailableError) -> float:
    """Has the step taken again later where that may help, else ends the push. Returns the wait in seconds."""
    status = error.http_status if isinstance(error, StudioError) else None
    hopeless = status is not None and status < 500 and status != 429
    if hopeless or attempts >= _ATTEMPTS:
        log.error("push of connection %d failed: %s", progress.connection_id, error)
        push.end(place.redis, progress.connection_id, progress.push_id, "failed", str(error))
        return 0.0
    wait_s = _RETRY_S[min(attempts, len(_RETRY_S)) - 1]
    log.warning("push of connection %d: %s; again in %.0f s", progress.connection_id, error, wait_s)
    note = {"note": f"{error} Trying again in {wait_s:.0f} s.", "retry_at": time.time() + wait_s}
    place.redis.hset(wire.PUSH.format(connection=progress.connection_id), mapping=note)
    return wait_s


def _plan(job: _Push) -> None:
    """Lists the tasks that lack the version, in chunks."""
    project = job.ask(lambda: job.studio.project(job.project))
    if job.connection.created_at and project.created_at != job.connection.created_at:
        raise LabelLoopError(
            f"Project {job.project} of {job.connection.server_url} is another one than was connected.",
            "Run `labelloop connect` for it.",
        )
    redis = job.place.redis
    redis.hset(job.key, mapping={"again": 0})  # whoever announces tasks from now on is heard once more
    failed_before = {int(task) for task in redis.hkeys(wire.PUSH_FAILED.format(connection=job.id))}
    found = job.ask(lambda: job.studio.task_ids_without(job.project, job.version.name))
    lacking = [task for task in found if task not in failed_before]
    total = max(project.task_count, len(lacking) + len(failed_before))
    skipped = max(0, total - len(lacking) - job.progress.done - len(failed_before))
    chunks = push.chunks_of(lacking, job.place.settings.push_chunk)
    queue = wire.PUSH_CHUNKS.format(connection=job.id)
    state = "scoring" if chunks else "finishing"
    now = job.progress.scoring_since or time.time()

    def fill(pipeline: Pipeline) -> None:
        pipeline.delete(queue)
        if chunks:
            pipeline.rpush(queue, *chunks)
        pipeline.hset(job.key, mapping={"total": total, "skipped": skipped, "state": state, "scoring_since": now})

    job.change(fill)
    log.info("push of connection %d: %d of %d tasks lack %s", job.id, len(lacking), total, job.version.name)


def _score_chunk(job: _Push) -> None:
    """Reads, scores and imports the first chunk; the chunk leaves the list when its predictions are stored."""
    queue = wire.PUSH_CHUNKS.format(connection=job.id)
    head = job.place.redis.lindex(queue, 0)
    if head is None:

        def finishing(pipeline: Pipeline) -> None:
            pipeline.hset(job.key, "state", "finishing")

        job.change(finishing)
        return
    ids = json.loads(head)
    chunk = _Chunk()
    tasks = _lacking(job, ids, chunk)
    answers = _answers(job, tasks, chunk)
    if answers is None:  # the worker has to stop; what is scored lies in the cache
        return
    _predict(job, tasks, answers, chunk)
    stored = 0
    if chunk.predictions:
        imported = job.ask(lambda: job.studio.import_predictions(job.project, chunk.predictions))
        stored = imported.created
        chunk.failed |= imported.refused

    def fill(pipeline: Pipeline) -> None:
        pipeline.lrem(queue, 1, head)
        pipeline.hincrby(job.key, "done", stored + chunk.there)
        pipeline.hincrby(job.key, "dropped", chunk.dropped)
        pipeline.hincrby(job.key, "total", -chunk.gone)
        for task, reason in chunk.failed.items():
            pipeline.hset(wire.PUSH_FAILED.format(connection=job.id), str(task), reason)

    job.change(fill)


def _lacking(job: _Push, ids: Sequence[int], chunk: _Chunk) -> dict[int, dict[str, str]]:
    """Rendered texts by task id, of the tasks that (still) lack the version."""
    tasks = job.ask(lambda: job.studio.tasks_by_ids(job.project, ids))
    chunk.gone = len(ids) - len(tasks)
    rendered: dict[int, dict[str, str]] = {}
    for task in tasks:
        if any(one.get("model_version") == job.version.name for one in task.get("predictions") or ()):
            chunk.there += 1
            continue
        texts, problem = _rendered(job.version.bundle, task.get("data"))
        if texts:
            rendered[task["id"]] = texts
        else:
            chunk.failed[task["id"]] = problem
    return rendered


def _rendered(bundle: Bundle, data: Any) -> tuple[dict[str, str], str]:
    """(text by field name, why there is none)."""
    if not isinstance(data, Mapping):
        return {}, "The task has no data."
    texts: dict[str, str] = {}
    problems = []
    for one in bundle.fields:
        try:
            texts[one.name] = render(one, data)
        except ItemError as error:
            problems.append(f"{one.name}: {error}")
    return texts, "; ".join(problems) or "No control of this project can be filled."


def _answers(job: _Push, tasks: Mapping[int, dict[str, str]], chunk: _Chunk) -> dict[int, list[Answer]] | None:
    """The answers by task id: from the cache, else scored here, equal texts once. None: the worker has to stop."""
    place, bundle = job.place, job.version.bundle
    digest = bundle.digest
    names = {task: cache.keys(digest, 0, texts) for task, texts in tasks.items()}
    known = dict(
        zip(
            (name for some in names.values() for name in some),
            cache.get(place.redis, [name for some in names.values() for name in some]),
            strict=True,
        )
    )
    missing = {tuple(tasks[task].items()) for task, some in names.items() if not all(known[name] for name in some)}
    todo = [dict(texts) for texts in sorted(missing, key=lambda texts: (cost(dict(texts)), texts))]

    def write(start: int, answers: list[list[Answer]]) -> None:
        pipeline = place.redis.pipeline(transaction=False)
        for texts, found in zip(todo[start:], answers, strict=False):
            for one in found:
                name = cache.key(digest, 0, one.field, texts[one.field])
                known[name] = one
                if not failed(found):
                    cache.put(pipeline, name, one.model_dump_json(), place.settings.cache_ttl_s)
        pipeline.execute()

    if score_in_batches(place, bundle, digest, todo, "push", write) < len(todo):
        return None
    return {task: [answer for name in some if (answer := known[name])] for task, some in names.items()}


def _predict(
    job: _Push, tasks: Mapping[int, dict[str, str]], answers: Mapping[int, list[Answer]], chunk: _Chunk
) -> None:
    """Turns answers into valid predictions; a task whose fields all failed has none."""
    fields = job.version.bundle.fields
    for task in tasks:
        if all(answer.reason for answer in answers[task]):
            chunk.failed[task] = "; ".join(f"{answer.field}: {answer.reason}" for answer in answers[task])
            continue
        made = prediction(fields, answers[task], job.version.name)
        clean, reports = validate(made, fields)
        chunk.dropped += len(reports)
        for report in reports:
            log.warning("task %d: %s", task, report)
        if made["result"] and not clean["result"]:
            chunk.failed[task] = "; ".join(reports)
        else:
            chunk.predictions.append({"task": task, **clean})


def _finish(job: _Push) -> None:
    """Removes what an interruption stored twice, then lets the version stand: title and project move together."""
    _remove_duplicates(job)
    _let_stand(job)
    push.end(job.place.redis, job.id, job.progress.push_id, "done")


def _remove_duplicates(job: _Push) -> None:
    """One prediction of the version a task; of several, the oldest stays."""
    pages = job.studio.tasks(job.project, _PAGE)
    while page := job.ask(lambda: next(pages, None)):
        for task in page:
            ours = [one["id"] for one in task.get("predictions") or () if one["model_version"] == job.version.name]
            for newer in sorted(ours)[1:]:
                log.info("task %d has two predictions of %s; the newer is deleted", task["id"], job.version.name)
                job.ask(partial(job.studio.delete_prediction, newer))


def _let_stand(job: _Push) -> None:
    """Backend title = project.model_version = version: only then Label Studio orders by our scores and asks us.

    A model_version that is neither ours nor empty was chosen by a person and stays.
    """
    name = job.version.name
    ours = {"", *(one.name for one in job.place.store.versions(job.id))}
    for row in job.ask(lambda: job.studio.backends(job.project)):
        if row["id"] == job.connection.backend_id:
            ours.add(row["title"])
            if row["title"] != name:
                job.ask(partial(job.studio.update_backend, row["id"], job.project, row["url"], name))
    standing = job.ask(lambda: job.studio.project(job.project)).model_version
    if standing == name:
        return
    if standing in ours:
        job.ask(lambda: job.studio.update_project(job.project, model_version=name))
    else:
        log.warning("project %d keeps model version %r, which is not ours", job.project, standing)

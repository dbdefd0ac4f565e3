"""What a worker does for a push, one step per job: plan it, score one chunk, or finish it; again after a failure."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from redis.client import Pipeline

from labelloop.errors import LabelLoopError, StudioError, UnavailableError
from labelloop.learning import blind
from labelloop.scoring import push, wire
from labelloop.scoring.push import Progress, token_of
from labelloop.scoring.push_chunk import score_chunk
from labelloop.scoring.push_job import PushJob
from labelloop.scoring.workplace import Workplace
from labelloop.studio.client import StudioClient

log = logging.getLogger(__name__)

_ATTEMPTS = 6
_PAGE = 500
_RETRY_S = (2.0, 5.0, 15.0, 60.0, 120.0)


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
    steps: dict[str, Callable[[PushJob], None]] = {"planning": _plan, "scoring": score_chunk, "finishing": _finish}
    with StudioClient(connection.server_url, token_of(connection, place.settings)) as studio:
        steps[progress.state](PushJob(place, progress, connection, version, studio))


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


def _plan(job: PushJob) -> None:
    """Lists the tasks that lack the version, in chunks, the least certain first: an annotator may see these next."""
    project = job.ask(lambda: job.studio.project(job.project))
    if job.connection.created_at and project.created_at != job.connection.created_at:
        raise LabelLoopError(
            f"Project {job.project} of {job.connection.server_url} is another one than was connected.",
            "Run `labelloop connect` for it.",
        )
    blind.begin(job.place.store, job.connection, project.task_count, job.place.settings)
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


def _finish(job: PushJob) -> None:
    """Removes what an interruption stored twice, then lets the version stand: title and project move together."""
    _remove_duplicates(job)
    _let_stand(job)
    push.end(job.place.redis, job.id, job.progress.push_id, "done")


def _remove_duplicates(job: PushJob) -> None:
    """One prediction of the version a task; of several, the oldest stays."""
    pages = job.studio.tasks(job.project, _PAGE)
    while page := job.ask(lambda: next(pages, None)):
        for task in page:
            ours = [one["id"] for one in task.get("predictions") or () if one["model_version"] == job.version.name]
            for newer in sorted(ours)[1:]:
                log.info("task %d has two predictions of %s; the newer is deleted", task["id"], job.version.name)
                job.ask(partial(job.studio.delete_prediction, newer))


def _let_stand(job: PushJob) -> None:
    """Backend title = project.model_version = version: only then Label Studio orders by our scores and asks us.

    A model_version that is neither ours nor empty was chosen by a person and stays.
    """
    name = job.version.name
    ours = {"", *(one.name for one in job.place.store.versions(job.id))}
    for row in job.ask(lambda: job.studio.backends(job.project)):
        if row["id"] == job.connection.backend_id:
            ours.add(row["title"])
            if row["title"] != name:
                extra = row.get("extra_params")  # left out, Label Studio would call our /setup without them
                job.ask(partial(job.studio.update_backend, row["id"], job.project, row["url"], name, extra))
    standing = job.ask(lambda: job.studio.project(job.project)).model_version
    if standing == name:
        return
    if standing in ours:
        job.ask(lambda: job.studio.update_project(job.project, model_version=name))
    else:
        log.warning("project %d keeps model version %r, which is not ours", job.project, standing)

"""One chunk of a push: its tasks are read, scored, and their predictions imported."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.client import Pipeline

from labelloop.learning import blind
from labelloop.scoring import known, wire
from labelloop.scoring.measured import PUSHED
from labelloop.scoring.push_job import PushJob
from labelloop.scoring.wire import Epoch
from labelloop.studio.documents import Documents
from labelloop.studio.render import render_all
from labelloop.studio.results import prediction, validate
from labelloop.words import Answer, fields_of

log = logging.getLogger(__name__)


@dataclass
class _Chunk:
    """What became of a chunk's tasks: those to import, how many are there already, and why others have none.

    ``documents``: of each task that is scored. ``blind``: tasks that are shown without a suggestion.
    """

    predictions: list[dict[str, Any]] = field(default_factory=list)
    documents: dict[int, Documents] = field(default_factory=dict)
    blind: set[int] = field(default_factory=set)
    there: int = 0
    gone: int = 0
    dropped: int = 0
    failed: dict[int, str] = field(default_factory=dict)


def score_chunk(job: PushJob) -> None:
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
    epoch = Epoch(job.id, job.place.store.memory_epoch(job.id))
    answers = known.answers(job.place, job.version.bundle, epoch, tasks, "push")
    if answers is None:  # the worker has to stop; what is scored lies in the cache
        return
    _predict(job, tasks, answers, chunk)
    stored = 0
    if chunk.predictions:
        fields = job.version.bundle.fields
        imported = job.ask(lambda: job.studio.import_predictions(job.project, chunk.predictions, fields, checked=True))
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
    job.place.measured.add(PUSHED, "stored", by=stored)
    job.place.measured.add(PUSHED, "failed", by=len(chunk.failed))


def _lacking(job: PushJob, ids: Sequence[int], chunk: _Chunk) -> dict[int, dict[str, str]]:
    """Rendered texts by task id, of the tasks that (still) lack the version."""
    tasks = job.ask(lambda: job.studio.tasks_by_ids(job.project, ids))
    chunk.gone = len(ids) - len(tasks)
    rendered: dict[int, dict[str, str]] = {}
    its = blind.slice_of(job.connection, job.place.settings)
    for task in tasks:
        if any(one.get("model_version") == job.version.name for one in task.get("predictions") or ()):
            chunk.there += 1
            continue
        texts, problem, documents = _rendered(job, task.get("data"))
        if texts and documents is not None:
            rendered[task["id"]], chunk.documents[task["id"]] = texts, documents
            if its.hides(job.version.bundle.fields, task["data"]):
                chunk.blind.add(task["id"])
        else:
            chunk.failed[task["id"]] = problem
    return rendered


def _rendered(job: PushJob, data: Any) -> tuple[dict[str, str], str, Documents | None]:
    """(text by field name, why there is none, the documents). Text behind addresses is read from Label Studio here."""
    if not isinstance(data, Mapping):
        return {}, "The task has no data.", None
    files: dict[str, str] = {}

    def fetch(address: str) -> str:
        if address not in files:
            files[address] = job.ask(lambda: job.studio.read_text(address))
        return files[address]

    fields = job.version.bundle.fields
    documents = Documents(fields, data, fetch)
    texts, problems = render_all(fields, data, fetch, job.place.settings.max_text_chars, documents)
    reasons = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    return texts, reasons or "No control of this project can be filled.", documents


def _predict(
    job: PushJob, tasks: Mapping[int, dict[str, str]], answers: Mapping[int, list[Answer]], chunk: _Chunk
) -> None:
    """Turns answers into valid predictions; a task whose fields all failed has none."""
    for task in tasks:
        if all(answer.reason for answer in answers[task]):
            chunk.failed[task] = "; ".join(f"{answer.field}: {answer.reason}" for answer in answers[task])
            continue
        fields = fields_of(job.version.bundle.fields, tasks[task])
        documents = chunk.documents[task]
        made = prediction(fields, answers[task], job.version.name, documents)
        clean, reports = validate(made, fields, documents)
        chunk.dropped += len(reports)
        for report in reports:
            log.warning("task %d: %s", task, report)
        if made["result"] and not clean["result"]:
            chunk.failed[task] = "; ".join(reports)
        else:
            shown = blind.hidden(clean) if task in chunk.blind else clean
            chunk.predictions.append({"task": task, **shown})

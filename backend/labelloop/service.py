"""What Label Studio asks of a backend, whatever carries the question: /setup, /predict and events, without HTTP."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from prometheus_client import Counter

from labelloop.errors import (
    ConfigError,
    KeyRefusedError,
    LabelLoopError,
    RequestError,
    SettingsError,
    StoreDownError,
    TooLargeError,
)
from labelloop.learning import blind, intake
from labelloop.learning.blind import Blind
from labelloop.learning.events import identify, reduce_event, same_project
from labelloop.learning.refreshes import Trigger
from labelloop.learning.spool import Spool
from labelloop.learning.store import Connection, Store, Version
from labelloop.learning.versions import direct, version_for
from labelloop.scoring import freshen, push, refresh
from labelloop.scoring.queues import Scoring
from labelloop.scoring.wire import Epoch, redis_errors
from labelloop.settings import Settings
from labelloop.studio.context import given_spans, selected_texts
from labelloop.studio.documents import Documents
from labelloop.studio.render import render_all
from labelloop.studio.results import prediction, validate
from labelloop.words import Answer, Bundle, fields_of

log = logging.getLogger(__name__)

ANSWERS = Counter("labelloop_tasks", "Tasks of /predict: answered, refused (with a reason), late.", ("outcome",))
DROPPED = Counter("labelloop_regions_dropped", "Regions that the validator kept from leaving.")
EVENTS = Counter("labelloop_events", "Webhooks stored, by action; 'known' were delivered before.", ("action",))
SPOOLED = Counter("labelloop_events_spooled", "Webhooks that were written to the disk, because the store was down.")
_ACTIONS = frozenset(
    f"{what}_{done}"
    for what in ("PROJECT", "TASKS", "ANNOTATION", "ANNOTATIONS")
    for done in ("CREATED", "UPDATED", "DELETED")
) | {"START_TRAINING"}
"""Label Studio's; whatever else comes in counts as "other", for each name is a time series."""

Json = dict[str, Any]


@dataclass
class Backend:
    """The service behind the routes. One per process; safe to use from many threads.

    ``waiting`` bounds the threads that wait for answers, so that /health always finds one that is free. ``draining``:
    the process was told to stop, and answers on for a moment.
    """

    settings: Settings
    store: Store
    scoring: Scoring
    waiting: threading.BoundedSemaphore = field(init=False)
    spool: Spool = field(init=False)
    draining: bool = False

    def __post_init__(self) -> None:
        self.spool = Spool(self.settings.data_dir / "spool")
        self.waiting = threading.BoundedSemaphore(min(self.settings.max_waiting, self.settings.web_threads - 2))

    def connection(self, key: str | None, project: tuple[int, int] | None = None) -> Connection:
        """The connection that a call belongs to. A key is bound to the project of its first call.

        ``project``: (id, created_at in Unix seconds), where the call names one.

        Raises:
            KeyRefusedError: no key where one is required, an unknown key, or a key of another project.
        """
        if key is None:
            return self._without_key(project)
        connection = self.store.connection_of_key(key)
        if connection is None:
            raise KeyRefusedError(
                "The key in this address is not known here.",
                "Make an address with `labelloop connect` or `labelloop key`; keys live in the store of one LabelLoop.",
            )
        return connection if project is None else self.store.bind(connection.id, *project)

    def _without_key(self, project: tuple[int, int] | None) -> Connection:
        if self.settings.require_key:
            raise KeyRefusedError(
                "This address has no key.",
                "Make one with `labelloop connect` or `labelloop key`: it looks like http://host:9090/k/<key>. "
                "On a machine of your own, LABELLOOP_REQUIRE_KEY=false lifts this.",
            )
        if project is None:
            raise RequestError("Without a key the request must name its project.")
        return self.project_connection(*project)

    def project_connection(self, project_id: int, created_at: int) -> Connection:
        """The newest connection of a project, a new one where there is none: for calls that carry no key."""
        return self.store.connection_for_project(project_id, created_at)

    def setup(self, connection: Connection, label_config: str, extra_params: Any = None) -> Version:
        """The version that serves this config; where it is new and we hold a token, the project is pre-annotated anew.

        ``extra_params``: of the model connection, with its owner's directions; None: as they were. Wrong ones, and such
        as cannot be served, change nothing.

        Raises:
            ConfigError: the label config cannot be read.
            RequestError: the extra params are wrong; says what of them.
        """
        former = self.store.champion(connection.id)
        if extra_params is not None:
            connection = direct(self.store, connection, label_config, extra_params, self.settings)
        version = version_for(self.store, connection, label_config, self.settings)
        if former is not None and former.id != version.id:
            self._push_quietly(connection)
        return version

    def predict(
        self, connection: Connection, tasks: Sequence[Any], label_config: str | None, context: Any = None
    ) -> tuple[Version, list[Json]]:
        """The version and, per task in order, a prediction or ``{"error": why there is none}``.

        One task waits at most ``interactive_wait_s``, several at most ``batch_wait_s``; what is late is answered from
        the cache the next time. The version is that of the last /setup unless the config has changed since.
        ``context``: of an interactive call on one task; the passage selected in it is read in place of the whole, and
        its regions are those that are related and described. A task of the blind slice gets a prediction that says
        nothing, however it is asked for: whoever has seen a suggestion cannot label without it any more.

        Raises:
            RequestError: there is no label config yet.
            TooLargeError: there are more tasks than ``max_tasks``.
            QueueDownError, NoWorkerError: nobody can answer now.
        """
        if len(tasks) > self.settings.max_tasks:
            raise TooLargeError(
                f"The request has {len(tasks)} tasks; the limit is {self.settings.max_tasks}.",
                "Send fewer at a time, raise LABELLOOP_MAX_TASKS, or let `labelloop preannotate` do the project.",
            )
        version = self.store.champion(connection.id)
        if version is None or (label_config and label_config != connection.label_config):
            config = label_config or connection.label_config
            if not config:
                raise RequestError("This connection has no label config yet.", "Call /setup, or send 'label_config'.")
            version = self.setup(connection, config)
        return version, self._predict(tasks, version, context, blind.slice_of(connection, self.settings))

    def _predict(self, tasks: Sequence[Any], version: Version, context: Any, unseen: Blind) -> list[Json]:
        results: list[Json] = [{} for _ in tasks]
        rendered: dict[int, dict[str, str]] = {}
        documents: dict[int, Documents] = {}
        single = len(tasks) == 1
        for index, task in enumerate(tasks):
            data = task.get("data") if isinstance(task, dict) else None
            if not isinstance(data, dict):
                results[index] = {"error": "The task has no 'data' object."}
                continue
            documents[index] = Documents(version.bundle.fields, data)
            texts, problem = self._render(data, version.bundle, documents[index], context if single else None)
            if texts:
                rendered[index] = texts
            else:
                results[index] = {"error": problem}
        if not rendered:
            return results
        wait = self.settings.interactive_wait_s if single else self.settings.batch_wait_s
        may_wait = self.waiting.acquire(blocking=False)
        try:
            answers = self.scoring.score(
                version.bundle,
                list(rendered.values()),
                "interactive" if single else "predict",
                wait if may_wait else 0.0,
                Epoch(version.connection_id, self.store.memory_epoch(version.connection_id)),
            )
        finally:
            if may_wait:
                self.waiting.release()
        for index, found in zip(rendered, answers, strict=True):
            hides = unseen.hides(version.bundle.fields, tasks[index]["data"])
            results[index] = _result(version, found, rendered[index], documents[index], hides)
        return results

    def _render(self, data: Json, bundle: Bundle, documents: Documents, context: Any) -> tuple[dict[str, str], str]:
        """(text by field name, why there is none)."""
        fields, limit = bundle.fields, self.settings.max_text_chars
        given = given_spans(context, fields, documents) if context else {}
        texts, problems = render_all(fields, data, limit=limit, documents=documents, given=given)
        if texts and context:
            texts |= selected_texts(context, fields, documents)
        reasons = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        return texts, reasons or "No control of this project can be filled."

    def event(self, connection: Connection, body: Json) -> tuple[str, bool]:
        """Stores a webhook with the labels that it brings, then starts what follows from it. Returns its action, and
        whether it was new.

        Raises:
            RequestError: it has no action, or belongs to another project.
            StoreDownError: it could not be stored.
        """
        action, project, event = reduce_event(body)
        if connection.project_id is not None and project is not None and project[0] != connection.project_id:
            raise RequestError("This event belongs to another project than this address.")
        new, waits = intake.receive(self.store, connection.id, action, event)
        if waits:
            call = partial(copy_context().run, self._catch_up_quietly, connection.id)
            threading.Thread(target=call, daemon=True).start()
        EVENTS.labels("known" if not new else action if action in _ACTIONS else "other").inc()
        try:
            if new and action == "PROJECT_UPDATED" and event.get("label_config"):
                self.setup(connection, event["label_config"])
            elif new and action == "TASKS_CREATED":
                self._push_quietly(connection)
            elif new and action.startswith("ANNOTATION"):
                self._freshen_quietly(connection)
                self._look_quietly(connection)
            elif new and action == "START_TRAINING":
                self._train_quietly(connection)
        except (ConfigError, SettingsError) as error:
            log.warning("connection %d: the changed label config cannot be served: %s", connection.id, error)
        return action, new

    def receive(self, key: str | None, body: Json) -> tuple[str, str]:
        """Takes a webhook in, also while the store is down. Returns its action and "stored", "known" or "waiting".

        Raises:
            RequestError, KeyRefusedError: as ``event`` and ``connection``.
            StoreDownError: neither the store nor the disk takes it.
        """
        try:
            action, how = self._deliver(key, body)
        except StoreDownError as error:
            action, _, event = reduce_event(body)
            self.spool.save(key, {**event, "action": action, "project": same_project(body.get("project"))})
            SPOOLED.inc()
            log.error("the store is down, an event waits on disk: %s", error)
            how = "waiting"
        self.replay_aside()
        return action, how

    def replay_aside(self) -> None:
        """Has the webhooks that wait on disk stored as soon as the store takes them; returns at once."""
        self.spool.replay_aside(self._deliver)

    def take_waiting(self) -> int:
        """Stores the webhooks that wait on disk now; returns how many there were.

        Raises:
            StoreDownError: the store does not take them.
        """
        done = self.spool.replay(self._deliver)
        if self.spool.waiting:
            raise StoreDownError("Webhooks wait on disk, and the store does not take them.", "See the log.")
        return done

    def _deliver(self, key: str | None, body: Json) -> tuple[str, str]:
        action, new = self.event(self.connection(key, None if key else identify(body.get("project"))), body)
        return action, "stored" if new else "known"

    def _catch_up_quietly(self, connection_id: int) -> None:
        """Applies what is pending. Where the store is down meanwhile, whoever reads the labels next does it."""
        try:
            intake.catch_up(self.store, connection_id)
        except StoreDownError as error:
            log.warning("connection %d: its events are applied later: %s", connection_id, error)

    def _freshen_quietly(self, connection: Connection) -> None:
        """Has what annotators see next scored anew. Where Redis is down nothing is lost: the next label does it."""
        if not (connection.server_url and push.token_of(connection, self.settings)):
            return
        try:
            with redis_errors():
                freshen.want(self.scoring.redis, connection.id)
        except LabelLoopError as error:
            log.warning("connection %d: the next tasks are not made fresh: %s", connection.id, error)

    def _look_quietly(self, connection: Connection) -> None:
        """Has the trainer look whether there are labels enough. Where Redis is down, the next label does it."""
        if not self.settings.refresh:
            return
        try:
            with redis_errors():
                refresh.look(self.scoring.redis, connection.id)
        except LabelLoopError as error:
            log.warning("connection %d: the trainer was not told of a label: %s", connection.id, error)

    def _train_quietly(self, connection: Connection) -> None:
        """Has every field trained that can be: somebody pressed *Start training*."""
        try:
            self.train(connection, "label_studio")
        except LabelLoopError as error:
            log.warning("connection %d: no training was started: %s", connection.id, error)

    def train(self, connection: Connection, trigger: Trigger) -> list[str]:
        """Has every field of the connection trained that can be; returns their names.

        Raises:
            RequestError: there is none.
            UnavailableError: Redis does not answer, or no trainer lives.
        """
        version = self.store.champion(connection.id)
        names = list(version.bundle.trainable) if version else []
        if not names:
            raise RequestError(
                "Nothing here can be trained: that needs a control with labels of the config, served by the encoder.",
                "It learns by its memory all the same.",
            )
        for name in names:
            refresh.ask(self.scoring.redis, connection.id, name, trigger)
        return names

    def _push_quietly(self, connection: Connection) -> None:
        """Asks for a push. What it needs may be down, and nothing is lost then: the next push finds the same tasks."""
        if not (connection.server_url and push.token_of(connection, self.settings)):
            return
        try:
            push.start(connection.id, self.settings, self.store, self.scoring)
        except LabelLoopError as error:
            log.warning("connection %d: no push was started: %s", connection.id, error)


def _result(
    version: Version, found: list[Answer] | None, rendered: Mapping[str, str], documents: Documents, hides: bool
) -> Json:
    """``hides``: the item is shown without a suggestion, and with the score that it would have had."""
    if found is None:
        ANSWERS.labels("late").inc()
        return {"error": "The answer is not ready yet; ask again in a moment."}
    if all(answer.reason for answer in found):
        ANSWERS.labels("refused").inc()
        return {"error": "; ".join(f"{answer.field}: {answer.reason}" for answer in found)}
    fields = fields_of(version.bundle.fields, rendered)
    clean, dropped = validate(prediction(fields, found, version.name, documents), fields, documents)
    ANSWERS.labels("answered").inc()
    DROPPED.inc(len(dropped))
    for reason in dropped:
        log.warning("a region was dropped: %s", reason)
    return blind.hidden(clean) if hides else clean

"""What `labelloop connect` does: one project, its key, version, webhook and settings, each checked. Safe to repeat."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from labelloop.errors import (
    ConfigError,
    RequestError,
    SettingsError,
    SetupFailedError,
    StudioError,
    UnavailableError,
)
from labelloop.learning import blind
from labelloop.learning.store import Connection, Store, Version
from labelloop.learning.versions import as_stored, keep, settings_for
from labelloop.scoring.queues import Scoring
from labelloop.settings import Settings
from labelloop.studio.client import UNCERTAIN, Json, Project, StudioClient
from labelloop.studio.directions import read_extra
from labelloop.studio.render import render_all
from labelloop.studio.schema import Schema, read_config
from labelloop.tasks import make_bundle
from labelloop.words import Bundle, Field

log = logging.getLogger(__name__)

CALIBRATION_S = 300.0
_SETUPS, _BETWEEN_S = 3, 1.0
_KEY_AT_END = re.compile(r"/k/([^/\s?#]+)/?$")

Report = Callable[[str], None]


@dataclass(frozen=True)
class Connected:
    """What came of it. ``calibrated``: by a worker, on the project's texts. ``again``: it had our address before."""

    connection: Connection
    version: Version
    project: Project
    schema: Schema
    calibrated: bool
    again: bool


@dataclass(frozen=True)
class _Address:
    """How Label Studio calls us: the address with its key, and the backend row that has or shall have it."""

    url: str
    connection: Connection
    row: Json | None
    new: bool

    def __repr__(self) -> str:  # the key must not reach a log by way of a traceback
        return f"_Address(connection={self.connection.id})"


def connect(
    settings: Settings,
    store: Store,
    *,
    project: str,
    url: str,
    token: str,
    backend_url: str | None,
    keep_sampling: bool,
    report: Report,
    extra_params: Any = None,
) -> Connected:
    """Connects a project; ``report`` hears each finished step in a line. Predictions are not pushed yet.

    ``project``: id or exact title. ``token``: personal access token or legacy token; sent to ``url`` only.
    ``backend_url``: how Label Studio reaches LabelLoop, without key; None: the settings' ``backend_url``.
    ``keep_sampling``: leave the order of the tasks as it is. ``extra_params``: directions for single fields, kept in
    Label Studio's model connection; None: those that it has.

    Raises:
        RequestError: the extra params are wrong, or Label Studio refuses labels to a host of that name.
        StudioError: Label Studio does not answer or refuses; what was half made is removed, the remedy says what to do.
        ConfigError: the project's label config has nothing that can be filled.
        UnavailableError: our own web process does not answer at ``backend_url``.
    """
    with StudioClient(url, token) as studio:
        report(f"Label Studio {studio.version()} answers at {studio.url}")
        report(f"logged in as {studio.check_login()}")
        found = studio.project(project)
        report(f"project {found.id} ({found.title}) has {found.task_count} tasks")
        directions = _directions(studio, store, found, extra_params)
        settings = settings_for(settings, directions)
        schema = _schema(found, settings, report)
        base = (backend_url or settings.backend_url).rstrip("/")
        check_own_web(base, given=backend_url is not None, report=report)
        check_name(base)
        address = _address(studio, store, found, base, token, report)
        try:
            store.update_connection(address.connection.id, directions=directions)
            blind.begin(store, address.connection, found.task_count, settings)
            version, calibrated = _version(settings, store, studio, address.connection, found, schema, report)
            row = _backend(studio, found, address, version, directions)
            _webhook(studio, found, address)
        except BaseException:
            _undo(studio, store, found, address)
            raise
        report(f"Label Studio calls LabelLoop at {base}/k/... and sends every new label")
        _settings(studio, store, found, address, version, keep_sampling, directions, report)
        connection = store.update_connection(
            address.connection.id, backend_id=int(row["id"]), label_config=found.label_config
        )
        return Connected(connection, version, found, schema, calibrated, again=address.row is not None)


_OFFERS = {
    "entities": "passages of {labels}",
    "relations": "relations of {labels}",
    "remarks": "for each region one of {labels}",
    "extraction": "the passage that answers",
    "comparison": "left or right",
    "ranking": "the list in order",
    "question_answering": "an answer to the question",
    "translation": "a translation",
    "summarisation": "a summary",
    "dialogue": "what is said next",
    "generation": "what is asked for",
}


def _offer(field: Field) -> str:
    """What LabelLoop fills the control with, in a few words."""
    labels = f"{len(field.labels) or 'no'} label{'s' if len(field.labels) != 1 else ''}"
    if field.structured:
        return _OFFERS[field.kind].format(labels=labels)
    many = "several of" if field.multiple else "one of"
    return f"{many} the labels in each task's '{field.dynamic}'" if field.dynamic else f"{many} {labels}"


def _directions(studio: StudioClient, store: Store, project: Project, extra_params: Any) -> Json:
    """The project's directions as they are stored: the given ones, else those of its model connection to us."""
    if extra_params is not None:
        return as_stored(read_extra(extra_params))
    for row in studio.backends(project.id):
        match = _KEY_AT_END.search(row.get("url") or "")
        if match and store.connection_of_key(match[1]):
            return as_stored(read_extra(row.get("extra_params")))
    return {}


def _extra(directions: Json) -> Json | None:
    """Directions as Label Studio keeps them in the model connection."""
    return {"fields": directions} if directions else None


def _schema(project: Project, settings: Settings, report: Report) -> Schema:
    schema = read_config(project.label_config, settings.fields)
    for note in schema.notes:
        report(f"note: {note}")
    for field in schema.fields:
        report(f"{field.name}: {field.tag}, {_offer(field)}, filled by LabelLoop")
    for name, reason in schema.skipped.items():
        report(f"{name}: left to people, because {reason}")
    if not schema.fields:
        raise ConfigError(
            f"The project '{project.title}' has no control that LabelLoop can fill.",
            "; ".join(f"{name}: {reason}" for name, reason in schema.skipped.items())
            or "Give it a label config in Settings > Labeling Interface, for example with <Choices>.",
        )
    return schema


def check_own_web(base: str, *, given: bool, report: Report) -> None:
    """Raises UnavailableError unless LabelLoop answers at ``base``. A given host that only Label Studio's side knows
    (a service's name between containers) is left for Label Studio to check."""
    try:
        answer = httpx.get(f"{base}/health", timeout=5.0, follow_redirects=True)
        body: Any = answer.json()
    except (httpx.ConnectError, httpx.TimeoutException) as error:
        if given and "refused" not in str(error).lower():
            report(f"{base} cannot be reached from here ({error}); Label Studio will say whether it can")
            return
        raise UnavailableError(
            f"LabelLoop's web process does not answer at {base}.",
            "Start `labelloop up` first (or `labelloop serve` and `labelloop worker`), or name its address with "
            "--backend-url.",
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        body = None
    if not isinstance(body, dict) or body.get("model_class") != "LabelLoop":
        raise UnavailableError(
            f"What answers at {base}/health is not LabelLoop.",
            "Another program has the port: start LabelLoop on another one (LABELLOOP_PORT), or correct --backend-url.",
        )
    report(f"LabelLoop answers at {base}")


def check_name(base: str) -> None:
    """Raises RequestError where Label Studio would take the address for a model but not for its webhook."""
    host = httpx.URL(base).host
    if "." not in host and ":" not in host and host != "localhost":
        raise RequestError(
            f"Label Studio sends no labels to the host '{host}': it refuses webhooks to a name without a dot.",
            "Give the web process a name with one, such as labelloop.internal (an alias in the network of containers), "
            "and name it by --backend-url or LABELLOOP_PUBLIC_URL; or give its IP address.",
        )


def _address(studio: StudioClient, store: Store, project: Project, base: str, token: str, report: Report) -> _Address:
    """The address to use: that of a backend row with a key of ours, else a new one (which takes over a dead row).

    Of several rows of ours the first stays, for only the first is asked; the others are removed.
    """
    ours: list[tuple[Json, str, Connection]] = []
    dead: list[Json] = []
    for place, row in enumerate(studio.backends(project.id)):
        match = _KEY_AT_END.search(row.get("url") or "")
        known = store.connection_of_key(match[1]) if match else None
        if match and known and (known.project_id, known.created_at) in {(None, None), (project.id, project.created_at)}:
            ours.append((row, match[1], known))
        elif match and str(row["url"]).startswith(f"{base}/k/"):
            dead.append(row)  # its key belongs to a store that is gone, or to a project that was
        elif place == 0:
            report(
                f"the backend '{row.get('title')}' was there first: Label Studio asks only it for single predictions, "
                "until it is removed in Settings > Model"
            )
    facts = {"server_url": studio.url, "title": project.title, "token": token}
    if ours:
        row, key, connection = ours[0]
        for other, *_ in ours[1:]:
            _remove_row(studio, project, other)
        if connection.project_id is None:
            connection = store.bind(connection.id, project.id, project.created_at)
        return _Address(f"{base}/k/{key}", store.update_connection(connection.id, **facts), row, new=False)
    connection, key = store.create_connection(studio.url, project.id, project.created_at, project.title, token)
    for other in dead:
        _remove_row(studio, project, other)
    return _Address(f"{base}/k/{key}", connection, None, new=True)


def _version(
    settings: Settings,
    store: Store,
    studio: StudioClient,
    connection: Connection,
    project: Project,
    schema: Schema,
    report: Report,
) -> tuple[Version, bool]:
    """The version that serves the connection, and whether all of it is calibrated: plans that the champion has
    calibrated stay as they are, others are calibrated now."""
    neutral = make_bundle(schema.fields, settings)
    champion = store.champion(connection.id)
    bundle = keep(neutral, [champion.bundle]) if champion else neutral
    calibrated = True
    pairs = list(zip(bundle.plans, neutral.plans, strict=True))
    if any(plan.calibration == plain.calibration for plan, plain in pairs):
        fresh = _calibrate(settings, studio, neutral, project, report)
        calibrated = fresh is not None
        plans = [
            new.model_copy(update={"adapter": plan.adapter}) if plan.calibration == plain.calibration else plan
            for (plan, plain), new in zip(pairs, (fresh or neutral).plans, strict=True)
        ]
        bundle = Bundle(plans=tuple(plans))
    version = store.serve(connection.id, bundle, schema.skipped)
    store.update_connection(connection.id, label_config=project.label_config)
    report(f"version {version.name} serves it")
    return version, calibrated


def _calibrate(
    settings: Settings, studio: StudioClient, bundle: Bundle, project: Project, report: Report
) -> Bundle | None:
    """The bundle, calibrated by a worker on a random sample of the project; None where that cannot be done now."""
    seed = random.Random(f"{project.id}.{project.created_at}").getrandbits(32)
    drawn = studio.sample_tasks(project.id, settings.prior_sample, seed)
    sample = [
        texts for task in drawn if (texts := render_all(bundle.fields, task.get("data") or {}, studio.read_text)[0])
    ]
    if not sample:
        report("calibration waits: the project has no task yet that can be read; connect again when it has")
        return None
    report(f"having a worker prepare the model, with {len(sample)} tasks of the project")
    try:
        return Scoring(settings.find_redis_url(), settings).calibrate(bundle, sample, CALIBRATION_S)
    except (UnavailableError, SettingsError) as error:
        report(f"calibration waits: {error.message} {error.remedy} Then connect again")
        return None


def _backend(studio: StudioClient, project: Project, address: _Address, version: Version, directions: Json) -> Json:
    """The backend row with our address, connected.

    Raises:
        StudioError: Label Studio refuses the address, or its call of our /setup fails.
    """
    known, extra = address.row, _extra(directions)
    if known is None:
        row = _patiently(lambda: studio.add_backend(project.id, address.url, version.name, extra))
    elif known["url"] != address.url or as_stored(read_extra(known.get("extra_params"))) != directions:
        row = _patiently(lambda: studio.update_backend(known["id"], project.id, address.url, known["title"], extra))
    else:
        row = studio.backend(known["id"])
    if row.get("readable_state") != "Connected":
        raise StudioError(
            f"Label Studio keeps the backend but calls it {row.get('readable_state')}: "
            f"{row.get('error_message') or 'its /health failed'}.",
            "LabelLoop's log says what came of the call; then connect again.",
        )
    if row.get("model_version") not in {version.name, None, ""}:
        raise StudioError(
            f"LabelLoop's web process serves {row['model_version']}, but this command prepared {version.name}.",
            "Run both with the same LABELLOOP_* settings and the same store, then connect again.",
        )
    return row


def _patiently(call: Callable[[], Json]) -> Json:
    """The backend row. Label Studio waits three seconds for /setup, and the first of a web process that just started
    may take longer where the machine has much else to do: so it may fail twice."""
    for _ in range(_SETUPS - 1):
        try:
            return call()
        except SetupFailedError as error:
            log.info("%s Once more.", error.message)
            time.sleep(_BETWEEN_S)
    return call()


def _webhook(studio: StudioClient, project: Project, address: _Address) -> None:
    """Makes sure that exactly one live webhook goes to our address: Label Studio makes none where its SSRF switches
    differ, and keeps that of an address which we left."""
    wanted = f"{address.url}/webhook"
    hooks = studio.webhooks(project.id)
    same = [hook for hook in hooks if hook["url"] == wanted]
    if not same:
        studio.add_webhook(project.id, wanted)
    elif not (same[0]["is_active"] and same[0]["send_payload"] and same[0]["send_for_all_actions"]):
        studio.update_webhook(same[0]["id"], wanted, is_active=True, send_payload=True, send_for_all_actions=True)
    left = f"{str(address.row['url']).rstrip('/')}/webhook" if address.row else wanted
    for hook in hooks:
        if (hook["url"] == left and left != wanted) or hook in same[1:]:
            studio.delete_webhook(hook["id"])


def _settings(
    studio: StudioClient,
    store: Store,
    project: Project,
    address: _Address,
    version: Version,
    keep_sampling: bool,
    directions: Json,
    report: Report,
) -> None:
    """Predictions are shown, uncertain tasks come first, and only those of our version count for that order.

    Where an earlier version of ours stands, it stands until all predictions of the new one are there; the push moves
    title and project together then.
    """
    wanted: dict[str, Any] = {"show_collab_predictions": True}
    if not keep_sampling:
        wanted["sampling"] = UNCERTAIN
    earlier = {one.name for one in store.versions(address.connection.id)} - {version.name}
    if project.model_version in earlier:
        report(f"{project.model_version} stands until every task has a prediction of {version.name}")
    else:
        wanted["model_version"] = version.name
        if address.row is not None and address.row["title"] != version.name:
            studio.update_backend(address.row["id"], project.id, address.url, version.name, _extra(directions))
    studio.update_project(project.id, **wanted)
    order = "in the order that the project has" if keep_sampling else "the least certain first"
    report(f"annotators see the predictions, tasks come {order}")


def _undo(studio: StudioClient, store: Store, project: Project, address: _Address) -> None:
    """Removes what a failed attempt made: the row (Label Studio may have kept one that it refused), its webhook, the
    key. What was there before stays."""
    if not address.new:
        return
    try:
        for row in studio.backends(project.id):
            if row["url"] == address.url:
                _remove_row(studio, project, row)
    except StudioError:
        return  # the key stays known, so that connecting again finds the row and goes on from there
    store.remove_connection(address.connection.id)


def _remove_row(studio: StudioClient, project: Project, row: Json) -> None:
    studio.delete_backend(row["id"])
    for hook in studio.webhooks(project.id):
        if hook["url"] == f"{str(row['url']).rstrip('/')}/webhook":
            studio.delete_webhook(hook["id"])

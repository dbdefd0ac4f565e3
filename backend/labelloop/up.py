"""What `labelloop up` starts: an embedded Redis unless one is configured, web, worker and trainer."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

import httpx

from labelloop.engines.identity import pin
from labelloop.errors import LabelLoopError
from labelloop.learning.store import Store
from labelloop.processes import Supervisor
from labelloop.settings import Settings


def command(name: str) -> list[str]:
    """The command line of one of our own processes."""
    return [sys.executable, "-m", "labelloop", name]


def web_answers(settings: Settings) -> bool:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::", ""} else settings.host
    try:
        return httpx.get(f"http://{host}:{settings.port}/health", timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def port_problem(settings: Settings) -> str:
    """Why the web process cannot listen where it should; empty where it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def add_services(
    supervisor: Supervisor, settings: Settings, report: Callable[[str], None] = lambda _: None
) -> Settings:
    """Starts everything of ours under ``supervisor``; returns the settings with the Redis that it uses.

    Raises:
        ProcessFailedError: a process did not start.
    """
    from labelloop.scoring.embedded import EmbeddedRedis
    from labelloop.scoring.queues import workers_alive

    if problem := port_problem(settings):
        owner = "another LabelLoop" if web_answers(settings) else "another program"
        raise LabelLoopError(
            f"Port {settings.port} on {settings.host} cannot be used ({problem}): {owner} may have it.",
            "Stop it, or set LABELLOOP_PORT to a free port.",
        )
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store(settings.store_url)
    store.migrate()
    store.close()
    if not settings.redis_url:
        redis = EmbeddedRedis(settings.data_dir)
        report("starting Redis")
        supervisor.add("redis", redis.command(), ready=redis.answers, ready_s=20)
        settings = settings.model_copy(update={"redis_url": redis.url})
        note = settings.redis_note
        note.write_text(redis.url + "\n")
        supervisor.at_end(lambda: note.unlink(missing_ok=True))
    settings = pin(settings)
    environment = settings.environment()
    report("starting the web process")
    if "drain_s" not in settings.model_fields_set:  # nobody balances here, and Ctrl-C should be quick
        environment["LABELLOOP_DRAIN_S"] = "0"
    supervisor.add("web", command("serve"), environment, ready=lambda: web_answers(settings), ready_s=120)
    report("starting the worker (it loads the model)")
    supervisor.add(
        "worker", command("worker"), environment, ready=lambda: workers_alive(settings, "predict") > 0, ready_s=180
    )
    report("starting the trainer")
    supervisor.add(
        "trainer", command("trainer"), environment, ready=lambda: workers_alive(settings, "refresh") > 0, ready_s=60
    )
    return settings

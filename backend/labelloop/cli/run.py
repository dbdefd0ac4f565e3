"""Commands that run processes: up, serve, worker, trainer, demo."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from labelloop import logs
from labelloop.cli.shared import app, err, out
from labelloop.settings import get_settings

_BEHIND = 15
"""Of 19: how far the trainer stands back where web and workers want the same core. No annotator waits for it."""


@app.command(rich_help_panel="Run")
def up(
    port: Annotated[
        int | None, typer.Option(help="Port of the web process. [default: 9090]", show_default=False)
    ] = None,
) -> None:
    """Run everything: Redis (embedded, unless one is configured), web, worker and trainer. Ctrl-C stops all."""
    from labelloop.processes import StoppedError, Supervisor
    from labelloop.up import add_services

    settings = get_settings().model_copy(update={"port": port} if port else {})
    with Supervisor(settings.data_dir / "log", report=lambda line: err.print(f"  {escape(line)}")) as supervisor:
        try:
            settings = add_services(supervisor, settings, report=lambda line: err.print(f"  {escape(line)} …"))
        except StoppedError:
            return
        out.print(f"[green]LabelLoop runs[/] at {settings.backend_url} (logs: {settings.data_dir / 'log'})")
        out.print("Connect a project, with everything: [bold]labelloop connect --project … --url … --token …[/]")
        out.print("Or make an address to paste into Settings > Model: [bold]labelloop key[/]")
        out.print("Ctrl-C stops it.")
        supervisor.wait()
        err.print("Stopping …")


@app.command(rich_help_panel="Run")
def serve() -> None:
    """Run the web process alone (gunicorn). It needs a Redis and, to answer, a worker."""
    from labelloop.app import serve as run

    run(get_settings())


@app.command(rich_help_panel="Run")
def worker() -> None:
    """Run one worker: it keeps the models warm and scores what waits. One per GPU or per machine."""
    from labelloop.scoring.worker import run

    settings = get_settings()
    logs.start(settings, "worker")
    run(settings)


@app.command(rich_help_panel="Run")
def trainer() -> None:
    """Run the trainer: refreshes are done in it, apart from the workers, and behind them where cores are few."""
    import os

    from labelloop.scoring.worker import run

    os.nice(_BEHIND)
    settings = get_settings()
    logs.start(settings, "trainer")
    run(settings, queues=("refresh",))


@app.command(rich_help_panel="Run")
def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Verify every prediction, stop everything, exit 0 or 1.")
    ] = False,
) -> None:
    """Start everything with a real Label Studio and a project of customer messages, pre-annotated. Ctrl-C stops all."""
    from labelloop.demo.demo import run

    raise typer.Exit(run(get_settings(), check=check))

"""Commands on Label Studio projects: connect, preannotate, key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from labelloop.cli.shared import (
    ProjectOption,
    ServerOption,
    app,
    bar,
    connected,
    err,
    login,
    open_store,
    out,
    read_params,
    start_log,
    warn,
)
from labelloop.errors import StudioError
from labelloop.settings import Settings, get_settings

if TYPE_CHECKING:
    from labelloop.learning.store import Store


@app.command(rich_help_panel="Label Studio")
def connect(
    project: ProjectOption,
    url: Annotated[str, typer.Option(help="Label Studio's address. [default: LABELLOOP_LABEL_STUDIO_URL]")] = "",
    token: Annotated[
        str, typer.Option(help="A personal access token or legacy token. [default: LABELLOOP_LABEL_STUDIO_TOKEN]")
    ] = "",
    backend_url: Annotated[
        str, typer.Option(help="How Label Studio reaches LabelLoop. [default: http://localhost:9090]")
    ] = "",
    extra_params: Annotated[
        str, typer.Option(help="What single fields are for: JSON, or a file with it. [default: as it is]")
    ] = "",
    keep_sampling: Annotated[bool, typer.Option(help="Leave the order of tasks as it is.")] = False,
    no_preannotate: Annotated[bool, typer.Option(help="Connect only.")] = False,
) -> None:
    """Connect a project: key, webhook, settings, all checked; then pre-annotate every task. Safe to repeat."""
    from labelloop.connect import connect as run

    settings = get_settings()
    start_log(settings)
    url, token = login(settings, url, token)
    store = open_store(settings)
    made = run(
        settings,
        store,
        project=project,
        url=url,
        token=token,
        backend_url=backend_url or None,
        keep_sampling=keep_sampling,
        extra_params=read_params(extra_params),
        report=lambda line: out.print(f"  [green]✓[/] {escape(line)}", highlight=False),
    )
    if not no_preannotate:
        push_and_show(settings, store, made.connection.id)


@app.command(rich_help_panel="Label Studio")
def preannotate(
    project: ProjectOption,
    url: ServerOption = "",
) -> None:
    """Pre-annotate every task of a connected project. Safe to interrupt and to repeat: no task is done twice."""
    settings = get_settings()
    start_log(settings)
    store = open_store(settings)
    push_and_show(settings, store, connected(store, project, url).id)


def push_and_show(settings: Settings, store: Store, connection_id: int) -> None:
    """Starts a push, or joins the one that runs, and shows its progress. Ctrl-C ends the showing, not the push."""
    from labelloop.scoring import push
    from labelloop.scoring.queues import Scoring

    scoring = Scoring(settings.find_redis_url(), settings)
    push.start(connection_id, settings, store, scoring)
    try:
        with bar() as progress:
            shown = progress.add_task("pre-annotating", total=None)

            def show(now: push.Progress) -> None:
                handled = now.skipped + now.done + now.failed
                progress.update(
                    shown, total=now.total or None, completed=handled, description=f"{now.state} {now.version}"
                )

            ended = push.wait(connection_id, scoring, show)
    except KeyboardInterrupt:
        err.print("The push goes on in the worker; `labelloop preannotate` shows it again.")
        raise
    if ended.state != "done":
        raise StudioError(f"The push failed: {ended.error}", "Mend it, then run `labelloop preannotate` again.")
    out.print(
        f"[green]Done[/]: {ended.done} tasks pre-annotated as {ended.version}, {ended.skipped} were before, "
        f"{ended.failed} could not be, in {(ended.finished or ended.started) - ended.started:.1f} s.",
        highlight=False,
        soft_wrap=True,
    )
    warn([f"task {task}: {reason}" for task, reason in ended.reasons.items()])


@app.command(rich_help_panel="Label Studio")
def key() -> None:
    """Make an address to paste into Label Studio's Settings > Model. It fits one project: the first that uses it."""
    settings = get_settings()
    store = open_store(settings)
    out.print(f"{settings.backend_url}/k/{store.new_key()}", highlight=False, soft_wrap=True)
    err.print(
        "Paste it as the Backend URL. It gives predictions when Label Studio asks for them; ordering by uncertainty "
        "and whole-project pre-annotation need `labelloop connect` with a token.",
        highlight=False,
    )

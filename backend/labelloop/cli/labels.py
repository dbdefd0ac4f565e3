"""Commands on what people said: sync, import."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from labelloop.cli.shared import FileArgument, ServerOption, app, bar, connected, err, open_store, out, start_log, warn
from labelloop.errors import RequestError
from labelloop.settings import get_settings


@app.command(rich_help_panel="Label Studio")
def sync(
    project: Annotated[str, typer.Argument(help="The project's id or exact title; all, where none is named.")] = "",
    url: ServerOption = "",
) -> None:
    """Read back the labels that no webhook brought. Safe to interrupt and to repeat: it goes on where it was."""
    from labelloop.learning.sync import sync as run
    from labelloop.scoring.push import token_of
    from labelloop.studio.client import StudioClient

    settings = get_settings()
    start_log(settings)
    store = open_store(settings)
    chosen = [connected(store, project, url)] if project else store.connections()
    readable = [one for one in chosen if one.server_url and token_of(one, settings)]
    if not readable:
        raise RequestError(
            "No connected project can be read: that needs an access token.",
            "Run `labelloop connect --project P --url LABEL_STUDIO --token T`.",
        )
    for connection in readable:
        name = connection.title or f"project {connection.project_id}"
        try:
            with StudioClient(connection.server_url, token_of(connection, settings)) as studio, bar() as progress:
                shown = progress.add_task(f"reading {escape(name)}", total=None)
                done = run(
                    store,
                    connection,
                    studio,
                    progress=lambda read, total: progress.update(shown, completed=read, total=total),  # noqa: B023
                )
        except KeyboardInterrupt:
            err.print("What was read is kept; `labelloop sync` goes on from there.")
            raise
        out.print(
            f"[green]Done[/]: {escape(name)}: {done.tasks} annotated tasks read, {done.changed} changes.",
            highlight=False,
        )


@app.command("import", rich_help_panel="Label Studio")
def import_labels(
    file: FileArgument,
    project: Annotated[str, typer.Option("--project", "-p", help="The project's id or its exact title.")] = "",
    connection: Annotated[int, typer.Option(help="Or the connection's number, as /status shows it.")] = 0,
    field: Annotated[str, typer.Option("--field", help="The control that --gold is of, where there are several.")] = "",
    gold: Annotated[str, typer.Option("--gold", help="The column that holds the right answer. [default: none]")] = "",
    url: ServerOption = "",
) -> None:
    """Take in labels of work done before: a JSON export of Label Studio, or a column of a file. Safe to repeat."""
    from labelloop.importing import import_file

    settings = get_settings()
    start_log(settings)
    if bool(project) == bool(connection):
        raise RequestError("For which project?", "Give --project P, or --connection N.")
    if field and not gold:
        raise RequestError("--field needs --gold.", "An export of Label Studio names its controls itself.")
    store = open_store(settings)
    whose = store.connection(connection) if connection else connected(store, project, url)
    with bar() as progress:
        shown = progress.add_task("importing", total=None)
        done = import_file(
            store,
            whose,
            file,
            settings,
            field_name=field,
            key=gold,
            progress=lambda read, total: progress.update(shown, completed=read, total=total),
        )
    warn(done.problems)
    news = f"{done.changed} changes" if done.changed else "nothing new"
    out.print(f"[green]Done[/]: {done.labels} labels of {done.tasks} tasks: {news}.", highlight=False)
    if done.known:
        out.print(f"{done.known} tasks were passed over: the project has labelled them itself.", highlight=False)
    if done.without:
        out.print(f"{done.without} tasks hold no label.", highlight=False)
    if done.problems:
        raise typer.Exit(3)

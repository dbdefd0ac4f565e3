"""Commands on what serves: versions, promote, rollback."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from labelloop.cli.projects import push_and_show
from labelloop.cli.shared import ServerOption, app, connected, open_store, out, start_log
from labelloop.learning.store import Connection, Store, Version
from labelloop.settings import Settings, get_settings

ProjectArgument = Annotated[str, typer.Argument(help="The project's id or its exact title.", show_default=False)]
QuietOption = Annotated[bool, typer.Option("--no-preannotate", help="Serve it only; leave the tasks as they are.")]


@app.command(rich_help_panel="Learning")
def versions(project: ProjectArgument, url: ServerOption = "") -> None:
    """Show the versions of a project: which one serves, where each came from, and what it is made of."""
    settings = get_settings()
    store = open_store(settings)
    connection = connected(store, project, url)
    known = store.versions(connection.id)
    champion = store.champion(connection.id)
    names = {one.id: one.name for one in known}
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("version", "served since", "came from", "fields"):
        table.add_column(heading)
    for one in reversed(known):
        serves = champion is not None and one.id == champion.id
        since = f"{one.served_at:%Y-%m-%d %H:%M}" if one.served_at else ""
        name = f"[bold green]{one.name}[/] serves" if serves else one.name
        made_of = "\n".join(
            escape(f"{plan.field.name}: {plan.engine} {plan.model}")
            + (f", adapter {plan.adapter[:8]}" if plan.adapter else "")
            for plan in one.bundle.plans
        )
        table.add_row(name, since, names.get(one.parent_id or 0, ""), made_of)
    out.print(table)


@app.command(rich_help_panel="Learning")
def promote(
    project: ProjectArgument,
    version: Annotated[str, typer.Argument(help="Its name or number, as `versions` shows it.", show_default=False)],
    url: ServerOption = "",
    no_preannotate: QuietOption = False,
) -> None:
    """Let a version serve, whatever the gate said of it; then pre-annotate the tasks with it."""
    from labelloop.learning.versions import version_named

    settings = get_settings()
    start_log(settings)
    store = open_store(settings)
    connection = connected(store, project, url)
    _serve(settings, store, connection, store.serve_again(version_named(store, connection, version).id), no_preannotate)


@app.command(rich_help_panel="Learning")
def rollback(project: ProjectArgument, url: ServerOption = "", no_preannotate: QuietOption = False) -> None:
    """Let the version serve from which the present one came; then pre-annotate the tasks with it."""
    from labelloop.learning.versions import put_back

    settings = get_settings()
    start_log(settings)
    store = open_store(settings)
    connection = connected(store, project, url)
    former, now = put_back(store, connection)
    out.print(f"{former.name} serves no more.", highlight=False)
    _serve(settings, store, connection, now, no_preannotate)


def _serve(settings: Settings, store: Store, connection: Connection, version: Version, quiet: bool) -> None:
    from labelloop.scoring.push import token_of

    out.print(f"[green]{version.name}[/] serves project {connection.project_id}.", highlight=False)
    if quiet or not connection.server_url or not token_of(connection, settings):
        return
    push_and_show(settings, store, connection.id)

"""Commands on what serves and what is trained: versions, promote, rollback, refresh."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from labelloop.cli.files import write
from labelloop.cli.projects import push_and_show
from labelloop.cli.shared import ServerOption, app, bar, connected, err, open_store, out, start_log
from labelloop.errors import RequestError
from labelloop.learning import gate_report, refreshes
from labelloop.learning.gate import Verdict
from labelloop.learning.store import Connection, Store, Version
from labelloop.settings import Settings, get_settings

ProjectArgument = Annotated[str, typer.Argument(help="The project's id or its exact title.", show_default=False)]
_SHOWN = 8

QuietOption = Annotated[bool, typer.Option("--no-preannotate", help="Serve it only; leave the tasks as they are.")]


@app.command(rich_help_panel="Learning")
def versions(
    project: ProjectArgument,
    url: ServerOption = "",
    report: Annotated[
        Path | None, typer.Option(help="Write the last verdict of the gate here, as .html or .md.", show_default=False)
    ] = None,
) -> None:
    """Show the versions of a project, where each came from, and what came of the last trainings."""
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
    tried = refreshes.listed(store, connection.id)
    for attempt in tried[:_SHOWN]:
        words = " ".join(str(attempt.verdict[key]) for key in ("words", "withdrawn") if attempt.verdict.get(key))
        words = words or attempt.error
        out.print(
            f"{attempt.begun_at:%Y-%m-%d %H:%M} {escape(attempt.field)}, {attempt.labels} labels, "
            f"{refreshes.WHY.get(attempt.trigger, attempt.trigger)}: "
            f"[bold]{attempt.state}[/]. {escape(words)}",
            highlight=False,
        )
    if report is not None:
        judged = next((one for one in tried if "gate" in one.verdict), None)
        if judged is None:
            raise RequestError(
                "The gate has judged nothing of this project yet.", "`labelloop refresh` has it trained."
            )
        verdict = Verdict.model_validate_json(json.dumps(judged.verdict["gate"]))
        make = gate_report.html if report.suffix == ".html" else gate_report.markdown
        write(report, make(verdict))


@app.command(rich_help_panel="Learning")
def promote(
    project: ProjectArgument,
    version: Annotated[str, typer.Argument(help="Its name or number, as `versions` shows it.", show_default=False)],
    url: ServerOption = "",
    no_preannotate: QuietOption = False,
) -> None:
    """Let a version serve, whatever the gate said of it; then pre-annotate the tasks with it."""
    from labelloop.learning.versions import lasts, version_named

    settings = get_settings()
    start_log(settings)
    store = open_store(settings)
    connection = connected(store, project, url)
    chosen = version_named(store, connection, version)
    if not lasts(connection, chosen, settings):
        raise RequestError(
            f"{chosen.name} was made of another label config, or other engines, prompts or directions, than today's.",
            "Set these as they were; then it serves by itself.",
        )
    _serve(settings, store, connection, store.serve_again(chosen.id), no_preannotate)


@app.command(rich_help_panel="Learning")
def rollback(project: ProjectArgument, url: ServerOption = "", no_preannotate: QuietOption = False) -> None:
    """Let the version serve from which the present one came; then pre-annotate the tasks with it."""
    from labelloop.learning.versions import put_back

    settings = get_settings()
    start_log(settings)
    store = open_store(settings)
    connection = connected(store, project, url)
    former, now = put_back(store, connection, settings)
    out.print(f"{former.name} serves no more.", highlight=False)
    _serve(settings, store, connection, now, no_preannotate)


@app.command(rich_help_panel="Learning")
def refresh(
    project: ProjectArgument,
    field: Annotated[str, typer.Option("--field", help="The control to train. [default: all that can be]")] = "",
    url: ServerOption = "",
) -> None:
    """Train on the labels there are; what comes of it serves if the gate finds it better. Needs a running trainer."""
    from labelloop.scoring import refresh as asking
    from labelloop.scoring.queues import Scoring

    settings = get_settings()
    start_log(settings)
    store = open_store(settings)
    connection = connected(store, project, url)
    version = store.champion(connection.id)
    known = version.bundle.trainable if version else ()
    names = [name for name in known if field in ("", name)]
    if not names:
        raise RequestError(
            f"'{field}' is not trained." if field else "Nothing of this project can be trained.",
            f"It takes labels of the config, and the encoder. Of this project: {', '.join(known) or 'none'}.",
        )
    redis = Scoring(settings.find_redis_url(), settings).redis
    for name in names:
        asking.ask(redis, connection.id, name, "command")
    try:
        with bar() as shown:
            bars = {name: shown.add_task(name, total=100) for name in names}
            while True:
                found = {one.field: one for one in asking.progress(redis, connection.id)}
                for name, number in bars.items():
                    if one := found.get(name):
                        done = 100 if not one.running else int(100 * one.share)
                        shown.update(number, completed=done, description=escape(f"{name}: {one.state}"))
                if not any(name in found and found[name].running for name in names):
                    break
                time.sleep(0.3)
    except KeyboardInterrupt:
        err.print("The trainer goes on; `labelloop refresh` shows it again.")
        raise
    for name in names:
        out.print(f"[bold]{escape(name)}[/]: {escape(found[name].words)}", highlight=False)
    if any(found[name].state == "failed" for name in names):
        raise typer.Exit(1)


def _serve(settings: Settings, store: Store, connection: Connection, version: Version, quiet: bool) -> None:
    from labelloop.scoring.push import token_of

    out.print(f"[green]{version.name}[/] serves project {connection.project_id}.", highlight=False)
    if quiet or not connection.server_url or not token_of(connection, settings):
        return
    push_and_show(settings, store, connection.id)

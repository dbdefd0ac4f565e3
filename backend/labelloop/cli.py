"""The `labelloop` command: reads the command line, calls what does the work, and shows what came of it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from labelloop import __version__
from labelloop.errors import LabelLoopError, RequestError, StudioError
from labelloop.settings import Settings, get_settings

if TYPE_CHECKING:
    from labelloop.learning.store import Store

app = typer.Typer(
    name="labelloop",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="A Label Studio ML backend for text: pre-annotates every task with no labels given.",
    epilog="Settings come from LABELLOOP_* variables or labelloop.toml; `labelloop doctor` shows and checks them.",
)
out = Console()
err = Console(stderr=True)

ConfigOption = Annotated[Path, typer.Option("--config", help="The label config, an XML file.", show_default=False)]
ProjectOption = Annotated[
    str, typer.Option("--project", "-p", help="The project's id or its exact title.", show_default=False)
]
FileArgument = Annotated[Path, typer.Argument(help="JSONL, a JSON list, or CSV.", show_default=False)]


def main() -> None:
    """The entry point: an error that LabelLoop foresaw becomes one message and an exit code, never a traceback."""
    try:
        app()
    except LabelLoopError as error:
        err.print(f"[bold red]Error:[/] {escape(error.message)}", highlight=False)
        if error.remedy:
            err.print(f"[bold]What to do:[/] {escape(error.remedy)}", highlight=False)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        err.print("Stopped.")
        raise SystemExit(130) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"labelloop {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Holds the options that stand before a command."""


def bar() -> Progress:
    """A progress bar on the error stream, so that the output stays clean for pipes."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=err, transient=False)


def _log(settings: Settings) -> None:
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)


# Running


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
    _log(settings)
    run(settings)


@app.command(rich_help_panel="Run")
def trainer() -> None:
    """Run the trainer: refreshes are done in it, apart from the workers, so that memory returns afterwards."""
    from labelloop.scoring.worker import run

    settings = get_settings()
    _log(settings)
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


# Label Studio


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
    keep_sampling: Annotated[bool, typer.Option(help="Leave the order of tasks as it is.")] = False,
    no_preannotate: Annotated[bool, typer.Option(help="Connect only.")] = False,
) -> None:
    """Connect a project: key, webhook, settings, all checked; then pre-annotate every task. Safe to repeat."""
    from labelloop.connect import connect as run
    from labelloop.learning.store import Store

    settings = get_settings()
    _log(settings)
    url, token = url or settings.label_studio_url, token or settings.label_studio_token.get_secret_value()
    if not url or not token:
        raise RequestError(
            f"{'--url' if not url else '--token'} is missing.",
            "Give both: --url http://localhost:8080 --token <personal access token> "
            "(in Label Studio: the account menu, Account & Settings, Personal Access Token).",
        )
    store = Store(settings.store_url)
    store.migrate()
    connected = run(
        settings,
        store,
        project=project,
        url=url,
        token=token,
        backend_url=backend_url or None,
        keep_sampling=keep_sampling,
        report=lambda line: out.print(f"  [green]✓[/] {escape(line)}", highlight=False),
    )
    if not no_preannotate:
        _push(settings, store, connected.connection.id)


@app.command(rich_help_panel="Label Studio")
def preannotate(
    project: ProjectOption,
    url: Annotated[str, typer.Option(help="Label Studio's address, where two servers have such a project.")] = "",
) -> None:
    """Pre-annotate every task of a connected project. Safe to interrupt and to repeat: no task is done twice."""
    from labelloop.learning.store import Store

    settings = get_settings()
    _log(settings)
    store = Store(settings.store_url)
    store.migrate()
    connection = store.find_connection(project, url)
    if connection is None:
        known = ", ".join(f"{one.project_id} ({one.title or one.server_url})" for one in store.connections()) or "none"
        raise RequestError(
            f"No connected project is called '{project}'.", f"Connected: {known}. See `labelloop connect`."
        )
    _push(settings, store, connection.id)


def _push(settings: Settings, store: Store, connection_id: int) -> None:
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
    _warn([f"task {task}: {reason}" for task, reason in ended.reasons.items()])


@app.command(rich_help_panel="Label Studio")
def key() -> None:
    """Make an address to paste into Label Studio's Settings > Model. It fits one project: the first that uses it."""
    from labelloop.learning.store import Store

    settings = get_settings()
    store = Store(settings.store_url)
    store.migrate()
    out.print(f"{settings.backend_url}/k/{store.new_key()}", highlight=False, soft_wrap=True)
    err.print(
        "Paste it as the Backend URL. It gives predictions when Label Studio asks for them; ordering by uncertainty "
        "and whole-project pre-annotation need `labelloop connect` with a token.",
        highlight=False,
    )


# Files


@app.command(rich_help_panel="Files")
def predict(
    file: FileArgument,
    config: ConfigOption,
    out_file: Annotated[Path | None, typer.Option("--out", help="Write here instead of to the screen.")] = None,
) -> None:
    """Pre-annotate a file, offline: task data or Label Studio tasks in, importable tasks with predictions out."""
    from labelloop import offline

    settings = get_settings()
    logging.basicConfig(level=logging.WARNING)
    schema = offline.read_schema(config)
    items = offline.read_items(file)
    _warn(items.problems)
    with bar() as progress:
        shown = progress.add_task("predicting", total=len(items.tasks))
        predicted = offline.predict(items.tasks, schema, settings, lambda done: progress.advance(shown, done))
    text = json.dumps(offline.importable(items.tasks, predicted), ensure_ascii=False, indent=1)
    if out_file:
        _write(out_file, text + "\n")
    else:
        sys.stdout.write(text + "\n")
    empty = sum(all(answer.reason for answer in answers) for answers in predicted.answers)
    err.print(
        f"{len(items.tasks) - empty} of {len(items.tasks)} tasks predicted in {predicted.seconds:.1f} s "
        f"as {predicted.version}" + (f"; written to {out_file}" if out_file else ""),
        highlight=False,
    )
    _warn([f"control {name} is left to people: {reason}" for name, reason in schema.skipped.items()])
    if empty:
        first = next(answers[0] for answers in predicted.answers if all(answer.reason for answer in answers))
        _warn([f"{empty} tasks have no prediction, for example: {first.reason}"])
    if items.problems:
        raise typer.Exit(3)


@app.command(rich_help_panel="Files")
def evaluate(
    file: FileArgument,
    config: ConfigOption,
    gold: Annotated[str, typer.Option("--gold", help="The column that holds the right label.", show_default=False)],
    field: Annotated[str, typer.Option("--field", help="The control to score; not needed where there is one.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here as JSON, too.")] = None,
) -> None:
    """Predict a file, offline, and score it against its gold column: report, accuracy, macro-F1, calibration error."""
    from labelloop import offline
    from labelloop.evaluation import evaluate_one, evaluate_several

    settings = get_settings()
    logging.basicConfig(level=logging.WARNING)
    schema = offline.read_schema(config)
    one = offline.field_named(schema, field)
    items = offline.read_items(file)
    _warn(items.problems)
    known = offline.read_gold(items.tasks, one, gold)
    pairs = [(task, labels) for task, labels in zip(items.tasks, known.labels, strict=True) if labels is not None]
    with bar() as progress:
        shown = progress.add_task("predicting", total=len(pairs))
        only = replace(schema, fields=(one,))
        predicted = offline.predict([task for task, _ in pairs], only, settings, lambda n: progress.advance(shown, n))
    answers = [found[0] for found in predicted.answers]
    if one.multiple:
        scores = evaluate_several([labels for _, labels in pairs], answers)
    else:
        scores = evaluate_one([labels[0] for _, labels in pairs], answers)
    without = len(items.tasks) - len(pairs)
    scores |= {"field": one.name, "gold": gold, "version": predicted.version, "seconds": round(predicted.seconds, 3)}
    scores |= {"without_gold": without, "unreadable": len(items.problems)}
    out.print(_report(scores))
    if without:
        example = f", for example {next(iter(known.unknown))!r}" if known.unknown else ""
        _warn([f"{without} tasks were left out: their '{gold}' is empty or no label of '{one.name}'{example}."])
    if json_file:
        _write(json_file, json.dumps(scores, ensure_ascii=False, indent=1) + "\n")
    if items.problems:
        raise typer.Exit(3)


def _report(scores: Mapping[str, Any]) -> Table:
    """The classification report, with the figures over all labels below it."""
    table = Table(box=box.SIMPLE_HEAD, title=f"{scores['field']} against {scores['gold']}", title_justify="left")
    table.add_column("label", overflow="fold")
    for heading in ("precision", "recall", "f1", "support"):
        table.add_column(heading, justify="right")
    for name, row in scores["report"].items():
        figures = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1-score")]
        table.add_row(escape(name), *figures, f"{row['support']:.0f}")
    table.add_section()
    several = "micro_f1" in scores
    for name, key in (
        ("accuracy (all labels right)" if several else "accuracy", "accuracy"),
        ("micro-F1", "micro_f1"),
        ("macro-F1", "macro_f1"),
        ("mean score", "mean_score"),
        ("expected calibration error", "ece"),
    ):
        if key in scores:
            table.add_row(f"[bold]{name}[/]", "", "", f"[bold]{scores[key]:.3f}[/]", str(scores["n"]))
    return table


def _warn(lines: list[str], most: int = 10) -> None:
    for line in lines[:most]:
        err.print(f"[yellow]![/] {escape(line)}", highlight=False)
    if len(lines) > most:
        err.print(f"[yellow]![/] … and {len(lines) - most} more")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}.") from None


# Looking


@app.command(rich_help_panel="Look")
def doctor() -> None:
    """Check every dependency, port, credential and model, and say what to do. Exits 1 if something is missing."""
    from labelloop.doctor import examine

    settings = get_settings()
    logging.basicConfig(level=logging.ERROR)
    marks = {"ok": "[green]✓[/]", "note": "[yellow]–[/]", "bad": "[red]✗[/]"}
    wrong = 0
    for finding in examine(settings):
        wrong += finding.state == "bad"
        out.print(f"{marks[finding.state]} [bold]{finding.area}[/]: {escape(finding.what)}", highlight=False)
        if finding.remedy:
            out.print(f"    {escape(finding.remedy)}", highlight=False)
    out.print("Settings that differ from the default:", highlight=False)
    for name, value in settings.environment().items():
        out.print(f"    {name}={'***' if 'TOKEN' in name else escape(value)}", highlight=False)
    out.print("All is well." if not wrong else f"{wrong} of these need you.", highlight=False)
    if wrong:
        raise typer.Exit(1)


@app.command(rich_help_panel="Look")
def status() -> None:
    """Show the connected projects, what is filled and what is left to people, and how the queues stand."""
    from labelloop.learning.store import Store
    from labelloop.scoring.queues import Scoring

    settings = get_settings()
    store = Store(settings.store_url)
    store.migrate()
    for connection in store.connections():
        version = store.champion(connection.id)
        where = connection.server_url or "a server that asks by itself"
        out.print(
            f"[bold]{escape(connection.title or 'project')}[/] ({connection.project_id} on {escape(where)}): "
            f"{version.name if version else 'no version yet'}",
            highlight=False,
        )
        for plan in version.bundle.plans if version else ():
            engine = f"{plan.engine} {plan.model}"
            out.print(
                f"    {escape(plan.field.name)}: {len(plan.field.labels)} labels, {escape(engine)}", highlight=False
            )
        for name, reason in version.skipped.items() if version else ():
            out.print(f"    [yellow]{escape(name)}[/] is left to people: {escape(reason)}", highlight=False)
    state = Scoring(settings.find_redis_url(), settings).status()
    out.print(f"Waiting items: {state['waiting']}, jobs: {state['jobs']}", highlight=False)
    for one in state["workers"]:
        out.print(f"Worker {one['name']}: {one['state']}, last sign of life {one['age_s']} s ago", highlight=False)
    if not state["workers"]:
        out.print("[yellow]No worker is alive.[/] Start `labelloop up`, or `labelloop worker`.")

"""Commands on prompts: list, show, check, compare."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from labelloop.cli.files import write
from labelloop.cli.shared import ConfigOption, app, bar, err, out, warn
from labelloop.errors import LabelLoopError, RequestError
from labelloop.settings import Settings, get_settings

if TYPE_CHECKING:
    from labelloop.candidates import Ballot, Candidate
    from labelloop.rivals import Rows, Run, Verdict

prompts = typer.Typer(
    no_args_is_help=True, help="List, show, check and compare prompts: what models are told, in YAML files."
)
app.add_typer(prompts, name="prompts", rich_help_panel="Files")


@prompts.command("list")
def show_all() -> None:
    """Every prompt, what it serves and where it lies."""
    from labelloop.prompting import places, released
    from labelloop.tasks.prompt_files import serves, task_of

    known = released()
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("prompt", "serves", "from", "hash"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("prompt", "hash"))
    for place in places(get_settings().prompts_dir):
        task = task_of(place.name)
        whom = ", ".join(f"{kind} ({engine})" for kind, engine in serves(task)) or "[yellow]nothing[/]"
        where = "shipped" if place.shipped else escape(str(place.path.parent.parent))
        if not place.shipped and place.name in known:
            where += " [dim](before the shipped one)[/]"
        table.add_row(f"[bold]{place.name}[/]", whom, where, _digest(place.path)[:8])
    out.print(table)


@prompts.command()
def show(name: Annotated[str, typer.Argument(help="Such as classification/v1.", show_default=False)]) -> None:
    """Print a prompt's file, comments included; `> prompts/classification/v101.yaml` makes a copy to edit."""
    from labelloop.prompting import places

    known = {place.name: place for place in places(get_settings().prompts_dir)}
    if name not in known:
        raise RequestError(f"There is no prompt {name}.", f"There are: {', '.join(known)}.")
    err.print(f"[dim]{escape(str(known[name].path))}[/]", highlight=False, soft_wrap=True)
    sys.stdout.write(known[name].path.read_text(encoding="utf-8"))


@prompts.command()
def check(
    path: Annotated[
        Path | None, typer.Argument(help="A file or a folder of them; without: all that are used.", show_default=False)
    ] = None,
    task: Annotated[str, typer.Option(help="The task of a file that lies in no folder of that name.")] = "",
) -> None:
    """Check prompt files as they are checked when they serve. Errors name the key. Exits 2 if one is wrong."""
    from labelloop.prompting import places, read_file, released
    from labelloop.tasks.prompt_files import models, task_of

    its, known, wrong = models(), released(), 0
    for one, name in _files(path, task, its):
        try:
            if task_of(name) not in its:
                raise RequestError(
                    f"{one}: there is no task '{task_of(name)}'.", f"Lay it into a folder of a task: {', '.join(its)}."
                )
            digest = read_file(one, name, its[task_of(name)]).digest
            shipped = any(place.path == one and place.shipped for place in places())
            if shipped and known.get(name) != digest:
                said = "differs from its release" if name in known else "is not among the released"
                raise RequestError(f"{one} {said}: a released prompt is never edited.", "Copy it to the next number.")
        except LabelLoopError as error:
            wrong += 1
            out.print(
                f"[red]✗[/] {escape(error.message)} [dim]{escape(error.remedy)}[/]", highlight=False, soft_wrap=True
            )
            continue
        note = "" if shipped or name not in known else ", stands in for the shipped one"
        if name in known and known[name] == digest and not shipped:
            note = ", the same as the shipped one"
        where = "shipped" if shipped else str(one)
        out.print(f"[green]✓[/] {name} ({digest[:8]}): {escape(where)}{note}", highlight=False, soft_wrap=True)
    if wrong:
        raise typer.Exit(2)


def _files(path: Path | None, task: str, known: Any) -> list[tuple[Path, str]]:
    """Files and the names that they have or would have."""
    from labelloop.prompting import places

    own = get_settings().prompts_dir
    if path is None:
        if own and not Path(own).expanduser().is_dir():
            raise RequestError(
                f"LABELLOOP_PROMPTS_DIR is {own}, which is no folder.", "Make it, or correct the setting."
            )
        used = {place.path: place.name for place in (*places(), *places(own))}
        return list(used.items())
    if path.is_dir():
        found = sorted(one for one in path.rglob("*") if one.suffix in {".yaml", ".yml"})
        if not found:
            raise RequestError(f"{path} holds no YAML file.", "A prompt lies in <task>/v<number>.yaml.")
        named = {place.path: place.name for place in places(str(path))}
        for one in found:
            if one not in named and one.parent.parent == path:
                warn([f"{one} is not used as a prompt: its name must be v<number>.yaml"])
        return [(one, named.get(one) or f"{task or one.parent.name}/{one.stem}") for one in found]
    task = task or path.resolve().parent.name
    if task not in known:
        raise RequestError(f"What is {path} a prompt of?", f"Name the task with --task, one of: {', '.join(known)}.")
    return [(path, f"{task}/{path.stem}")]


@prompts.command()
def compare(
    data: Annotated[Path, typer.Option("--data", help="JSONL, a JSON list, or CSV.", show_default=False)],
    config: ConfigOption,
    gold: Annotated[str, typer.Option("--gold", help="The column that holds what is right.", show_default=False)],
    field: Annotated[str, typer.Option("--field", help="The control; not needed where there is one.")] = "",
    names: Annotated[
        str, typer.Option("--prompts", help="Names or files, split by commas, the one to beat first. [default: all]")
    ] = "",
    words: Annotated[
        list[str] | None,
        typer.Option(
            "--words", help="Label words: a YAML file of name: {label: [phrases]}, or NAME=FILE.", show_default=False
        ),
    ] = None,
    rows: Annotated[int | None, typer.Option("--rows", min=1, help="Take this many rows, at random.")] = None,
    pick: Annotated[
        bool, typer.Option("--pick", help="Let a clear winner serve: write it into labelloop.toml.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all of it here as JSON, too.")] = None,
) -> None:
    """Serve a control with each prompt in turn, on the same rows, and say which is better and how sure that is."""
    from labelloop import offline, rivals
    from labelloop.candidates import Ballot, twins

    settings = get_settings()
    logging.basicConfig(level=logging.WARNING)
    schema = offline.read_schema(config)
    one = offline.field_named(schema, field)
    items = offline.read_items(data)
    warn(items.problems)
    known = rivals.read_rows(items.tasks, one, gold, rows)
    with TemporaryDirectory(prefix="labelloop-prompts-") as folder:
        ballot = Ballot(one, settings, Path(folder))
        _nominate(ballot, names, words or [])
        runs = []
        with bar() as progress:
            for candidate in ballot.candidates:
                shown = progress.add_task(candidate.shown, total=len(known.tasks))
                runs.append(
                    rivals.run(
                        candidate.shown,
                        known,
                        one,
                        schema,
                        ballot.settings_for(candidate),
                        lambda done, shown=shown: progress.advance(shown, done),  # type: ignore[misc]
                    )
                )
    verdicts = rivals.against_first(runs)
    out.print(table(f"{one.name} against {gold}, {len(known.tasks)} rows", runs, verdicts))
    for run, verdict in zip(runs[1:], verdicts, strict=True):
        said = f"{run.name} {verdict.words}" if verdict.told or not verdict.differ else f"{run.name}: {verdict.words}"
        out.print(f"{escape(said)}.", highlight=False, soft_wrap=True)
    for run in runs:
        if reasons := [answer.reason for answer in run.answers if answer.reason]:
            warn([f"{run.name}: {len(reasons)} of {len(run.answers)} rows have no answer, for example: {reasons[0]}"])
    warn([f"{first} and {second} are the same file." for first, second in twins(ballot.candidates)])
    left_out(known, gold, one.name)
    if json_file:
        report = {"field": one.name, "gold": gold, "rows": len(known.tasks), "left_out": known.left_out}
        report["prompts"] = [
            {**rivals.as_json(run, verdict), "prompt": c.prompt if c.own else None, "sha256": c.digest}
            for run, c, verdict in zip(runs, ballot.candidates, (None, *verdicts), strict=True)
        ]
        write(json_file, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    if pick:
        _pick(ballot, runs, verdicts, settings)
    if items.problems:
        raise typer.Exit(3)


def _nominate(ballot: Ballot, names: str, words: Sequence[str]) -> None:
    """Fills the ballot from the options."""
    from labelloop.prompting import places
    from labelloop.tasks.prompt_files import task_of
    from labelloop.wordings import read_words

    its = [name.strip() for name in names.split(",") if name.strip()]
    if not its:
        its = [ballot.plan.prompt]
        if not words:
            its += [
                place.name
                for place in places(ballot.settings.prompts_dir)
                if task_of(place.name) == ballot.task and place.name != ballot.plan.prompt
            ]
    for name in its:
        ballot.add(name)
    base = ballot.candidates[0].prompt
    for given in words:
        for name, phrases in read_words(given).items():
            ballot.add_words(name, phrases, base)
    if len(ballot.candidates) < 2:
        raise RequestError(
            f"There is nothing to compare {ballot.candidates[0].shown} with.",
            "Name at least two with --prompts A,B, or other words for labels with --words FILE. "
            f"`labelloop prompts show {ballot.plan.prompt} > mine.yaml` makes a copy to edit.",
        )


def table(title: str, runs: Sequence[Run], verdicts: Sequence[Verdict]) -> Table:
    """The runs with their metric and what each gains over the first."""
    shown = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    shown.add_column("", overflow="fold")
    for heading in (runs[0].tally.metric, "95 % interval", "against the first", "interval", "rows/s"):
        shown.add_column(heading, justify="right")
    for run, verdict in zip(runs, (None, *verdicts), strict=True):
        gain = ["", ""]
        if verdict:
            colour = ("green" if verdict.gain.value > 0 else "red") if verdict.told else "default"
            low, high = verdict.gain[1:]
            gain = [f"[{colour}]{verdict.gain.value:+.3f}[/]", f"{low:+.3f} to {high:+.3f}"]
        interval = f"{run.metric.low:.3f} to {run.metric.high:.3f}"
        pace = len(run.answers) / max(run.seconds, 1e-9)
        shown.add_row(escape(run.name), f"[bold]{run.metric.value:.3f}[/]", interval, *gain, f"{pace:.3g}")
    return shown


def left_out(known: Rows, gold: str, name: str) -> None:
    if known.left_out:
        example = f", for example {next(iter(known.unknown))!r}" if known.unknown else ""
        warn([f"{known.left_out} tasks were left out: their '{gold}' is empty or no label of '{name}'{example}."])


def _pick(ballot: Ballot, runs: Sequence[Run], verdicts: Sequence[Verdict], settings: Settings) -> None:
    """Writes the winner into labelloop.toml, or says why not."""
    from labelloop.rivals import winner

    best = winner(runs, verdicts)
    served = ballot.plan.prompt
    if best is None:
        first = ballot.candidates[0]
        out.print(
            f"Nothing is written: none is told to be better than {escape(first.shown)}."
            + (f" The field is served by {served}." if first.prompt != served else ""),
            highlight=False,
            soft_wrap=True,
        )
        return
    candidate: Candidate = ballot.candidates[runs.index(best)]
    if candidate.prompt == served:
        out.print(f"Nothing is written: {served} serves the field already.", highlight=False)
        return
    _write_pick(candidate, ballot, settings)


def _write_pick(candidate: Candidate, ballot: Ballot, settings: Settings) -> None:
    from labelloop import toml_file
    from labelloop.candidates import install

    file = toml_file.config_path()
    values: dict[tuple[str, ...], Any] = {}
    name = candidate.prompt
    if not candidate.own:
        folder = Path(settings.prompts_dir).expanduser() if settings.prompts_dir else file.parent / "prompts"
        name = install(candidate, ballot.task, folder)
        if not settings.prompts_dir:
            values["prompts_dir",] = str(folder)
        out.print(
            f"{escape(candidate.shown)} now lies in {escape(str(folder / name))}.yaml.", highlight=False, soft_wrap=True
        )
    values["fields", ballot.field.name, "prompt"] = name
    toml_file.set_values(file, values)
    out.print(
        f"[green]Written[/] into {escape(str(file))}: the field {escape(ballot.field.name)} is served by {name}. "
        "Start LabelLoop again, then run `labelloop connect` again: it makes a version with it.",
        highlight=False,
        soft_wrap=True,
    )
    get_settings.cache_clear()
    now = get_settings()
    if ballot.field.name not in now.fields or now.fields[ballot.field.name].prompt != name:
        warn(["LABELLOOP_FIELDS in the environment names another prompt, and goes before labelloop.toml."])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

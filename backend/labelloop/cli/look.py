"""Commands that look and change nothing: try, doctor, status."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr
from rich import box
from rich.markup import escape
from rich.table import Table

from labelloop.cli.shared import app, bar, login, open_store, out
from labelloop.errors import RequestError
from labelloop.settings import get_settings

if TYPE_CHECKING:
    from labelloop.learning.examples import Counts
    from labelloop.studio.schema import Schema
    from labelloop.words import Answer


@app.command("try", rich_help_panel="Look")
def try_out(
    project: Annotated[
        str, typer.Option("--project", "-p", help="A project's id or title, with --url and --token.")
    ] = "",
    file: Annotated[Path | None, typer.Option("--file", help="Or a file: JSONL, a JSON list, or CSV.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The label config of the file.")] = None,
    url: Annotated[str, typer.Option(help="Label Studio's address. [default: LABELLOOP_LABEL_STUDIO_URL]")] = "",
    token: Annotated[str, typer.Option(help="An access token. [default: LABELLOOP_LABEL_STUDIO_TOKEN]")] = "",
) -> None:
    """A dry run: what LabelLoop would say of 50 tasks, how sure it is, how long the whole takes, whether it helps."""
    from labelloop import offline
    from labelloop.trial import SAMPLE, judge

    if (not project) == (file is None) or (file is not None and config is None):
        raise RequestError("Nothing to try.", "Give --project P (with --url and --token), or --file F --config C.")
    settings = get_settings()
    logging.basicConfig(level=logging.WARNING)
    if file is not None and config is not None:
        schema, tasks, total = offline.sample_file(file, config, SAMPLE)
    else:
        schema, tasks, total = offline.sample_project(project, *login(settings, url, token), SAMPLE)
    with bar() as progress:
        shown = progress.add_task("trying", total=len(tasks))
        predicted = offline.predict(tasks, schema, settings, lambda done: progress.advance(shown, done))
    out.print(_examples(schema, tasks, predicted.answers))
    for place, one in enumerate(schema.fields):
        verdict = judge(one, [answers[place] for answers in predicted.answers])
        mark = {"yes": "[green]will help[/]", "perhaps": "[yellow]may help[/]", "no": "[red]will not help[/]"}[
            verdict.helps
        ]
        out.print(
            f"[bold]{escape(one.name)}[/]: {mark}, because {escape(verdict.why)}", highlight=False, soft_wrap=True
        )
        spread = ", ".join(f"{value:.2f}" for value in verdict.quartiles)
        most = ", ".join(f"{name} {count}" for name, count in list(verdict.chosen.items())[:6])
        out.print(f"    scores: quartiles {spread}; answers: {escape(most)}", highlight=False, soft_wrap=True)
    for name, reason in schema.skipped.items():
        out.print(f"[bold]{escape(name)}[/]: left to people, because {escape(reason)}", highlight=False, soft_wrap=True)
    each = predicted.seconds / max(1, len(tasks))
    out.print(
        f"{len(tasks)} tasks took {predicted.seconds:.1f} s on this machine, start included; "
        f"all {total} would take at most about {_duration(each * total)}.",
        highlight=False,
        soft_wrap=True,
    )


def _examples(schema: Schema, tasks: Sequence[Mapping[str, Any]], answers: Sequence[Sequence[Answer]]) -> Table:
    from labelloop.studio.render import render_all
    from labelloop.telling import tell
    from labelloop.words import Reading

    table = Table(box=box.SIMPLE_HEAD, title="What it would suggest", title_justify="left")
    table.add_column("text", overflow="ellipsis", no_wrap=True, max_width=max(24, out.width // 3))
    for one in schema.fields:
        table.add_column(one.name, overflow="fold")
    for task, found in list(zip(tasks, answers, strict=True))[:10]:
        fixed = [one.model_copy(update={"dynamic": ""}) for one in schema.fields]
        texts = render_all(fixed, task["data"])[0]
        name = next(iter(texts), "")
        text = texts.get(name, "(cannot be read)")
        if any(one.name == name and one.structured for one in fixed):
            text = " ".join(passage.text for passage in Reading.model_validate_json(text).passages)
        cells = [f"{tell(one, answer)} ({answer.score:.2f})" for one, answer in zip(fixed, found, strict=True)]
        table.add_row(escape(text), *map(escape, cells))
    return table


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


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
        secret = isinstance(getattr(settings, name.removeprefix("LABELLOOP_").lower()), SecretStr)
        out.print(f"    {name}={'***' if secret else escape(value)}", highlight=False)
    out.print("All is well." if not wrong else f"{wrong} of these need you.", highlight=False)
    if wrong:
        raise typer.Exit(1)


def _labels(counts: Counts) -> list[str]:
    """What people have said so far; nothing where they have not."""
    if not any(counts.how.values()):
        return ["no labels yet"]
    names = {"accepted": "accepted unchanged", "by_hand": "by hand"}
    told = ", ".join(f"{number} {names.get(how, how)}" for how, number in counts.how.items())
    lines = [f"labels: {told}; {counts.ground_truth} ground truth"]
    for name, number in counts.examples.items():
        share = f", people agree on {counts.agreement[name]:.0%}" if name in counts.agreement else ""
        lines.append(f"examples of {name}: {number}{share}")
    return lines


@app.command(rich_help_panel="Look")
def status() -> None:
    """Show the connected projects, what is filled, what people have said so far, and how the queues stand."""
    from labelloop.learning import blind
    from labelloop.learning.refreshes import WHY
    from labelloop.scoring import refresh
    from labelloop.scoring.queues import Scoring, tell_queues

    settings = get_settings()
    store = open_store(settings)
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
            labels = "each task's own" if plan.field.dynamic else str(len(plan.field.labels) or "no")
            kind = f"{plan.field.kind}, " if plan.field.structured else ""
            out.print(f"    {escape(plan.field.name)}: {kind}{labels} labels, {escape(engine)}", highlight=False)
        for name, reason in version.skipped.items() if version else ():
            out.print(f"    [yellow]{escape(name)}[/] is left to people: {escape(reason)}", highlight=False)
        fields, its = version.bundle.fields if version else (), blind.slice_of(connection, settings)
        counts = store.count_labels(connection.id, fields, partial(its.labelled, fields))
        for line in _labels(counts):
            out.print(f"    {escape(line)}", highlight=False)
        if its.share and connection.blind_since:
            told = f"{its.share:.1%}".replace(".0", "")
            out.print(
                f"    blind slice: {told} of the tasks are shown without a suggestion since "
                f"{connection.blind_since:%Y-%m-%d}; {counts.blind} labels were given so",
                highlight=False,
            )
    scoring = Scoring(settings.find_redis_url(), settings)
    state = scoring.status()
    out.print(f"{tell_queues(state)}.", highlight=False)
    for connection in store.connections():
        for training in refresh.progress(scoring.redis, connection.id):
            share = f" {training.share:.0%}" if training.state == "training" else ""
            left = f", about {training.eta_s:.0f} s left" if training.eta_s is not None else ""
            why = f", {WHY[training.trigger]}" if training.trigger in WHY else ""
            told = f"Training of {training.field} ({connection.title}){why}: {training.state}{share}{left}."
            told = f"{told} {training.words}"
            out.print(escape(told.strip()), highlight=False)
    for one in state["workers"]:
        out.print(f"Worker {one['name']}: {one['state']}, last sign of life {one['age_s']} s ago", highlight=False)
    if not state["workers"]:
        out.print("[yellow]No worker is alive.[/] Start `labelloop up`, or `labelloop worker`.")

"""The command explain-config: which control is what, served by whom, and why."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from labelloop.cli.shared import app, out, read_params, warn
from labelloop.settings import get_settings


@app.command("explain-config", rich_help_panel="Look")
def explain_config(
    file: Annotated[Path, typer.Argument(help="The label config, an XML file.", show_default=False)],
    extra_params: Annotated[
        str, typer.Option(help="Extra params of the model connection: JSON, or a file with it.", show_default=False)
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say of each control what it is filled with, by which model and prompt, and why; and how to have it otherwise."""
    from labelloop.explaining import explain
    from labelloop.offline import config_of
    from labelloop.studio.directions import directed, read_extra

    logging.basicConfig(level=logging.WARNING)
    settings = directed(get_settings(), read_extra(read_params(extra_params)))
    told = explain(config_of(file, settings.fields), settings)
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False, indent=1))
        return
    if told["fields"]:
        out.print(_table(told["fields"]))
    for one in told["fields"]:
        options = "; ".join(f"{name}: {value}" for name, value in one["options"].items())
        words = f"[bold]{escape(one['name'])}[/]: {escape(one['why'])}" + (f" ({escape(options)})" if options else "")
        if one["precision"] is not None:
            words += f"; suggested only where a precision of {one['precision']:g} is kept"
        if one["problem"]:
            words += f". [red]Nothing serves it[/]: {escape(one['problem'])}"
        _say(f"{words}. If that is wrong" if "correction" in one else words, one.get("correction"))
    for one in told["left_to_people"]:
        words = f"[yellow]{escape(one['name'])}[/] is left to people, because {escape(one['why'])}"
        _say(f"{words}. To have it filled" if "correction" in one else words, one.get("correction"))
    warn(told["notes"])


def _table(fields: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("control", "tag", "task kind", "engine · model · prompt", "reads"):
        table.add_column(heading, overflow="fold")
    for one in fields:
        served = "–" if one["problem"] else f"{one['engine']} · {one['model']} · {one['prompt']}"
        reads = ", ".join(one["reads"]) + (f" for {', '.join(one['query'])}" if one["query"] else "")
        table.add_row(*map(escape, (one["name"], one["tag"], one["kind"], served, reads)))
    return table


def _say(words: str, correction: Mapping[str, str] | None) -> None:
    out.print(words + (":" if correction else ""), highlight=False, soft_wrap=True)
    if correction:
        out.print(f"    labelloop.toml:  {escape(correction['toml'])}", highlight=False, soft_wrap=True)
        out.print(f"    extra params:    {escape(correction['extra_params'])}", highlight=False, soft_wrap=True)

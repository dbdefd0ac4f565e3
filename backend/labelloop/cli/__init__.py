"""The `labelloop` command: reads the command line, calls what does the work, and shows what came of it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from labelloop import __version__
from labelloop.cli import run, projects, labels, versions, store, files, simulate, prompts, ensemble, look, explain  # noqa: F401 - in --help's order
from labelloop.cli.shared import app, err, out
from labelloop.errors import LabelLoopError


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

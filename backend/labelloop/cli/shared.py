"""What the commands share: the two consoles, common options, progress, warnings and logging."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from labelloop import logs
from labelloop.errors import RequestError
from labelloop.settings import Settings

if TYPE_CHECKING:
    from labelloop.learning.store import Connection, Store

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
ServerOption = Annotated[str, typer.Option(help="Label Studio's address, where two servers have such a project.")]
FileArgument = Annotated[Path, typer.Argument(help="JSONL, a JSON list, or CSV.", show_default=False)]


def open_store(settings: Settings) -> Store:
    """The store, with the newest tables."""
    from labelloop.learning.store import Store

    store = Store(settings.store_url)
    store.migrate()
    return store


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


def login(settings: Settings, url: str, token: str) -> tuple[str, str]:
    """(address, token) of Label Studio: as given, else as configured.

    Raises:
        RequestError: one of them is neither.
    """
    url, token = url or settings.label_studio_url, token or settings.label_studio_token.get_secret_value()
    if not url or not token:
        raise RequestError(
            f"{'--url' if not url else '--token'} is missing.",
            "Give both: --url http://localhost:8080 --token <personal access token> "
            "(in Label Studio: the account menu, Account & Settings, Personal Access Token).",
        )
    return url, token


def connected(store: Store, project: str, url: str = "") -> Connection:
    """The connection of a project.

    Raises:
        RequestError: there is none, or there are several.
    """
    found = store.find_connection(project, url)
    if found is None:
        known = ", ".join(f"{one.project_id} ({one.title or one.server_url})" for one in store.connections()) or "none"
        raise RequestError(
            f"No connected project is called '{project}'.", f"Connected: {known}. See `labelloop connect`."
        )
    return found


def read_params(given: str) -> str | None:
    """Extra params as given: JSON, or what a file of this name holds; None where nothing is.

    Raises:
        RequestError: there is no such file.
    """
    if not given or given.lstrip().startswith(("{", "[", '"')) or given.strip() == "null":
        return given or None
    try:
        return Path(given).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"The extra params in {given} cannot be read: {error}.",
            """Give a file, or JSON such as '{"fields": {"note": {"task": "summarisation"}}}'.""",
        ) from None


def start_log(settings: Settings) -> None:
    logs.start(settings, "command")


def warn(lines: list[str], most: int = 10) -> None:
    """Prints lines as warnings, at most ``most`` of them."""
    for line in lines[:most]:
        err.print(f"[yellow]![/] {escape(line)}", highlight=False)
    if len(lines) > most:
        err.print(f"[yellow]![/] … and {len(lines) - most} more")

"""`labelloop demo`: everything running beside a real Label Studio, with a project whose every task is filled in."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from labelloop.demo import project as demo_project
from labelloop.demo.label_studio import DEFAULT_PORT, EXECUTABLE, START_S, LabelStudioServer, free_port
from labelloop.errors import StudioError, UnavailableError
from labelloop.learning.store import Store
from labelloop.processes import ProcessFailedError, StoppedError, Supervisor
from labelloop.settings import Settings
from labelloop.up import add_services

_SHOWN = 10  # predictions in the table
_APART = ("database_url", "redis_url", "host", "public_url", "label_studio_url", "label_studio_token")


class Steps:
    """Shows what is being done, with a clock, and leaves one line with the time of each step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._shown: Any = None
        self._told = 0.0

    @contextmanager
    def __call__(self, what: str) -> Iterator[Callable[[str], None]]:
        """``with steps("scoring") as say: ... say("12 of 120")``."""
        began = self._told = time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as live:
            shown = live.add_task(what, total=None)

            def say(detail: str) -> None:
                live.update(shown, description=f"{what}: {escape(detail)}")
                if not self._console.is_terminal and time.monotonic() - self._told > 10:  # a log, too, tells of life
                    self._told = time.monotonic()
                    self._console.print(f"  … {what}: {escape(detail)}", highlight=False)

            yield say
        self._console.print(f"  [green]✓[/] {what:<52} {time.monotonic() - began:6.1f} s", highlight=False)


def demo_settings(settings: Settings) -> Settings:
    """The user's models and limits, with a store, a Redis and ports of the demo's own.

    The data folder is ``./.demo``, or ``demo`` in the configured one.
    """
    own = settings.data_dir / "demo" if "data_dir" in settings.model_fields_set else Path(".demo").absolute()
    update: dict[str, Any] = {name: type(settings).model_fields[name].get_default() for name in _APART}
    kept = own / "demo.json"
    preferred = json.loads(kept.read_text())["port"] if kept.is_file() else settings.port
    return settings.model_copy(update=update | {"data_dir": own, "port": free_port(preferred)})


def run(settings: Settings, *, check: bool) -> int:
    """Starts everything, shows the project, stays up until Ctrl-C; with ``check`` verifies it instead. An exit code.

    Raises:
        LabelLoopError: something could not be started or refused; everything that was started is stopped.
    """
    console = Console()
    settings = demo_settings(settings)
    for name in [name for name in os.environ if name.startswith("LABELLOOP_") and name != EXECUTABLE]:
        del os.environ[name]  # the processes that we start get the demo's settings, not the user's
    os.environ["LABELLOOP_CONFIG"] = os.devnull
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    logs = settings.data_dir / "log"
    with (
        _only_demo(settings.data_dir),
        Supervisor(
            logs,
            restarts=0 if check else 3,
            report=lambda line: console.print(f"[yellow]{escape(line)}[/]", highlight=False),
        ) as supervisor,
    ):
        try:
            return _run(settings, supervisor, console, check)
        except StoppedError:
            console.print("Stopped before it was complete; the next start goes on from here.")
            return 130
        except ProcessFailedError:
            console.print("[bold red]A process ended; stopping the others.[/]")
            raise
        finally:
            with Steps(console)("everything stopped"):
                supervisor.stop()


@contextmanager
def _only_demo(data_dir: Path) -> Iterator[None]:
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UnavailableError(
                f"A demo already runs in {data_dir}.", "Stop it with Ctrl-C where it runs."
            ) from None
        yield


def _run(settings: Settings, supervisor: Supervisor, console: Console, check: bool) -> int:
    steps = Steps(console)
    began = time.monotonic()
    data_dir = settings.data_dir
    console.print(f"[bold]LabelLoop demo[/] in {escape(str(data_dir))}", highlight=False)
    with steps("Label Studio prepared") as say:
        studio = LabelStudioServer(
            data_dir / "label-studio",
            port=DEFAULT_PORT,
            environment_dir=data_dir / "label-studio-environment",
            log=supervisor.log_dir / "label-studio.log",
            progress=_watched(supervisor, say),
        )
        try:
            studio.prepare()
        except UnavailableError:
            if supervisor.stopping:  # Ctrl-C reached pip too
                raise StoppedError from None
            raise
    # Not waited for yet: it starts while our own processes do.
    supervisor.add("label-studio", studio.command(), studio.environ())
    with steps("LabelLoop started: Redis, web, worker, trainer") as say:
        settings = add_services(supervisor, settings, report=say)
        (data_dir / "demo.json").write_text(json.dumps({"port": settings.port}))
    with steps("Label Studio started") as say:
        _await(studio.answers, supervisor, say)
        studio.sign_in()
    with steps("project ready") as say:
        project_id = demo_project.find_or_create(studio)
    store = Store(settings.store_url)
    try:
        with steps("project connected") as say:
            connection_id = _connect(settings, store, studio, project_id, supervisor, say)
        with steps("every task pre-annotated") as say:
            _preannotate(settings, store, connection_id, supervisor, say)
        champion = store.champion(connection_id)
    finally:
        store.close()
    if champion is None:
        raise StudioError(
            "The project has no version after it was connected.", f"The logs are in {supervisor.log_dir}."
        )
    tasks = demo_project.read_tasks(studio, project_id)
    console.print(_table(tasks, champion.name))
    console.print(f"Ready after {time.monotonic() - began:.1f} s.", highlight=False)
    if check:
        return _check(console, studio, project_id, tasks, champion.name)
    _show_next(console, studio, project_id, settings, supervisor.log_dir)
    supervisor.wait()
    console.print("\nStopping …")
    return 0


def _await(ready: Callable[[], bool], supervisor: Supervisor, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    while not ready():
        supervisor.check()
        elapsed = time.monotonic() - began
        if supervisor.stopping:
            raise StoppedError
        if elapsed > START_S:
            raise UnavailableError(
                f"Label Studio does not answer after {elapsed:.0f} s.",
                f"Its log: {supervisor.log_dir}/label-studio.log",
            )
        say(f"{elapsed:.0f} s")
        time.sleep(0.1)


def _watched(supervisor: Supervisor, say: Callable[[str], None]) -> Callable[[str], None]:
    """``say``, and between two steps a look at whether a process has ended or Ctrl-C was pressed."""

    def report(line: str) -> None:
        say(line)
        supervisor.check()
        if supervisor.stopping:
            raise StoppedError

    return report


def _connect(
    settings: Settings,
    store: Store,
    studio: LabelStudioServer,
    project_id: int,
    supervisor: Supervisor,
    say: Callable[[str], None],
) -> int:
    from labelloop.connect import connect

    connected = connect(
        settings,
        store,
        project=str(project_id),
        url=studio.url,
        token=studio.token,
        backend_url=settings.backend_url,
        keep_sampling=False,
        report=_watched(supervisor, say),
    )
    return connected.connection.id


def _preannotate(
    settings: Settings, store: Store, connection_id: int, supervisor: Supervisor, say: Callable[[str], None]
) -> None:
    from labelloop.scoring import push
    from labelloop.scoring.queues import Scoring

    report = _watched(supervisor, say)
    scoring = Scoring(settings.find_redis_url(), settings)
    try:
        push.start(connection_id, settings, store, scoring)
        while (state := push.progress(connection_id, scoring)) is not None and state.running:
            report(f"{state.skipped + state.done} of {state.total or 'its'} tasks")
            time.sleep(0.1)
    except UnavailableError:
        supervisor.check()  # the process that ended is the better news
        raise
    if state is None or state.state != "done" or state.failed:
        why = (state.error or "; ".join(list(state.reasons.values())[:3])) if state else "Redis lost it"
        raise UnavailableError(
            f"Not every task could be pre-annotated: {why.rstrip('.')}.",
            f"The logs are in {supervisor.log_dir}; try again.",
        )


def _table(tasks: list[dict[str, Any]], version: str) -> Table:
    table = Table(
        title=f"\n{_SHOWN} of {len(tasks)} messages, filled in by {version} with no label given",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        expand=True,
    )
    table.add_column("message", ratio=1, overflow="ellipsis", no_wrap=True)
    for heading, width in (("topic", 14), ("tone", 14), ("urgency", 7), ("score", 5)):
        table.add_column(heading, width=width, overflow="ellipsis", no_wrap=True)
    for task in tasks[:: max(1, len(tasks) // _SHOWN)][:_SHOWN]:
        held = [one for one in task["predictions"] if one["model_version"] == version]
        regions = {region["from_name"]: region["value"] for region in held[0]["result"]} if held else {}
        table.add_row(
            escape(task["data"]["text"]),
            *(", ".join(regions.get(name, {}).get("choices", ["–"])) for name in ("topic", "tone")),
            str(regions.get("urgency", {}).get("rating", "–")),
            f"{held[0]['score']:.2f}" if held and held[0]["score"] is not None else "–",
        )
    return table


def _check(
    console: Console, studio: LabelStudioServer, project_id: int, tasks: list[dict[str, Any]], version: str
) -> int:
    details = studio.request("GET", f"/api/projects/{project_id}").json()
    found = demo_project.problems(details["label_config"], tasks, version)
    if details["model_version"] != version:
        found.append(f"the project's model_version is {details['model_version']!r}, not {version!r}")
    if not tasks:
        found.append("the project has no tasks")
    for line in found[:20]:
        console.print(f"[red]✗[/] {escape(line)}", highlight=False)
    if found:
        console.print(f"[bold red]CHECK FAILED[/]: {len(found)} problems in {len(tasks)} tasks.", highlight=False)
        return 1
    console.print(
        f"[bold green]CHECK PASSED[/]: each of {len(tasks)} tasks holds one valid prediction of {version} "
        "with a score in [0, 1].",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def _show_next(console: Console, studio: LabelStudioServer, project_id: int, settings: Settings, logs: Path) -> None:
    beside = Path(sys.executable).with_name("labelloop")
    backends = studio.request("GET", "/api/ml", params={"project": project_id}).json()
    page = f"{backends[0]['url'] if backends else settings.backend_url}/status"
    command = "labelloop" if shutil.which("labelloop") else str(beside)
    console.print(
        f"""
[bold]Label Studio[/]   {studio.url}/projects/{project_id}/data
[bold]Log in as[/]      {studio.email}   password  {studio.password}
[bold]To watch[/]       {page}

What to try next
  1. Open the address, log in, press [bold]Label All Tasks[/]: each task comes filled in, the least certain first.
  2. Add a choice to the label config (Settings > Labeling Interface): it is predicted without a label of its own.
  3. How often is the model right here?
     {escape(command)} evaluate {escape(str(demo_project.MESSAGES))} \\
       --config {escape(str(demo_project.CONFIG))} --field topic --gold topic

Logs are in {escape(str(logs))}. [bold]Ctrl-C[/] stops everything; the next start goes on from here.""",
        highlight=False,
        soft_wrap=True,
    )

"""Commands on the store as a whole: backup, restore."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelloop.cli.shared import app, bar, out, start_log, warn
from labelloop.errors import SettingsError
from labelloop.settings import Settings, get_settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from labelloop.learning.archive import Manifest
    from labelloop.learning.store import Store

ArchiveArgument = Annotated[Path, typer.Argument(help="The file of the backup.", show_default=False)]


@app.command(rich_help_panel="Store")
def backup(
    file: ArchiveArgument,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write labels, versions, trained adapters and connections to one file, while everything runs.

    The file holds access tokens of Label Studio and everybody's texts and labels: keep it as you keep the store.
    """
    from labelloop.learning.backup import backup as run
    from labelloop.learning.store import Store

    settings = get_settings()
    start_log(settings)
    with closing(Store(settings.store_url)) as store, bar() as progress:
        waited = _take_waiting(settings, store)
        made = run(store, file, force=force, progress=_shown(progress))
    warn([f"the adapter {sha[:12]} is damaged in the store itself and was left out" for sha in made.left_out])
    if waited:
        out.print(f"{waited} webhooks that waited on disk are in the store now.", highlight=False)
    out.print(f"[green]Done[/]: {file}: {_told(made)} ({file.stat().st_size / 2**20:.1f} MiB).", highlight=False)
    out.print("It holds access tokens of Label Studio in clear, and keys as hashes: only you may read it.")


@app.command(rich_help_panel="Store")
def restore(
    file: ArchiveArgument,
    force: Annotated[bool, typer.Option("--force", help="Forget what the store holds now.")] = False,
) -> None:
    """Make the store hold what a backup holds, on SQLite or PostgreSQL; all of it or, where it is damaged, nothing.

    Stop `labelloop up` (web, workers and trainer) first.
    """
    from labelloop.learning.backup import restore as run
    from labelloop.learning.store import Store
    from labelloop.scoring.forgetting import forget, refuse_while_working

    settings = get_settings()
    start_log(settings)
    refuse_while_working(settings)
    with closing(Store(settings.store_url)) as store, bar() as progress:
        made = run(store, file, force=force, progress=_shown(progress))
    if not forget(settings):
        warn(["Redis does not answer; empty it before LabelLoop starts: it holds answers of the former labels"])
    out.print(
        f"[green]Done[/]: the store holds {_told(made)}, as of {made.made_at:%Y-%m-%d %H:%M} UTC.", highlight=False
    )
    out.print("`labelloop sync` brings the labels that were given since.")


def _take_waiting(settings: Settings, store: Store) -> int:
    """Webhooks that came while the store was down are labels, too. Returns how many there were."""
    from labelloop.learning.spool import Spool
    from labelloop.scoring.embedded import EmbeddedRedis
    from labelloop.scoring.queues import Scoring
    from labelloop.service import Backend

    if not Spool(settings.data_dir / "spool").waiting:
        return 0
    try:
        redis = settings.find_redis_url()
    except SettingsError:  # it is off, and what should be scored anew is found at the next label
        redis = EmbeddedRedis(settings.data_dir).url
    store.migrate()
    return Backend(settings, store, Scoring(redis, settings)).take_waiting()


def _shown(progress: Progress) -> Callable[[str, int, int], None]:
    tasks = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = progress.add_task(what, total=total)
        progress.update(tasks[what], completed=done)

    return show


def _told(made: Manifest) -> str:
    counts = {name: table.rows for name, table in made.tables.items()}
    named = (("connections", "connections"), ("annotations", "labels"), ("versions", "versions"))
    told = [f"{counts.get(table, 0)} {name}" for table, name in named]
    return ", ".join([*told, f"{len(made.adapters)} adapters"])

"""The command that replays a labelled file as if people were labelling it now: simulate."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich import box
from rich.markup import escape
from rich.table import Table

from labelloop.cli.files import write
from labelloop.cli.shared import ConfigOption, app, bar, err, out, warn
from labelloop.errors import RequestError
from labelloop.settings import Direction, Settings, get_settings
from labelloop.studio.directions import directed

if TYPE_CHECKING:
    from labelloop.simulation import Point


@app.command(rich_help_panel="Files")
def simulate(
    train: Annotated[
        Path, typer.Argument(help="Rows whose labels are revealed: JSONL, a JSON list, or CSV.", show_default=False)
    ],
    test: Annotated[Path, typer.Option("--test", help="Rows that answers are scored on.", show_default=False)],
    config: ConfigOption,
    gold: Annotated[str, typer.Option("--gold", help="The column that holds the right label.", show_default=False)],
    field: Annotated[str, typer.Option("--field", help="The control; not needed where there is one.")] = "",
    budgets: Annotated[str, typer.Option("--budgets", help="After how many labels to score.")] = "0,16,64,256",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Repeat with so many orders of the rows.")] = 3,
    noise: Annotated[float, typer.Option("--noise", min=0, max=0.99, help="Share of labels that are wrong.")] = 0.0,
    strategy: Annotated[
        Literal["random", "uncertain"], typer.Option("--strategy", help="Which row is labelled next.")
    ] = "random",
    precision: Annotated[
        float | None,
        typer.Option("--precision", help="Suggest only what is right so often (0.9); else as labelloop.toml says."),
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh/--no-refresh", help="Whether to train, too.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the points here as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write the curve here as an HTML file.")] = None,
) -> None:
    """Replay labelled rows as if people labelled them now: how good suggestions are after so many labels.

    Works for every kind of control that `labelloop evaluate` scores, by the same figures; relations are still to come.
    Where no label changes an answer without training, the curve is flat.
    """
    from labelloop import offline
    from labelloop.simulation import Simulation, rows_of

    settings = get_settings()
    logging.basicConfig(level=logging.WARNING)
    for path in (json_file, plot):
        if path and not path.resolve().parent.is_dir():
            raise RequestError(f"{path} cannot be written: there is no folder {path.resolve().parent}.")
    after = _numbers(budgets)
    one = offline.field_named(offline.read_schema(config), field)
    settings = _wishing(settings, one.name, precision)
    files = [offline.read_items(path) for path in (train, test)]
    warn([f"{path}: {told}" for path, its in zip((train, test), files, strict=True) for told in its.problems])
    its_train, its_test = (rows_of(its.tasks, one, gold) for its in files)
    held = {row.text for row in its_test if row.text}
    apart = [row for row in its_train if row.text not in held]
    if len(apart) < len(its_train):
        warn([f"{len(its_train) - len(apart)} rows of {train} are left out: their texts are tested."])
    made = Simulation(one, apart, its_test, after, seeds, settings, noise, strategy, refresh)
    if refresh and not made.trains:
        warn([f"'{one.name}' learns by its memory alone: what is trained are choices among labels, by the encoder."])
    if not made.learns:
        warn([f"'{one.name}' has no memory of labels: each budget is answered alike, and the curve is flat."])
    points: list[Point] = []
    try:
        with bar() as progress:
            reading = progress.add_task("reading", total=None)
            made.read(lambda done, of: progress.update(reading, completed=done, total=of))
            labelling = progress.add_task("labelling", total=None, visible=made.learns)
            training = progress.add_task("training", total=100, visible=made.trains)
            for point in made.run(
                lambda done, of: progress.update(labelling, completed=done, total=of),
                lambda share: progress.update(training, completed=int(100 * share)),
            ):
                points.append(point)
    finally:  # also what was measured until Ctrl-C
        if points:
            out.print(_table(f"{one.name} against {gold}, {len(its_test)} rows of {test}", points))
            told = {"noise": noise, "test_rows": len(its_test), "wished_precision": made.replay.plan.precision}
            _write(points, one.name, strategy, told, len(after) * seeds, json_file, plot, made.trains)
    if any(its.problems for its in files):
        raise typer.Exit(3)


def _numbers(given: str) -> list[int]:
    try:
        numbers = sorted({int(part) for part in given.split(",")})
    except ValueError:
        numbers = [-1]
    if numbers[0] < 0:
        raise RequestError(f"--budgets is {given!r}, not numbers of labels.", "Give some, such as 0,16,64,256.")
    return numbers


def _wishing(settings: Settings, name: str, precision: float | None) -> Settings:
    """The settings with this precision of the field."""
    if precision is None:
        return settings
    try:
        told = Direction(precision=precision)
    except ValidationError:
        raise RequestError(
            f"--precision is {precision:g}.", "Give a share above 0 and at most 1, such as 0.9."
        ) from None
    return directed(settings, {name: told})


def _table(title: str, points: list[Point]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=escape(title), title_justify="left")
    wished = any(point.coverage is not None for point in points)
    headings = ["labels", f"mean {points[0].metric}", "from", "to", "seconds", "promoted", "refused"]
    for heading in headings + (["coverage", "precision"] if wished else []):
        table.add_column(heading, justify="right")
    for budget, its in _by_budget(points).items():
        values = [point.value for point in its]
        mean = sum(values) / len(values)
        seconds = sum(point.seconds for point in its) / len(its)
        versions = (str(sum(point.promoted for point in its)), str(sum(point.refused for point in its)))
        figures = [f"[bold]{mean:.3f}[/]", f"{min(values):.3f}", f"{max(values):.3f}", f"{seconds:.2f}", *versions]
        if wished:
            figures += [_mean([point.coverage for point in its]), _mean([point.precision for point in its])]
        table.add_row(str(budget), *figures)
    return table


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3f}" if known else "–"


def _by_budget(points: list[Point]) -> dict[int, list[Point]]:
    found: dict[int, list[Point]] = {}
    for point in points:
        found.setdefault(point.budget, []).append(point)
    return dict(sorted(found.items()))


def _write(
    points: list[Point],
    name: str,
    strategy: str,
    told_of: dict[str, Any],
    expected: int,
    json_file: Path | None,
    plot: Path | None,
    trained: bool,
) -> None:
    from labelloop import curves

    told = f"{strategy} order, {told_of['noise']:.0%} wrong labels, {told_of['test_rows']} test rows"
    told += "; memory and training" if trained else "; memory alone, nothing trained"
    if json_file:
        report = {
            "field": name,
            "strategy": strategy,
            **told_of,
            "complete": len(points) == expected,
            "points": [asdict(point) for point in points],
        }
        write(json_file, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    if plot:
        line = {budget: [point.value for point in its] for budget, its in _by_budget(points).items()}
        metric, name_of = points[0].metric, "memory and training" if trained else "memory"
        write(plot, curves.page(f"{name}: {metric} by labels", told, metric, {name_of: line}))
    for path in (json_file, plot):
        if path:
            err.print(f"Written to {escape(str(path))}.", highlight=False)

"""The command that fits the weight of two engines: ensemble fit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from labelloop.cli.shared import ConfigOption, FileArgument, app, bar, out, warn
from labelloop.errors import RequestError
from labelloop.settings import Beside, EngineName, FieldSetting, Settings, get_settings

if TYPE_CHECKING:
    from labelloop.evaluation import Tally
    from labelloop.tasks.calibration import Array
    from labelloop.words import Field, FieldPlan

ensemble = typer.Typer(no_args_is_help=True, help="Let two engines choose labels together.")
app.add_typer(ensemble, name="ensemble", rich_help_panel="Files")


@ensemble.callback()
def _group() -> None:
    """Let two engines choose labels together."""


@ensemble.command()
def fit(
    file: FileArgument,
    config: ConfigOption,
    engines: Annotated[
        str,
        typer.Option("--engines", help="Two, such as encoder,causal; each may name its model: crossencoder=FOLDER."),
    ],
    gold: Annotated[str, typer.Option("--gold", help="The column that holds the right label.", show_default=False)],
    field: Annotated[str, typer.Option("--field", help="The control; not needed where there is one.")] = "",
    rows: Annotated[int | None, typer.Option("--rows", min=1, help="Take this many rows, at random.")] = None,
    pick: Annotated[
        bool, typer.Option("--pick", help="Write it into labelloop.toml if it is told to be better than either alone.")
    ] = False,
) -> None:
    """Fit how much each of two engines counts, on labelled rows, and say what the two gain over each alone.

    The figures of the mix are cross-validated: each row is answered with a weight that was fitted on other rows.
    """
    from labelloop import ensemble as mixing
    from labelloop import offline, rivals, toml_file
    from labelloop.studio.render import render_all
    from labelloop.tasks import plan

    settings = get_settings()
    logging.basicConfig(level=logging.WARNING)
    one = offline.field_named(offline.read_schema(config), field)
    if one.structured or one.dynamic:
        raise RequestError(
            f"Two engines cannot be mixed for '{one.name}'.", "It is for controls that choose among fixed labels."
        )
    chosen = [_engine(given, one, settings) for given in engines.split(",") if given.strip()]
    if len(chosen) != 2:
        raise RequestError("Two engines are needed.", "Give --engines encoder,causal, say.")
    plans = [
        plan(one, settings.model_copy(update={"fields": {one.name: FieldSetting(**its)}, "kinds": {}}))
        for its in chosen
    ]
    items = offline.read_items(file)
    warn(items.problems)
    known = rivals.read_rows(items.tasks, one, gold, rows)
    rendered = [render_all([one], task["data"])[0].get(one.name, "") for task in known.tasks]
    pairs = [(text, right) for text, right in zip(rendered, known.right, strict=True) if text.strip()]
    if len(pairs) < mixing.LEAST_ROWS:
        raise RequestError(
            f"{len(pairs)} rows have a text and a right label; {mixing.LEAST_ROWS} are the least that a weight can be "
            "fitted on.",
            "Label some more; two hundred tell differences of about five points.",
        )
    right = mixing.rights(one, [its for _, its in pairs])
    said, paces = [], []
    with bar() as progress:
        for its in plans:
            shown = progress.add_task(_name(its), total=len(pairs))
            begin = time.perf_counter()
            said.append(_ask(its, [text for text, _ in pairs], settings, lambda n, to=shown: progress.advance(to, n)))  # type: ignore[misc]
            paces.append(len(pairs) / (time.perf_counter() - begin))
    fitted = mixing.fit(said[0], said[1], right, one.multiple)
    each = [mixing.tallies(made, right, one.multiple) for made in (*said, fitted.mixed)]
    paces.append(1 / (1 / paces[0] + 1 / paces[1]))
    names = [*map(_name, plans), f"both, {_name(plans[1])} {fitted.weight:.0%}"]
    out.print(_table(f"{one.name} against {gold}, {len(pairs)} rows", names, each, paces))
    better = _tell(names, each, fitted.spread)
    values = _lines(one, chosen, fitted.weight)
    if 0 < fitted.weight < 1:
        out.print(f"\n{escape(toml_file.shown(values))}\n", highlight=False, soft_wrap=True)
    if not pick:
        return
    if not better or not 0 < fitted.weight < 1:
        out.print("Nothing is written: the two together are not told to be better than each alone.", highlight=False)
        return
    toml_file.set_values(toml_file.config_path(), values)
    out.print(
        f"[green]Written[/] into {escape(str(toml_file.config_path()))}. Start LabelLoop again, then run `labelloop "
        "connect` again: it makes a version with it.",
        highlight=False,
        soft_wrap=True,
    )


def _engine(given: str, field: Field, settings: Settings) -> dict[str, str]:
    """{"engine", "model"} of "causal" or "crossencoder=FOLDER"; what the settings say of the field's engine, if it is
    the same, counts too."""
    name, _, model = given.strip().partition("=")
    if name not in get_args(EngineName):
        raise RequestError(f"There is no engine {name!r}.", f"Engines: {', '.join(get_args(EngineName))}.")
    own = settings.fields.get(field.name) or FieldSetting()
    known: list[FieldSetting | Beside] = [own, *([own.beside] if own.beside else [])]
    if not model and (its := next((one for one in known if one.engine == name and one.model), None)):
        return {"engine": name, "model": its.model, "revision": its.revision, "prompt": its.prompt}
    if not model and name in {"crossencoder", "cloze", "gliner"}:
        raise RequestError(f"The engine {name} needs a model.", f"Give {name}=FOLDER or {name}=HUGGING-FACE-ID.")
    return {"engine": name, "model": model}


def _ask(plan: FieldPlan, texts: Sequence[str], settings: Settings, progress: Callable[[int], None]) -> Array:
    """(n_texts, n_labels)"""
    import numpy as np

    from labelloop.tasks import chances

    chances.warm([plan], settings)
    made, chunk = [], 8
    for first in range(0, len(texts), chunk):
        part = texts[first : first + chunk]
        made.append(chances.of_texts(plan, part, settings).labels)
        progress(len(part))
    return np.concatenate(made)


def _name(plan: FieldPlan) -> str:
    from labelloop.engines.identity import STARTER, UNNAMED

    return plan.engine if plan.model in {STARTER, UNNAMED} else f"{plan.engine} {Path(plan.model).name}"


def _table(title: str, names: Sequence[str], each: Sequence[tuple[Tally, Tally]], paces: Sequence[float]) -> Table:
    from labelloop.evaluation import estimate

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for heading in (each[0][0].metric, "95 % interval", "log-loss", "rows/s"):
        table.add_column(heading, justify="right")
    for name, (figure, losses), pace in zip(names, each, paces, strict=True):
        value, low, high = estimate(figure)
        table.add_row(
            escape(name), f"[bold]{value:.3f}[/]", f"{low:.3f} to {high:.3f}", f"{losses.value:.3f}", f"{pace:.3g}"
        )
    return table


def _tell(names: Sequence[str], each: Sequence[tuple[Tally, Tally]], spread: tuple[float, float]) -> bool:
    """Says what the mix gains over each engine alone; whether it is told to be better than both."""
    from labelloop.evaluation import ahead

    figure, losses = each[2]
    better = True
    for name, (its, its_loss) in zip(names[:2], each[:2], strict=True):
        gain, less = ahead(figure, its, 0.975), ahead(its_loss, losses, 0.975)  # two comparisons at 95 % together
        told = less.low > 0 and gain.value >= 0
        better &= told
        out.print(
            f"Over {escape(name)} alone: {figure.metric} {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}), "
            f"log-loss {-less.value:+.3f} ({-less.high:+.3f} to {-less.low:+.3f}): "
            + ("[green]better[/]." if told else "no gain can be told."),
            highlight=False,
            soft_wrap=True,
        )
    out.print(f"The weight was between {spread[0]:.2f} and {spread[1]:.2f} in all folds.", highlight=False)
    return better


def _lines(field: Field, chosen: Sequence[dict[str, str]], weight: float) -> dict[tuple[str, ...], Any]:
    place = ("fields", field.name)
    first, second = ({key: value for key, value in its.items() if value} for its in chosen)
    return {
        **{(*place, key): value for key, value in first.items()},
        **{(*place, "beside", key): value for key, value in second.items()},
        (*place, "beside", "weight"): round(weight, 2),
    }

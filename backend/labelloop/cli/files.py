"""Commands on files, offline: predict, evaluate."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from labelloop.cli.shared import ConfigOption, FileArgument, app, bar, err, out, warn
from labelloop.errors import RequestError
from labelloop.settings import get_settings


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
    warn(items.problems)
    with bar() as progress:
        shown = progress.add_task("predicting", total=len(items.tasks))
        predicted = offline.predict(items.tasks, schema, settings, lambda done: progress.advance(shown, done))
    text = json.dumps(offline.importable(items.tasks, predicted), ensure_ascii=False, indent=1)
    if out_file:
        write(out_file, text + "\n")
    else:
        _show(text + "\n")
    empty = sum(all(answer.reason for answer in answers) for answers in predicted.answers)
    err.print(
        f"{len(items.tasks) - empty} of {len(items.tasks)} tasks predicted in {predicted.seconds:.1f} s "
        f"as {predicted.version}" + (f"; written to {out_file}" if out_file else ""),
        highlight=False,
    )
    warn([f"control {name} is left to people: {reason}" for name, reason in schema.skipped.items()])
    if empty:
        first = next(answers[0] for answers in predicted.answers if all(answer.reason for answer in answers))
        warn([f"{empty} tasks have no prediction, for example: {first.reason}"])
    if items.problems:
        raise typer.Exit(3)


@app.command(rich_help_panel="Files")
def evaluate(
    file: FileArgument,
    config: ConfigOption,
    gold: Annotated[
        str, typer.Option("--gold", help="The column that holds the right label; generation can do without.")
    ] = "",
    field: Annotated[str, typer.Option("--field", help="The control to score; not needed where there is one.")] = "",
    given: Annotated[
        bool, typer.Option("--given", help="Relations: relate the passages that the column names, not those found.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here as JSON, too.")] = None,
) -> None:
    """Predict a file, offline, and score it against its gold column.

    Labels by accuracy and macro-F1; spans and relations by exact F1; quoted answers by exact match and F1; rankings by
    pairs in the right order; written texts by how near they are to those of people, and how far they do what is wished.
    """
    from labelloop import gold as rights
    from labelloop import offline
    from labelloop.evaluation import evaluate_one, evaluate_several

    settings = get_settings()
    logging.basicConfig(level=logging.WARNING)
    schema = offline.read_schema(config)
    one = offline.field_named(schema, field)
    items = offline.read_items(file)
    warn(items.problems)
    if not gold and one.kind != "generation":
        raise RequestError(f"The control '{one.name}' is scored against right answers.", "Name their column: --gold.")
    nothing: tuple[Sequence[Any], Mapping[str, int]] = ([()] * len(items.tasks), {})
    known, unknown = rights.read_known(items.tasks, one, gold) if gold else nothing
    pairs = [(task, right) for task, right in zip(items.tasks, known, strict=True) if right is not None]
    right: list[Any] = [its for _, its in pairs]
    there = [{one.name: rights.given_of(its)} for its in right] if given and one.kind == "relations" else ()
    with bar() as progress:
        shown = progress.add_task("predicting", total=len(pairs))
        only = offline.with_needed(schema, one)
        tasks = [task for task, _ in pairs]
        predicted = offline.predict(tasks, only, settings, lambda n: progress.advance(shown, n), there)
    answers = [found[0] for found in predicted.answers]
    if one.kind in rights.KINDS:
        scores = rights.evaluate_right(one, right, answers)
    elif one.multiple:
        scores = evaluate_several(right, answers)
    else:
        scores = evaluate_one([labels[0] for labels in right], answers)
    without = len(items.tasks) - len(pairs)
    scores |= {
        "field": one.name,
        "gold": gold or "its controls",
        "version": predicted.version,
        "seconds": round(predicted.seconds, 3),
    }
    scores |= {"without_gold": without, "unreadable": len(items.problems)}
    out.print(_report(scores))
    if without:
        example = f", for example {next(iter(unknown))!r}" if unknown else ""
        warn([f"{without} tasks were left out: their '{gold}' is empty or no label of '{one.name}'{example}."])
    if json_file:
        write(json_file, json.dumps(scores, ensure_ascii=False, indent=1) + "\n")
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
        ("precision", "precision"),
        ("recall", "recall"),
        ("fulfilment of controls", "fulfilment"),
        ("different words", "distinct_1"),
        ("different word pairs", "distinct_2"),
        ("chrF", "chrf"),
        ("BLEU", "bleu"),
        ("ROUGE-L", "rougeL"),
        ("ROUGE-1", "rouge1"),
        ("ROUGE-2", "rouge2"),
        ("exact match", "exact_match"),
        ("F1", "f1"),
        ("macro-F1", "macro_f1"),
        ("answered or not, rightly", "no_answer_accuracy"),
        ("pairs in the right order", "pair_accuracy"),
        ("best entry first", "first_accuracy"),
        ("mean score", "mean_score"),
        ("expected calibration error", "ece"),
    ):
        if key in scores:
            table.add_row(f"[bold]{name}[/]", "", "", f"[bold]{scores[key]:.3f}[/]", str(scores["n"]))
    for name, value in scores.get("fulfilments", {}).items():
        table.add_row(f"fulfilment of {escape(name)}", "", "", f"{value:.3f}", "")
    return table


def _show(text: str) -> None:
    """JSON on the output, in UTF-8 whatever the terminal's own encoding is."""
    sys.stdout.flush()
    raw = getattr(sys.stdout, "buffer", None)
    if raw is None:  # a stream without bytes, where somebody captures the text
        sys.stdout.write(_bytes(text).decode())
    else:
        raw.write(_bytes(text))
        raw.flush()


def write(path: Path, text: str) -> None:
    """Raises RequestError where the file cannot be written."""
    try:
        path.write_bytes(_bytes(text))
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}.") from None


def _bytes(text: str) -> bytes:
    """JSON in UTF-8. Half of a surrogate pair, which only a JSON string can hold here, becomes its escape: \\ud800."""
    return text.encode("utf-8", "backslashreplace")

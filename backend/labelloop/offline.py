"""Works on files, without Redis or Label Studio: reads items, predicts, and scores against a gold column."""

from __future__ import annotations

import csv
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from labelloop.errors import ConfigError, RequestError
from labelloop.settings import Direction, Settings, get_settings
from labelloop.studio.documents import Documents
from labelloop.studio.render import render_all
from labelloop.studio.results import prediction, validate
from labelloop.studio.schema import Schema, fields_for, read_config
from labelloop.words import Answer, Bundle, Field, Label, Span
from labelloop.words import Path as LabelPath

Thing = TypeVar("Thing")

_CHUNK = 256
_FIRST_CHUNK = 4
_CHUNK_S = 0.5  # progress moves about as often
_SEED = 13  # the prior's sample is the same each time


@dataclass
class Items:
    """What a file held. ``tasks``: Label Studio tasks. ``problems``: what could not be read, with its line."""

    tasks: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass
class Predicted:
    """``answers``: per task, one Answer per field; a field that could not be rendered answers with its reason."""

    bundle: Bundle
    version: str
    schema: Schema
    answers: list[list[Answer]]
    seconds: float


def read_items(path: Path) -> Items:
    """Reads JSONL (one object a line), JSON (a list) or CSV, of task data or of Label Studio tasks.

    An object with an object under "data" is a Label Studio task; any other is the data of one. A line that cannot be
    read is reported in ``problems`` and the rest is read all the same.

    Raises:
        RequestError: there is no such file, or nothing in it can be read.
    """
    items = Items()
    for where, record in _records(path, items.problems):
        if not isinstance(record, dict):
            items.problems.append(f"{where}: not an object")
        elif isinstance(record.get("data"), dict):
            items.tasks.append(record)
        else:
            items.tasks.append({"data": record})
    if not items.tasks:
        reason = items.problems[0] if items.problems else "it is empty"
        raise RequestError(f"{path} holds no task: {reason}.", "Give JSONL, a JSON list, or CSV with a header line.")
    return items


def _records(path: Path, problems: list[str]) -> Iterator[tuple[str, Any]]:
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not UTF-8: {error.reason} at byte {error.start}.") from None
    if path.suffix.lower() == ".csv":
        yield from (
            (f"row {number}", dict(row)) for number, row in enumerate(csv.DictReader(content.splitlines(True)), 2)
        )
        return
    if content.lstrip().startswith("["):
        try:
            yield from ((f"item {number}", record) for number, record in enumerate(json.loads(content), 1))
        except ValueError as error:
            raise RequestError(f"{path} is not JSON: {error}.") from None
        return
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", json.loads(line)
        except ValueError as error:
            problems.append(f"line {number}: not JSON: {error}")


def read_schema(path: Path, directions: Mapping[str, Direction] | None = None) -> Schema:
    """The fields of a label config file. ``directions``: what is said of single fields; None: ``Settings.fields``.

    Raises:
        ConfigError: it cannot be read, or has no control that LabelLoop can fill.
    """
    return _fillable(config_of(path, directions), str(path))


def config_of(path: Path, directions: Mapping[str, Direction] | None = None) -> Schema:
    """The same of a label config file that may leave everything to people. Raises ConfigError: it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    return read_config(text, get_settings().fields if directions is None else directions)


def _fillable(schema: Schema, what: str) -> Schema:
    if not schema.fields:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in schema.skipped.items()) or "it has no control tags"
        raise ConfigError(f"{what} has no control that LabelLoop can fill: {reasons}.")
    return schema


def field_named(schema: Schema, name: str) -> Field:
    """The field of this name; the only one where the name is empty.

    Raises:
        RequestError: there is none, or several and no name.
    """
    names = [one.name for one in schema.fields]
    if name in names:
        return schema.fields[names.index(name)]
    if name in schema.skipped:
        raise RequestError(f"The control '{name}' is left to people: {schema.skipped[name]}.")
    if not name and len(names) == 1:
        return schema.fields[0]
    raise RequestError(
        f"The label config has no control '{name}' to fill." if name else "The label config has several controls.",
        f"Name one with --field: {', '.join(names)}.",
    )


def with_needed(schema: Schema, one: Field) -> Schema:
    """The schema with this field, first, and those whose regions it needs."""
    needed = tuple(field for field in schema.fields if field.name in one.regions_of)
    return replace(schema, fields=(one, *needed))


def sample_file(path: Path, config: Path, count: int) -> tuple[Schema, list[dict[str, Any]], int]:
    """The schema, at most ``count`` random tasks of a file, and how many the file has. Raises as reading them does."""
    schema, tasks = read_schema(config), read_items(path).tasks
    return schema, draw(tasks, count), len(tasks)


def draw(things: Sequence[Thing], count: int) -> list[Thing]:
    """At most ``count`` at random, the same each time."""
    return random.Random(_SEED).sample(things, min(count, len(things)))


def sample_project(project: str, url: str, token: str, count: int) -> tuple[Schema, list[dict[str, Any]], int]:
    """The same of a project in Label Studio, which is only read.

    Raises:
        RequestError: the project has no tasks.
        ConfigError: it has no control that LabelLoop can fill.
        StudioError: Label Studio refuses or does not answer.
    """
    from labelloop.studio.client import StudioClient

    with StudioClient(url, token) as studio:
        found = studio.project(project)
        tasks = list(studio.sample_tasks(found.id, count, _SEED))
    schema = read_config(found.label_config, get_settings().fields)
    if not tasks:
        raise RequestError(f"The project '{found.title}' has no tasks yet.", "Import some, then try again.")
    return _fillable(schema, f"The project '{found.title}'"), tasks, found.task_count


def predict(
    tasks: Sequence[Mapping[str, Any]],
    schema: Schema,
    settings: Settings,
    progress: Callable[[int], None] = lambda _: None,
    given: Sequence[Mapping[str, tuple[Span, ...]]] = (),
) -> Predicted:
    """Answers every field of every task in this process; ``progress`` hears how many more tasks are done.

    The bundle is calibrated with a random sample of these tasks, as with the project's when one is connected.

    Args:
        given: per task, by field name, the regions that are there already; none for any: they are looked for.
    """
    from labelloop.tasks import answer, calibrate, make_bundle

    started = time.perf_counter()
    rendered: list[dict[str, str]] = []
    reasons: list[dict[str, str]] = []
    for place, task in enumerate(tasks):
        known = given[place] if given else None
        texts, problems = render_all(schema.fields, task["data"], given=known)
        rendered.append(texts)
        reasons.append(problems)
    usable = [texts for texts in rendered if texts]
    sample = random.Random(_SEED).sample(usable, min(len(usable), settings.prior_sample))
    bundle = calibrate(make_bundle(schema.fields, settings), sample, settings)
    answers: list[list[Answer]] = []
    chunk = _FIRST_CHUNK
    while len(answers) < len(rendered):
        part = slice(len(answers), len(answers) + chunk)
        begin = time.perf_counter()
        scored = answer(bundle, rendered[part], settings)
        for found, problems in zip(scored, reasons[part], strict=True):
            answers.append(_in_order(bundle, found, problems))
        progress(len(scored))
        if time.perf_counter() - begin < _CHUNK_S:  # no answer depends on its batch, so the pace may
            chunk = min(2 * chunk, _CHUNK)
    return Predicted(bundle, bundle.version_name(1), schema, answers, time.perf_counter() - started)


def _in_order(bundle: Bundle, found: Sequence[Answer], problems: Mapping[str, str]) -> list[Answer]:
    known = {answer.field: answer for answer in found}
    return [
        known.get(one.name) or Answer(field=one.name, labels=(), score=0.0, reason=problems.get(one.name, "not scored"))
        for one in bundle.fields
    ]


def importable(tasks: Sequence[Mapping[str, Any]], predicted: Predicted) -> list[dict[str, Any]]:
    """The tasks with their predictions, as Label Studio's import takes them."""
    result = []
    for task, answers in zip(tasks, predicted.answers, strict=True):
        entry = {name: task[name] for name in ("id", "data", "meta", "annotations") if name in task}
        if any(answer.reason is None for answer in answers):
            fields = fields_for(predicted.bundle.fields, task["data"])
            documents = Documents(fields, task["data"])
            clean, _ = validate(prediction(fields, answers, predicted.version, documents), fields, documents)
            entry["predictions"] = [clean]
        result.append(entry)
    return result


@dataclass
class Gold:
    """The gold column: per task the label paths, None where the value is missing or no label of the field."""

    labels: list[tuple[LabelPath, ...] | None]
    unknown: dict[str, int]


def need_column(tasks: Sequence[Mapping[str, Any]], key: str) -> None:
    """Raises RequestError, with the columns that there are, where no task has this one."""
    if not any(key in task["data"] for task in tasks):
        present = sorted({name for task in tasks[:100] for name in task["data"]})
        raise RequestError(f"No task has the column '{key}'.", f"The columns are: {', '.join(map(str, present))}.")


def read_gold(tasks: Sequence[Mapping[str, Any]], one: Field, key: str) -> Gold:
    """Finds the labels that the column ``key`` of the tasks' data names.

    A label is named by what is stored, by what is shown, or by its whole path joined with " > "; case and outer white
    space do not matter unless two labels differ by them alone. Fields with several labels take a list, or a string
    with "," or "|" between the names.

    Raises:
        RequestError: no task has the column, or no value of it is a label, or the field does not choose labels.
    """
    if one.structured and one.kind != "comparison":
        raise RequestError(
            f"'{one.name}' describes single regions, and no column says what is right for each.",
            "Evaluate the control that marks the regions, or one for the whole text.",
        )
    need_column(tasks, key)
    names = _names(one.labels)
    gold = Gold([], {})
    for task in tasks:
        if one.dynamic:
            names = _names(fields_for([one], task["data"])[0].labels)
        value = task["data"].get(key)
        found = [names.get(str(part)) or names.get(_plain(part)) for part in _parts(value, one, names)]
        if value is None or (not found and not one.multiple) or None in found:
            gold.labels.append(None)
            if value is not None:
                gold.unknown[str(value)] = gold.unknown.get(str(value), 0) + 1
        else:
            gold.labels.append(tuple(path for path in found if path is not None))
    if all(labels is None for labels in gold.labels):
        example = next(iter(gold.unknown), "")
        raise RequestError(
            f"No value of the column '{key}' is a label of '{one.name}' (for example {example!r}).",
            f"Its labels are: {', '.join(label.text for label in one.labels[:20])}.",
        )
    return gold


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(str(value).split()).casefold()


def _names(labels: Sequence[Label]) -> dict[str, LabelPath]:
    """Label by each of its names: exact names go before those that differ in case, stored ones before shown ones."""
    names: dict[str, LabelPath] = {}
    for change in (str, _plain):
        for form in (lambda label: label.path[-1], lambda label: " > ".join(label.path), lambda label: label.text):
            for label in labels:
                names.setdefault(change(form(label)), label.path)
    return names


def _parts(value: Any, one: Field, names: Mapping[str, LabelPath]) -> list[Any]:
    if isinstance(value, list):
        return [" > ".join(map(str, part)) if isinstance(part, list) else part for part in value]
    if one.multiple and isinstance(value, str) and _plain(value) not in names:
        return [part for part in value.replace("|", ",").split(",") if part.strip()]
    return [] if value is None else [value]

"""Work done before, from files: exports of Label Studio and columns with right answers become examples of a connection.

Items and annotations from files have negative ids, made of what the fields read: a file that is read twice changes
nothing, whatever other columns it has got, and reading back from Label Studio leaves them alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import select

from labelloop import gold, offline
from labelloop.errors import LabelLoopError, RequestError
from labelloop.learning.intake import read_said
from labelloop.learning.labels import LONG_AGO, Changes, Said, apply, hash_read
from labelloop.learning.store import Connection, Store
from labelloop.learning.tables import AnnotationRow, ItemRow
from labelloop.learning.versions import settings_for
from labelloop.settings import Settings
from labelloop.studio.annotations import read_annotation
from labelloop.studio.documents import Documents
from labelloop.studio.results import prediction, validate
from labelloop.studio.schema import Schema, fields_for, read_config
from labelloop.studio.stored import SPAN_TAGS
from labelloop.words import Answer, Field, Span

_BATCH = 200  # tasks of one transaction

Json = dict[str, Any]


@dataclass
class Imported:
    """What became of a file. ``tasks``: read. ``labels``: of them. ``changed``: rows of the store that changed, none
    when a file is read again. ``known``: tasks that the project itself has labelled already. ``without``: tasks that
    hold no label. ``problems``: what could not be read, with its place."""

    tasks: int = 0
    labels: int = 0
    changed: int = 0
    known: int = 0
    without: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Labelled:
    """One task with its labels: the data without the gold column, what the fields read of it (a hash), what is said."""

    data: Json
    read: str
    said: list[Said]


def import_file(
    store: Store,
    connection: Connection,
    path: Path,
    settings: Settings,
    *,
    field_name: str = "",
    key: str = "",
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Imported:
    """Takes the labels of a file in as examples of the connection. Safe to repeat.

    Args:
        path: JSONL, a JSON list, or CSV: tasks as Label Studio exports them, with annotations; with ``key``, task data
            whose column ``key`` says what is right for the field ``field_name`` (as for `labelloop evaluate`).

    Raises:
        RequestError: the file cannot be read, or holds no label at all, or has no such column.
        ConfigError: the connection's label config cannot be read.
    """
    items = offline.read_items(path)
    schema = _schema(store, connection, settings)
    done = Imported(tasks=len(items.tasks), problems=list(items.problems))
    about: Sequence[Field] = schema.fields
    if key:
        offline.need_column(items.tasks, key)
        one = offline.field_named(schema, field_name)
        about = [one]
        found = _from_column(items.tasks, schema.fields, one, key, done)
    else:
        found = _from_export(items.tasks, schema.fields, done)
    labelled = _labelled(store, connection, about)
    read = 0
    while part := list(islice(found, _BATCH)):
        _keep(store, connection, part, labelled, done)
        read += len(part)
        progress(read, len(items.tasks))
    progress(len(items.tasks), len(items.tasks))
    if not done.labels and not done.known:
        reason = done.problems[0] if done.problems else "no task has annotations"
        raise RequestError(
            f"{path} holds no label: {reason}.",
            "Give a JSON export of Label Studio, or name the column that holds what is right with --gold.",
        )
    return done


def _schema(store: Store, connection: Connection, settings: Settings) -> Schema:
    config = connection.label_config
    if not config:
        raise RequestError("This connection has no label config yet.", "Connect its project first.")
    schema = read_config(config, settings_for(settings, connection.directions).fields)
    if not schema.fields:
        raise RequestError("No control of this project can be filled, so nothing can be learned for it.")
    return schema


def _from_export(tasks: Sequence[Json], fields: Sequence[Field], done: Imported) -> Iterator[_Labelled]:
    for place, task in enumerate(tasks, 1):
        annotations = _listed(task, "annotations") + _listed(task, "completions")
        if not annotations:
            done.without += 1
            continue
        predictions = {one["id"]: one for one in _listed(task, "predictions") if isinstance(one.get("id"), int)}
        data, said = task["data"], []
        read = hash_read(fields, data)
        for number, annotation in enumerate(annotations, 1):
            known = {"id": number, **annotation, "task": 1}
            one = read_said(known, predictions)
            if one is None:
                done.problems.append(f"task {place}: an annotation has no proper id")
            elif not one.was_cancelled and not read_annotation(fields, data, one.result):
                done.problems.append(f"task {place}: an annotation says nothing of any control of this project")
            else:
                name = annotation.get("unique_id") or known["id"]
                said.append(replace(one, annotation_id=_number("annotation", read, name)))
        if said:
            yield _Labelled(data, read, said)


def _from_column(
    tasks: Sequence[Json], fields: Sequence[Field], one: Field, key: str, done: Imported
) -> Iterator[_Labelled]:
    seen: Counter[str] = Counter()
    for place, task in enumerate(tasks, 1):
        if task["data"].get(key) in (None, ""):
            done.without += 1
            continue
        data = {name: value for name, value in task["data"].items() if name != key}
        try:
            (right,) = gold.read_known([task], one, key)[0]
            result = _regions(fields, one, right, data)
        except LabelLoopError as error:
            done.problems.append(f"task {place}: {error.message}")
            continue
        read = hash_read([one], data)
        seen[read] += 1  # the same text again is another person's word
        number = _number("column", read, one.name, seen[read])
        said = Said(number, 0, LONG_AGO, result, "by_hand", field=one.name)
        yield _Labelled(data, read, [said])


def _regions(fields: Sequence[Field], one: Field, right: Any, data: Json) -> list[Any]:
    """What is right for a field as a person's result.

    Raises:
        RequestError: it cannot stand in the item; says why.
        ItemError: the item lacks what the field reads.
    """
    its = fields_for(fields, data)
    documents = Documents(its, data)
    for source in one.sources:
        documents.entries(source) if source.tag == "List" else documents.read(source)
    answer = _answer(one, right, [field for field in its if field.name in one.regions_of], documents)
    clean, dropped = validate(prediction(its, [answer], "import", documents), its, documents)
    if dropped:
        raise RequestError(dropped[0])
    found = read_annotation(its, data, clean["result"])
    if one.name not in found or len(found[one.name].links) < len(set(answer.links)):
        raise RequestError(f"'{one.name}' cannot be said alone: it is hidden, or nothing is said")
    return list(clean["result"])


def _answer(one: Field, right: Any, marking: Sequence[Field], documents: Documents) -> Answer:
    told: Json = {}
    if one.kind == "entities":
        told["spans"] = right
    elif one.kind == "relations":
        told["links"] = tuple(
            link.model_copy(update={"head": _marked(link.head, marking), "tail": _marked(link.tail, marking)})
            for link in right
        )
    elif one.kind == "ranking":
        if one.labels:
            raise RequestError(f"'{one.name}' has buckets, and a list of ids does not say which goes where")
        told["order"] = (("", tuple(right)),)
    elif one.kind == "extraction" and one.tag in SPAN_TAGS:
        told["spans"] = tuple(_quoted(one, text, documents) for text in right[:1])
    elif one.kind in gold.KINDS:
        told["texts"] = tuple(right[:1])  # any of them is right; one stands in the box
    else:
        told["labels"] = right
    return Answer(field=one.name, score=1.0, **{"labels": (), **told})


def _marked(span: Span, marking: Sequence[Field]) -> Span:
    """The passage as the control marks it whose label it has; the only label there is, where it names none."""
    offered = [(field.name, label.path) for field in marking for label in field.labels]
    fitting = [(name, path) for name, path in offered if path[-1] == span.label[-1]]
    if not fitting and len(offered) == 1 and not span.label[-1]:
        fitting = offered
    if not fitting:
        raise RequestError(f"the passage {span.text!r} has none of the labels that mark passages")
    return span.model_copy(update={"field": fitting[0][0], "label": fitting[0][1]})


def _quoted(one: Field, text: str, documents: Documents) -> Span:
    for source in one.sources:
        start = documents.read(source).text.find(text)
        if text and start >= 0:
            label = one.labels[0].path
            return Span(field=one.name, source=source.name, start=start, end=start + len(text), text=text, label=label)
    raise RequestError(f"the passage {text[:40]!r} does not stand in the text")


def _labelled(store: Store, connection: Connection, fields: Sequence[Field]) -> set[str]:
    """What the fields read of the tasks that the project has labelled itself."""
    said = select(AnnotationRow.item_id).where(
        AnnotationRow.connection_id == connection.id, ~AnnotationRow.deleted, ~AnnotationRow.was_cancelled
    )
    mine = (ItemRow.connection_id == connection.id, ItemRow.item_id > 0, ItemRow.item_id.in_(said))
    with store.session() as session:
        return {hash_read(fields, data) for data in session.scalars(select(ItemRow.data).where(*mine))}


def _keep(
    store: Store, connection: Connection, part: Sequence[_Labelled], labelled: Collection[str], done: Imported
) -> None:
    """Stores some tasks with their labels, unless the project has labelled the same itself."""
    changes = Changes(trusted=True)
    for one in part:
        if one.read in labelled:
            done.known += 1
            continue
        item = _number("item", one.read)
        changes.items[item] = (LONG_AGO, one.data)
        changes.said += [replace(said, item_id=item) for said in one.said]
        done.labels += sum(not said.was_cancelled for said in one.said)
    with store.session() as session:
        done.changed += apply(session, connection.id, changes)


def _listed(task: Mapping[str, Any], name: str) -> list[Any]:
    found = task.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _number(*parts_of_it: object) -> int:
    """A negative id, the same for equal parts."""
    digest = hashlib.sha256("\0".join(map(str, parts_of_it)).encode("utf-8", "surrogatepass")).digest()
    return -1 - int.from_bytes(digest[:8], "big") // 2

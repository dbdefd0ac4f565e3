"""Right answers of fields that mark, relate, quote, compare and rank: read from a column, and how near answers are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from labelloop import tallies
from labelloop.errors import RequestError
from labelloop.evaluation import Tally, calibration_error
from labelloop.offline import need_column, read_gold
from labelloop.studio.documents import Documents
from labelloop.tallies import key_of, keys_of, texts_of
from labelloop.words import WRITTEN, Answer, Field, Link, Span

Right: TypeAlias = tuple[Span, ...] | tuple[Link, ...] | tuple[str, ...]
"""What is right for one item: spans, links, the texts of which any may be quoted, or ids from best to worst."""

KINDS = ("entities", "relations", "extraction", "ranking", *sorted(WRITTEN))
_FORMS = {
    "entities": 'a list of {"start": 0, "end": 3, "label": "Person"}',
    "relations": 'a list of {"head": {"start": 0, "end": 3}, "tail": {"start": 9, "end": 12}, "label": "treats"}, or '
    'a label beside the columns "head" and "tail"',
    "extraction": 'a text, or a list of texts or of objects with one under "text"; an empty list where there is none',
    "ranking": "a list of ids, the best first",
    **dict.fromkeys(WRITTEN, "a text, or a list of texts, any of which may be written"),
}
_MAY_BE_NONE = frozenset({"extraction", "question_answering"})
_MAIN = {"extraction": "f1", "ranking": "pair_accuracy"}
_ENDS = re.compile(r"\(e([12]),e([12])\)\s*$")


def read_right(tasks: Sequence[Mapping[str, Any]], field: Field, key: str) -> list[Right | None]:
    """What the column ``key`` says is right, per task; None where it has nothing.

    Raises:
        RequestError: no task has the column, or a value has another form; says which form is read.
    """
    need_column(tasks, key)
    found = []
    for place, task in enumerate(tasks, 1):
        try:
            found.append(_right(task["data"], field, key))
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError(
                f"The '{key}' of task {place} is not what is right for '{field.name}' ({error}).",
                f"It must be {_FORMS[field.kind]}.",
            ) from None
    return found


def read_known(tasks: Sequence[Mapping[str, Any]], field: Field, key: str) -> tuple[Sequence[Any], Mapping[str, int]]:
    """Per task what the column ``key`` says is right, in the form of the field's kind, or None; and how often each
    value is no label. Raises as ``read_right`` and ``offline.read_gold``."""
    if field.kind in KINDS:
        return read_right(tasks, field, key), {}
    labelled = read_gold(tasks, field, key)
    return labelled.labels, labelled.unknown


def _right(data: Mapping[str, Any], field: Field, key: str) -> Right | None:
    value = data.get(key)
    if value is None and field.kind not in _MAY_BE_NONE:
        return None
    documents = Documents([field], data)
    if field.kind == "entities":
        return tuple(_span(one, field, documents) for one in _listed(value))
    if field.kind == "relations":
        pairs = [{**data, "label": value}] if isinstance(value, str) else _listed(value)
        return tuple(_link(one, field, documents) for one in pairs)
    if field.kind == "extraction" or field.kind in WRITTEN:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)  # "1969" without quotation marks
        texts = [value] if isinstance(value, str) else _listed(value or [])
        return tuple(str(one["text"] if isinstance(one, Mapping) else one) for one in texts)
    return tuple(str(one) for one in _listed(value))


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"it is of the type {type(value).__name__}")
    return value


def _span(one: Mapping[str, Any], field: Field, documents: Documents) -> Span:
    """Of offsets into the text that models read, or of a region of Label Studio's."""
    name = str(one.get("to_name") or one.get("source") or field.to_name)
    document = documents.find(name)
    if document is None:
        raise ValueError(f"there is no text {name!r}")
    if isinstance(one.get("value"), Mapping):
        value = one["value"]
        place = document.span(value)
        label = next((labels[0] for labels in value.values() if isinstance(labels, list) and labels), "")
    else:
        place, label = (int(one["start"]), int(one["end"])), one.get("label", "")
    if place is None or not 0 <= place[0] < place[1] <= len(document.text):
        raise ValueError("a passage lies outside the text")
    start, end = place
    path = tuple(label) if isinstance(label, list) else (str(label),)
    return Span(field=field.name, source=name, start=start, end=end, text=document.text[start:end], label=path)


def _link(one: Mapping[str, Any], field: Field, documents: Documents) -> Link:
    head, tail = (_span(one[end], field, documents) for end in ("head", "tail"))
    label = str(one.get("label") or "")
    ends = _ENDS.search(label)
    if ends and label not in {known.path[-1] for known in field.labels}:
        label = label[: ends.start()].strip()
        if ends.groups() == ("2", "1"):
            head, tail = tail, head
    if not field.labels:
        label = ""
    direction = one.get("direction")
    return Link(head=head, tail=tail, label=label, direction=direction if direction in ("left", "bi") else "right")


def given_of(right: Right) -> tuple[Span, ...]:
    """The passages that links relate, each once, in the order of the text."""
    ends = (span for link in right if isinstance(link, Link) for span in (link.head, link.tail))
    return tuple(sorted({(one.source, one.start, one.end): one for one in ends}.values(), key=lambda one: one.start))


def evaluate_right(field: Field, right: Sequence[Right], answers: Sequence[Answer]) -> dict[str, Any]:
    """How good answers are. An answer with a reason says nothing, and so misses what is right.

    Returns:
        "n", "mean_score", "no_answer", "ece" (of the scores of single spans and links, else of answers); by kind:
        entities, relations: exact "precision", "recall", "f1" over all items, "macro_f1" and "report" by label;
        extraction: "exact_match", "f1" (Rajpurkar et al. 2016), "no_answer_accuracy" (whether there is one, 2018);
        kinds that write: "fulfilment" of controls, and "fulfilments" of each, where there are some (an answer with a
        reason fulfils none); with right texts also those of ``text_metrics.measure``; "ece" of whether a text is useful
        as ``USEFUL`` there says;
        ranking: "pair_accuracy" (the share of pairs in the right order), "first_accuracy".
    """
    scores: dict[str, Any] = {
        "n": len(answers),
        "mean_score": float(np.mean([answer.score for answer in answers])) if answers else 0.0,
        "no_answer": sum(answer.reason is not None for answer in answers),
        "report": {},
    }
    if field.kind == "extraction":
        return scores | _extraction(right, answers)
    if field.kind == "ranking":
        return scores | _ranking(right, answers)
    if field.kind in WRITTEN:
        if field.kind == "generation" and not any(right):
            return scores | _controlled(answers)
        return scores | _controlled(answers) | _written(field.kind, right, answers)
    from labelloop.tasks.metrics import agreement

    found = [answer.spans if field.kind == "entities" else answer.links for answer in answers]
    keys = [[key_of(one) for one in its] for its in found]
    gold = [keys_of(field, its) for its in right]
    chances = [one.score for its in found for one in its]
    hits = [one in some for its, some in zip(keys, gold, strict=True) for one in its]
    rows = {label: _row(gold, keys, label) for label in sorted({str(one[-1]) for its in (*gold, *keys) for one in its})}
    whole = agreement(gold, keys)
    return scores | {
        "ece": calibration_error(chances, hits),
        "precision": whole["precision"],
        "recall": whole["recall"],
        "f1": whole["f1"],
        "macro_f1": float(np.mean([row["f1-score"] for row in rows.values()])) if rows else 0.0,
        "report": rows,
    }


def tally(field: Field, right: Sequence[Right], answers: Sequence[Answer]) -> Tally:
    """What each item gained of the figure that counts for the kind: as ``tallies.tally``, and the mean over items of F1
    in words (extraction) and of pairs in the right order (ranking)."""
    if field.kind in tallies.KINDS:
        return tallies.tally(field, right, answers)
    name = _MAIN[field.kind]
    each = [evaluate_right(field, [its], [answer]) for its, answer in zip(right, answers, strict=True)]
    return Tally(name.replace("_", " "), np.array([one[name] for one in each], np.float64), np.ones(len(each)))


def _row(gold: Sequence[Collection[Any]], found: Sequence[Collection[Any]], label: str) -> dict[str, float]:
    """Precision, recall, F1 and support of one label."""
    from labelloop.tasks.metrics import agreement

    row = agreement(*([{key for key in its if key[-1] == label} for its in side] for side in (gold, found)))
    return {"precision": row["precision"], "recall": row["recall"], "f1-score": row["f1"], "support": row["gold"]}


def _extraction(right: Sequence[Right], answers: Sequence[Answer]) -> dict[str, float]:
    from labelloop.tasks.metrics import exact_match, overlap_f1

    quotes, texts = texts_of(right, answers)
    exact = [exact_match(quote, its) for quote, its in zip(quotes, texts, strict=True)]
    return {
        "exact_match": float(np.mean(exact)) if exact else 0.0,
        "f1": float(np.mean([overlap_f1(q, its) for q, its in zip(quotes, texts, strict=True)])) if exact else 0.0,
        "no_answer_accuracy": float(np.mean([bool(q) == bool(its) for q, its in zip(quotes, texts, strict=True)])),
        "ece": calibration_error([one.score for one in answers], [hit == 1 for hit in exact]),
    }


def _controlled(answers: Sequence[Answer]) -> dict[str, Any]:
    """How far the controls of the written texts are fulfilled; nothing where no answer has any."""
    from labelloop.tasks.text_metrics import fulfilled

    names = {name for answer in answers for name in answer.provenance.get("fulfilment", {})}
    none = dict.fromkeys(names, 0.0)
    each = [none if answer.reason else answer.provenance.get("fulfilment", {}) for answer in answers]
    found = fulfilled(each)
    return {"fulfilment": float(np.mean(list(found.values()))), "fulfilments": found} if found else {}


def _written(kind: str, right: Sequence[Right], answers: Sequence[Answer]) -> dict[str, float]:
    from labelloop.tasks import text_metrics

    texts, references = texts_of(right, answers)
    useful = [worth >= text_metrics.USEFUL.get(kind, 0.5) for worth in text_metrics.each(kind, texts, references)]
    return text_metrics.measure(kind, texts, references) | {
        "ece": calibration_error([one.score for one in answers], useful)
    }


def _ranking(right: Sequence[Right], answers: Sequence[Answer]) -> dict[str, float]:
    counts: Counter[bool] = Counter()
    firsts = []
    for ids, answer in zip(right, answers, strict=True):
        order = [name for _, names in answer.order for name in names]
        known = [str(one) for one in ids if one in order]
        counts.update(order.index(a) < order.index(b) for a, b in combinations(known, 2))
        firsts.append(bool(known) and next(name for name in order if name in known) == known[0])
    return {
        "pair_accuracy": counts[True] / counts.total() if counts else 0.0,
        "first_accuracy": float(np.mean(firsts)) if firsts else 0.0,
    }

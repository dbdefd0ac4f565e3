"""What answers that mark, relate or write gain of what they could, item by item; and which of them are right."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from labelloop.evaluation import Tally, of_labels
from labelloop.words import WRITTEN, Answer, Field, Link, Span

KINDS = frozenset({"entities", "relations", *WRITTEN})
"""The kinds, beside those that choose labels, whose answers ``tally`` knows."""


def tally(field: Field, right: Sequence[Sequence[Any]], answers: Sequence[Answer]) -> Tally:
    """What each item gained of the figure that counts for the kind: accuracy of one label, micro-F1 of several, exact
    F1 of spans and links, the mean over items of ``text_metrics.each`` of texts.

    Args:
        right: per item the labels' paths, the spans, the links, or the texts of which any may be written.

    Raises:
        ValueError: the kind is not one of these.
    """
    if field.kind in ("entities", "relations"):
        counts = [_counts(field, its, answer) for its, answer in zip(right, answers, strict=True)]
        gained, possible = ([float(one[place]) for one in counts] for place in (0, 1))
        return Tally("exact F1", np.array(gained), np.array(possible))
    if field.kind in WRITTEN:
        from labelloop.tasks import text_metrics

        texts, references = texts_of(right, answers)
        worth = text_metrics.each(field.kind, texts, references)
        return Tally(text_metrics.NAMES.get(field.kind, "F1"), np.array(worth, np.float64), np.ones(len(answers)))
    if field.structured:
        raise ValueError(f"answers of the kind {field.kind} are not counted here")
    return of_labels(field, right, answers)


def hits(field: Field, right: Sequence[Sequence[Any]], answers: Sequence[Answer]) -> list[bool]:
    """Per item, whether its answer is right as a whole: the very labels, spans or links; of texts, whether it is useful
    as ``text_metrics.USEFUL`` says."""
    if field.kind in WRITTEN:
        from labelloop.tasks import text_metrics

        worth = text_metrics.each(field.kind, *texts_of(right, answers))
        return [one >= text_metrics.USEFUL.get(field.kind, 0.5) for one in worth]
    return [keys_of(field, its) == keys_of(field, _said(answer)) for its, answer in zip(right, answers, strict=True)]


def names(field: Field, right: Sequence[Sequence[Any]], answers: Sequence[Answer]) -> list[tuple[str, ...]]:
    """Per item, the labels that it answers, as texts, or what it wrote; of spans and links the labels of those that are
    right, in order."""
    if field.kind in WRITTEN:
        return [(text,) if text else () for text in texts_of(right, answers)[0]]
    if field.kind in ("entities", "relations"):
        pairs = zip(right, answers, strict=True)
        return [_labels(keys_of(field, its) & keys_of(field, _said(answer))) for its, answer in pairs]
    return [tuple(" > ".join(path) for path in answer.labels) for answer in answers]


def gold(field: Field, right: Sequence[Sequence[Any]]) -> list[tuple[str, ...]]:
    """Per item, the labels that are right, as texts, in order; () of texts, which have none."""
    if field.kind in WRITTEN:
        return [() for _ in right]
    if field.kind in ("entities", "relations"):
        return [_labels(keys_of(field, its)) for its in right]
    return [tuple(" > ".join(path) for path in its) for its in right]


def keys_of(field: Field, its: Sequence[Any]) -> set[tuple[Hashable, ...]]:
    """What must agree of each label, span or link. A pair whose label the field has not ("Other") is not related."""
    if not field.structured:
        return {tuple(path) for path in its}
    labels = {label.path[-1] for label in field.labels} or {""}
    return {key_of(one) for one in its if not (isinstance(one, Link) and one.label not in labels)}


def key_of(one: Span | Link) -> tuple[Hashable, ...]:
    """What must agree of a span or link; the label comes last."""
    if isinstance(one, Span):
        return (one.source, one.start, one.end, " > ".join(one.label))
    ends: Any = tuple((span.source, span.start, span.end) for span in (one.head, one.tail))
    if one.direction == "bi":
        return (frozenset(ends), one.label)
    return (ends if one.direction == "right" else ends[::-1], one.label)


def texts_of(right: Sequence[Sequence[Any]], answers: Sequence[Answer]) -> tuple[list[str], list[list[str]]]:
    """What was quoted or written, "" where nothing was, and what may be."""
    texts = [next(iter((*one.texts, *(span.text for span in one.spans))), "") for one in answers]
    return texts, [[str(text) for text in its] for its in right]


def _said(answer: Answer) -> Sequence[Any]:
    return answer.labels or answer.spans or answer.links


def _labels(keys: set[tuple[Hashable, ...]]) -> tuple[str, ...]:
    return tuple(sorted(str(one[-1]) for one in keys))


def _counts(field: Field, right: Sequence[Any], answer: Answer) -> tuple[int, int]:
    """(twice what is right, what is marked and what should be) of spans or links."""
    its = keys_of(field, right)
    found = {key_of(one) for one in (answer.spans if field.kind == "entities" else answer.links)}
    return 2 * len(its & found), len(its) + len(found)

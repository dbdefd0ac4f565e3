"""An answer in one line, for people who look at it in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from labelloop.words import WRITTEN, Answer, Field, Link, Remark, Span

_ARROWS = {"right": "→", "left": "←", "bi": "↔"}
_MOST = 5  # parts that are written out
_LONG = 40  # characters of a passage
_WRITTEN = 120  # characters of a text that was written


def tell(field: Field, answer: Answer) -> str:
    """What it says, without its score: "2 entities: Ada (person), Acme (company)". "–" where it says nothing."""
    if answer.reason is not None:
        return "–"
    if field.kind == "entities":
        return _listed("entity", "entities", [f"{_quote(span)} ({span.label[-1]})" for span in answer.spans])
    if field.kind == "relations":
        return _listed("relation", "relations", [_link(link) for link in answer.links])
    if field.kind == "remarks":
        return _listed("remark", "remarks", [_remark(remark) for remark in answer.remarks])
    if field.kind == "extraction":
        return "; ".join(f'"{_short(text)}"' for text in (*answer.texts, *(span.text for span in answer.spans))) or "–"
    if field.kind in WRITTEN:
        return "; ".join(_short(text, _WRITTEN) for text in answer.texts) or "–"
    if field.kind == "ranking":
        return _columns(answer.order)
    return ", ".join(path[-1] for path in answer.labels) or "–"


def group(field: Field, answer: Answer) -> str:
    """What answers of one kind have in common, to be counted: the labels; of spans only whether there are some."""
    if not field.structured or field.kind == "comparison":
        return ", ".join(" > ".join(path) for path in answer.labels) or "(none)"
    found = answer.spans or answer.links or answer.remarks or answer.texts or answer.order
    return "(some)" if found else "(none)"


def _listed(one: str, several: str, parts: Sequence[str]) -> str:
    if not parts:
        return f"no {several}"
    more = f", and {len(parts) - _MOST} more" if len(parts) > _MOST else ""
    return f"{len(parts)} {one if len(parts) == 1 else several}: {', '.join(parts[:_MOST])}{more}"


def _link(link: Link) -> str:
    label = f" {link.label}" if link.label else ""
    return f"{_quote(link.head)}{label} {_ARROWS[link.direction]} {_quote(link.tail)}"


def _remark(remark: Remark) -> str:
    said = [path[-1] for path in remark.labels] + [_short(text) for text in remark.texts]
    return f"{_quote(remark.span)}: {', '.join(said) or '–'}"


def _columns(order: Sequence[tuple[str, Sequence[str]]]) -> str:
    parts = [(f"{bucket}: " if bucket else "") + " > ".join(entries) for bucket, entries in order]
    return "; ".join(parts) or "–"


def _quote(span: Span) -> str:
    return _short(span.text)


def _short(text: str, most: int = _LONG) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"

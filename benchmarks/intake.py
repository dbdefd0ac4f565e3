"""A thousand webhooks of a real Label Studio, some lost, doubled, late: how fast they are taken in, what is left.

Run:  LABELLOOP_LABEL_STUDIO_BIN=... PYTHONPATH=backend:tests python benchmarks/intake.py
About four minutes. People annotate, change and delete in a project until its webhooks are a thousand; a tenth of these
is dropped, a tenth of the others sent twice, and all in a random order, by one sender after the other and then by five
at once, to LabelLoop's web process. Then labels are read back as by `labelloop sync`, and the store is compared with
the project's export. Writes benchmarks/results/intake.{json,md}.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from labelloop.demo.label_studio import LabelStudioServer
from labelloop.learning.sync import sync
from labelloop.studio.client import StudioClient
from support.running import Running, running_beside
from support.waiting import until
from support.working import CONFIG, Mailbox, Project, Working, exported, stored

RESULTS = Path(__file__).parent / "results"
WEBHOOKS, TASKS = 1000, 400


def measure(running: Running, studio: LabelStudioServer, mailbox: Mailbox) -> dict[str, Any]:
    dice = random.Random(7)
    number = studio.request("POST", "/api/projects", json={"title": "Intake", "label_config": CONFIG}).json()["id"]
    data = [{"data": {"text": f"text {place}"}} for place in range(TASKS)]
    studio.request("POST", f"/api/projects/{number}/import", json=data)
    connected = running.connect(number)
    connection = connected.connection
    with StudioClient(studio.url, studio.token) as client:
        running.preannotate(connected)
        (hook,) = client.webhooks(number)  # whose webhooks now go to the mailbox
        client.delete_webhook(hook["id"])
        client.add_webhook(number, f"{mailbox.url}/webhook")
        project = Project(studio, number, "Intake")
        working = Working(studio, project, dice)
        while len(mailbox.bodies) < WEBHOOKS:
            working.day(len(working.annotations) + 60)
            print(f"\r  {len(mailbox.bodies)} webhooks", end="", flush=True)
        print()
        sent = len(working.annotations)
        until(lambda: settled(mailbox), 30)
        delivered = [body for body in mailbox.bodies if dice.random() >= 0.1]
        delivered += dice.sample(delivered, len(delivered) // 10)
        dice.shuffle(delivered)
        half = len(delivered) // 2
        waits = {1: post(hook["url"], delivered[:half], 1), 5: post(hook["url"], delivered[half:], 5)}
        truth = exported(studio, project)
        before = stored(running.store, connection)
        began = time.perf_counter()
        done = sync(running.store, connection, client)
        seconds = time.perf_counter() - began
    after = stored(running.store, connection)
    return {
        "webhooks": len(mailbox.bodies),
        "delivered": len(delivered),
        "annotations": sent,
        "exported": len(truth),
        "wrong_before_sync": sum(before.get(key) != truth.get(key) for key in {*before, *truth}),
        "sync_s": round(seconds, 2),
        "sync_finished": done.finished,
        "wrong_after_sync": sum(after.get(key) != truth.get(key) for key in {*after, *truth}),
        "ms": {str(senders): quantiles(its) for senders, its in waits.items()},
    }


def settled(mailbox: Mailbox) -> bool:
    """Whether no webhook has come for a second."""
    count = len(mailbox.bodies)
    time.sleep(1)
    return len(mailbox.bodies) == count


def post(address: str, bodies: list[dict[str, Any]], senders: int) -> list[float]:
    """Seconds until each webhook was answered, over a new connection each, as Label Studio sends them."""
    place = urlsplit(address)

    def send(body: dict[str, Any]) -> float:
        content = json.dumps(body).encode()
        began = time.perf_counter()
        with closing(HTTPConnection(str(place.hostname), place.port, timeout=30)) as connection:
            connection.request("POST", place.path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        if answer.status != 201:
            raise RuntimeError(f"a webhook was answered with {answer.status}")
        return time.perf_counter() - began

    with ThreadPoolExecutor(senders) as pool:
        return list(pool.map(send, bodies))


def quantiles(seconds: list[float]) -> dict[str, float]:
    its = {f"p{round(100 * share)}": float(np.quantile(seconds, share)) for share in (0.5, 0.95, 0.99)}
    return {name: round(1000 * value, 1) for name, value in {**its, "most": max(seconds)}.items()}


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        LabelStudioServer(Path(folder) / "studio") as studio,
        running_beside(studio, Path(folder), sync_s=0) as running,
        Mailbox() as mailbox,
    ):
        report = measure(running, studio, mailbox)
    report["date"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    report["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    (RESULTS / "intake.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = ["# Webhooks that are lost, doubled and late", "", *(__doc__ or "").splitlines()[2:8], ""]
    lines += [
        f"{report['date']}, {report['machine']}; store on SQLite; Label Studio and the senders on the machine too."
    ]
    lines += ["", f"{report['webhooks']} webhooks, of which {report['delivered']} were delivered, doubles included."]
    lines += [f"Annotations in the export: {report['exported']}. Other in the store than there: before reading back"]
    lines += [f"{report['wrong_before_sync']}, after it **{report['wrong_after_sync']}** ({report['sync_s']} s).", ""]
    lines += ["| senders at once | p50, ms | p95, ms | p99, ms | most, ms |", "|---" * 5 + "|"]
    lines += [f"| {one} | {' | '.join(map(str, its.values()))} |" for one, its in report["ms"].items()]
    (RESULTS / "intake.md").write_text("\n".join(lines) + "\n")
    print((RESULTS / "intake.md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

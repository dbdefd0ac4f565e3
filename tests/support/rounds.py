"""A simulated annotator at work in a real Label Studio, and the processes of LabelLoop that are killed beside him."""

from __future__ import annotations

import copy
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from labelloop.connect import Connected
from labelloop.errors import LabelLoopError, ModelError
from labelloop.learning import adapters, refreshes
from labelloop.learning.tables import EventRow
from labelloop.scoring import push, wire
from labelloop.tasks import trained
from support.running import Running
from support.waiting import until
from support.working import Project, exported, stored

PROCESSES = {
    "gunicorn": "web",
    "worker": "worker",
    "trainer": "trainer",
}  # a word of its command, and what it is called
_LOOK_S = 0.1

Json = dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """What an annotator did with a task. ``version``: of the suggestion that was shown; "" where there was none.
    ``suggested``: its label, or "". ``next_s``, ``submit_s``: how long Label Studio took to answer, seconds."""

    annotation: int
    version: str
    suggested: str
    label: str
    next_s: float
    submit_s: float


@dataclass
class Annotator:
    """Somebody who labels what Label Studio gives out next: leaves a suggestion that is right and corrects another.

    ``answers``: the right label by text. ``control``: name of the Choices. ``pause_s``: shortest and longest time that
    he looks at a task, seconds.
    """

    running: Running
    project: Project
    answers: Mapping[str, str]
    control: str
    dice: random.Random
    pause_s: tuple[float, float] = (0.0, 0.0)
    turns: list[Turn] = field(default_factory=list)

    def turn(self) -> Turn:
        began = time.monotonic()
        task = self.running.next_task(self.project)
        shown_at = time.monotonic()
        time.sleep(self.dice.uniform(*self.pause_s))
        right = self.answers[task["data"]["text"]]
        shown = task["predictions"][0] if task["predictions"] else None
        region, suggested = self._region(shown, right)
        asked = time.monotonic()
        made = self.running.submit(
            task["id"],
            [region],
            lead_time=round(asked - shown_at, 3),
            parent_prediction=shown["id"] if shown and shown["result"] else None,
            project=self.project.id,
        )
        version = shown["model_version"] if shown else ""
        turn = Turn(made["id"], version, suggested, right, shown_at - began, time.monotonic() - asked)
        self.turns.append(turn)
        return turn

    def _region(self, shown: Json | None, right: str) -> tuple[Json, str]:
        """What the editor would send, and the label that it had filled in."""
        value = {"choices": [right]}
        if shown is None or not shown["result"]:
            fresh = {"from_name": self.control, "to_name": "text", "type": "choices", "value": value}
            return {"id": "by-hand", "origin": "manual", **fresh}, ""
        (filled,) = copy.deepcopy(shown["result"])
        suggested = filled["value"]["choices"][0]
        changed = {} if suggested == right else {"value": value}
        origin = "prediction" if suggested == right else "prediction-changed"
        return {**filled, **changed, "origin": origin}, suggested


def processes(up: int) -> dict[str, int]:
    """The process ids of web, worker and trainer under the `labelloop up` with this one; those that live."""
    found = {}
    for child in Path(f"/proc/{up}/task/{up}/children").read_text().split():
        try:
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if (name := next((name for word, name in PROCESSES.items() if word in words), None)) is not None:
            found[name] = int(child)
    return found


def kill(up: int, name: str) -> int:
    """Ends web, worker or trainer, and what it has started, by SIGKILL; waits for one that is only coming back."""
    number = int(until(lambda: processes(up).get(name), 120))
    os.killpg(number, signal.SIGKILL)
    return number


@dataclass
class Kill:
    """``name`` is killed ``delay_s`` seconds after ``when()`` is true for the first time."""

    name: str
    when: Callable[[], bool]
    delay_s: float = 0.0
    due: float | None = None


class Chaos(threading.Thread):
    """Kills what it is told to, once each. ``done``: (name, labels by then, whether something was being trained)."""

    def __init__(self, up: int, kills: Sequence[Kill], labels: Callable[[], int], training: Callable[[], bool]) -> None:
        super().__init__(name="chaos", daemon=True)
        self._up, self._labels, self._training = up, labels, training
        self.waiting = list(kills)
        self.done: list[tuple[str, int, bool]] = []
        self.trouble: Exception | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        try:
            while self.waiting and not self._ended.wait(_LOOK_S):
                for one in list(self.waiting):
                    if one.due is None and one.when():
                        one.due = time.monotonic() + one.delay_s
                    if one.due is not None and time.monotonic() >= one.due:
                        training = self._training()
                        kill(self._up, one.name)
                        self.waiting.remove(one)
                        self.done.append((one.name, self._labels(), training))
        except (OSError, AssertionError, LabelLoopError) as error:  # raised where the thread is joined
            self.trouble = error

    def end(self) -> None:
        self._ended.set()
        self.join(150)
        if self.trouble is not None:
            raise self.trouble


def training(running: Running, connected: Connected) -> bool:
    """Whether an attempt is under way, as far as the store knows."""
    return any(one.state == "running" for one in refreshes.listed(running.store, connected.connection.id))


def only_read_back(running: Running, project: Project, connected: Connected) -> set[int]:
    """Annotations in Label Studio that no webhook has brought."""
    mine = EventRow.connection_id == connected.connection.id
    with running.store.session() as session:
        bodies = list(session.scalars(select(EventRow.body).where(mine)))
    told = {one["id"] for body in bodies for one in body.get("annotations") or ()}
    return set(exported(running.studio, project)) - told


def unsettled(running: Running, project: Project, connected: Connected) -> list[str]:
    """What still has to happen before everything rests; it does by itself."""
    redis, number = running.scoring.redis, connected.connection.id
    found = [f"{key.decode()} is held" for key in redis.scan_iter("labelloop:*lease")]
    found += [f"a job waits on {lane}" for lane in (*wire.LANES, "refresh") if redis.llen(wire.rq_list(lane))]
    found += [f"{key} is not empty" for key in (wire.FRESHEN, wire.REFRESH_WANTED) if redis.scard(key)]
    pushed = push.read(redis, number)
    if pushed is not None and pushed.running:
        found.append(f"a push of {pushed.version} is {pushed.state}: {pushed.done} of {pushed.total}. {pushed.note}")
    found += [f"refresh {one.id} will be resumed" for one in refreshes.unfinished(running.store)]
    if training(running, connected):
        found.append("an attempt is running")
    kept, truth = stored(running.store, connected.connection), exported(running.studio, project)
    if kept != truth:
        here = sum(kept.get(one) == its for one, its in truth.items())
        found.append(f"{here} of the {len(truth)} labels of Label Studio are in the store, which holds {len(kept)}")
    return found


def settle(running: Running, project: Project, connected: Connected, seconds: float) -> list[str]:
    """Waits until everything rests; what still does not after so many seconds."""
    deadline = time.monotonic() + seconds
    while (found := unsettled(running, project, connected)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def problems(running: Running, project: Project, connected: Connected, annotator: Annotator) -> list[str]:
    """What is not as it must be once everything rests; nothing, or a line for each thing."""
    number = connected.connection.id
    found = unsettled(running, project, connected)
    truth = exported(running.studio, project)
    labels = {one: its[2][0]["value"]["choices"] for one, its in truth.items()}
    if labels != {turn.annotation: [turn.label] for turn in annotator.turns}:
        found.append("Label Studio does not hold what the annotator submitted")
    if len({its[0] for its in truth.values()}) != len(truth):
        found.append("a task was given out twice")
    versions = running.store.versions(number)
    if unknown := {turn.version for turn in annotator.turns} - {"", *(one.name for one in versions)}:
        found.append(f"versions were shown that never served: {sorted(unknown)}")
    found += _adapter_problems(running, number)
    found += _version_problems(running, project, connected)
    tried = refreshes.listed(running.store, number)
    return found + [f"refresh {one.id} failed: {one.error}" for one in tried if one.state == "failed"]


def _adapter_problems(running: Running, number: int) -> list[str]:
    """Adapters of versions that are not whole, in the store or where the workers read them."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for one in running.store.versions(number):
            try:
                adapters.fetch(running.store, one.bundle, Path(folder), trained.check)
            except ModelError as error:
                found.append(f"{one.name}: {error}")
    here = trained.folder(running.settings)
    for place in here.iterdir() if here.is_dir() else ():
        if not place.name.startswith("."):
            try:
                trained.check(place)
            except ModelError as error:
                found.append(str(error))
    return found


def _version_problems(running: Running, project: Project, connected: Connected) -> list[str]:
    """Where another version than the champion stands."""
    champion = running.store.champion(connected.connection.id)
    assert champion is not None
    details = project.details()
    (row,) = running.studio.request("GET", "/api/ml", params={"project": project.id}).json()
    body = {"project": f"{project.id}.{connected.project.created_at}", "schema": details["label_config"]}
    answered = httpx.post(f"{row['url']}/setup", json=body, timeout=60, trust_env=False).json()
    names = {
        "the title of the model connection": row["title"],
        "project.model_version": details["model_version"],
        "/setup": answered.get("model_version", answered),
    }
    found = [f"{where} is {name}, not {champion.name}" for where, name in names.items() if name != champion.name]
    for task in project.tasks():
        held = [one for one in task["predictions"] if one["model_version"] == champion.name]
        if len(held) != 1:
            found.append(f"task {task['id']} holds {len(held)} predictions of {champion.name}, not one")
    environment = {**os.environ, **running.settings.environment()}
    status = subprocess.run(
        [sys.executable, "-m", "labelloop", "status"], env=environment, capture_output=True, text=True, check=False
    )
    if champion.name not in status.stdout.replace("\n", ""):
        found.append(f"labelloop status does not show {champion.name}: {status.stdout}{status.stderr}")
    return found

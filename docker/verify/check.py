"""What verify.sh asks of the running containers; runs in one of them, of the image web, as a stranger beside them.

python check.py round-trip             new tasks are pre-annotated, an annotation becomes a label
python check.py import N               N new tasks; prints their ids
python check.py await-predictions IDS  until each has its prediction
python check.py train                  labels 40 tasks, presses *Start training*, and awaits the verdict
python check.py load FOLDER            calls and labels until FOLDER/stop appears; writes FOLDER/load.json
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from labelloop.demo import project as demo_project
from labelloop.demo.seed import Caller
from labelloop.learning import refreshes
from labelloop.learning.store import Store
from labelloop.learning.tables import AnnotationRow, EventRow
from labelloop.settings import get_settings

WAIT_S = 240.0
PAUSE_S = 0.25  # between two calls of one caller: Label Studio and LabelLoop share this machine's cores


class Place:
    """Label Studio's demo project, and LabelLoop's store."""

    def __init__(self) -> None:
        settings = get_settings()
        self.studio = Caller(settings.label_studio_url, settings.label_studio_token.get_secret_value())
        found = self.studio.request("GET", "/api/projects", params={"page_size": 100}).json()["results"]
        self.project = next(one for one in found if one["title"] == demo_project.TITLE)["id"]
        self.backend = self.studio.request("GET", "/api/ml", params={"project": self.project}).json()[0]
        self.store = Store(settings.store_url)

    def details(self) -> dict[str, Any]:
        return dict(self.studio.request("GET", f"/api/projects/{self.project}").json())

    def import_tasks(self, texts: list[str]) -> list[int]:
        before = {task["id"] for task in self.tasks()}
        body = [{"text": text} for text in texts]
        self.studio.request("POST", f"/api/projects/{self.project}/import", json=body)
        return sorted({task["id"] for task in self.tasks()} - before)

    def tasks(self) -> list[dict[str, Any]]:
        return demo_project.read_tasks(self.studio, self.project)

    def label(self, task: int, topic: str) -> int:
        """Submits an annotation; its id."""
        result = {"from_name": "topic", "to_name": "message", "type": "choices", "value": {"choices": [topic]}}
        answer = self.studio.request("POST", f"/api/tasks/{task}/annotations/", json={"result": [result]})
        return int(answer.json()["id"])

    def labels(self) -> set[int]:
        """The ids of the annotations that the store holds."""
        with self.store.session() as session:
            return set(session.scalars(select(AnnotationRow.annotation_id).where(AnnotationRow.deleted.is_(False))))

    def told(self) -> int:
        """How many webhooks of annotations have come."""
        with self.store.session() as session:
            return len(list(session.scalars(select(EventRow.id).where(EventRow.action == "ANNOTATION_CREATED"))))


def until(what: str, met: Callable[[], bool], wait_s: float = WAIT_S) -> float:
    """Waits for a condition; the seconds it took. Ends the check where it is not met."""
    began = time.monotonic()
    while not met():
        if time.monotonic() - began > wait_s:
            raise SystemExit(f"NOT SEEN within {wait_s:.0f} s: {what}")
        time.sleep(0.5)
    return time.monotonic() - began


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def await_predictions(place: Place, ids: set[int]) -> float:
    def predicted() -> bool:
        version = place.details()["model_version"]
        held = (task for task in place.tasks() if task["id"] in ids)
        return all(any(one["model_version"] == version for one in task["predictions"]) for task in held)

    return until(f"a prediction of each of {len(ids)} tasks", predicted)


def round_trip(place: Place) -> None:
    tasks, details = place.tasks(), place.details()
    if problems := demo_project.problems(details["label_config"], tasks, details["model_version"]):
        raise SystemExit("\n".join(problems[:10]))
    say(f"- demo project: {len(tasks)} tasks, each with one valid prediction of {details['model_version']}")
    ids = place.import_tasks([f"Where is parcel {number}? It should have come on Monday." for number in range(5)])
    took = await_predictions(place, set(ids))
    say(f"- {len(ids)} tasks imported in Label Studio were pre-annotated {took:.1f} s later")
    annotation = place.label(ids[0], "Delivery")
    took = until("the annotation as a label in the store", lambda: annotation in place.labels(), 60)
    say(f"- an annotation submitted in Label Studio was a label in PostgreSQL {took:.1f} s later")


def train(place: Place) -> None:
    """*Start training* on labels that are easy to learn; what the gate says of it stands everywhere in the end."""
    groups = {
        "Delivery": [f"Where is parcel {number}? It should have come days ago." for number in range(100, 120)],
        "Account": [f"The app refuses password number {number} when I log in." for number in range(100, 120)],
    }
    for topic, texts in groups.items():
        for task in place.import_tasks(texts):
            place.label(task, topic)
    (connection,) = place.store.connections()
    place.studio.request("POST", f"/api/ml/{place.backend['id']}/train", json={})

    def judged() -> list[refreshes.Refresh]:
        found = refreshes.listed(place.store, connection.id)
        return [one for one in found if one.state not in ("running", "stopped")]

    took = until("a verdict about the training", lambda: bool(judged()), 900)
    one = judged()[0]
    if one.state not in ("promoted", "refused", "undecided"):
        raise SystemExit(f"The training ended as {one.state}: {one.error}")

    def stands() -> bool:
        champion = place.store.champion(connection.id)
        (backend,) = place.studio.request("GET", "/api/ml", params={"project": place.project}).json()
        return champion is not None and champion.name == backend["title"] == place.details()["model_version"]

    until("one version in the store, the title and the project", stands)
    say(
        f"- *Start training* with {one.labels} labels of '{one.field}' in PostgreSQL: the trainer's container trained, "
        f"the gate said '{one.state}' after {took:.0f} s; one version stands in store, title and project"
    )


class Load:
    """Callers that go on until they are told to stop, and what came of each call."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest: dict[str, tuple[float, float]] = {}  # seconds, and when it began
        self.annotations: list[int] = []
        self.began = time.monotonic()

    @contextmanager
    def call(self, kind: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a failed request
            with self._lock:
                self.counts[f"{kind} failed"] += 1
                self.failures.append(f"{began - self.began:.1f} s: {kind}: {type(error).__name__}: {error}"[:300])
        else:
            self.note(kind, began)

    def note(self, kind: str, began: float) -> None:
        """It went well, and has just ended."""
        took = (round(time.monotonic() - began, 2), round(began - self.began, 1))
        with self._lock:
            self.counts[kind] += 1
            self.slowest[kind] = max(self.slowest.get(kind, took), took)

    def address(self) -> str:
        """Where the name leads to by which Label Studio calls. podman's server forgets names for a moment, or is
        silent, whenever a container comes or goes: so it is timed by itself, and asked again where it knows nothing."""
        url = httpx.URL(self._place.backend["url"])
        for _ in range(4):
            began = time.monotonic()
            try:
                found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
            except socket.gaierror:
                with self._lock:
                    self.counts["name looked up again"] += 1
                time.sleep(0.3)
            else:
                self.note("name looked up", began)
                return str(url.copy_with(host=found[0][4][0]))
        return str(url)  # the call fails by it, and is counted

    def ask(self, method: str, url: str, **arguments: Any) -> dict[str, Any]:
        """One call as Label Studio makes it, by a connection of its own."""
        answer = httpx.request(method, url, **arguments)
        if answer.is_error:
            raise RuntimeError(f"HTTP {answer.status_code} {answer.text}")
        return dict(answer.json())

    def health(self) -> None:
        url = self.address()
        with self.call("health"):
            self.ask("GET", f"{url}/health", timeout=10)

    def predict(self, number: int) -> None:
        text = f"The lamp {number} that I ordered flickers; may I send it back?"
        url = self.address()
        with self.call("predict"):
            body = {"tasks": [{"id": 10_000_000 + number, "data": {"text": text}}]}
            (result,) = self.ask("POST", f"{url}/predict", json=body, timeout=60)["results"]
            with self._lock:
                self.counts["predict: later than 1 s, answered with nothing yet"] += "error" in result

    def annotate(self, task: int) -> None:
        with self.call("annotation submitted"):
            made = self._place.label(task, "Delivery")
            with self._lock:
                self.annotations.append(made)

    def run(self, folder: Path) -> None:
        tasks = [task["id"] for task in self._place.tasks()]
        known, told = self._place.labels(), self._place.told()
        jobs: list[Callable[[int], None]] = [
            lambda _: self.health(),
            lambda number: self.predict(2 * number),
            lambda number: self.predict(2 * number + 1),
            lambda number: self.annotate(tasks[number % len(tasks)]),
        ]
        threads = [threading.Thread(target=self._repeat, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        (folder / "started").touch()
        while not (folder / "stop").exists():
            time.sleep(0.2)
        self._stop.set()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - self.began
        submitted = set(self.annotations)
        by_webhook = self._place.told() - told
        took = until("every submitted annotation in the store", lambda: submitted <= self._place.labels(), 400)
        report = {
            "seconds": round(seconds, 1), "counts": dict(self.counts), "failures": self.failures,
            "slowest_s": self.slowest,
            "submitted": len(submitted), "by_webhook": by_webhook, "in_store": len(submitted & self._place.labels()),
            "before": len(known), "waited_s": round(took, 1),
        }  # fmt: skip
        (folder / "load.json").write_text(json.dumps(report, indent=1) + "\n")
        say(json.dumps(report, indent=1))

    def _repeat(self, job: Callable[[int], None]) -> None:
        number = 0
        while not self._stop.is_set():
            job(number)
            number += 1
            self._stop.wait(PAUSE_S)


def main() -> None:
    command, *arguments = sys.argv[1:]
    place = Place()
    if command == "round-trip":
        round_trip(place)
    elif command == "train":
        train(place)
    elif command == "import":
        texts = [f"Parcel {number} of {time.time_ns()} is late." for number in range(int(arguments[0]))]
        say(",".join(map(str, place.import_tasks(texts))))
    elif command == "await-predictions":
        say(f"{await_predictions(place, set(map(int, arguments[0].split(',')))):.1f}")
    else:
        Load(place).run(Path(arguments[0]))


if __name__ == "__main__":
    main()

"""A Label Studio that can fail on purpose: the few routes that a push uses, over real HTTP, with faults to order.

What it answers is what Label Studio 1.23.2 answers; the real one cannot be told to lose an answer or to hang.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.local_server import LocalServer

CREATED_AT = "2026-11-23T12:00:00Z"
CREATED_AT_S = 1795435200
TOKEN = "a" * 40


class StudioDouble(LocalServer):
    """One project, number 1, and one ML backend, number 7.

    ``before(method, path)`` runs before a request takes effect and ``after(method, path)`` when it has, both before
    the answer: they may wait, or return an HTTP status to answer with.
    """

    def __init__(self) -> None:
        self.tasks: dict[int, dict[str, Any]] = {}
        self.predictions: dict[int, dict[str, Any]] = {}
        self.annotations: dict[int, dict[str, Any]] = {}
        self.project = {"id": 1, "title": "Double", "created_at": CREATED_AT, "label_config": "", "model_version": "v0"}
        self.backend = {"id": 7, "url": "http://labelloop/k/key", "title": "v0", "readable_state": "Connected"}
        self.files: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []
        self.before: Callable[[str, str], int | None] = lambda _method, _path: None
        self.after: Callable[[str, str], int | None] = lambda _method, _path: None
        self.lock = threading.RLock()
        super().__init__(_handler(self))

    def add_tasks(self, *data: Any) -> list[int]:
        first = len(self.tasks) + 1
        with self.lock:
            self.tasks |= {
                first + place: {"id": first + place, "data": one, "updated_at": CREATED_AT}
                for place, one in enumerate(data)
            }
        return list(range(first, first + len(data)))

    def versions(self, task: int) -> list[str]:
        """The model versions of a task's predictions, oldest first."""
        with self.lock:
            return [one["model_version"] for one in self.predictions.values() if one["task"] == task]

    def annotate(self, task: int, *result: Any) -> int:
        """Adds an annotation of these regions; returns its id."""
        with self.lock:
            number = len(self.annotations) + 1
            about = {"id": number, "task": task, "result": list(result), "updated_at": CREATED_AT, "completed_by": 1}
            self.annotations[number] = about
            return number

    def store(self, prediction: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            number = max(self.predictions, default=0) + 1
            self.predictions[number] = {**prediction, "id": number}
            return self.predictions[number]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        with self.lock:
            parts = path.strip("/").split("/")
            match method, parts:
                case "GET", ["api", "projects", "1"]:
                    return 200, {**self.project, "task_number": len(self.tasks)}
                case "PATCH", ["api", "projects", "1"]:
                    self.project |= body
                    return 200, self.project
                case "GET", ["api", "tasks"]:
                    return 200, self._page(json.loads(query["query"][0]), int(query["page_size"][0]))
                case "POST", ["api", "projects", "1", "import", "predictions"]:
                    return 201, {"created": len([self.store(one) for one in body])}
                case "GET", ["data", "upload", name] if name in self.files:
                    return 200, self.files[name]
                case "GET", ["api", "predictions"]:
                    return 200, list(self.predictions.values())
                case "DELETE", ["api", "predictions", number]:
                    del self.predictions[int(number)]
                    return 204, None
                case "GET", ["api", "ml"]:
                    return 200, [self.backend]
                case "PATCH", ["api", "ml", "7"]:
                    if self.project["model_version"] == self.backend["title"]:
                        self.project["model_version"] = body["title"]
                    self.backend |= {"title": body["title"], "url": body["url"]}
                    return 200, self.backend
            return 404, {"detail": f"no route {method} {path}"}

    def _page(self, query: dict[str, Any], size: int) -> dict[str, Any]:
        found = sorted(self.tasks.values(), key=lambda task: int(task["id"]))
        if chosen := query.get("selectedItems"):
            found = [task for task in found if task["id"] in chosen["included"]]
        for item in query.get("filters", {}).get("items", ()):
            name, value = item["filter"].removeprefix("filter:tasks:"), item["value"]
            if (name, item["operator"]) == ("id", "greater"):
                found = [task for task in found if task["id"] > value]
            elif (name, item["operator"]) == ("predictions_model_versions", "not_contains"):
                found = [task for task in found if not set(value) & set(self.versions(task["id"]))]
            elif (name, item["operator"]) == ("predictions_score", "greater_or_equal"):
                scores = {task["id"]: self._score(task["id"]) for task in found}
                found = [{**task, name: score} for task in found if (score := scores[task["id"]]) is not None]
            elif name == "total_annotations":
                found = [task for task in found if _of(task, self.annotations)]
            elif name == "cancelled_annotations":
                found = []
            elif name == "updated_at":
                found = [task for task in found if task["updated_at"] > value]
            else:
                raise ValueError(f"the double knows no filter {item}")
        tasks = [
            {**task, "predictions": _of(task, self.predictions), "annotations": _of(task, self.annotations)}
            for task in found
        ]
        labels = sum(len(task["annotations"]) for task in tasks)
        return {"tasks": tasks[:size], "total": len(found), "total_annotations": labels}

    def _score(self, task: int) -> float | None:
        """The mean score of the version that stands in the project."""
        standing = self.project["model_version"]
        its = [one for one in self.predictions.values() if (one["task"], one["model_version"]) == (task, standing)]
        return sum(one["score"] for one in its) / len(its) if its else None


def _of(task: dict[str, Any], things: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in things.values() if one["task"] == task["id"]]


def _handler(double: StudioDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            split = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            double.requests.append((self.command, split.path))
            if self.headers.get("Authorization") != f"Token {TOKEN}":
                return self._send(401, {"detail": "Invalid token."})
            status, answer = double.before(self.command, split.path), None
            if status is None:
                status, answer = double.answer(self.command, split.path, parse_qs(split.query), body)
                status = double.after(self.command, split.path) or status
            self._send(status, answer)

        do_GET = do_POST = do_PATCH = do_DELETE = _any

        def _send(self, status: int, answer: Any) -> None:
            content = b"" if answer is None and status < 400 else json.dumps(answer or {"detail": "ordered"}).encode()
            if isinstance(answer, str):  # a file
                content = answer.encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:  # whoever asked was killed, as some tests want
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Silent: the tests look at ``requests``."""

    return Handler

"""Label Studio 1.23.2's API, as far as LabelLoop uses it: projects, tasks, predictions, backends, webhooks."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from labelloop.errors import StudioError
from labelloop.studio import files, remedies
from labelloop.studio.results import import_refuses
from labelloop.studio.transport import Transport
from labelloop.words import Field

Json = dict[str, Any]

_IDS_PER_REQUEST = 200  # in the address, which proxies cut at 8 kB
_SLOW_S = 60.0  # a backend is called, several times, before these answer
_READ_ALL = 2000  # projects up to this size are read whole to draw a sample
_DROPPED = "Label Studio's own validator dropped it without giving a reason (its log has it)"


@dataclass(frozen=True)
class Project:
    """``created_at``: Unix seconds, as in the "<id>.<created_at>" that Label Studio sends to backends."""

    id: int
    title: str
    created_at: int
    label_config: str
    task_count: int
    model_version: str
    sampling: str
    show_collab_predictions: bool


@dataclass
class Imported:
    """What became of predictions: how many are stored, and by task id why one is not. ``one_by_one``: those stored ones
    that the import for many does not take."""

    created: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    one_by_one: int = 0

    def __iadd__(self, other: Imported) -> Imported:
        self.created += other.created
        self.refused |= other.refused
        self.one_by_one += other.one_by_one
        return self


class StudioClient:
    """One user's view of one server.

    ``token``: a personal access token or a legacy token; it is sent to ``url`` only and never logged. ``timeout`` in
    seconds. Every method raises StudioError, whose remedy says what to do. Safe to use from threads.

    Usage::

        with StudioClient("http://localhost:8080", token) as studio:
            project = studio.project("Reviews")
            for page in studio.tasks(project.id):
                ...
    """

    def __init__(self, url: str, token: str, timeout: float = 30.0, backoff_s: float = 0.5) -> None:
        self._api = Transport(url, token, timeout, backoff_s)

    @property
    def url(self) -> str:
        return self._api.url

    def __repr__(self) -> str:
        return f"StudioClient({self.url!r})"

    def __enter__(self) -> StudioClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._api.close()

    # The server

    def version(self) -> str:
        """Label Studio's version, "1.23.2". Needs no token."""
        answer = self._api.get("/api/version", signed=False)
        release = answer.get("release") if isinstance(answer, dict) else None
        if not isinstance(release, str):
            raise StudioError(f"{self.url} answers, but not as Label Studio does.", "Check the address.")
        return release

    def check_login(self) -> str:
        """The user's e-mail address; raises StudioError where the token is refused."""
        return str(self._api.get("/api/current-user/whoami").get("email", ""))

    # Projects

    def project(self, project: str | int) -> Project:
        """The project of this id or exact title; an id goes before a title of the same digits."""
        wanted = str(project).strip()
        if wanted.isascii() and wanted.isdigit():
            try:
                return _project(self._api.get(f"/api/projects/{int(wanted)}/"))
            except StudioError as error:
                if error.http_status != 404:
                    raise
        known = list(self._projects())
        ids = [number for number, title in known if title == wanted]
        if not ids:
            raise remedies.no_project(self.url, wanted, known)
        if len(ids) > 1:
            raise remedies.ambiguous_project(wanted, ids)
        return _project(self._api.get(f"/api/projects/{ids[0]}/"))

    def _projects(self) -> Iterator[tuple[int, str]]:
        page, seen = 1, 0
        while True:
            answer = self._api.get("/api/projects/", {"page": page, "page_size": 100, "include": "id,title"})
            found = answer["results"]
            yield from ((one["id"], one.get("title") or "") for one in found)
            page, seen = page + 1, seen + len(found)
            if not found or seen >= answer["count"]:
                return

    def update_project(self, project_id: int, **settings: Any) -> Project:
        """Sets settings of a project: model_version, sampling, show_collab_predictions, ..."""
        self._api.send("PATCH", f"/api/projects/{project_id}/", settings)
        return _project(self._api.get(f"/api/projects/{project_id}/"))

    # Tasks

    def tasks(
        self,
        project_id: int,
        page_size: int = 100,
        filters: Sequence[Json] = (),
        *,
        full: bool = True,
        after: int = 0,
    ) -> Iterator[list[Json]]:
        """Pages of tasks in the order of their ids; tasks that come or go meanwhile shift nothing.

        ``filters``: the Data Manager's, all of which must hold. ``full``: with annotations, drafts and predictions.
        ``after``: only tasks with a greater id.
        """
        last = after
        while True:
            beyond = _filter("id", "greater", last, "Number")
            answer = self._page(project_id, page_size, [*filters, beyond], full=full)
            if answer["tasks"]:
                yield answer["tasks"]
                last = answer["tasks"][-1]["id"]
            if len(answer["tasks"]) < page_size:
                return

    def totals(self, project_id: int, filters: Sequence[Json]) -> tuple[int, int]:
        """(tasks, annotations that are no skips) of all tasks for which the filters hold."""
        answer = self._page(project_id, 1, filters, full=False)
        return int(answer["total"]), int(answer["total_annotations"])

    def last_change(self, project_id: int) -> datetime | None:
        """When a task of the project was changed last, by the server's clock; None where it has no tasks."""
        tasks = self._page(project_id, 1, full=False, order="-tasks:updated_at")["tasks"]
        return datetime.fromisoformat(tasks[0]["updated_at"]) if tasks else None

    def _page(
        self,
        project_id: int,
        page_size: int,
        filters: Sequence[Json] = (),
        *,
        full: bool = True,
        ids: Sequence[int] = (),
        order: str = "tasks:id",
    ) -> Json:
        query: Json = {"ordering": [order]}
        if filters:
            query["filters"] = {"conjunction": "and", "items": list(filters)}
        if ids:
            query["selectedItems"] = {"all": False, "included": list(ids)}
        params = {
            "project": project_id,
            "page": 1,
            "page_size": page_size,
            "resolve_uri": "false",
            "query": json.dumps(query, separators=(",", ":")),
        }
        answer = self._api.get("/api/tasks", params | ({"fields": "all"} if full else {}))
        if not isinstance(answer, dict) or not isinstance(answer.get("tasks"), list):
            raise StudioError(f"{self.url} answers /api/tasks in an unknown form.", "Is it Label Studio 1.20 or newer?")
        return answer

    def next_tasks(self, project_id: int, version: str, count: int, *, uncertain: bool) -> list[Json]:
        """The tasks that annotators get next, in about the order in which they get them, with their predictions: those
        that nobody labelled and that hold a prediction of this version. ``uncertain``: the least certain first, as a
        project may be ordered (``Project.sampling``)."""
        unlabelled = _filter("total_annotations", "equal", 0, "Number")
        predicted = _filter("predictions_model_versions", "contains", [version], "List")
        order = "tasks:predictions_score" if uncertain else "tasks:id"
        found: list[Json] = self._page(project_id, count, [unlabelled, predicted], order=order)["tasks"]
        return found

    def tasks_by_ids(self, project_id: int, ids: Sequence[int], *, full: bool = True) -> list[Json]:
        """These tasks, in this order; those that the project does not have are left out."""
        found: dict[int, Json] = {}
        for start in range(0, len(ids), _IDS_PER_REQUEST):
            part = ids[start : start + _IDS_PER_REQUEST]
            answer = self._page(project_id, len(part), full=full, ids=part)
            found |= {task["id"]: task for task in answer["tasks"]}
        return [found[number] for number in dict.fromkeys(ids) if number in found]

    def task_ids_without(self, project_id: int, version: str) -> list[int]:
        """Ids of the tasks that hold no prediction of this version: first those whose predictions of the version that
        stands in the project have a score, the least certain first; then the others, in ascending order."""
        lacking = _filter("predictions_model_versions", "not_contains", [version], "List")
        found = [task["id"] for page in self.tasks(project_id, 1000, [lacking], full=False) for task in page]
        scored = [lacking, _filter("predictions_score", "greater_or_equal", 0, "Number")]  # what is asked for is shown
        pages = self.tasks(project_id, 1000, scored, full=False) if found else ()
        scores = {task["id"]: float(task["predictions_score"]) for page in pages for task in page}
        return sorted(found, key=lambda number: (number not in scores, scores.get(number, 0.0), number))

    def sample_tasks(self, project_id: int, count: int, seed: int = 0) -> list[Json]:
        """A random sample of at most ``count`` tasks, drawn evenly from the whole project."""
        dice = random.Random(seed)
        first = self._page(project_id, 1, full=False)
        if not first["tasks"] or count <= 0:
            return []
        newest = self._page(project_id, 1, full=False, order="-tasks:id")
        low, high, total = first["tasks"][0]["id"], newest["tasks"][0]["id"], int(first["total"])
        span = high - low + 1
        if total <= max(_READ_ALL, 2 * count) or total < span / 20:
            everything = [task for page in self.tasks(project_id, 500, full=False) for task in page]
            return dice.sample(everything, min(count, len(everything)))
        drawn = dice.sample(range(low, high + 1), min(span, round(1.2 * count * span / total) + 50))
        return self.tasks_by_ids(project_id, drawn, full=False)[:count]

    def read_text(self, address: str) -> str:
        """The text of a file that this server keeps, by the address in a task's data; see ``studio.files``.

        Raises:
            ItemError: it lies elsewhere, is too large, is no text, or is not there.
        """
        return files.read_text(self._api, address)

    # Predictions

    def import_predictions(
        self, project_id: int, predictions: Sequence[Json], fields: Sequence[Field] = (), *, checked: bool = False
    ) -> Imported:
        """Stores predictions {"task": id, "result", "score", "model_version"} beside those that are there.

        Label Studio drops what its own validator dislikes without a word, so what is missing afterwards is found and
        reported; and it refuses a whole call for one wrong item, which is then found by halving. Formats that only its
        editor takes (see ``import_refuses``, which reads ``fields``) are posted one by one, which is slower.

        Args:
            checked: our validator has let them through: whatever else the import drops is posted one by one, too. The
                validators of older releases have gaps of their own: 1.22 refuses every region of HyperTextLabels.
        """
        done = Imported()
        single = [one for one in predictions if import_refuses(one, fields)]
        several = [one for one in predictions if not import_refuses(one, fields)]
        if several:
            done += self._import(project_id, several)
            if checked:
                dropped = {task for task, reason in done.refused.items() if reason == _DROPPED}
                single += [one for one in several if one["task"] in dropped]
                done.refused = {task: reason for task, reason in done.refused.items() if task not in dropped}
        for one in single:
            try:
                self.add_prediction(one)
                done.created += 1
                done.one_by_one += 1
            except StudioError as error:
                if error.http_status not in {400, 404}:
                    raise
                done.refused[one["task"]] = error.message
        return done

    def _import(self, project_id: int, predictions: Sequence[Json]) -> Imported:
        try:
            answer = self._api.send(
                "POST", f"/api/projects/{project_id}/import/predictions", list(predictions), timeout=2 * _SLOW_S
            )
        except StudioError as error:
            if error.http_status != 400:
                raise
            if len(predictions) == 1:
                return Imported(0, {predictions[0]["task"]: error.message})
            half = len(predictions) // 2
            done = self._import(project_id, predictions[:half])
            done += self._import(project_id, predictions[half:])
            return done
        created = int(answer.get("created", 0))
        if created >= len(predictions):
            return Imported(created)
        stored = {
            (task["id"], prediction.get("model_version"))
            for task in self.tasks_by_ids(project_id, [one["task"] for one in predictions])
            for prediction in task.get("predictions") or ()
        }
        dropped = [one["task"] for one in predictions if (one["task"], one.get("model_version")) not in stored]
        return Imported(created, dict.fromkeys(dropped, _DROPPED))

    def add_prediction(self, prediction: Json) -> Json:
        """Stores one prediction, which Label Studio does not validate. Returns it with its id."""
        return dict(self._api.send("POST", "/api/predictions/", prediction))

    def update_prediction(self, prediction_id: int, prediction: Mapping[str, Any]) -> Json:
        """Replaces a prediction in place; the next task follows its new score."""
        return dict(self._api.send("PATCH", f"/api/predictions/{prediction_id}/", dict(prediction)))

    def delete_prediction(self, prediction_id: int) -> None:
        self._api.send("DELETE", f"/api/predictions/{prediction_id}/")

    def predictions(self, project_id: int) -> list[Json]:
        """Every prediction of a project, of all versions."""
        return list(self._api.get("/api/predictions/", {"project": project_id}))

    # Backends and webhooks

    def backends(self, project_id: int) -> list[Json]:
        """The project's ML backends; Label Studio calls /health and /setup of each before it answers."""
        return list(self._api.get("/api/ml", {"project": project_id}))

    def backend(self, backend_id: int) -> Json:
        """One backend, after Label Studio has called its /health and /setup."""
        return dict(self._api.get(f"/api/ml/{backend_id}"))

    def add_backend(self, project_id: int, url: str, title: str, extra_params: Any = None) -> Json:
        """Connects a backend; Label Studio calls it, and makes a webhook to <url>/webhook."""
        body = {
            "project": project_id,
            "url": url,
            "title": title,
            "is_interactive": False,
            "extra_params": extra_params,
        }
        return dict(self._api.send("POST", "/api/ml", body, timeout=_SLOW_S))

    def update_backend(self, backend_id: int, project_id: int, url: str, title: str, extra_params: Any = None) -> Json:
        """Renames or moves a backend. Where project.model_version was the old title, it becomes the new one.

        ``extra_params``: those of the row, which Label Studio hands to /setup meanwhile; left out it hands over none.
        """
        body = {"project": project_id, "url": url, "title": title, "extra_params": extra_params}
        return dict(self._api.send("PATCH", f"/api/ml/{backend_id}", body, timeout=_SLOW_S))

    def delete_backend(self, backend_id: int) -> None:
        """Disconnects a backend. Its webhook stays and goes on sending."""
        self._api.send("DELETE", f"/api/ml/{backend_id}", timeout=_SLOW_S)

    def webhooks(self, project_id: int) -> list[Json]:
        return list(self._api.get("/api/webhooks/", {"project": project_id}))

    def add_webhook(self, project_id: int, url: str) -> Json:
        """Makes a webhook as Label Studio makes one for a backend: every action, with its payload."""
        body = {"project": project_id, "url": url, "send_payload": True, "send_for_all_actions": True, "headers": {}}
        return dict(self._api.send("POST", "/api/webhooks/", body | {"actions": [], "is_active": True}))

    def update_webhook(self, webhook_id: int, url: str, **settings: Any) -> Json:
        return dict(self._api.send("PATCH", f"/api/webhooks/{webhook_id}/", {"url": url, **settings}))

    def delete_webhook(self, webhook_id: int) -> None:
        self._api.send("DELETE", f"/api/webhooks/{webhook_id}/")


def _project(body: Json) -> Project:
    return Project(
        id=int(body["id"]),
        title=body.get("title") or "",
        created_at=int(datetime.fromisoformat(body["created_at"]).timestamp()),
        label_config=body.get("label_config") or "",
        task_count=int(body.get("task_number") or 0),
        model_version=body.get("model_version") or "",
        sampling=body.get("sampling") or "",
        show_collab_predictions=bool(body.get("show_collab_predictions")),
    )


def _filter(column: str, operator: str, value: Any, kind: str) -> Json:
    return {"filter": f"filter:tasks:{column}", "operator": operator, "value": value, "type": kind}


UNCERTAIN = "Uncertainty sampling"
"""The sampling of a project that hands out the task with the lowest score first."""
LABELLED = _filter("total_annotations", "greater", 0, "Number")
"""Filter: tasks with an annotation that is no skip."""
SKIPPED = _filter("cancelled_annotations", "greater", 0, "Number")
"""Filter: tasks that somebody has skipped."""


def changed_since(moment: datetime) -> Json:
    """Filter: tasks changed after it, by themselves or by their annotations and predictions."""
    return _filter("updated_at", "greater", moment.astimezone(UTC).isoformat().replace("+00:00", "Z"), "Datetime")

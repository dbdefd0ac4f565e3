"""LabelLoop as a model of the label-studio-ml package, for those who run `label-studio-ml start`.

The package's routes carry no key and no creation time of the project, so a project is known by its id alone here: use
it for one Label Studio server. Everything else is LabelLoop's own: the same store, workers, versions and predictions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from labelloop.errors import RequestError
from labelloop.learning.store import Connection, Store
from labelloop.scoring.queues import Scoring
from labelloop.service import Backend
from labelloop.settings import get_settings


@lru_cache(maxsize=1)
def _backend() -> Backend:
    settings = get_settings()
    store = Store(settings.store_url)
    store.migrate()
    return Backend(settings, store, Scoring(settings.find_redis_url(), settings))


class LabelLoop(LabelStudioMLBase):  # type: ignore[misc]  # the package is installed apart and brings no types
    """Made anew for every request by the package, so it holds nothing but the request's project."""

    def setup(self) -> None:
        """Called by the constructor: names the version that serves the label config."""
        if self.label_config:
            self.set("model_version", _backend().setup(self._connection(), self.label_config).name)

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """One prediction a task, in order; a task without one gets ``{"error": ...}``, which Label Studio skips.

        Raises:
            QueueDownError, NoWorkerError: nobody can answer now.
        """
        return _backend().predict(self._connection(), tasks, self.label_config, context)[1]

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Stores the event before it returns; learning follows by itself.

        Raises:
            StoreDownError: it could not be stored.
        """
        action, new = _backend().event(self._connection(), {**data, "action": event})
        return {"action": action, "status": "stored" if new else "known"}

    def _connection(self) -> Connection:
        project = str(self.project_id or "").split(".")[0]
        if not project.isdigit():
            raise RequestError("The call names no project.", "Label Studio sends one with every call.")
        return _backend().project_connection(int(project), 0)


def create_app() -> Any:
    """The package's Flask app around this model: all that a ``_wsgi.py`` needs."""
    from label_studio_ml.api import init_app

    return init_app(model_class=LabelLoop)

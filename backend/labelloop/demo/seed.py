"""The demo's project in a Label Studio that runs elsewhere: `python -m labelloop.demo.seed`, in docker-compose.yml.

Address and token are LABELLOOP_LABEL_STUDIO_URL and _TOKEN. Safe to repeat: what is there is taken as it is.
"""

from __future__ import annotations

import sys
from typing import Any

import httpx

from labelloop.cli.shared import login
from labelloop.connect import connect
from labelloop.demo import project as demo_project
from labelloop.errors import LabelLoopError, StudioError
from labelloop.learning.store import Store
from labelloop.scoring import push
from labelloop.scoring.queues import Scoring
from labelloop.settings import Settings, get_settings
from labelloop.studio.transport import kind_of


class Caller:
    """Plain calls of Label Studio's API with a personal access token or a legacy token."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60.0)
        scheme = "Token"
        if kind_of(token) == "personal":
            scheme = "Bearer"
            token = self.request("POST", "/api/token/refresh", json={"refresh": token}).json()["access"]
        self._client.headers["Authorization"] = f"{scheme} {token}"

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One call.

        Raises:
            StudioError: it is not answered, or with an error.
        """
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise StudioError(f"Label Studio does not answer: {error}", "Is it up?") from None
        if answer.is_error:
            raise StudioError(
                f"Label Studio answered {method} {path} with {answer.status_code}: {answer.text[:400]}",
                "The token must be one of a user who may make projects.",
                answer.status_code,
            )
        return answer


def seed(settings: Settings, url: str, token: str) -> push.Progress:
    """Makes the project, connects it, and waits until its tasks are pre-annotated.

    Raises:
        StudioError: Label Studio does not answer or refuses.
        UnavailableError: LabelLoop's web process, its worker or Redis is not up.
    """
    project = demo_project.find_or_create(Caller(url, token))
    store = Store(settings.store_url)
    scoring = Scoring(settings.find_redis_url(), settings)
    try:
        store.migrate()
        made = connect(
            settings,
            store,
            project=str(project),
            url=url,
            token=token,
            backend_url=settings.backend_url,
            keep_sampling=False,
            report=_say,
        )
        push.start(made.connection.id, settings, store, scoring)
        return push.wait(made.connection.id, scoring)
    finally:
        store.close()


def main() -> int:
    try:
        settings = get_settings()
        ended = seed(settings, *login(settings, "", ""))
    except LabelLoopError as error:
        _say(f"Error: {error}")
        return error.exit_code
    _say(f"{ended.state}: {ended.done} tasks pre-annotated, {ended.skipped} were before, {ended.failed} could not be")
    return 0 if ended.state == "done" and not ended.failed else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

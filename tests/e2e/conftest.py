"""A real Label Studio for the whole session, and projects in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from labelloop.demo.browser import signed_in
from labelloop.demo.label_studio import EXECUTABLE, LabelStudioServer
from labelloop.errors import UnavailableError
from support.editor import Editor
from support.running import Running, running_beside
from support.working import Project

_E2E = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _E2E in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def label_studio_executable() -> str:
    """The real thing; a run without it fails, for a skipped end-to-end test proves nothing."""
    if not os.environ.get(EXECUTABLE):
        pytest.fail(
            f"{EXECUTABLE} is not set: the end-to-end tests need a real Label Studio. `make test` installs one and "
            f"sets it; by hand: `make setup`, then {EXECUTABLE}=.venv-label-studio/bin/label-studio.",
            pytrace=False,
        )
    return os.environ[EXECUTABLE]


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory, label_studio_executable: str) -> Iterator[LabelStudioServer]:
    """The real server, signed in; its url, email, password, token, legacy_token; legacy tokens are off."""
    with LabelStudioServer(tmp_path_factory.mktemp("label-studio")) as server:
        yield server


@pytest.fixture(scope="session")
def running(label_studio: LabelStudioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """LabelLoop as `labelloop up` runs it, next to the real Label Studio."""
    with running_beside(label_studio, tmp_path_factory.mktemp("running")) as everything:
        yield everything


@pytest.fixture(scope="module")
def editor(label_studio: LabelStudioServer) -> Iterator[Editor]:
    """One page of one browser for all of them: to start it takes longer than a case does."""
    try:
        with signed_in(label_studio.url, label_studio.email, label_studio.password) as page:
            yield Editor(label_studio, page)
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def project(label_studio: LabelStudioServer) -> Iterator[Callable[..., Project]]:
    """``project(label_config, tasks=(), title=..., **attributes)`` makes a project; it is deleted at the test's end."""
    made: list[Project] = []

    def make(
        label_config: str, tasks: Sequence[dict[str, Any]] = (), title: str = "A test project", **attributes: Any
    ) -> Project:
        body = {"title": title, "label_config": label_config, **attributes}
        created = label_studio.request("POST", "/api/projects/", json=body).json()
        new = Project(label_studio, int(created["id"]), title)
        made.append(new)
        if tasks:
            new.import_tasks(tasks)
        return new

    yield make
    for one in made:
        label_studio.request("DELETE", f"/api/projects/{one.id}/", check=False)

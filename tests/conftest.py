"""What many tests share: settings that touch nothing of the user's, stores; and which tests run side by side."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.cli import shared
from labelloop.learning.store import Store
from labelloop.settings import Settings, get_settings
from support.postgresql import NONE, drop_schema, empty, find_programs, own_schema, private_server

TESTS = Path(__file__).parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file stay in one process, which makes what they share once; so do all that start a real Label
    Studio, for they share it, keep both cores busy and want the same port, and all that empty one Redis."""
    for item in items:
        group = str(item.path.relative_to(TESTS))
        if group.startswith(("e2e", "demo")):
            group = "e2e"
        elif group.startswith("scoring") and os.environ.get("LABELLOOP_TEST_REDIS_URL"):
            group = "scoring"
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads the user's settings; LABELLOOP_TEST_* and the Label Studio to test against stay."""
    for name in list(os.environ):
        if name.startswith("LABELLOOP_") and not name.startswith(("LABELLOOP_TEST_", "LABELLOOP_LABEL_STUDIO_BIN")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LABELLOOP_CONFIG", str(tmp_path / "none.toml"))
    get_settings.cache_clear()


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands run as in a terminal: with a labelloop.toml where there is one, on the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABELLOOP_CONFIG")
    monkeypatch.setenv("LABELLOOP_DEVICE", "cpu")
    monkeypatch.setattr(shared.out, "width", 140)
    get_settings.cache_clear()
    return tmp_path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked ``databases`` run on SQLite and on PostgreSQL, or on those that the mark names; others on SQLite."""
    mark = metafunc.definition.get_closest_marker("databases")
    if mark and "database_url" in metafunc.fixturenames:
        metafunc.parametrize("database_url", mark.args or ("sqlite", "postgresql"), indirect=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a schema of this process's own: LABELLOOP_TEST_DATABASE_URL's, or a private server's."""
    name = f"labelloop_{WORKER or 'alone'}"
    if given := os.environ.get("LABELLOOP_TEST_DATABASE_URL"):
        yield own_schema(given, name)
        drop_schema(given, name)
        return
    programs = find_programs()
    if programs is None:
        pytest.skip(NONE)
    with private_server(programs) as url:
        yield own_schema(url, name)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield f"sqlite:///{tmp_path / 'labelloop.db'}"
        return
    url = request.getfixturevalue("postgresql")
    yield url
    empty(url)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An empty, migrated store."""
    made = Store(database_url)
    made.migrate()
    yield made
    made.close()

"""What many tests share: settings that touch nothing of the user's, stores; and which tests run side by side."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from labelloop.cli import shared
from labelloop.learning.store import Store
from labelloop.settings import Settings, get_settings

TESTS = Path(__file__).parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file stay in one process, which makes what they share once; so do all that drive the real Label
    Studio, for they share it and keep both cores busy, and all that empty one Redis."""
    for item in items:
        group = str(item.path.relative_to(TESTS))
        if group.startswith("e2e"):
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


def _database_urls() -> dict[str, Callable[[Path], str]]:
    urls: dict[str, Callable[[Path], str]] = {"sqlite": lambda folder: f"sqlite:///{folder / 'store.db'}"}
    if url := os.environ.get("LABELLOOP_TEST_DATABASE_URL"):
        urls["postgresql"] = lambda _folder: _schema_of(url)
    return urls


def _schema_of(url: str) -> str:
    """The database; of tests that run side by side each process has a schema of its own in it."""
    if not WORKER:
        return url
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS labelloop_{WORKER}"))
    engine.dispose()
    its = sa.make_url(url)
    return its.update_query_dict({"options": f"-csearch_path=labelloop_{WORKER}"}).render_as_string(False)


@pytest.fixture(params=list(_database_urls()))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty, migrated store; also on PostgreSQL where LABELLOOP_TEST_DATABASE_URL names one."""
    made = Store(_database_urls()[request.param](tmp_path))
    made.migrate()
    yield made
    from labelloop.learning.migrate import downgrade

    downgrade(made.engine, "base")
    made.close()

"""The commands backup and restore, as in a terminal: what they say, what waits on disk, and who must not run."""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from labelloop.cli import app
from labelloop.errors import RequestError, StoreDownError
from labelloop.learning.spool import Spool
from labelloop.learning.store import Store
from labelloop.scoring import wire
from labelloop.scoring.embedded import EmbeddedRedis
from labelloop.settings import get_settings
from support.labelling import Labelling, state
from support.rows import fill, rows


@pytest.fixture
def use(terminal: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    def use(folder: str, **more: str) -> Path:
        for name, value in {"DATA_DIR": str(terminal / folder), **more}.items():
            monkeypatch.setenv(f"LABELLOOP_{name}", value)
        get_settings.cache_clear()
        return terminal / folder

    return use


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0
    return done


def test_a_backup_goes_to_a_file_and_comes_back_into_another_store(use: Callable[..., Path], terminal: Path) -> None:
    use("old")
    first = Store(get_settings().store_url)
    first.migrate()
    fill(first)
    said = " ".join(run("backup", "day.backup").stdout.split())
    assert "day.backup: 2 connections, 2 labels, 2 versions, 2 adapters" in said
    assert "access tokens of Label Studio in clear, and keys as hashes: only you may read it" in said
    assert stat.S_IMODE((terminal / "day.backup").stat().st_mode) == 0o600
    with pytest.raises(RequestError, match="--force"):
        run("backup", "day.backup")
    run("backup", "day.backup", "--force")
    use("new")
    said = " ".join(run("restore", "day.backup").stdout.split())
    assert re.search(r"the store holds 2 connections, .* as of 20\d\d-\d\d-\d\d \d\d:\d\d UTC", said)
    with pytest.raises(RequestError, match="not empty"):
        run("restore", "day.backup")
    run("restore", "day.backup", "--force")
    second = Store(get_settings().store_url)
    assert rows(second) == rows(first)
    for store in (first, second):
        store.close()


def test_labels_that_wait_on_disk_are_in_the_backup(use: Callable[..., Path]) -> None:
    folder = use("old")
    store = Store(get_settings().store_url)
    store.migrate()
    key, studio = store.new_key(), Labelling()
    studio.annotate(studio.add_task("one"), "Sport")
    studio.annotate(studio.add_task("two"), "Art")
    spool = Spool(folder / "spool")
    for action, body in studio.events:
        spool.save(key, {**body, "action": action, "project": {"id": 3, "created_at": "2026-11-23T12:00:00Z"}})
    said = run("backup", "day.backup").stdout
    assert "4 webhooks that waited on disk are in the store now" in said
    assert not list((folder / "spool").glob("*.json"))
    use("new")
    run("restore", "day.backup")
    restored = Store(get_settings().store_url)
    assert state(restored, 1) == studio.state
    for one in (store, restored):
        one.close()


def test_a_backup_without_what_waits_on_disk_is_none(
    use: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, terminal: Path
) -> None:
    folder = use("old")
    store = Store(get_settings().store_url)
    store.migrate()
    store.close()
    Spool(folder / "spool").save(store.new_key(), {"action": "ANNOTATION_CREATED"})

    def down(*_: Any) -> Any:
        raise StoreDownError("down")

    monkeypatch.setattr(Store, "connection_of_key", down)
    with pytest.raises(StoreDownError, match="wait on disk"):
        run("backup", "day.backup")
    assert not (terminal / "day.backup").exists()


def test_nothing_is_restored_under_workers_and_redis_forgets_the_former_labels(use: Callable[..., Path]) -> None:
    use("old")
    Store(get_settings().store_url).migrate()
    run("backup", "day.backup")
    folder = use("new")
    with EmbeddedRedis(folder) as server:
        use("new", REDIS_URL=server.url)
        redis = wire.connect(server.url)
        redis.set("labelloop:answer:digest:1.5:topic:hash", "{}", ex=100)
        redis.set("other", "kept")
        redis.sadd(wire.WORKERS, "here")
        redis.set(wire.WORKER.format(name="here"), json.dumps({"state": "ready", "queues": []}), ex=30)
        with pytest.raises(RequestError, match="LabelLoop runs: here"):
            run("restore", "day.backup", "--force")
        redis.delete(wire.WORKER.format(name="here"))
        run("restore", "day.backup")
        assert redis.keys("*") == [b"other"]
        redis.close()
    use("new", REDIS_URL="redis://127.0.0.1:1/0")
    assert "empty it before" in run("restore", "day.backup", "--force").stderr


def test_an_embedded_redis_that_is_off_forgets_them_too(use: Callable[..., Path]) -> None:
    folder = use("old")
    Store(get_settings().store_url).migrate()
    run("backup", "day.backup")
    kept = folder / "redis" / "labelloop.rdb"
    kept.parent.mkdir()
    kept.write_bytes(b"answers")
    run("restore", "day.backup")
    assert not kept.exists()

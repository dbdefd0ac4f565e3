"""A backup holds all of the store as it was at one moment; a restore brings back all of it, or changes nothing."""

import json
import random
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from labelloop.errors import LabelLoopError, RequestError, SettingsError, StoreDownError
from labelloop.learning import archive, intake
from labelloop.learning.backup import backup, restore
from labelloop.learning.migrate import downgrade, revisions
from labelloop.learning.store import Store
from support.labelling import Labelling
from support.rows import HEAD, fill, rows


@pytest.fixture
def full(store: Store) -> Store:
    fill(store)
    return store


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    """An empty, migrated SQLite store of this name."""
    opened: list[Store] = []

    def open_one(name: str) -> Store:
        opened.append(Store(f"sqlite:///{tmp_path}/{name}.db"))
        opened[-1].migrate()
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "today.backup"


def changed(path: Path, name: str, change: Callable[[bytes], bytes | None]) -> Path:
    """The same archive with one of its files changed, or left out, and every checksum of the zip itself right."""
    made = path.with_suffix(".changed")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        for member in old.namelist():
            content: bytes | None = old.read(member)
            assert content is not None
            if (content := change(content) if member == name else content) is not None:
                new.writestr(member, content)
    return made


def told(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps(json.loads(content) | fields).encode()


@pytest.mark.databases("postgresql")
def test_from_sqlite_to_postgresql_and_back_every_row_is_the_same(
    store: Store, open_store: Callable[[str], Store], file: Path
) -> None:
    first, last = open_store("first"), open_store("last")
    fill(first)
    backup(first, file)
    made = restore(store, file)
    assert rows(store) == rows(first)
    assert made.revision == HEAD and len(made.adapters) == 2
    backup(store, file, force=True)
    restore(last, file)
    assert rows(last) == rows(first)
    assert stat.S_IMODE((file.parent / "last.db").stat().st_mode) == 0o600


@pytest.mark.databases
def test_a_restored_store_goes_on_where_it_was(store: Store, open_store: Callable[[str], Store], file: Path) -> None:
    source = open_store("source")
    key = [source.new_key() for _ in range(3)][-1]
    backup(source, file)
    restore(store, file)
    found = store.connection_of_key(key)
    assert found is not None and found.id == 3
    assert store.create_connection("http://ls", 1, 2, "New", "")[0].id == 4
    studio = Labelling()
    studio.annotate(studio.add_task("one"), "Sport")
    for action, body in studio.events:
        assert intake.receive(store, 3, action, body) == (True, False)
    assert key.encode() not in file.read_bytes()


@pytest.mark.databases
def test_a_backup_is_of_one_moment_and_holds_nobody_up(store: Store, database_url: str, file: Path) -> None:
    """Labels come while it is written; each changes two tables and the epoch, and the backup has all of it or none."""
    connection = store.create_connection("http://ls", 3, 4, "Title", "")[0].id
    other, studio = Store(database_url), Labelling()

    def label(*_: object) -> None:
        studio.annotate(studio.add_task(f"text {len(studio.tasks)}"), "Sport")
        for action, body in studio.events[-2:]:
            intake.receive(other, connection, action, body)

    for _ in range(5):
        label()
    made = backup(store, file, progress=label)
    with archive.opened(file) as opened:
        held = {name: list(archive.rows(opened, name)) for name in made.tables}
    assert 5 < len(studio.annotations) == other.memory_epoch(connection)
    assert held["connections"][0]["memory_epoch"] == 5
    assert (len(held["annotations"]), len(held["items"]), len(held["events"])) == (5, 5, 10)
    other.close()


def test_the_file_is_private_whole_and_never_written_over_unasked(
    full: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(full, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(RequestError, match="is there already"):
        backup(full, file)
    with pytest.raises(RequestError, match="no place for a file"):
        backup(full, file.parent / "nowhere" / "file")
    for refused in (file.parent, file.parent / "new"):
        with pytest.raises(LabelLoopError), monkeypatch.context() as patched:
            patched.setattr(zipfile.ZipFile, "writestr", _no_space)
            backup(full, refused, force=True)
    with pytest.raises(LabelLoopError, match="No space"), monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "writestr", _no_space)
        backup(full, file, force=True)
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir() if "backup" in one.name or "new" in one.name] == [file.name]
    backup(full, file, force=True)
    assert file.read_bytes() != before


def _no_space(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.databases
def test_a_store_that_holds_something_is_replaced_only_when_that_is_meant(
    store: Store, open_store: Callable[[str], Store], file: Path
) -> None:
    source = open_store("source")
    fill(source)
    backup(source, file)
    store.create_connection("http://ls", 9, 9, "Another", "")
    before = rows(store)
    with pytest.raises(RequestError, match=r"not empty: it holds 1 connections\."):
        restore(store, file)
    assert rows(store) == before
    restore(store, file, force=True)
    assert rows(store) == rows(source)


@pytest.mark.databases
@pytest.mark.parametrize("revision", revisions()[:-1])
def test_a_backup_of_an_older_labelloop_is_brought_up_to_date(
    store: Store, open_store: Callable[[str], Store], file: Path, revision: str
) -> None:
    old = open_store("old")
    downgrade(old.engine, revision)
    fill(old, revision)
    assert backup(old, file).revision == revision
    assert rows(old, revision), "a backup changes no schema"
    restore(store, file)
    old.migrate()
    assert rows(store) == rows(old)


def test_a_damaged_file_is_refused_wherever_it_is_damaged_and_changes_nothing(
    full: Store, open_store: Callable[[str], Store], file: Path
) -> None:
    backup(full, file)
    target, dice, content = open_store("target"), random.Random(1), file.read_bytes()
    target.create_connection("http://ls", 9, 9, "Kept", "")
    before, whole, refused = rows(target), rows(full), 0
    broken = file.with_suffix(".broken")
    for cut in (0, 1, 100, len(content) // 2, len(content) - 30, len(content) - 1):
        broken.write_bytes(content[:cut])
        with pytest.raises(RequestError, match="no whole backup"):
            restore(target, broken, force=True)
    for _ in range(60):
        place = dice.randrange(len(content))
        broken.write_bytes(content[:place] + bytes([content[place] ^ 1 << dice.randrange(8)]) + content[place + 1 :])
        spare = open_store(f"spare{place}")
        try:
            restore(spare, broken)
        except RequestError as error:
            refused += 1
            assert "no whole backup" in error.message or "newer" in error.message, error
            assert not any(rows(spare).values())
        else:
            assert rows(spare) == whole  # times and rights in the zip's own notes mean nothing
    assert refused > 30
    assert rows(target) == before


def test_contents_that_are_not_what_they_say_are_refused(
    full: Store, open_store: Callable[[str], Store], file: Path
) -> None:
    made, target = backup(full, file), open_store("target")
    adapter, note = made.adapters[0], made.tables["annotations"]
    tables = {name: table.model_dump() for name, table in made.tables.items()}
    wrong: list[tuple[str, Callable[[bytes], bytes | None], str]] = [
        (f"adapters/{adapter}/adapter.safetensors", lambda old: old[:-1] + b"x", f"adapter {adapter[:12]} is not"),
        (f"adapters/{adapter}/adapter.json", lambda old: old + b" ", f"adapter {adapter[:12]} is not"),
        (f"adapters/{adapter}/adapter.json", lambda _: None, "no whole backup"),
        ("tables/annotations.jsonl", lambda old: old.replace(b"edited", b"reject"), "rows of annotations"),
        ("tables/annotations.jsonl", lambda old: old.splitlines(True)[0], "rows of annotations"),
        ("tables/annotations.jsonl", lambda old: old.replace(b'"how"', b'"why"'), "other columns"),
        ("tables/events.jsonl", lambda _: None, "no whole backup"),
        ("manifest.json", lambda _: None, "no whole backup"),
        ("manifest.json", lambda _: b"[]", "no whole backup"),
        ("manifest.json", lambda _: b"{", "no whole backup"),
        ("manifest.json", told(tables={"annotations": note.model_dump()}), "other tables"),
        ("manifest.json", told(tables=tables | {"more": note.model_dump()}), "other tables"),
        ("manifest.json", told(format=2, labelloop="9.9"), r"newer LabelLoop \(9\.9\)"),
        ("manifest.json", told(revision="0999", labelloop="9.9"), r"newer LabelLoop \(9\.9\): its schema is 0999"),
    ]
    for name, change, why in wrong:
        with pytest.raises(RequestError, match=why):
            restore(target, changed(file, name, change))
    assert not any(rows(target).values())
    with pytest.raises(RequestError, match="There is no file"):
        restore(target, file.parent / "none")


@pytest.mark.databases
def test_rows_that_do_not_fit_together_change_nothing(
    store: Store, open_store: Callable[[str], Store], file: Path
) -> None:
    source = open_store("source")
    fill(source)
    with source.engine.connect() as connection:  # as a hand may have left it
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("UPDATE events SET connection_id = 77")
        connection.commit()
    backup(source, file)
    store.create_connection("http://ls", 9, 9, "Kept", "")
    before = rows(store)
    with pytest.raises(RequestError, match="do not fit together"):
        restore(store, file, force=True)
    assert rows(store) == before


def test_an_adapter_that_is_damaged_in_the_store_is_left_out_and_named(
    full: Store, open_store: Callable[[str], Store], file: Path
) -> None:
    sha = rows(full)["adapters"][0]["sha"]
    with full.engine.begin() as connection:
        connection.execute(sa.text("UPDATE adapters SET content = :bad WHERE sha = :sha"), {"sha": sha, "bad": b"bad"})
    made = backup(full, file)
    assert made.left_out == [sha] and len(made.adapters) == 1
    target = open_store("target")
    restore(target, file)
    assert [row["sha"] for row in rows(target)["adapters"]] == made.adapters


def test_what_cannot_be_backed_up_says_why(full: Store, file: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no store yet"):
        backup(Store(f"sqlite:///{tmp_path}/none.db"), file)
    with pytest.raises(StoreDownError):
        backup(Store("postgresql://nobody@127.0.0.1:1/none"), file)
    with full.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(SettingsError, match="newer LabelLoop"):
        backup(full, file)
    assert not file.exists()

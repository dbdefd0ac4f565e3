"""A PostgreSQL for tests: the one that LABELLOOP_TEST_DATABASE_URL names, else a private one of what is installed."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import sqlalchemy as sa

from support.waiting import until

NONE = "no PostgreSQL: set LABELLOOP_TEST_DATABASE_URL, or install it (Debian, Ubuntu: apt-get install postgresql)"
_SMALL = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=16MB", "listen_addresses=")


def find_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; Debian keeps them off the PATH."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((one for one in folders if (one / "initdb").is_file() and (one / "postgres").is_file()), None)


@contextmanager
def private_server(programs: Path) -> Iterator[str]:
    """A server with a folder and a socket of its own and no port; it ends with this process. Its address."""
    who = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="labelloop-pg-"))  # a socket's path is 107 bytes long at most
    if who is not None:
        os.chown(folder, who.pw_uid, who.pw_gid)
    as_whom = {} if who is None else {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
    process: subprocess.Popen[bytes] | None = None
    try:
        made = [programs / "initdb", "-D", folder / "data", "-U", "labelloop", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*made, "--no-locale", "--no-sync"], check=True, capture_output=True, cwd=folder, **as_whom)  # type: ignore[call-overload]
        options = [part for option in (*_SMALL, f"unix_socket_directories={folder}") for part in ("-c", option)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
                preexec_fn=_end_with_parent,
                **as_whom,
            )  # type: ignore[call-overload]
        url = f"postgresql://labelloop@/postgres?host={folder}"
        until(lambda: _answers(url) or process.poll() is not None, 60)
        assert process.poll() is None, (folder / "log").read_text()
        yield url
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # "fast": it waits for nobody
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def own_schema(url: str, name: str) -> str:
    """The address of an empty schema in a database; each process that tests has one."""
    drop_schema(url, name)
    with _connected(url) as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    its = sa.make_url(url)
    return its.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(False)


def drop_schema(url: str, name: str) -> None:
    """Leaves nothing of it; nor is anything lost where it is not there."""
    with _connected(url) as connection:
        connection.execute(sa.text("SET LOCAL lock_timeout = '20s'"))
        connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {name} CASCADE"))


@contextmanager
def _connected(url: str) -> Iterator[sa.Connection]:
    """In one transaction."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def empty(url: str) -> None:
    """Empties every table, and counts from one again: in milliseconds, where making them anew takes far longer."""
    with _connected(url) as connection:
        names = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
        if names:
            connection.execute(sa.text("SET LOCAL lock_timeout = '20s'"))
            connection.execute(sa.text(f"TRUNCATE {', '.join(sorted(names))} RESTART IDENTITY CASCADE"))


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom it runs as where we are root, which it refuses."""
    if os.geteuid() != 0:
        return None
    known = {one.pw_name: one for one in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG: it is told, however we end

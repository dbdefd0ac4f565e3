"""Log-in, retries and plain-words errors, against a server whose answers each test writes down."""

import base64
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from labelloop.errors import StudioError
from labelloop.studio.transport import Transport, kind_of

LEGACY = "0123456789abcdef0123456789abcdef01234567"


def jwt(kind: str, life: int = 300, name: str = "") -> str:
    claims = {"token_type": kind, "iat": 1000, "exp": 1000 + life, "jti": name}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".sig-x"
    )


Open = Callable[..., Transport]
PERSONAL = jwt("refresh", 10**9)


@dataclass
class Answer:
    """``status`` 0: the connection is dropped without an answer."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Scripted:
    """A server on loopback. ``script`` decides each answer; ``seen`` holds (method, path, Authorization, body)."""

    url: str = ""
    script: Callable[[str, str, str], Answer] = lambda method, path, authorization: Answer()
    seen: list[tuple[str, str, str, bytes]] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.seen]


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            authorization = self.headers.get("Authorization", "")
            scripted.seen.append((self.command, self.path, authorization, body))
            answer = scripted.script(self.command, self.path, authorization)
            if not answer.status:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            page = isinstance(answer.body, str)
            content = answer.body.encode() if page else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in ({"Content-Type": "text/html" if page else "application/json"} | answer.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    scripted.url = f"http://127.0.0.1:{listening.server_port}"
    yield scripted
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def open_transport() -> Iterator[Callable[..., Transport]]:
    made: list[Transport] = []

    def make(url: str, token: str = LEGACY, timeout: float = 5.0) -> Transport:
        made.append(Transport(url, token, timeout, backoff_s=0.0))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_tokens_say_their_kind() -> None:
    assert kind_of(PERSONAL) == "personal"
    assert kind_of(jwt("access")) == "access"
    for token in (LEGACY, "", "a.b", "a.b.c", "..", "a.!!!.c", "a." + base64.b64encode(b"[1]").decode() + ".c"):
        assert kind_of(token) == "legacy"


def test_a_legacy_token_is_sent_as_it_is(server: Scripted, open_transport: Open) -> None:
    server.script = lambda *_: Answer(body={"email": "a@b.example"})
    assert open_transport(server.url + "/", f" {LEGACY}\n").get("/api/x", {"page": 2}) == {"email": "a@b.example"}
    assert server.seen == [("GET", "/api/x?page=2", f"Token {LEGACY}", b"")]


def exchanging(life: int, refuse: tuple[str, ...] = ()) -> Callable[[str, str, str], Answer]:
    """Answers exchanges with access tokens numbered from 1, refuses those named in ``refuse``."""
    given = 0

    def script(method: str, path: str, authorization: str) -> Answer:
        nonlocal given
        if path == "/api/token/refresh":
            given += 1
            return Answer(body={"access": jwt("access", life, str(given))})
        for name in refuse:
            if authorization == f"Bearer {jwt('access', life, name)}":
                return Answer(401, {"detail": "Token is expired"})
        return Answer(body={"used": authorization})

    return script


def test_a_personal_token_is_exchanged_once(server: Scripted, open_transport: Open) -> None:
    server.script = exchanging(life=300)
    api = open_transport(server.url, PERSONAL)
    for _ in range(3):
        assert api.get("/api/x") == {"used": f"Bearer {jwt('access', 300, '1')}"}
    assert server.paths() == ["/api/token/refresh", "/api/x", "/api/x", "/api/x"]
    assert json.loads(server.seen[0][3]) == {"refresh": PERSONAL}
    assert server.seen[0][2] == ""


def test_an_access_token_is_renewed_before_it_expires(server: Scripted, open_transport: Open) -> None:
    server.script = exchanging(life=0)
    api = open_transport(server.url, PERSONAL)
    assert api.get("/api/x") == {"used": f"Bearer {jwt('access', 0, '1')}"}
    assert api.get("/api/x") == {"used": f"Bearer {jwt('access', 0, '2')}"}


def test_a_refused_access_token_is_renewed_once(server: Scripted, open_transport: Open) -> None:
    server.script = exchanging(life=300, refuse=("1",))
    api = open_transport(server.url, PERSONAL)
    assert api.send("POST", "/api/x", {"a": 1}) == {"used": f"Bearer {jwt('access', 300, '2')}"}
    server.script = exchanging(life=300, refuse=("1", "2", "3"))
    with pytest.raises(StudioError, match="refused the personal access token: Token is expired"):
        open_transport(server.url, PERSONAL).get("/api/x")
    assert server.paths()[4:] == ["/api/token/refresh", "/api/x"] * 2


@pytest.mark.parametrize(
    ("token", "detail", "message", "remedy"),
    [
        (
            LEGACY,
            "legacy token authentication has been disabled",
            "switched legacy tokens off",
            "personal access",
        ),
        (LEGACY, "Invalid token.", "does not know this token", "Copy it again"),
        (PERSONAL, "Token is invalid", "refused the personal access token", "SECRET_KEY"),
    ],
)
def test_a_refused_token_says_which_and_why(
    server: Scripted, open_transport: Open, token: str, detail: str, message: str, remedy: str
) -> None:
    server.script = lambda *_: Answer(401, {"status_code": 401, "detail": detail})
    with pytest.raises(StudioError, match=message) as caught:
        open_transport(server.url, token).get("/api/x")
    assert remedy in caught.value.remedy
    assert caught.value.http_status == 401
    assert len(server.seen) == 1


@pytest.mark.parametrize(("token", "words"), [("", "no token"), (jwt("access"), "lives five minutes")])
def test_an_unusable_token_is_not_sent(server: Scripted, open_transport: Open, token: str, words: str) -> None:
    with pytest.raises(StudioError, match=words):
        open_transport(server.url, token).get("/api/x")
    assert server.seen == []


@pytest.mark.parametrize("token", ["two words", "naïve", "a\nb"])
def test_a_token_with_odd_characters_was_pasted_wrongly(token: str) -> None:
    with pytest.raises(StudioError, match="odd characters") as caught:
        Transport("http://localhost", token)
    assert token not in str(caught.value)


@pytest.mark.parametrize("status", [0, 429, 502, 503, 504])
def test_reading_is_tried_again_writing_is_not(server: Scripted, open_transport: Open, status: int) -> None:
    answers = [Answer(status, "busy"), Answer(status, "busy"), Answer(body={"ok": 1})]
    server.script = lambda *_: answers[min(len(server.seen), 3) - 1]
    api = open_transport(server.url)
    assert api.get("/api/x") == {"ok": 1}
    assert len(server.seen) == 3
    server.seen.clear()
    with pytest.raises(StudioError):
        api.send("POST", "/api/x", {})
    assert len(server.seen) == 1


def test_trying_again_has_an_end(server: Scripted, open_transport: Open) -> None:
    server.script = lambda *_: Answer(503, {"detail": "maintenance"})
    with pytest.raises(StudioError, match="HTTP 503: maintenance") as caught:
        open_transport(server.url).get("/api/x")
    assert (len(server.seen), caught.value.http_status) == (4, 503)


def test_a_port_without_a_server(open_transport: Open) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(StudioError, match="Nothing listens at") as caught:
        open_transport(f"http://127.0.0.1:{port}").get("/api/x")
    assert caught.value.http_status is None
    assert "container" in caught.value.remedy


def test_a_host_that_is_not_known(open_transport: Open) -> None:
    with pytest.raises(StudioError, match="is not known"):
        open_transport("http://label-studio.invalid:8080").get("/api/x")


def test_a_server_that_does_not_answer(open_transport: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = open_transport(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05)
        with pytest.raises(StudioError, match="did not answer in time"):
            api.get("/api/x")


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "ftp://x.example", "http://", "http://ann:secret@x.example", "http://x.example/?a=1"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(StudioError, match="not the address of a server") as caught:
        Transport(url, LEGACY)
    assert "secret" not in str(caught.value)


def test_something_else_answers(server: Scripted, open_transport: Open) -> None:
    server.script = lambda *_: Answer(200, "<!doctype html><title>Router log-in</title>")
    with pytest.raises(StudioError, match="not as Label Studio's API does"):
        open_transport(server.url).get("/api/x")
    server.script = lambda *_: Answer(200, "not JSON", {"Content-Type": "application/json"})
    with pytest.raises(StudioError, match="not as Label Studio's API does"):
        open_transport(server.url).get("/api/x")


def test_a_redirect_is_not_followed(server: Scripted, open_transport: Open) -> None:
    target = Answer(302, "", {"Location": f"{server.url}/elsewhere?next=secret"})
    server.script = lambda *_: target
    with pytest.raises(StudioError, match="redirects to") as caught:
        open_transport(server.url, PERSONAL).get("/api/x")
    assert server.paths() == ["/api/token/refresh"]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "message", "remedies"),
    [
        (
            Answer(403, {"detail": "URL resolves to a reserved network address (block: 127.0.0.0/8)"}),
            "refuses LabelLoop's address",
            ["USE_DEFAULT_BANNED_SUBNETS=false", "USER_ADDITIONAL_BANNED_SUBNETS", "SSRF_PROTECTION_ENABLED=false"],
        ),
        (
            Answer(500, {"detail": "Can't resolve hostname labelloop"}),
            "cannot find LabelLoop's host",
            ["--backend-url"],
        ),
        (
            Answer(
                400, {"detail": "Validation error", "validation_errors": {"non_field_errors": ["health check failed"]}}
            ),
            "cannot reach LabelLoop: health check failed",
            ["--backend-url", "host.docker.internal"],
        ),
        (
            Answer(400, {"validation_errors": {"non_field_errors": ["doesn't look like a valid ML backend"]}}),
            "its /setup failed",
            ["log"],
        ),
        (Answer(403, {"detail": "You do not have permission"}), "does not let this user", ["may change"]),
        (Answer(404, {"detail": "Not found."}), "no such thing", ["deleted"]),
        (Answer(413, {"detail": "too large"}), "too large", ["LABELLOOP_PUSH_CHUNK"]),
        (Answer(400, ["one", {"title": ["too short"]}]), "HTTP 400: one; title: too short", []),
        (Answer(500, "<html>Server Error (500)</html>"), "HTTP 500: Internal Server Error", ["log"]),
    ],
)
def test_refusals_come_with_what_to_do(
    server: Scripted, open_transport: Open, answer: Answer, message: str, remedies: list[str]
) -> None:
    server.script = lambda *_: answer
    with pytest.raises(StudioError, match=message) as caught:
        open_transport(server.url).send("POST", "/api/ml", {})
    assert all(words in caught.value.remedy for words in remedies)
    assert caught.value.http_status == answer.status


def test_neither_token_nor_key_is_shown_or_logged(
    server: Scripted, open_transport: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script = lambda *_: Answer(
        400, {"detail": "<a href='x'>Max retries</a> with url: /k/s3cr3t-key/health (Caused"}
    )
    for token in (LEGACY, PERSONAL):
        api = open_transport(server.url, token)
        with pytest.raises(StudioError) as caught:
            api.get("/api/x")
        shown = f"{caught.value} {api!r} {caplog.text}"
        assert token not in shown
        assert "s3cr3t" not in shown
        assert "<a" not in str(caught.value)
    assert "/k/***/health" in str(caught.value)


def test_an_empty_answer_is_none(server: Scripted, open_transport: Open) -> None:
    server.script = lambda *_: Answer(204, "")
    assert open_transport(server.url).send("DELETE", "/api/x/1/") is None

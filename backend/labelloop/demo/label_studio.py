"""A Label Studio of our own on loopback, for the demo and for tests: starts it, signs in, obtains a token."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from labelloop.demo import environment
from labelloop.errors import StudioError, UnavailableError
from labelloop.processes import end, spawn

EXECUTABLE = "LABELLOOP_LABEL_STUDIO_BIN"  # names a label-studio executable to use in place of an environment of ours
DEFAULT_PORT = 8080
_SIGN_INS = 3
START_S = 240.0  # a first start without the template database migrates for a minute or two on a slow machine


def free_port(preferred: int = 0) -> int:
    """``preferred`` if nobody listens on it under any name of this machine, else a port that the system chooses."""
    if preferred and not _answers(preferred):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", preferred))
                return preferred
            except OSError:
                pass  # taken, or not for us: any other port will do
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("localhost", port), timeout=0.5):  # tries ::1 too
            return True
    except OSError:
        return False


class LabelStudioServer:
    """One Label Studio and its one user.

    ``data_dir`` keeps its database and, readable by the owner only, its secret key, password and token: a second start
    finds the same ones. ``port``: 0 for any, or the preferred one, which gives way when taken (the port of the last
    start is tried first). ``environment_dir``: where its virtual environment is or will be, unless
    LABELLOOP_LABEL_STUDIO_BIN names an executable. ``python``: the interpreter that makes the environment. ``log``:
    where its output goes.

    Usages::

        with LabelStudioServer(folder) as studio:                 # starts and stops it
            studio.request("GET", "/api/projects").json()

        studio = LabelStudioServer(folder)                        # somebody else runs it
        studio.prepare()
        supervisor.add("label-studio", studio.command(), studio.environ(), ready=studio.answers)
        studio.sign_in()
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        environment_dir: Path | None = None,
        python: str = sys.executable,
        email: str = "demo@labelloop.example",
        log: Path | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log = log or self.data_dir / "label-studio.log"
        self._preferred_port = port
        self._environment_dir = environment_dir or self.data_dir / "environment"
        self._python = python
        self._progress = progress
        self._executable: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None
        self._kept: dict[str, Any] = {"email": email}

    @classmethod
    def running(cls, data_dir: Path) -> LabelStudioServer:
        """The server that somebody else runs with ``data_dir``, signed in.

        Raises:
            UnavailableError: none was ever started there, or it does not answer.
        """
        server = cls(data_dir)
        if not server._secrets_file.is_file():
            raise UnavailableError(f"No Label Studio was started in {data_dir} yet.", "Start `labelloop demo` first.")
        server._kept |= json.loads(server._secrets_file.read_text())
        if not server.answers():
            raise UnavailableError(f"Label Studio does not answer at {server.url}.", "Is `labelloop demo` running?")
        server.sign_in()
        return server

    @property
    def _secrets_file(self) -> Path:
        return self.data_dir / "label-studio.json"

    @property
    def port(self) -> int:
        return int(self._kept["port"])

    @property
    def url(self) -> str:
        """Its address without a trailing slash; with ``localhost``, as Label Studio itself names it to backends."""
        return f"http://localhost:{self.port}"

    @property
    def email(self) -> str:
        return str(self._kept["email"])

    @property
    def password(self) -> str:
        return str(self._kept["password"])

    @property
    def token(self) -> str:
        """The user's personal access token."""
        return str(self._kept["token"])

    @property
    def legacy_token(self) -> str:
        """The user's legacy token; it is refused until ``allow_legacy_tokens(True)``."""
        return str(self.request("GET", "/api/current-user/token").json()["token"])

    def allow_legacy_tokens(self, allowed: bool) -> None:
        """Turns legacy tokens on or off for the whole server; they are off on a new one."""
        self.request(
            "POST", "/api/jwt/settings", json={"api_tokens_enabled": True, "legacy_api_tokens_enabled": allowed}
        )

    def prepare(self) -> None:
        """Makes ready what a start needs: the executable, secrets, a port, on a new folder the template database.

        Raises:
            UnavailableError: there is no Label Studio and none can be installed; the remedy says what is missing.
        """
        self._executable = self._find_executable()
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._secrets_file.is_file():
            self._kept |= json.loads(self._secrets_file.read_text())
        else:
            self._kept |= {"password": f"demo-{secrets.token_hex(4)}", "secret_key": secrets.token_hex(32)}
        self._kept["port"] = free_port(self._kept.get("port") or self._preferred_port)
        self._keep()
        database = self.data_dir / "label_studio.sqlite3"
        if not database.exists():
            template = environment.template_database(self._executable, self._progress)
            if template is not None:
                unfinished = database.with_suffix(".unfinished")
                shutil.copyfile(template, unfinished)
                unfinished.replace(database)

    def _find_executable(self) -> Path:
        named = os.environ.get(EXECUTABLE, "")
        if not named:
            return environment.ensure(self._environment_dir, self._python, self._progress)
        if not os.access(named, os.X_OK):
            raise UnavailableError(
                f"{EXECUTABLE} names {named}, which cannot be executed.",
                "Run `make setup`, or unset it so that Label Studio is installed into the data folder.",
            )
        return Path(named).absolute()

    def command(self) -> Sequence[str]:
        """The command line, to be run with ``environ()``; ``prepare()`` comes first."""
        assert self._executable is not None, "prepare() comes first"
        foreign = sorted(set(os.environ) - set(environment.clean_environ()))
        dropped = [word for name in foreign for word in ("-u", name)]
        return [
            *("env", *dropped, *(f"{name}={value}" for name, value in self._public_environ().items())),
            *(str(self._executable), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(self.port)),
        ]

    def _public_environ(self) -> dict[str, str]:
        """What ``env`` sets after dropping the caller's: anybody may read it in the process list."""
        return environment.quiet_switches() | {
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.data_dir),
            "SSRF_PROTECTION_ENABLED": "false",  # both switches: with only one lifted a backend on loopback is refused
            "ML_BLOCK_LOCAL_IP": "false",
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        }

    def environ(self) -> dict[str, str]:
        """Secrets that the process needs besides the caller's environment, under names that ``command`` keeps."""
        return {
            "SECRET_KEY": self._kept["secret_key"],
            "USERNAME": self.email,
            "PASSWORD": self.password,
        }

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return httpx.get(f"{self.url}/health", timeout=5.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def start(self, timeout_s: float = START_S) -> None:
        """Starts it and signs in; must be called from a thread that outlives it.

        Raises:
            UnavailableError: it ended or was not up in time; the message holds the end of its log.
        """
        self.prepare()
        began = time.monotonic()
        self._process = spawn(self.command(), self.environ(), self.log)
        try:
            while not self.answers():
                elapsed = time.monotonic() - began
                if self._process.poll() is not None or elapsed > timeout_s:
                    tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
                    raise UnavailableError(
                        f"Label Studio did not come up within {elapsed:.0f} s:\n{tail}", f"Its log: {self.log}"
                    )
                if elapsed > 2:
                    self._progress(f"Label Studio starts ({elapsed:.0f} s)")
                time.sleep(0.1)
            self.sign_in()
        except BaseException:
            self.stop()
            raise

    def sign_in(self) -> None:
        """Signs in with the password, and obtains the token unless a working one is kept.

        Raises:
            StudioError: the log-in is refused, or the token was given to somebody else.
        """
        client = httpx.Client(base_url=self.url, timeout=60.0, trust_env=False)
        for left in reversed(range(_SIGN_INS)):
            client.get("/user/login/").raise_for_status()
            answer = client.post(
                "/user/login/",
                data={
                    "email": self.email,
                    "password": self.password,
                    "csrfmiddlewaretoken": client.cookies["csrftoken"],
                },
                headers={"Referer": f"{self.url}/user/login/"},
            )
            if answer.status_code == 302 or not left:
                break
            time.sleep(1)  # seen once while the machine was busy with its first start
        if answer.status_code != 302:
            client.close()
            raise StudioError(
                f"Label Studio at {self.url} refused the log-in of {self.email}.",
                f"Did another server take the port, or was the password changed? Else remove {self.data_dir}.",
                answer.status_code,
            )
        self._client = client
        if not self._token_works():
            answer = self.request("POST", "/api/token/", check=False)
            if answer.status_code != 201:
                raise StudioError(
                    f"Label Studio gave no personal access token: HTTP {answer.status_code} {answer.text[:200]}",
                    f"It gives one once, and it is not in {self.data_dir} any more: remove that folder to begin anew.",
                    answer.status_code,
                )
            self._kept["token"] = answer.json()["token"]
            self._keep()

    def request(self, method: str, path: str, *, check: bool = True, **arguments: Any) -> httpx.Response:
        """One call of its API as the signed-in user, apart from the client that LabelLoop uses.

        Raises:
            StudioError: ``check`` and the answer is an error.
        """
        assert self._client is not None, "sign_in() comes first"
        answer = self._client.request(
            method, path, headers={"X-CSRFToken": self._client.cookies["csrftoken"]}, **arguments
        )
        if check and answer.is_error:
            raise StudioError(
                f"Label Studio answered {method} {path} with {answer.status_code}: {answer.text[:400]}",
                f"Its log: {self.log}",
                answer.status_code,
            )
        return answer

    def stop(self) -> None:
        """Stops it and whatever it started."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._process is not None:
            end(self._process, grace_s=5.0)
            self._process = None

    def __enter__(self) -> LabelStudioServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _token_works(self) -> bool:
        if not self._kept.get("token"):
            return False
        return self.request("POST", "/api/token/refresh", check=False, json={"refresh": self.token}).is_success

    def _keep(self) -> None:
        unfinished = self.data_dir / f"label-studio.json.{os.getpid()}"
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(self._kept, indent=1))
        unfinished.replace(self._secrets_file)

"""How Label Studio's API is spoken to: log-in with both kinds of token, retries, and errors that name the remedy."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from labelloop.studio import remedies

_ATTEMPTS = 4
_CONNECT_S = 5.0
_HOPELESS = (httpx.ReadTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)  # a busy server is not asked twice
_BUSY = frozenset({429, 502, 503, 504})
_RENEW_AT = 0.8  # of an access token's life, which is 300 s in Label Studio 1.23.2
_LIFE_S = 300.0

Kind = Literal["personal", "access", "legacy"]


def kind_of(token: str) -> Kind:
    """Which kind of token this is: JSON Web Tokens say it themselves, any other can only be a legacy one."""
    claims = _claims(token)
    if claims is None:
        return "legacy"
    return "access" if claims.get("token_type") == "access" else "personal"


def _claims(token: str) -> dict[str, Any] | None:
    """What a JSON Web Token says of itself; not verified, that is the server's part."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


class Transport:
    """Requests to one server. The token goes to that server only: redirects are refused. Safe to use from threads.

    ``backoff_s``: the wait before a first retry, doubled for each further one.
    """

    def __init__(self, url: str, token: str, timeout: float = 30.0, backoff_s: float = 0.5) -> None:
        self.url = url.strip().rstrip("/")
        parts = urlsplit(self.url)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            shown = f"{parts.scheme}://***@{parts.hostname}" if parts.username else self.url
            raise remedies.wrong_address(shown)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self._token = token.strip()
        if not self._token.isascii() or any(character.isspace() for character in self._token):
            raise remedies.unusable_token()
        self.kind: Kind = kind_of(self._token)
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_S))
        self._backoff_s = backoff_s
        self._http = httpx.Client(timeout=self._timeout, follow_redirects=False, headers={"Accept": "application/json"})
        self._lock = threading.Lock()
        self._access = ""
        self._renew_at = 0.0

    def __repr__(self) -> str:  # without the token
        return f"Transport({self.url!r})"

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, signed: bool = True) -> Any:
        """The JSON of an answer. Retried while the server cannot be reached or is overloaded.

        Raises:
            StudioError: it cannot be reached, or refuses.
        """
        return self._call("GET", path, params=params, signed=signed)

    def send(self, method: str, path: str, body: Any = None, *, timeout: float | None = None) -> Any:
        """The JSON of an answer, None where it is empty. Sent once: what it does may not be done twice.

        Raises:
            StudioError: it cannot be reached, or refuses.
        """
        return self._call(method, path, body=body, timeout=timeout)

    def read(self, path: str, limit: int, timeout: float) -> httpx.Response:
        """An answer of any kind, with at most ``limit`` + 1 bytes of its content, within ``timeout`` seconds in all.

        ``path``: below the server's root, whatever path its address has.

        Raises:
            StudioError: the server cannot be reached, is overloaded, or refuses the token.
            httpx.TimeoutException: it took too long.
            httpx.InvalidURL, httpx.DecodingError, UnicodeError: there is no such path, or its content is garbled.
        """
        authorization = self._authorization()
        answer = self._read_once(path, limit, timeout, authorization)
        if answer.status_code == 401 and self.kind == "personal":
            answer = self._read_once(path, limit, timeout, self._authorization(instead_of=authorization))
        if answer.status_code == 401 or answer.status_code in _BUSY:
            self._read("GET", path, answer)
        return answer

    def _read_once(self, path: str, limit: int, timeout: float, authorization: str) -> httpx.Response:
        headers = {"Authorization": authorization, "Accept": "*/*", "Accept-Encoding": "identity"}
        deadline = time.monotonic() + timeout
        content = b""
        try:
            with self._http.stream("GET", self.origin + path, headers=headers, timeout=timeout) as answer:
                for part in answer.iter_bytes(65_536):
                    content += part
                    if len(content) > limit:
                        break
                    if time.monotonic() > deadline:
                        raise httpx.ReadTimeout("the answer is too slow")
        except httpx.ConnectTimeout as error:
            raise remedies.unreachable(self.url, error) from None
        except httpx.TimeoutException:
            raise
        except httpx.TransportError as error:
            raise remedies.unreachable(self.url, error) from None
        kept = [(name, value) for name, value in answer.headers.items() if not name.startswith("content-encoding")]
        return httpx.Response(answer.status_code, headers=kept, content=content[: limit + 1])

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        signed: bool = True,
        timeout: float | None = None,
    ) -> Any:
        def once(access: str) -> httpx.Response:
            headers = {"Authorization": access} if access else {}
            content = None if body is None else json.dumps(body).encode()
            if content is not None:
                headers["Content-Type"] = "application/json"
            return self._attempt(method, path, params=params, content=content, headers=headers, timeout=timeout)

        authorization = self._authorization() if signed else ""
        answer = once(authorization)
        if answer.status_code == 401 and signed and self.kind == "personal":
            answer = once(self._authorization(instead_of=authorization))
        return self._read(method, path, answer)

    def _attempt(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request; a GET is tried again while that may help."""
        attempts = _ATTEMPTS if method == "GET" or path == "/api/token/refresh" else 1
        seconds = request.pop("timeout", None)
        if seconds is not None:
            request["timeout"] = httpx.Timeout(seconds, connect=_CONNECT_S)
        for attempt in range(1, attempts + 1):
            try:
                answer = self._http.request(method, self.url + path, **request)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                if attempt == attempts or isinstance(error, _HOPELESS):
                    raise remedies.unreachable(self.url, error) from None
            else:
                if attempt == attempts or answer.status_code not in _BUSY:
                    return answer
            time.sleep(self._backoff_s * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def _read(self, method: str, path: str, answer: httpx.Response) -> Any:
        if answer.is_redirect:
            raise remedies.redirected(self.url, answer)
        if answer.status_code == 401:
            raise (
                remedies.legacy_token_refused(self.url, answer)
                if self.kind == "legacy"
                else remedies.personal_token_refused(self.url, answer)
            )
        if answer.is_success and not answer.content:
            return None
        kind = answer.headers.get("content-type", "")
        if "json" not in kind and not (answer.is_error and answer.status_code >= 500):
            raise remedies.not_label_studio(self.url, answer)
        if answer.is_error:
            raise remedies.refused(self.url, method, path, answer)
        try:
            return answer.json()
        except ValueError:
            raise remedies.not_label_studio(self.url, answer) from None

    def _authorization(self, instead_of: str = "") -> str:
        """The header's value. A personal access token is exchanged for an access token, renewed before it expires;
        ``instead_of`` one that was refused, a new one is fetched unless another thread has done so."""
        if not self._token:
            raise remedies.no_token(self.url)
        if self.kind == "access":
            raise remedies.short_token()
        if self.kind == "legacy":
            return f"Token {self._token}"
        with self._lock:
            if time.monotonic() >= self._renew_at or f"Bearer {self._access}" == instead_of:
                self._access = self._exchange()
                claims = _claims(self._access) or {}
                try:
                    life = float(claims["exp"]) - float(claims["iat"])
                except (KeyError, TypeError, ValueError):
                    life = _LIFE_S
                self._renew_at = time.monotonic() + _RENEW_AT * life
            return f"Bearer {self._access}"

    def _exchange(self) -> str:
        content = json.dumps({"refresh": self._token}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._attempt("POST", "/api/token/refresh", content=content, headers=headers)
        if answer.status_code in {400, 401}:
            raise remedies.personal_token_refused(self.url, answer)
        body = self._read("POST", "/api/token/refresh", answer)
        if not isinstance(body, dict) or not isinstance(body.get("access"), str):
            raise remedies.not_label_studio(self.url, answer)
        return str(body["access"])

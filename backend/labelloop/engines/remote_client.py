"""HTTP to an OpenAI-compatible server: who asks again, how long it waits, and what is said when it was in vain.

Refusal             the server understood and said no (4xx): asking the same again is in vain
ModelError          the server is down, busy, or refuses all that we ask: no item is to blame
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from labelloop.errors import ModelError

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
LONGEST_RETRY_AFTER_S = 60.0  # a server that wants more patience is not waited for: other work goes on
MOST_BYTES = 32 << 20
_TRANSIENT = frozenset({408, 409, 425, 429})
_NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_NEVER = ("logprobs", "logits_all", "not supported", "unsupported", "not implemented", "validation error")
"""What some servers (llama-cpp-python) answer with status 500 although asking again is in vain."""


class Refusal(Exception):
    """The server's no. ``message`` is its own, cut short and without the key; ``code`` the error's, or ""."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message, self.code = status, message, code


class Client:
    """A warm connection to one server; threads may share it.

    What may pass by itself (429, 5xx, timeouts, broken connections, answers that are no JSON) is asked again after
    ``random() * min(30 s, 0.5 s * 2**attempt)`` (full jitter, Brooker 2015: workers that fail together do not come back
    together), or after what ``Retry-After`` says.
    """

    def __init__(
        self,
        url: str,
        key: str,
        timeout_s: float,
        retries: int,
        concurrency: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Raises:
            ModelError: the key has characters that cannot stand in a header.
        """
        key = key.strip()
        if any(not "!" <= character <= "~" for character in key):  # httpx would show it in what it raises
            raise ModelError(
                "The key for the remote model has spaces, line breaks or characters beyond ASCII.",
                "Correct LABELLOOP_REMOTE_KEY.",
            )
        self.url = url
        self._key = key
        self._timeout_s, self._retries, self._sleep = timeout_s, retries, sleep
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s), pool=None),
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        )

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        """The JSON at ``path``. Raises as ``post``."""
        return self._send("GET", path, None)

    def post(self, path: str, payload: Mapping[str, Any]) -> Any:
        """The JSON that ``payload`` is answered with.

        Raises:
            Refusal: with a status that is about this request alone, or about an address that the server lacks.
            ModelError: with one that is about all requests (key, quota), or the server stayed away.
        """
        return self._send("POST", path, payload)

    def _send(self, method: str, path: str, payload: Mapping[str, Any] | None) -> Any:
        problem = ""
        for attempt in range(self._retries + 1):
            wait = random.random() * min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt)
            try:
                response, content = self._once(method, path, payload)
            except httpx.TimeoutException:
                problem = f"did not answer within {self._timeout_s:g} s"
            except httpx.RequestError as error:
                problem = f"cannot be reached ({self._clean(str(error)) or type(error).__name__})"
            else:
                if response.is_success:
                    try:
                        return json.loads(content)
                    except ValueError:
                        problem = f"answered what is no JSON: {self._clean(content.decode('utf-8', 'replace'), 80)!r}"
                else:
                    message, code = self._complaint(content)
                    self._check(response, message, code)
                    problem = f"answered {response.status_code}: {message}"
                    wait = max(wait, self._retry_after(response, problem))
            if attempt < self._retries:
                self._sleep(wait)
        raise ModelError(
            f"The remote model's server {self.url} {problem}; it was asked {self._retries + 1} times.",
            "See whether it runs and whether LABELLOOP_REMOTE_URL is right (most end with /v1); a slow or busy one "
            "wants a larger LABELLOOP_REMOTE_TIMEOUT_S or a smaller LABELLOOP_REMOTE_CONCURRENCY.",
        )

    def _once(self, method: str, path: str, payload: Mapping[str, Any] | None) -> tuple[httpx.Response, bytes]:
        """Bounded in time and size as a whole: httpx's own timeout is about each read."""
        deadline = time.monotonic() + self._timeout_s
        content = bytearray()
        with self._http.stream(method, f"{self.url}{path}", json=payload) as response:
            for piece in response.iter_bytes():
                content += piece
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the whole answer took too long")
                if len(content) > MOST_BYTES:
                    raise httpx.ReadError(f"the answer is longer than {MOST_BYTES >> 20} MiB")
        return response, bytes(content)

    def _check(self, response: httpx.Response, message: str, code: str) -> None:
        """Raises for a status that asking again does not change."""
        status = response.status_code
        if status in {401, 403}:
            raise ModelError(
                f"The remote model's server {self.url} refuses the key ({status}: {message}).",
                "Set LABELLOOP_REMOTE_KEY (or OPENAI_API_KEY) in the environment of the worker.",
            )
        if status == 402 or code in _NO_MONEY:
            raise ModelError(
                f"The account at the remote model's server {self.url} is spent ({status}: {message}).",
                "Raise its limit there, or choose another engine in LABELLOOP_FIELDS.",
            )
        if response.is_redirect:
            raise ModelError(
                f"The remote model's server {self.url} sends us elsewhere ({status}).",
                f"Set LABELLOOP_REMOTE_URL to where it is: {response.headers.get('location', 'unknown')}.",
            )
        in_vain = status >= 500 and any(word in message.lower() for word in _NEVER)
        if status == 501 or in_vain or (status < 500 and status not in _TRANSIENT):
            raise Refusal(status, message, code)

    def _retry_after(self, response: httpx.Response, problem: str) -> float:
        """Seconds that the server wants us to wait. Raises ModelError where they are too many."""
        said = response.headers.get("retry-after", "").strip()
        try:
            seconds = float(said) if said else 0.0
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
            except (ValueError, TypeError):
                seconds = 0.0
        if seconds > LONGEST_RETRY_AFTER_S:
            raise ModelError(
                f"The remote model's server {self.url} {problem}. It wants to be asked again in {seconds:.0f} s.",
                "Ask again then; a smaller LABELLOOP_REMOTE_CONCURRENCY stays below its limits.",
            )
        return max(0.0, seconds)

    def _complaint(self, content: bytes) -> tuple[str, str]:
        """What an error's body says, and its code. FastAPI's echoes what was sent, which belongs in no log."""
        text = content.decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except ValueError:
            return self._clean(text) or "no reason given", ""
        error = body.get("error", body) if isinstance(body, dict) else body
        if not isinstance(error, dict):
            return self._clean(str(error)), ""
        said = error.get("message") or error.get("detail") or error.get("object") or "no reason given"
        if isinstance(said, list):
            told = [one if isinstance(one, dict) else {"msg": one} for one in said]
            said = "; ".join(f"{'.'.join(map(str, one.get('loc', ())))} {one.get('msg', '')}" for one in told)
        return self._clean(str(said)), str(error.get("code") or error.get("type") or "")

    def _clean(self, text: str, most: int = 300) -> str:
        """One short line without the key, which some servers repeat."""
        line = " ".join(text.split())
        return (line.replace(self._key, "[key]") if self._key else line)[:most]

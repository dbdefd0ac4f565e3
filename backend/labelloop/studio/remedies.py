"""What Label Studio's refusals mean and what to do about them, in plain words."""

from __future__ import annotations

import re
from typing import Any

import httpx

from labelloop.errors import SetupFailedError, StudioError

NEW_TOKEN = (
    "Make a personal access token: in Label Studio, the account menu, Account & Settings, Personal Access Token."
)
LIFT_SSRF = (
    "Label Studio refuses addresses on this machine and in private networks unless told otherwise. Restart it with "
    "USE_DEFAULT_BANNED_SUBNETS=false, and put the networks that it must still never reach into "
    "USER_ADDITIONAL_BANNED_SUBNETS (for example 169.254.0.0/16); that is the safer way. Setting both "
    "SSRF_PROTECTION_ENABLED=false and ML_BLOCK_LOCAL_IP=false works too; one of the two alone does not. "
    "An address that is not private, by --backend-url, needs neither."
)
_FROM_ITS_SIDE = (
    "The address must work from where Label Studio runs: in a container, localhost is the container itself. Give it "
    "with --backend-url, for example http://host.docker.internal:9090, and let LabelLoop listen there "
    "(LABELLOOP_HOST=0.0.0.0)."
)
_KEY = re.compile(r"/k/[^/\s\"'<>)]+")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>")


def unreachable(url: str, error: Exception) -> StudioError:
    """No answer came from ``url``."""
    reason = str(error).lower()
    if isinstance(error, httpx.TimeoutException):
        return StudioError(
            f"Label Studio at {url} did not answer in time.",
            "It may be busy or behind a firewall: try again, and open the address in a browser on this machine.",
        )
    if "certificate" in reason or "ssl" in reason:
        return StudioError(
            f"The certificate of {url} is not accepted: {error}.",
            "Name the authority that signed it in the environment variable SSL_CERT_FILE, or use the http:// address.",
        )
    if any(words in reason for words in ("name or service", "resolve", "nodename", "no address", "name resolution")):
        return StudioError(
            f"The host in {url} is not known.", "Check the spelling; between containers use the service's name."
        )
    if "refused" in reason:
        return StudioError(
            f"Nothing listens at {url}.",
            "Start Label Studio, or correct host and port. In a container, localhost is the container itself.",
        )
    return StudioError(
        f"Label Studio at {url} cannot be reached: {error}.", "Open the address in a browser to compare."
    )


def wrong_address(url: str) -> StudioError:
    """The address itself is unusable."""
    return StudioError(
        f"'{url}' is not the address of a server.", "Give it as http://host:port, without user name or password in it."
    )


def not_label_studio(url: str, answer: httpx.Response) -> StudioError:
    """Something answered that is not Label Studio's API."""
    kind = answer.headers.get("content-type", "no content type").split(";")[0]
    return StudioError(
        f"{url} answers, but not as Label Studio's API does (HTTP {answer.status_code}, {kind}).",
        "Give the address under which its start page opens in a browser; a log-in page of a proxy in front of it "
        "must let /api through.",
        answer.status_code,
    )


def redirected(url: str, answer: httpx.Response) -> StudioError:
    """The token is sent to the configured address only, so a redirect is not followed."""
    target = answer.headers.get("location", "another address").split("?")[0]
    return StudioError(
        f"{url} redirects to {target}.",
        "Give that server's own address, for example with https://.",
        answer.status_code,
    )


def no_token(url: str) -> StudioError:
    return StudioError(f"There is no token for {url}.", f"{NEW_TOKEN} Give it with --token.", 401)


def unusable_token() -> StudioError:
    return StudioError("The token has blanks or odd characters in it.", "Copy it again, whole and alone.", 401)


def short_token() -> StudioError:
    """An access token was given in place of a personal access token."""
    return StudioError(
        "This is an access token, which lives five minutes, not a personal access token.", NEW_TOKEN, 401
    )


def personal_token_refused(url: str, answer: httpx.Response) -> StudioError:
    """The exchange of a personal access token for an access token failed."""
    return StudioError(
        f"Label Studio at {url} refused the personal access token: {detail(answer)}.",
        "It was revoked, has expired, or is another server's; or the server's SECRET_KEY has changed, which ends all "
        f"tokens (set SECRET_KEY when starting it, so that it stays the same). {NEW_TOKEN}",
        401,
    )


def legacy_token_refused(url: str, answer: httpx.Response) -> StudioError:
    """A token that is no personal access token was refused as a legacy one."""
    if "legacy token authentication has been disabled" in detail(answer):
        return StudioError(
            f"Label Studio at {url} has switched legacy tokens off, and this is one.",
            f"{NEW_TOKEN} Or let its administrator allow legacy tokens: Organization, API Tokens Settings.",
            401,
        )
    return StudioError(
        f"Label Studio at {url} does not know this token: it is no personal access token, and as a legacy token it is "
        f"refused ({detail(answer)}).",
        f"Copy it again, whole; tokens of another server do not work. {NEW_TOKEN}",
        401,
    )


def refused(url: str, method: str, path: str, answer: httpx.Response) -> StudioError:
    """Any other answer that is an error."""
    status, reason = answer.status_code, detail(answer)
    if "reserved network address" in reason:
        return StudioError(f"Label Studio refuses LabelLoop's address: {reason}.", LIFT_SSRF, status)
    if "Can't resolve hostname" in reason:
        return StudioError(f"Label Studio cannot find LabelLoop's host: {reason}.", _FROM_ITS_SIDE, status)
    if "health check failed" in reason or "Can't connect to ML backend" in reason:
        return StudioError(f"Label Studio cannot reach LabelLoop: {reason}.", _FROM_ITS_SIDE, status)
    if "look like a valid ML backend" in reason:
        return SetupFailedError(
            f"Label Studio reached LabelLoop, but its /setup failed: {reason}.", "LabelLoop's log says why.", status
        )
    if status == 403:
        return StudioError(
            f"Label Studio does not let this user do that ({method} {path}: {reason}).",
            "Use the token of a user who may change the project's settings.",
            status,
        )
    if status == 404:
        return StudioError(
            f"Label Studio at {url} has no such thing ({method} {path}: {reason}).",
            "It may have been deleted meanwhile.",
            status,
        )
    if status == 413:
        return StudioError(
            f"A request of {method} {path} is too large for Label Studio or a proxy before it.",
            "Lower LABELLOOP_PUSH_CHUNK, or raise the proxy's limit.",
            status,
        )
    remedy = "Its log says why." if status >= 500 else ""
    return StudioError(f"Label Studio answered {method} {path} with HTTP {status}: {reason}.", remedy, status)


def no_project(url: str, project: str, known: list[tuple[int, str]]) -> StudioError:
    names = ", ".join(f"{number} ({title})" for number, title in known[:10]) or "none"
    more = ", ..." if len(known) > 10 else ""
    return StudioError(
        f"Label Studio at {url} shows this user no project '{project}'.", f"The user sees: {names}{more}.", 404
    )


def ambiguous_project(title: str, ids: list[int]) -> StudioError:
    return StudioError(
        f"{len(ids)} projects are called '{title}'.", f"Name one by its id: {', '.join(map(str, ids))}.", 409
    )


def detail(answer: httpx.Response) -> str:
    """The reason that Label Studio gives: one line, without keys and markup, of at most 400 characters."""
    try:
        body: Any = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and ("detail" in body or "validation_errors" in body):
        body = [body.get("validation_errors") or body.get("detail")]
    page = "html" in answer.headers.get("content-type", "")
    text = _flat(body) if body is not None else "" if page else answer.text
    text = " ".join(_KEY.sub("/k/***", _MARKUP.sub("", text)).split()) or answer.reason_phrase or "no reason given"
    return (text if len(text) <= 400 else text[:400] + " ...").rstrip(".")


def _flat(thing: Any) -> str:
    if isinstance(thing, dict):
        silent = ("non_field_errors", "detail")
        return "; ".join(_flat(part) if key in silent else f"{key}: {_flat(part)}" for key, part in thing.items())
    if isinstance(thing, list):
        return "; ".join(_flat(part) for part in thing)
    return str(thing)

"""Texts behind addresses in task data: only files that the connected Label Studio keeps, and only small ones."""

from __future__ import annotations

from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from labelloop.errors import ItemError
from labelloop.studio import remedies
from labelloop.studio.transport import Transport

MAX_BYTES = 1_048_576
TIMEOUT_S = 5.0

# Where Label Studio keeps uploads, local files and cloud storage. Not /api: whoever writes task data must not choose
# what is asked there in our name.
_FOLDERS = ("/data/", "/storage-data/", "/static/")
_PORTS = {"http": 80, "https": 443}


def read_text(api: Transport, address: str) -> str:
    """The text of a file on the server of ``api``, read with its token; redirects are not followed.

    Args:
        address: "/data/upload/1/a.txt", or the same with the server's own scheme, host and port.

    Raises:
        ItemError: it lies elsewhere, is larger than ``MAX_BYTES``, took longer than ``TIMEOUT_S`` seconds, is neither
            text nor JSON, or is not there.
        StudioError: the server cannot be reached or refuses the token.
    """
    path = _path(api, address)
    try:
        answer = api.read(path, MAX_BYTES, TIMEOUT_S)
    except httpx.TimeoutException:
        raise ItemError(f"{_short(address)} did not come within {TIMEOUT_S:.0f} s.") from None
    except (httpx.InvalidURL, httpx.DecodingError, UnicodeError) as error:
        raise ItemError(f"{_short(address)} cannot be read: {type(error).__name__}.") from None
    if answer.is_redirect:
        raise ItemError(f"{_short(address)} redirects to another address, which is not followed.")
    if not answer.is_success:
        raise ItemError(f"{_short(address)} cannot be read: HTTP {answer.status_code}, {remedies.detail(answer)}.")
    kind = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if not (kind.startswith("text/") or kind == "application/json" or kind.endswith("+json")):
        raise ItemError(f"{_short(address)} is no text, but {kind or 'of no type'}.")
    if len(answer.content) > MAX_BYTES:
        raise ItemError(f"{_short(address)} is too large.", f"At most {MAX_BYTES:,} bytes are read.")
    return answer.content.decode(
        "utf-8-sig", "replace"
    )  # browsers decode fetched text as UTF-8, whatever the header says


def _path(api: Transport, address: str) -> str:
    """The path and query to ask for. Raises ItemError where the address is none of the server's files."""
    try:
        wanted, server = urlsplit(address.strip()), urlsplit(api.url)
        here = (not wanted.netloc and not wanted.scheme) or _origin(wanted) == _origin(server)
    except ValueError:
        raise ItemError(f"{_short(address)} is no address.") from None
    plain = unquote(wanted.path)
    if not here or wanted.username or "\\" in plain or "//" in plain or ".." in plain.split("/"):
        raise ItemError(f"{_short(address)} lies outside {api.url}: only files of the connected Label Studio are read.")
    if not any(plain.startswith(root + folder) for root in {"", server.path.rstrip("/")} for folder in _FOLDERS):
        raise ItemError(f"{_short(address)} is no file of Label Studio's.", f"Its files are in {', '.join(_FOLDERS)}.")
    return wanted.path + (f"?{wanted.query}" if wanted.query else "")


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def _short(address: str) -> str:
    bare = address.split("?")[0]  # a query may hold a signature
    return f"The address {bare if len(bare) <= 100 else bare[:100] + '...'}"

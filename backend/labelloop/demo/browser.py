"""A headless Chromium, signed in to a Label Studio: for the README's pictures and for tests in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from labelloop.errors import UnavailableError

if TYPE_CHECKING:
    from playwright.sync_api import Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PACKAGES = ("chromium", "fonts-noto-color-emoji", "fonts-dejavu-core")
_FLAGS = (  # a container has no sandbox to give; nothing is fetched that the page does not ask for
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def find_chromium() -> Path:
    """The system's Chromium or Chrome; on Debian and as root it is installed when missing (about a minute).

    Raises:
        UnavailableError: there is none and it may not be installed; the message says why, the remedy how.
    """
    if found := _on_path():
        return found
    if os.getuid() != 0 or not Path("/etc/debian_version").is_file() or not shutil.which("apt-get"):
        raise UnavailableError(
            "There is no Chromium, and it is installed only as root on Debian.",
            f"Install one ({_NAMES[0]} or {_NAMES[2]}), on Debian: sudo apt-get install {' '.join(_PACKAGES)}",
        )
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *_PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-q", *command],
            env=environ,
            text=True,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
    if done.returncode != 0 or not (found := _on_path()):
        raise UnavailableError(
            f"apt-get could not install Chromium: {done.stderr.strip()[-300:]}", "Install it by hand and try again."
        )
    return found


def _on_path() -> Path | None:
    return next((Path(path) for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def signed_in(url: str, email: str, password: str, size: tuple[int, int] = (1280, 800)) -> Iterator[Page]:
    """A page of a headless browser that has logged in to the Label Studio at ``url``.

    Raises:
        UnavailableError: there is no browser.
    """
    chromium = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=list(_FLAGS))
        try:
            page = browser.new_page(viewport={"width": size[0], "height": size[1]}, device_scale_factor=1)
            page.set_default_timeout(60_000)
            page.goto(f"{url}/user/login/")
            page.fill("input[name=email]", email)
            page.fill("input[name=password]", password)
            page.click("button[type=submit]")
            page.wait_for_url(lambda address: "/user/login" not in address)
            yield page
        finally:
            browser.close()

"""This machine's pip settings for builds in containers: writes a pip.conf, and serves the folders that it names.

    python3 docker/verify/pip_settings.py FOLDER

FOLDER gets pip.conf and, where pip is told of one, ca.crt. Serves until it is ended.
"""

import shlex
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

CA_IN_IMAGES = "/etc/ssl/certs/ca-certificates.crt"
LINKS = ("index-url", "extra-index-url", "find-links")
PLAIN = ("trusted-host", "proxy", "default-timeout", "timeout", "retries")


def read() -> dict[str, str]:
    """What `pip config list` says, by option; the environment goes before the files."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found: dict[str, str] = {}
    for line in sorted(listed.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        found[name.rpartition(".")[2]] = shlex.split(value)[0] if value else ""
    return found


class Folders(SimpleHTTPRequestHandler):
    """/<number>/... is what lies in the folder of that number."""

    def __init__(self, *arguments: object, folders: list[Path]) -> None:
        self._folders = folders
        super().__init__(*arguments)  # type: ignore[arg-type]

    def translate_path(self, path: str) -> str:
        number, _, rest = urlsplit(path).path.lstrip("/").partition("/")
        if not number.isdigit() or int(number) >= len(self._folders):
            return "/nowhere"
        self.directory = str(self._folders[int(number)])
        return super().translate_path("/" + rest)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def main() -> None:
    out = Path(sys.argv[1])
    settings, folders = read(), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Folders, folders=folders))

    def served(link: str) -> str:
        path = Path(link.removeprefix("file://"))
        if not path.is_dir():
            return link
        folders.append(path.parent)  # an index names its files by ../../files/...
        return f"http://127.0.0.1:{server.server_port}/{len(folders) - 1}/{quote(path.name)}/"

    lines = ["[global]"]
    lines += [f"{name} = {' '.join(map(served, settings[name].split()))}" for name in LINKS if settings.get(name)]
    lines += [f"{name} = {settings[name]}" for name in PLAIN if settings.get(name)]
    if settings.get("cert"):
        (out / "ca.crt").write_bytes(Path(settings["cert"]).read_bytes())
        lines.append(f"cert = {CA_IN_IMAGES}")
    (out / "pip.conf").write_text("\n".join(lines) + "\n")
    server.serve_forever()


if __name__ == "__main__":
    main()

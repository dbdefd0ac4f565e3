"""The wheel, installed into an environment of its own: it brings all its files, and works outside the repository."""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from labelloop.demo.label_studio import free_port
from support.documented import ROOT
from support.samples import CHOICES, PARCEL, PASSWORD

BESIDE_CODE = ("*.yaml", "*.xml", "*.jsonl", "*.mako", "*.html", "*.css", "*.js", "*.txt", "RELEASED")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as for publishing, but without an environment of its own for the build."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel alone; what it depends on is taken from the environment of the tests, whose own
    labelloop (an editable one) stays out of sight, as .pth files count in the environment's own folder only."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = str(venv / "bin" / "python")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", str(wheel)],
        check=True,
    )
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv


def run(venv: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LABELLOOP_"))}
    variables |= {"LABELLOOP_DATA_DIR": str(folder / "data"), "LABELLOOP_PORT": str(free_port()), "COLUMNS": "120"}
    command = [str(venv / "bin" / words[0]), *words[1:]]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=200)


def test_the_wheel_holds_every_file_that_stands_beside_the_code(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name: hashlib.sha256(archive.read(name)).digest() for name in archive.namelist()}
    code = ROOT / "backend" / "labelloop"
    prompts = ROOT / "prompts"
    ours = [path for kind in ("*.py", *BESIDE_CODE) for path in code.rglob(kind)]
    wanted = {path: f"labelloop/{path.relative_to(code)}" for path in ours}
    wanted |= {path: f"labelloop/prompts/{path.relative_to(prompts)}" for path in prompts.rglob("*") if path.is_file()}
    missing = [name for path, name in wanted.items() if inside.get(name) != hashlib.sha256(path.read_bytes()).digest()]
    assert missing == []
    assert not [name for name in inside if name.startswith(("tests", "benchmarks"))]


def test_it_answers_and_examines_itself_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "python", "-c", "import labelloop; print(labelloop.__file__)").stdout
    assert Path(where.strip()).is_relative_to(installed)
    examined = run(installed, tmp_path, "labelloop", "doctor")
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert "All is well." in examined.stdout and "prompts: classification/v1" in examined.stdout
    (tmp_path / "config.xml").write_text(CHOICES)
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in (PARCEL, PASSWORD)))
    done = run(installed, tmp_path, "labelloop", "predict", "rows.jsonl", "--config", "config.xml", "--out", "out.json")
    assert done.returncode == 0, done.stderr
    tasks = json.loads((tmp_path / "out.json").read_text())
    chosen = [task["predictions"][0]["result"][0]["value"]["choices"] for task in tasks]
    assert chosen == [["Delivery"], ["Account"]]

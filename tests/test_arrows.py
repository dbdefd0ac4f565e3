"""The arrows of the design: which room may import which, and what the web process never loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "backend" / "labelloop"
LEAVES = {"words", "errors", "settings"}
# room -> the rooms it may import; the top of the house (app, cli, ...) may import all but web, which only app may.
ARROWS = {
    "words": set(),
    "errors": set(),
    "settings": {"errors"},
    "logs": {*LEAVES},
    "prompting": {*LEAVES},
    "templating": set(),
    "evaluation": {"words"},
    "studio": {*LEAVES},
    "engines": {*LEAVES},
    "tasks": {*LEAVES, "engines", "prompting", "templating"},
    "tallies": {"words", "evaluation", "tasks"},
    "learning": {*LEAVES, "evaluation", "tallies", "tasks", "studio"},
    "processes": {"errors"},
    "scoring": {*LEAVES, "logs", "processes", "tasks", "studio", "engines", "learning"},
    "service": {*LEAVES, "logs", "scoring", "learning", "studio"},
    "web": {*LEAVES, "logs", "service", "scoring", "learning", "studio"},
}
TORCH = {"torch", "transformers", "sentence_transformers", "peft", "safetensors"}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names if node.module == "labelloop")
    return found


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_the_design_allows(path: Path) -> None:
    here = path.relative_to(PACKAGE).with_suffix("").parts[0]
    ours = {name for name in imports(path) if name == "labelloop" or name.startswith("labelloop.")}
    rooms = {room(name) for name in ours} - {here, "", "__version__"}
    if here in ARROWS:
        assert rooms <= ARROWS[here]
    elif here != "app":
        assert "web" not in rooms


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_is_imported_in_engines_alone(path: Path) -> None:
    here = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if here not in {"engines", "doctor"}:
        assert not {name.split(".")[0] for name in imports(path)} & TORCH


def test_the_web_process_loads_neither_torch_nor_the_sdk() -> None:
    code = "import sys, labelloop.app; print(sorted({'torch', 'label_studio_sdk', 'numpy'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() in {"[]", "['numpy']"}


def test_no_file_is_longer_than_five_hundred_lines() -> None:
    assert {path.name for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 500} == set()

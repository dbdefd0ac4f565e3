"""The README says what is so: settings with their defaults, commands, and dependencies."""

import json
import re
import tomllib
from pathlib import Path

from labelloop.cli import app
from labelloop.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_stands_with_its_default_and_meaning() -> None:
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = str(default.get_secret_value() if hasattr(default, "get_secret_value") else default)
        cell = f"`{shown}`" if shown else ""
        assert f"| `{name.upper()}` | {cell} | {field.description} |" in README


def test_every_command_is_named_and_no_other() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {group.name for group in app.registered_groups if group.name}
    named = set(re.findall(r"labelloop ([a-z-]+)", README))
    assert commands <= named | set(re.findall(r"`([a-z]+)`", README))
    assert named - commands <= {"runs"}


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    table = README.split("## Dependencies")[1].split("\n## ")[0]
    for requirement in wanted:
        name = re.split(r"[\[<>=~!; ]", requirement)[0]
        assert name in table or name == "types-PyYAML", name


def test_every_pinned_dependency_is_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    for requirement in project["dependencies"]:
        assert re.split(r"[\[<>=~!; ]", requirement)[0].lower() in pins, requirement


def test_the_releases_of_label_studio_stand_as_they_were_measured() -> None:
    measured = json.loads((ROOT / "benchmarks/results/label_studio_versions.json").read_text())["releases"]
    for release, its in measured.items():
        passed = sum(one["passed"] for one in its["files"].values())
        failed = sum(len(one["failed"]) for one in its["files"].values())
        assert f"| {release} | {passed} of {passed + failed} |" in README

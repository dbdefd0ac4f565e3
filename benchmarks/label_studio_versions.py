"""The end-to-end tests on several releases of Label Studio: which pass on which.

Run:  PYTHONPATH=backend python benchmarks/label_studio_versions.py --folder /tmp/releases
      [--versions 1.23.2 1.20.0 ...] [--tests test_client.py ...] [--python python3.11] [--fresh]
Makes a virtual environment per release in the folder (some minutes and 1 GB each; what is there already is used), runs
tests of tests/e2e against it (about ten minutes each), goes on where it was interrupted, and writes
benchmarks/results/label_studio_versions.{json,md}. Exits 1 where the release that LabelLoop is made for fails a test.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version
from pathlib import Path
from typing import Any

from labelloop.demo.environment import CONSTRAINTS, VERSION, clean_environ
from labelloop.demo.label_studio import EXECUTABLE

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
VERSIONS = (VERSION, "1.22.0", "1.20.0", "1.18.0")
TESTS = (
    "test_demo.py",
    "test_client.py",
    "test_connect.py",
    "test_sync.py",
    "test_learning.py",
    "test_blind.py",
    "test_training.py",
    "test_structure.py",
    "test_writing.py",
    "test_round_trip.py",
)
"""The demo as its user sees it, what goes through the API, and predictions of every kind in the editor. The others need
Label Studio in an environment of their own, or say what it does by itself."""
OWN = ("test_what_the_import_drops_is_found", "test_traps_2_and_3", "test_why_a_wrong_form_is_refused")
"""Tests of these files that say what the release does by itself for which LabelLoop is made; not run on others."""
OLD = "setuptools<81"
"""Older releases import pkg_resources, which newer ones of setuptools lack."""

Json = dict[str, Any]


def environment(folder: Path, release: str, python: str) -> Path:
    """The label-studio executable of a release, installed where it is absent. Raises CalledProcessError."""
    place = folder / f"label-studio-{release}"
    executable = place / "bin" / "label-studio"
    if executable.is_file():
        return executable
    print(f"installing Label Studio {release} in {place}", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", place], check=True)
    pip = [place / "bin" / "python", "-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check"]
    known = ["--constraint", str(CONSTRAINTS)] if release == VERSION else []
    try:
        subprocess.run([*pip, *known, f"label-studio=={release}", OLD], check=True, env=clean_environ())
    except BaseException:
        executable.unlink(missing_ok=True)
        raise
    return executable


def run(executable: Path, release: str, tests: list[str]) -> Json:
    """What each test file of tests/e2e said of this Label Studio."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        began = time.monotonic()
        files = [str(ROOT / "tests" / "e2e" / name) for name in tests]
        environ = {**os.environ, EXECUTABLE: str(executable)}
        left_out = [] if release == VERSION else ["-k", f"not ({' or '.join(OWN)})"]
        asked = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *left_out, *files]
        done = subprocess.run(asked, cwd=ROOT, env=environ, check=False)
        if not report.is_file():
            raise RuntimeError(f"pytest wrote no report: exit status {done.returncode}")
        each: dict[str, Json] = {}
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            name = case.get("classname", "").split(".")[-1] + ".py"
            its = each.setdefault(name, {"passed": 0, "skipped": 0, "failed": []})
            wrong = next((one for one in case if one.tag in ("failure", "error")), None)
            if wrong is not None:
                its["failed"].append([case.get("name"), (wrong.get("message") or "").splitlines()[0][:200]])
            elif case.find("skipped") is not None:
                its["skipped"] += 1
            else:
                its["passed"] += 1
        return {"files": each, "minutes": round((time.monotonic() - began) / 60, 1)}


def write(whole: Json) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "label_studio_versions.json").write_text(json.dumps(whole, indent=1) + "\n")
    releases = sorted(whole["releases"], key=lambda one: [int(part) for part in one.split(".")], reverse=True)
    lines = ["# LabelLoop on several releases of Label Studio", "", f"`{whole['setting']['command']}`", ""]
    lines += ["; ".join(f"{name}: {value}" for name, value in whole["setting"].items() if name != "command") + ".", ""]
    lines += [
        "Tests of tests/e2e against the real server of each release, its editor in a browser: passed of those that",
        f"ran. Not run on others than {VERSION}: tests of what that release does by itself ({', '.join(OWN)}).",
        "",
    ]
    lines += [f"| test file | {' | '.join(releases)} |", "|---" * (len(releases) + 1) + "|"]
    names = dict.fromkeys(name for one in releases for name in whole["releases"][one]["files"])
    for name in names:
        cells = [whole["releases"][one]["files"].get(name) for one in releases]
        told = [f"{its['passed']} of {its['passed'] + len(its['failed'])}" if its else "not run" for its in cells]
        lines.append(f"| {name} | {' | '.join(told)} |")
    for one in releases:
        failed = [(name, *it) for name, its in whole["releases"][one]["files"].items() for it in its["failed"]]
        if failed:
            lines += ["", f"## Failed on {one}", ""]
            lines += [f"- {name} `{test}`: {why}" for name, test, why in failed]
    (RESULTS / "label_studio_versions.md").write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the environments of the releases lie")
    parser.add_argument("--versions", nargs="+", default=VERSIONS)
    parser.add_argument("--tests", nargs="+", default=TESTS, metavar="FILE", help="of tests/e2e")
    parser.add_argument("--python", default="python3.11", help="for environments that are made")
    parser.add_argument("--fresh", action="store_true", help="run again what was run already")
    given = parser.parse_args()
    if given.folder is None:
        print("Give --folder, where the environments of the releases may lie (1 GB each); nothing was run.")
        return 0
    path = RESULTS / "label_studio_versions.json"
    whole: Json = json.loads(path.read_text()) if path.is_file() else {"releases": {}}
    given.folder.mkdir(parents=True, exist_ok=True)
    for release in given.versions:
        if given.fresh:
            whole["releases"].pop(release, None)
        its = whole["releases"].setdefault(release, {"files": {}, "minutes": 0.0})
        left = [name for name in given.tests if name not in its["files"]]
        if not left:
            continue
        found = run(environment(given.folder, release, given.python), release, left)
        its["files"] |= found["files"]
        its["minutes"] = round(its["minutes"] + found["minutes"], 1)
        whole["setting"] = {
            "command": "PYTHONPATH=backend python benchmarks/label_studio_versions.py --folder FOLDER",
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "label-studio-sdk": version("label-studio-sdk"),
        }
        write(whole)
        print(release, {name: [one["passed"], len(one["failed"])] for name, one in its["files"].items()}, flush=True)
    ours = whole["releases"].get(VERSION, {"files": {}})["files"].values()
    return 1 if any(its["failed"] for its in ours) else 0


if __name__ == "__main__":
    raise SystemExit(main())

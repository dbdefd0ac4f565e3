"""Label Studio's environment: what is missing is named, what is not ours is left alone, half-made is not used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labelloop.demo import environment
from labelloop.errors import UnavailableError


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UnavailableError, match="is not a virtual environment"):
        environment.ensure(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_python_without_ensurepip_is_named_with_the_remedy(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho 'ensurepip is not available' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(UnavailableError, match="ensurepip is not available") as raised:
        environment.ensure(tmp_path / "environment", str(python))
    assert "python3-venv" in raised.value.remedy


def test_without_an_index_it_says_so_and_the_half_made_one_is_not_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    steps: list[str] = []
    with pytest.raises(UnavailableError, match="could not install label-studio==") as raised:
        environment.ensure(tmp_path / "environment", sys.executable, steps.append)
    assert "package index" in raised.value.remedy
    assert steps[0] == f"creating {tmp_path / 'environment'}"
    assert not environment.is_current(tmp_path / "environment")


def test_other_pins_or_another_place_make_it_outdated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    (here / "bin").mkdir(parents=True)
    for name in ("label-studio", "python"):
        (here / "bin" / name).touch()
    monkeypatch.setattr(environment, "VERSION", "0.0.1")
    (here / "labelloop-environment").write_text(environment._fingerprint(here))
    assert environment.is_current(here)
    here.rename(tmp_path / "there")  # its scripts still name the old place
    assert not environment.is_current(tmp_path / "there")
    (tmp_path / "there").rename(here)
    monkeypatch.setattr(environment, "VERSION", "0.0.2")
    assert not environment.is_current(here)


def test_the_callers_shell_does_not_move_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LABEL_STUDIO_BASE_DATA_DIR", "HEARTEX_PORT", "DJANGO_DB", "POSTGRE_HOST", "HOST", "PYTHONPATH"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("HOSTALIASES", "kept")
    kept = environment.clean_environ()
    assert "elsewhere" not in kept.values()
    assert kept["HOSTALIASES"] == "kept"


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Collecting Django<5.3.0,>=5.2.16 (from label-studio==1.23.2)", "collecting Django"),
        ("Collecting attr==0.3.1 (from label-studio==1.23.2)", "collecting attr"),
        ("Installing collected packages: pytz, attr", "installing (the longest step)"),
        ("  Downloading pytz-2022.7.1-py2.py3-none-any.whl (499 kB)", ""),
    ],
)
def test_pips_lines_are_told_in_short(line: str, step: str) -> None:
    assert environment.pip_step(line) == step

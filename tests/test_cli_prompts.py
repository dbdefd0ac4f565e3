"""The commands on prompts as a person uses them: list, show, check, compare, and what --pick writes."""

import json
import os
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from labelloop.cli import app
from labelloop.errors import LabelLoopError, RequestError, SettingsError
from labelloop.settings import get_settings
from support.samples import CHOICES

TEXTS = {
    "Delivery": ["My parcel never came.", "The courier lost my package.", "Shipping takes weeks.", "Where is my box?"],
    "Payment": ["I was charged twice.", "My card was declined.", "Send me an invoice.", "I want a refund."],
    "Account": ["I forgot my password.", "I cannot log in.", "Change my profile name.", "My account is locked."],
}
SHIPPED = Path(__file__).parents[1] / "prompts"
TOML = '# ours\nport = 9191  # not the usual\n\n[fields.other]  # keep\nengine = "encoder"\n'
SWAPPED = {"Delivery": ["log-in and password"], "Payment": ["parcels and couriers"], "Account": ["refunds and cards"]}
WORDS = {"Delivery": ["parcels and couriers"], "Payment": ["refunds and cards"], "Account": ["log-in and password"]}


@pytest.fixture
def files(terminal: Path) -> Path:
    rows = [{"text": text, "right": label} for label, texts in TEXTS.items() for text in texts]
    (terminal / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    bare = CHOICES.replace("hint=", "data-was=")
    (terminal / "config.xml").write_text(bare)
    (terminal / "labelloop.toml").write_text(TOML)
    return terminal


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, ["prompts", *arguments])
    assert isinstance(done.exception, (type(None), SystemExit, LabelLoopError)), done.exception
    return done


def compare(*arguments: str) -> Result:
    return run("compare", "--data", "rows.jsonl", "--config", "config.xml", "--gold", "right", *arguments)


def own(folder: Path, name: str, **changes: object) -> Path:
    content = {**yaml.safe_load((SHIPPED / "classification/v1.yaml").read_text()), **changes}
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    return path


def test_list_says_what_serves_what_and_which_are_ones_own(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(files / "mine", "classification/v1", words={})
    monkeypatch.setenv("LABELLOOP_PROMPTS_DIR", "mine")
    shown = run("list").stdout
    line = next(line for line in shown.splitlines() if "classification/v1" in line)
    assert "mine" in line and "before the shipped one" in shown
    assert "entities/v1" in shown and "entities (encoder)" in shown


def test_show_prints_a_file_that_can_be_copied(files: Path) -> None:
    assert run("show", "classification/v1").stdout == (SHIPPED / "classification/v1.yaml").read_text()
    missing = run("show", "classification/v9").exception
    assert isinstance(missing, RequestError) and "classification/v1" in missing.remedy


def test_check_passes_what_is_shipped_and_names_the_key_that_is_wrong(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("check").exit_code == 0
    own(files / "mine", "classification/v1", words={})
    own(files / "mine", "classification/v101", templatse=["x"])
    own(files / "mine", "poems/v1")
    (files / "mine" / "entities").mkdir()
    (files / "mine" / "entities" / "first.yaml").write_text((SHIPPED / "entities/v1.yaml").read_text())
    done = run("check", "mine")
    assert done.exit_code == 2
    assert "stands in for the shipped one" in done.stdout
    assert "templatse: there is no such key" in done.stdout
    assert "there is no task 'poems'" in done.stdout
    assert "first.yaml is not used" in done.stderr
    monkeypatch.setenv("LABELLOOP_PROMPTS_DIR", str(files / "nowhere"))
    get_settings.cache_clear()
    assert "no folder" in str(run("check").exception)


def test_a_file_anywhere_is_checked_with_its_task_named(files: Path) -> None:
    path = own(files, "mine")
    assert "--task" in str(run("check", str(path)).exception)
    assert run("check", str(path), "--task", "classification").exit_code == 0
    assert run("check", str(path), "--task", "entities").exit_code == 2


def test_compare_tells_what_is_worse_and_writes_nothing_for_it(files: Path) -> None:
    (files / "words.yaml").write_text(yaml.safe_dump({"swapped": SWAPPED}))
    done = compare("--words", "words.yaml", "--pick", "--json", "report.json")
    assert done.exit_code == 0, done.exception
    assert "words swapped is worse than the first." in done.stdout
    assert "Nothing is written" in done.stdout and (files / "labelloop.toml").read_text() == TOML
    report = json.loads((files / "report.json").read_text())
    first, swapped = report["prompts"]
    assert report["rows"] == 12 and first["metric"] == "accuracy" and first["prompt"] == "classification/v1"
    assert first["low"] < first["value"] <= 1 and len(first["by_row"]) == 12
    assert swapped["against_first"]["high"] < 0 and swapped["against_first"]["told"]
    assert not (files / "prompts").exists()


def test_pick_lays_the_winner_into_a_folder_and_keeps_the_comments_of_the_toml(files: Path) -> None:
    own(files, "bad", groups={"swapped": {"labels": SWAPPED, "share": 0.1}})
    (files / "good.yaml").write_text(yaml.safe_dump(WORDS))
    done = compare("--prompts", "bad.yaml", "--words", "good=good.yaml", "--pick")
    assert done.exit_code == 0, done.exception
    assert "words good is better than the first." in done.stdout
    written = (files / "labelloop.toml").read_text()
    assert all(line in written for line in TOML.splitlines() if line)
    assert tomllib.loads(written)["fields"]["topic"]["prompt"] == "classification/v101"
    get_settings.cache_clear()
    assert get_settings().prompts_dir == str(files / "prompts")
    assert run("check").exit_code == 0
    served = compare("--prompts", "v101,v1")
    assert served.exit_code == 0 and "v101" in served.stdout


def test_prompts_that_are_the_same_differ_in_no_row(files: Path) -> None:
    (files / "copy.yaml").write_text((SHIPPED / "classification/v1.yaml").read_text())
    done = compare("--prompts", "v1,copy.yaml", "--rows", "5", "--pick")
    assert "copy.yaml does as the first on each of 5 rows." in done.stdout
    assert "the same file" in done.stderr
    assert (files / "labelloop.toml").read_text() == TOML


def test_rows_without_an_answer_are_told(files: Path) -> None:
    config = (files / "config.xml").read_text()
    (files / "config.xml").write_text(config.replace("$text", "$words"))
    (files / "copy.yaml").write_text((SHIPPED / "classification/v1.yaml").read_text())
    done = compare("--prompts", "v1,copy.yaml", "--rows", "5")
    assert "5 of 5 rows have no answer, for example: " in done.stderr and "words" in done.stderr


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ((), RequestError, "nothing to compare"),
        (("--prompts", "v1,v9"), RequestError, "There is no prompt classification/v9"),
        (("--prompts", "v1,entities/v1"), RequestError, "There is no prompt entities/v1 for 'topic'"),
        (("--prompts", "v1,none.yaml"), SettingsError, "none.yaml cannot be read"),
        (("--prompts", "v1,config.xml"), SettingsError, "config.xml"),
        (("--words", "none.yaml"), RequestError, "none.yaml cannot be read"),
    ],
)
def test_mistakes_are_named_before_anything_is_answered(
    files: Path, options: tuple[str, ...], error: type[LabelLoopError], message: str
) -> None:
    found = compare(*options).exception
    assert isinstance(found, error) and message in found.message
    assert found.remedy or error is SettingsError


def test_a_prompt_in_the_environment_goes_before_what_is_picked(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(files, "bad", groups={"swapped": {"labels": SWAPPED, "share": 0.1}})
    own(files / "prompts", "classification/v150", groups={"g": {"labels": WORDS, "share": 0.1}})
    monkeypatch.setenv("LABELLOOP_PROMPTS_DIR", os.fspath(files / "prompts"))
    monkeypatch.setenv("LABELLOOP_FIELDS", json.dumps({"topic": {"prompt": "classification/v1"}}))
    done = compare("--prompts", "bad.yaml,v150", "--pick")
    assert done.exit_code == 0, done.exception
    assert tomllib.loads((files / "labelloop.toml").read_text())["fields"]["topic"]["prompt"] == "classification/v150"
    assert "LABELLOOP_FIELDS" in done.stderr

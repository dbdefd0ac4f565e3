"""`labelloop connect` against a real Label Studio and the real web process: made, repeated, refused, cleaned up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from labelloop import service
from labelloop.app import create_app
from labelloop.connect import Connected, connect
from labelloop.demo.label_studio import LabelStudioServer, free_port
from labelloop.errors import ConfigError, LabelLoopError, StudioError, UnavailableError
from labelloop.learning.store import Store
from labelloop.settings import Settings
from labelloop.studio.client import StudioClient

CONFIG = """<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="Sport"/>
<Choice value="Art"/></Choices><TextArea name="note" toName="text"/></View>"""
TASKS = [{"data": {"text": "a match"}}, {"data": {"text": "a painting"}}]

MakeProject = Callable[..., Any]


@dataclass
class House:
    """LabelLoop's web process with its store, and what `connect` reports."""

    settings: Settings
    store: Store
    server: LabelStudioServer
    said: list[str] = field(default_factory=list)

    def connect(self, made: Any, **options: Any) -> Connected:
        values: dict[str, Any] = {
            "project": str(made.id),
            "url": self.server.url,
            "token": self.server.token,
            "backend_url": None,
            "keep_sampling": False,
        }
        return connect(self.settings, self.store, report=self.said.append, **values | options)

    def rows(self, project: Any) -> list[dict[str, Any]]:
        with StudioClient(self.server.url, self.server.token) as studio:
            return studio.backends(project.id)

    def hooks(self, project: Any) -> list[str]:
        with StudioClient(self.server.url, self.server.token) as studio:
            return [hook["url"] for hook in studio.webhooks(project.id)]

    def left_over(self, project: Any) -> list[Any]:
        """All that a failed attempt must not leave."""
        return [*self.rows(project), *self.hooks(project), *self.store.connections()]


@contextmanager
def serving(app: Any, port: int = 0) -> Iterator[str]:
    """A WSGI app on loopback; yields its address."""
    web = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_port}"
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def other_backend(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Somebody else's ML backend, as far as Label Studio looks at it."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"status": "UP", "model_version": "theirs"}']


def _settings(folder: Path, port: int) -> Settings:
    return Settings(data_dir=folder, redis_url="redis://127.0.0.1:1/0", port=port)  # no Redis: not calibrated


@pytest.fixture
def house(tmp_path: Path, label_studio: LabelStudioServer) -> Iterator[House]:
    settings = _settings(tmp_path / "data", free_port())
    store = Store(settings.store_url)
    store.migrate()
    app = create_app(settings)
    with serving(app, settings.port):
        yield House(settings, store, label_studio)
    app.extensions["labelloop"].store.close()
    store.close()


def test_everything_is_made_and_checked(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS, title="Letters")
    done = house.connect(made, project="Letters")
    (row,) = house.rows(made)
    assert row["url"].startswith(f"{house.settings.backend_url}/k/")
    assert (row["readable_state"], row["title"], row["model_version"]) == ("Connected", *[done.version.name] * 2)
    assert house.hooks(made) == [f"{row['url']}/webhook"]
    details = made.details()
    assert details["model_version"] == done.version.name
    assert details["sampling"] == "Uncertainty sampling"
    assert details["show_collab_predictions"] is True
    connection = house.store.connection_of_key(row["url"].rsplit("/", 1)[1])
    assert connection == done.connection
    assert (connection.project_id, connection.title, connection.backend_id) == (made.id, "Letters", row["id"])
    assert (connection.token, connection.server_url) == (house.server.token, house.server.url)
    assert done.project.created_at == connection.created_at
    assert (done.again, done.calibrated) == (False, False)
    said = "\n".join([*house.said, repr(done)])
    assert 'note: left to people, because its name says "note", which people write themselves' in said
    assert "calibration waits: " in said
    assert house.server.token not in said
    assert row["url"].rsplit("/", 1)[1] not in said


def test_created_at_is_what_label_studio_itself_sends(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS)
    done = house.connect(made)  # the web process has bound the key to what /setup sent, or the next call were refused
    made.studio.request("GET", f"/api/ml/{done.connection.backend_id}")
    (row,) = house.rows(made)
    assert row["readable_state"] == "Connected"


def test_again_changes_nothing(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS)
    first = house.connect(made)
    before = (house.rows(made)[0]["url"], house.hooks(made))
    second = house.connect(made, keep_sampling=True)
    assert second.again
    assert (second.connection, second.version) == (first.connection, first.version)
    assert len(house.rows(made)) == 1
    assert (house.rows(made)[0]["url"], house.hooks(made)) == before
    assert len(house.store.connections()) == 1


def test_a_lost_webhook_is_made_again(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS)
    house.connect(made)
    (url,) = house.hooks(made)
    with StudioClient(house.server.url, house.server.token) as studio:
        studio.delete_webhook(studio.webhooks(made.id)[0]["id"])
        house.connect(made)
        studio.update_webhook(studio.webhooks(made.id)[0]["id"], url, is_active=False)
        house.connect(made)
        (hook,) = studio.webhooks(made.id)
    assert (hook["url"], hook["is_active"], hook["send_payload"]) == (url, True, True)


def test_labelloop_may_move(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS)
    first = house.connect(made)
    moved = f"http://127.0.0.1:{house.settings.port}"
    second = house.connect(made, backend_url=f"{moved}/")
    (row,) = house.rows(made)
    assert row["url"].startswith(f"{moved}/k/")
    assert house.hooks(made) == [f"{row['url']}/webhook"]
    assert (second.connection.id, second.version.name) == (first.connection.id, first.version.name)


def test_a_pasted_address_becomes_the_connection(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS)
    address = f"{house.settings.backend_url}/k/{house.store.new_key()}"
    with StudioClient(house.server.url, house.server.token) as studio:
        studio.add_backend(made.id, address, "my model")
    done = house.connect(made)
    (row,) = house.rows(made)
    assert (row["url"], row["title"]) == (address, done.version.name)
    assert made.details()["model_version"] == done.version.name
    assert done.connection.token == house.server.token
    assert len(house.store.connections()) == 1


def test_a_dead_address_of_ours_is_replaced(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS)
    house.connect(made)
    (dead,) = house.rows(made)
    house.store.remove_connection(house.store.connections()[0].id)  # as when the data folder was removed
    house.connect(made)
    (row,) = house.rows(made)
    assert row["url"] != dead["url"]
    assert row["readable_state"] == "Connected"
    assert house.hooks(made) == [f"{row['url']}/webhook"]


def test_another_backend_that_stands_first_is_named(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS)
    with serving(other_backend) as url, StudioClient(house.server.url, house.server.token) as studio:
        studio.add_backend(made.id, url, "an older model")
        done = house.connect(made)
        assert [row["title"] for row in studio.backends(made.id)] == ["an older model", done.version.name]
    assert any("an older model" in line for line in house.said)


def test_the_order_of_tasks_may_stay(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS)
    house.connect(made, keep_sampling=True)
    assert made.details()["sampling"] == "Sequential sampling"


def test_an_earlier_version_stands_until_the_push_is_done(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS)
    first = house.connect(made)
    made.studio.request("PATCH", f"/api/projects/{made.id}", json={"label_config": CONFIG.replace("Art", "Music")})
    second = house.connect(made)
    assert second.version.name != first.version.name
    assert made.details()["model_version"] == first.version.name
    (row,) = house.rows(made)
    assert (row["title"], row["model_version"]) == (first.version.name, second.version.name)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"project": "No such title"}, StudioError, "no project"),
        ({"token": "0" * 40}, StudioError, "does not know this token"),
        ({"token": ""}, StudioError, "no token"),
        ({"url": "http://127.0.0.1:9"}, StudioError, "Nothing listens"),
        ({"backend_url": "http://127.0.0.1:9"}, UnavailableError, "does not answer"),
    ],
)
def test_what_fails_early_leaves_nothing(
    house: House, project: MakeProject, options: dict[str, Any], kind: type[LabelLoopError], words: str
) -> None:
    made = project(CONFIG, TASKS)
    with pytest.raises(kind, match=words) as caught:
        house.connect(made, **options)
    assert caught.value.remedy
    assert house.left_over(made) == []


def test_label_studio_in_place_of_labelloop(house: House, project: MakeProject) -> None:
    made = project(CONFIG, TASKS)
    with pytest.raises(UnavailableError, match="is not LabelLoop"):
        house.connect(made, backend_url=house.server.url)
    assert house.left_over(made) == []


def test_a_project_with_nothing_to_fill(house: House, project: MakeProject) -> None:
    made = project('<View><Text name="text" value="$text"/><TextArea name="note" toName="text"/></View>')
    with pytest.raises(ConfigError, match="no control") as caught:
        house.connect(made)
    assert 'its name says "note"' in caught.value.remedy
    assert house.left_over(made) == []


def test_a_setup_that_fails_leaves_nothing(house: House, project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    made = project(CONFIG, TASKS)

    def broken(*_: Any) -> None:
        raise LabelLoopError("the disk is full")

    monkeypatch.setattr("labelloop.service.version_for", broken)
    with pytest.raises(StudioError, match="its /setup failed") as caught:
        house.connect(made)
    assert "/k/***" in caught.value.message
    assert house.left_over(made) == []


def test_a_setup_that_fails_once_is_asked_again(
    house: House, project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real, asked = project(CONFIG, TASKS), service.version_for, []

    def slow_at_first(*given: Any) -> Any:
        asked.append(given)
        if len(asked) == 1:
            raise LabelLoopError("still starting")
        return real(*given)

    monkeypatch.setattr(service, "version_for", slow_at_first)
    assert not house.connect(made).again
    assert len(asked) > 1


class HalfOpen(LabelStudioServer):
    """A Label Studio on which only one of the two switches is lifted: it refuses a backend and keeps it."""

    def _public_environ(self) -> dict[str, str]:
        return super()._public_environ() | {"SSRF_PROTECTION_ENABLED": "true"}


def test_traps_2_and_3_a_label_studio_that_refuses_private_addresses(house: House, tmp_path: Path) -> None:
    with HalfOpen(tmp_path / "half-open") as server:
        house.server = server
        body = {"title": "Guarded", "label_config": CONFIG}
        made = type("Made", (), {"id": server.request("POST", "/api/projects/", json=body).json()["id"]})
        with pytest.raises(StudioError, match="refuses LabelLoop's address") as caught:
            house.connect(made)
        assert "USE_DEFAULT_BANNED_SUBNETS=false" in caught.value.remedy
        assert house.left_over(made) == []

"""A web app in this process, with a store of its own, and the calls that Label Studio makes."""

from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient

from labelloop.app import create_app
from labelloop.learning.store import Store
from labelloop.settings import Settings
from support.samples import CHOICES


@dataclass
class Web:
    """A web app with a store of its own. ``key`` is not bound to a project yet."""

    client: FlaskClient
    store: Store
    settings: Settings
    key: str
    project: str = "5.1795440943"

    def post(self, route: str, body: Any, key: str | None = None) -> Any:
        return self.client.post(f"/k/{key or self.key}{route}", json=body)

    def setup(self, config: str = CHOICES, **fields: Any) -> Any:
        return self.post("/setup", {"project": self.project, "schema": config, "hostname": "http://ls", **fields})

    def predict(self, *data: Any, config: str = CHOICES) -> Any:
        tasks = [{"id": place, "data": one} for place, one in enumerate(data)]
        return self.post("/predict", {"tasks": tasks, "project": self.project, "label_config": config, "params": {}})


def make_web(settings: Settings) -> Web:
    store = Store(settings.store_url)
    store.migrate()
    client = create_app(settings).test_client()
    return Web(client, store, settings, store.new_key())


def close(web: Web) -> None:
    backend = web.client.application.extensions["labelloop"]
    backend.store.close()
    backend.scoring.redis.close()
    web.store.close()

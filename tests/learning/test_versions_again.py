"""Versions that come and go, adapters that are kept whole or refused, and when training is due."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.engines import adapter_files
from labelloop.engines.adapters import Sizes
from labelloop.errors import ModelError, RequestError
from labelloop.learning import adapters, refreshes
from labelloop.learning.refreshes import FEWEST, due
from labelloop.learning.store import Connection, Store
from labelloop.learning.tables import AdapterRow
from labelloop.learning.versions import lasts, put_back, version_for, version_named
from labelloop.settings import Settings
from labelloop.studio.schema import read_config
from labelloop.tasks import make_bundle
from labelloop.tasks.trained import check
from labelloop.words import Bundle

CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="A"/>'
    '<Choice value="B"/></Choices></View>'
)

pytestmark = pytest.mark.databases


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, device="cpu")


@pytest.fixture
def connection(store: Store) -> Connection:
    return store.create_connection("http://studio", 3, 4, "p", "")[0]


def trained(bundle: Bundle, sha: str) -> Bundle:
    return Bundle(plans=tuple(plan.model_copy(update={"adapter": sha}) for plan in bundle.plans))


def test_the_former_version_serves_again_and_stays(store: Store, connection: Connection, settings: Settings) -> None:
    first = version_for(store, connection, CONFIG, settings)
    assert first.parent_id is None and first.served_at is not None
    second = store.serve(connection.id, trained(first.bundle, "a" * 64), {})
    assert second.parent_id == first.id and second.name != first.name
    assert version_for(store, connection, CONFIG, settings).name == second.name  # what was trained is kept
    assert put_back(store, store.connection(connection.id), settings)[1].name == first.name
    assert version_for(store, connection, CONFIG, settings).name == first.name
    assert [one.name for one in store.versions(connection.id)] == [first.name, second.name]
    with pytest.raises(RequestError, match="no former version"):
        put_back(store, store.connection(connection.id), settings)


def test_a_changed_field_loses_its_adapter_and_others_keep_theirs(
    store: Store, connection: Connection, settings: Settings
) -> None:
    both = CONFIG.replace("</View>", CONFIG.split("/>", 1)[1].replace("topic", "tone"))
    first = version_for(store, connection, both, settings)
    store.serve(connection.id, trained(first.bundle, "b" * 64), {})
    changed = version_for(store, connection, both.replace('<Choice value="B"/>', '<Choice value="C"/>', 1), settings)
    assert {plan.field.name: plan.adapter for plan in changed.bundle.plans} == {"topic": None, "tone": "b" * 64}


def test_a_version_of_another_label_config_would_not_last(
    store: Store, connection: Connection, settings: Settings
) -> None:
    first = version_for(store, connection, CONFIG, settings)
    second = version_for(store, connection, CONFIG.replace('"B"', '"C"'), settings)
    now = store.connection(connection.id)
    assert lasts(now, second, settings) and not lasts(now, first, settings)
    again = store.serve(connection.id, trained(second.bundle, "a" * 64), {})
    assert lasts(now, again, settings)


def test_versions_are_named_as_people_type_them(store: Store, connection: Connection, settings: Settings) -> None:
    made = version_for(store, connection, CONFIG, settings)
    for name in (made.name, "v1", "1", " 1 "):
        assert version_named(store, connection, name).id == made.id
    with pytest.raises(RequestError, match="no version 'v9'") as found:
        version_named(store, connection, "v9")
    assert made.name in found.value.remedy


def test_an_adapter_is_fetched_whole_or_refused(store: Store, settings: Settings, tmp_path: Path) -> None:
    import torch

    about = adapter_files.About(method="bitfit", base="some model", sizes=Sizes())
    made = adapter_files.save(about, {"bias": torch.arange(4.0)}, tmp_path / "trained")
    for _ in range(2):
        adapters.keep(store, made)
    bundle = trained(make_bundle(read_config(CONFIG).fields, settings), made.name)
    here = tmp_path / "here"

    def fetched() -> bool:
        adapters.fetch(store, bundle, here, check)
        return adapter_files.read(here / made.name)[0] == about

    assert fetched() and fetched()
    weights = here / made.name / adapter_files.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])  # cut off on this machine: the store's is taken
    assert fetched() and [one.name for one in here.iterdir()] == [made.name]
    with store.session() as session:
        row = session.get(AdapterRow, made.name)
        assert row is not None
        row.content = row.content[::-1]
    weights.write_bytes(b"")
    with pytest.raises(ModelError, match="files have changed"):
        fetched()
    with pytest.raises(ModelError, match="not in the store"):
        adapters.fetch(store, trained(bundle, "0" * 64), here, check)


def test_an_attempt_that_a_crash_left_running_ends_with_the_next(store: Store, connection: Connection) -> None:
    first = refreshes.begin(store, connection.id, "topic", "labels", 20, "p" * 64)
    other = refreshes.begin(store, connection.id, "tone", "labels", 20, "p" * 64)
    second = refreshes.begin(store, connection.id, "topic", "command", 30, "p" * 64)
    refreshes.end(store, second, "refused", items=[1, 2], verdict={"words": "not better"})
    found = {one.id: one for one in refreshes.listed(store, connection.id)}
    assert [found[number].state for number in (first, other, second)] == ["stopped", "running", "refused"]
    assert found[second].items == (1, 2) and found[second].verdict == {"words": "not better"}
    assert [one.id for one in refreshes.listed(store, connection.id, "topic")] == [second, first]


def test_the_next_attempt_is_due_when_labels_have_grown(store: Store, connection: Connection) -> None:
    assert not due(FEWEST - 1, []) and due(FEWEST, [])
    number = refreshes.begin(store, connection.id, "topic", "labels", 40, "p" * 64)
    refreshes.end(store, number, "refused")
    (one,) = refreshes.listed(store, connection.id)
    assert not due(59, [one]) and due(60, [one])
    stopped = replace(one, state="stopped", labels=100)
    assert due(60, [stopped, one]) and not due(120, [stopped, stopped, stopped, one])

"""What starts a training by itself: falling agreement that is no noise, a schedule; through the real store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from labelloop.cli import app, shared
from labelloop.learning import agreement, intake, refreshes
from labelloop.learning.agreement import ALPHA, BLOCK, Fall, fallen, first_fall
from labelloop.learning.refreshes import FEWEST, State
from labelloop.learning.store import Connection, Store
from labelloop.learning.tables import RefreshRow, now
from labelloop.learning.triggers import due_fields
from labelloop.learning.versions import version_for
from labelloop.settings import Settings, get_settings
from support.labelling import START, Labelling, choice

CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="Sport"/>'
    '<Choice value="Food"/></Choices><Labels name="note" toName="text"><Label value="Person"/></Labels></View>'
)


def test_agreement_that_falls_is_noticed_and_noise_is_not_however_long_one_looks() -> None:
    dice = np.random.default_rng(3)
    noticed = [first_fall(list(dice.random(12 * BLOCK) < 0.8)) is not None for _ in range(300)]
    assert sum(noticed) <= 300 * ALPHA
    risen = [first_fall([*(dice.random(BLOCK) < 0.6), *(dice.random(5 * BLOCK) < 0.9)]) for _ in range(50)]
    assert risen == [None] * 50, "that it rises is no reason"
    fell = [first_fall([*(dice.random(4 * BLOCK) < 0.9), *(dice.random(2 * BLOCK) < 0.6)]) for _ in range(50)]
    assert sum(one is not None for one in fell) >= 48


def test_so_few_suggestions_tell_nothing() -> None:
    assert first_fall([True] * BLOCK + [False] * (BLOCK - 1)) is None
    assert first_fall([True] * BLOCK + [False] * BLOCK) == Fall(BLOCK, 0)
    assert "left 0 of 100 suggestions as they were, and 100 of 100 before" in Fall(BLOCK, 0).words


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", device="cpu", encoder="starter")


@pytest.fixture
def connection(store: Store, settings: Settings) -> Connection:
    made = store.create_connection("http://studio", 3, 4, "p", "")[0]
    version_for(store, made, CONFIG, settings)
    return made


@pytest.fixture
def labelling() -> Labelling:
    """Whose clock is that of the store."""
    return Labelling(clock=int((now() - START).total_seconds()) + 60)


def answer(
    store: Store, connection: Connection, labelling: Labelling, kept: int = 0, changed: int = 0, by_hand: int = 0
) -> None:
    """People leave so many suggestions as they are, change so many, and label so many texts without one."""
    origins = ["prediction"] * kept + ["prediction-changed"] * changed + [None] * by_hand
    for origin in origins:
        more = {"origin": origin} if origin else {}
        shown = {"parent_prediction": 5} if origin else {}
        task = labelling.add_task(f"text {len(labelling.tasks)} {'abcdefgh'[len(labelling.tasks) % 8]}")
        labelling.annotate(task, "Sport", result=[choice("Sport", **more)], **shown)
    for action, body in labelling.events:
        intake.receive(store, connection.id, action, body)
    labelling.events.clear()


def tried(
    store: Store, connection: Connection, labelling: Labelling, labels: int, state: State = "refused", hours: float = 0
) -> None:
    """An attempt with so many labels ended so many hours before the last label came."""
    version = store.champion(connection.id)
    assert version is not None
    number = refreshes.begin(store, connection.id, "topic", "labels", labels, version.bundle.digest)
    refreshes.end(store, number, state)
    with store.session() as session:
        row = session.get(RefreshRow, number)
        assert row is not None
        row.begun_at = row.ended_at = START + timedelta(seconds=labelling.clock + 1, hours=-hours)


def due(store: Store, connection: Connection, settings: Settings) -> dict[str, str]:
    """What is due of the field that the labels of this file are about."""
    return {name: why for name, why in due_fields(store, connection.id, settings).items() if name == "topic"}


def test_a_fall_is_read_from_how_annotations_came_to_be(
    store: Store, connection: Connection, labelling: Labelling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "BLOCK", 20)
    before = now()
    answer(store, connection, labelling, kept=20, by_hand=50)
    answer(store, connection, labelling, kept=4, changed=15)
    assert fallen(store, connection.id, before) is None
    answer(store, connection, labelling, changed=1)
    assert fallen(store, connection.id, before) == Fall(20, 4)
    assert fallen(store, connection.id, now() + timedelta(days=1)) is None, "what was before a version is not its own"


def test_falling_agreement_trains_fields_once_that_have_new_labels(
    store: Store, connection: Connection, labelling: Labelling, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "BLOCK", 20)
    answer(store, connection, labelling, kept=20, by_hand=20)
    tried(store, connection, labelling, 40, hours=1)
    version = store.champion(connection.id)
    assert version is not None and due(store, connection, settings) == {}
    answer(store, connection, labelling, kept=2, changed=13)
    assert due(store, connection, settings) == {}
    answer(store, connection, labelling, changed=5 - 1)
    assert due(store, connection, settings) == {}, "the twentieth is missing"
    answer(store, connection, labelling, changed=1)
    assert refreshes.GROWTH * 40 <= 60 and due(store, connection, settings) == {"topic": "labels"}
    tried(store, connection, labelling, 59, "failed", hours=0.5)
    tried(store, connection, labelling, 59, "failed", hours=0.5)
    tried(store, connection, labelling, 59, "failed", hours=0.5)
    assert due(store, connection, settings) == {"topic": "agreement"}
    tried(store, connection, labelling, 60)
    assert due(store, connection, settings) == {}, "nobody has labelled since"
    labelling.clock += 3600
    answer(store, connection, labelling, changed=19)
    assert due(store, connection, settings) == {}, "it was weighed then: from there on one looks anew"


def test_a_schedule_trains_what_has_new_labels(
    store: Store, connection: Connection, labelling: Labelling, settings: Settings
) -> None:
    daily = settings.model_copy(update={"refresh_every": 24.0})
    answer(store, connection, labelling, by_hand=FEWEST - 1)
    assert due(store, connection, daily) == {}
    answer(store, connection, labelling, by_hand=1)
    assert due(store, connection, daily) == {"topic": "labels"}
    tried(store, connection, labelling, FEWEST, hours=25)
    assert due(store, connection, daily) == {}, "there is nothing new to learn"
    answer(store, connection, labelling, by_hand=1)
    assert due(store, connection, daily) == {"topic": "schedule"}
    assert due(store, connection, settings) == {}
    tried(store, connection, labelling, FEWEST, "failed", hours=23)
    assert due(store, connection, daily) == {}, "what fails is not tried all the time"


def test_the_versions_command_says_why_each_training_began(
    store: Store, connection: Connection, labelling: Labelling, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried(store, connection, labelling, 40)
    number = refreshes.begin(store, connection.id, "topic", "agreement", 70, "p" * 64)
    refreshes.end(store, number, "undecided", verdict={"words": "Undecided: so far."})
    monkeypatch.setenv("LABELLOOP_DATABASE_URL", store.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("LABELLOOP_DATA_DIR", str(settings.data_dir))
    monkeypatch.setattr(shared.out, "width", 140)
    get_settings.cache_clear()
    done = CliRunner().invoke(app, ["versions", "3"])
    assert "70 labels, agreement has fallen: undecided. Undecided: so far." in done.output
    assert "40 labels, labels have grown: refused." in done.output

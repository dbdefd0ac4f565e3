"""A promoted version is watched: the former one takes its place again when new labels favour it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelloop.learning import intake, refreshes, watching
from labelloop.learning.held_out import mark
from labelloop.learning.store import Connection, Store
from labelloop.learning.versions import version_for
from labelloop.learning.watching import ALPHA, AT_LEAST, bet
from labelloop.settings import Settings
from labelloop.words import Bundle, FieldPlan
from support.labelling import Labelling

CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="Sport"/>'
    '<Choice value="Food"/></Choices></View>'
)


def test_a_bet_grows_with_what_favours_the_former_version() -> None:
    assert bet(0, 0) == pytest.approx(1.0)
    assert bet(3, 3) < 1 < bet(0, 3) < bet(0, 6)
    assert bet(0, 8) >= 1 / ALPHA > bet(2, 8)
    assert bet(200, 260) > bet(230, 230)
    assert bet(0, 5000) > 1e300 and bet(5000, 0) < 1e-3, "however many there are"


def test_a_version_that_is_no_worse_is_seldom_withdrawn_however_often_one_looks() -> None:
    dice = np.random.default_rng(5)
    withdrawn = 0
    for _ in range(400):
        falls = np.cumsum(dice.random(200) < 0.5)
        withdrawn += any(bet(n - int(worse), int(worse)) >= 1 / ALPHA for n, worse in enumerate(falls, 1))
    assert withdrawn <= 400 * ALPHA


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", device="cpu", encoder="starter")


@pytest.fixture
def connection(store: Store) -> Connection:
    return store.create_connection("http://studio", 3, 4, "p", "")[0]


@pytest.mark.parametrize("harms", [True, False])
def test_new_labels_decide_whether_what_was_promoted_goes_on(
    store: Store, connection: Connection, settings: Settings, harms: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = version_for(store, connection, CONFIG, settings)
    number = refreshes.begin(store, connection.id, "topic", "labels", 20, first.bundle.digest)
    (plan,) = first.bundle.plans
    new = store.serve(connection.id, Bundle(plans=(plan.model_copy(update={"adapter": "a" * 64}),)), {})
    since = watching.Since(store.memory_epoch(connection.id)).stored
    refreshes.end(
        store, number, "promoted", adapter="a" * 64, version_id=new.id, verdict={"since": since}, learned=["known"]
    )

    def compare(
        ours: FieldPlan, former: FieldPlan, old: list[object], its: list[object], _: Settings, learned: frozenset[str]
    ) -> tuple[int, int]:
        assert ours.adapter and former.adapter is None and not old and len(its) == AT_LEAST and learned == {"known"}
        return (0, AT_LEAST) if harms else (2, 1)

    monkeypatch.setattr(watching, "_compare", compare)
    labelling = Labelling()

    def label(count: int) -> None:
        for place in range(count):
            labelling.annotate(labelling.add_task(f"text {len(labelling.tasks)} {place}"), "Sport")
        for action, body in labelling.events:
            intake.receive(store, connection.id, action, body)
        labelling.events.clear()

    label(AT_LEAST - 1)
    assert watching.watch(store, connection.id, settings) == []
    label(1)
    found = watching.watch(store, connection.id, settings)
    champion = store.champion(connection.id)
    (record,) = refreshes.listed(store, connection.id)
    assert champion is not None
    if harms:
        assert [one.field for one in found] == ["topic"] and champion.id == first.id
        assert record.verdict["withdrawn"] == found[0].words and "8 were answered right by the former" in found[0].words
        assert watching.watch(store, connection.id, settings) == []
    else:
        assert found == [] and champion.id == new.id
        assert (record.verdict["since"]["better"], record.verdict["since"]["worse"]) == (2, 1)
        assert watching.watch(store, connection.id, settings) == [], "the same labels are not counted again"


def test_both_versions_answer_the_new_labels(store: Store, connection: Connection, settings: Settings) -> None:
    (plan,) = version_for(store, connection, CONFIG, settings).bundle.plans
    words = {"Food": plan.field.labels[1], "Sport": plan.field.labels[0]}
    swapped = plan.field.model_copy(
        update={"labels": tuple(one.model_copy(update={"text": other.text}) for one, other in zip(
            (words["Sport"], words["Food"]), (words["Food"], words["Sport"]), strict=True))}
    )  # fmt: skip
    former = plan.model_copy(update={"field": swapped})
    labelling = Labelling()
    labelling.annotate(labelling.add_task("The football match ended with two goals."), "Sport")
    labelling.annotate(labelling.add_task("The soup and the bread were delicious."), "Food")
    for action, body in labelling.events:
        intake.receive(store, connection.id, action, body)
    its = store.examples(connection.id, plan.field, [plan.field]).found
    assert watching._compare(plan, former, [], its, settings) == (2, 0)
    assert watching._compare(former, plan, [], its, settings) == (0, 2)
    learned = frozenset({mark("THE SOUP and the bread were delicious")})
    assert watching._compare(plan, former, [], its, settings, learned) == (1, 0), "a copy of it says nothing"
    assert watching._compare(plan, former, [], its[1:], settings, learned) == (0, 0)

"""Training from labels to a version that serves, or does not: the real starter encoder, a real store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labelloop import tasks
from labelloop.engines import adapted
from labelloop.engines.training import Recipe
from labelloop.errors import ModelError, RequestError
from labelloop.learning import adapters, blind, gate, intake, refresh, refreshes, triggers
from labelloop.learning.gate import Evidence, Verdict
from labelloop.learning.held_out import mark
from labelloop.learning.judging import Judged, Labelled, Past, Stopped
from labelloop.learning.store import Connection, Store
from labelloop.learning.tables import AdapterRow
from labelloop.learning.versions import version_for
from labelloop.settings import Settings
from labelloop.tasks import recollection, trained, training
from labelloop.tasks.roll import Example
from labelloop.words import Bundle
from support.labelling import Labelling, choice

CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="team A"/>'
    '<Choice value="team B"/></Choices><Labels name="note" toName="text"><Label value="Person"/></Labels></View>'
)
WHAT = ("card", "invoice", "refund", "price", "tax", "payment", "fee", "bill")
WAY = ("parcel", "courier", "delivery", "box", "shipment", "postman", "address", "van")
TEXTS = [
    (f"The {word} was wrong {when}.", team)
    for team, words in (("team A", WHAT), ("team B", WAY))
    for word in words
    for when in ("today", "again")
]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recipe, "steps", lambda _recipe, _texts: 8)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", device="cpu", encoder="starter")


@pytest.fixture
def connection(store: Store, settings: Settings) -> Connection:
    made = store.create_connection("http://studio", 3, 4, "p", "")[0]
    version_for(store, made, CONFIG, settings)
    return made


@pytest.fixture
def labelled(store: Store, connection: Connection) -> Connection:
    labelling = Labelling()
    for text, team in TEXTS:
        labelling.annotate(labelling.add_task(text), team)
    for action, body in labelling.events:
        intake.receive(store, connection.id, action, body)
    return connection


def decided(monkeypatch: pytest.MonkeyPatch, decision: str) -> list[Evidence]:
    """The gate says this, of whatever it is shown; what that was."""
    seen: list[Evidence] = []
    real = gate.decide

    def decide(evidence: Evidence) -> Verdict:
        seen.append(evidence)
        return real(evidence).model_copy(update={"decision": decision})

    monkeypatch.setattr(gate, "decide", decide)
    return seen


def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter gets a voice, though these few easy labels leave it nothing to add."""
    from labelloop.tasks import voices

    monkeypatch.setattr(voices, "weigh", lambda *_: (voices.Voices(0.5, 0.5), 0.0))


@pytest.mark.databases
def test_what_the_gate_promotes_serves_and_is_fetched_where_it_is_needed(
    store: Store, labelled: Connection, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud(monkeypatch)
    seen = decided(monkeypatch, "promoted")
    before = store.champion(labelled.id)
    shares: list[float] = []
    done = refresh.attempt(store, labelled.id, "topic", "command", settings, shares.append)
    assert done.state == "promoted" and shares == sorted(shares) and shares[-1] == 1.0
    (evidence,) = seen
    assert evidence.evaluated == "out-of-fold" and len(evidence.gold) == len(TEXTS) and evidence.attempt == 1
    version = store.champion(labelled.id)
    assert before is not None and version is not None and version.parent_id == before.id
    topic, note = version.bundle.plans
    assert topic.adapter and note.adapter is None and topic.field == before.bundle.plans[0].field
    (record,) = refreshes.listed(store, labelled.id)
    assert (record.state, record.adapter, record.version_id) == ("promoted", topic.adapter, version.id)
    assert sorted(record.items) == list(range(1, len(TEXTS) + 1)) and record.verdict["words"] == done.words
    assert record.learned == record.judged == frozenset(mark(text) for text, _ in TEXTS)
    assert version_for(store, labelled, CONFIG, settings).name == version.name, "it goes on serving"

    rendered = [{"topic": "Where is the postman?"}]
    here = tasks.answer(version.bundle, rendered, settings)[0][0]
    odd = [Example("Where is the postman?", (("team A",),))]
    memory = recollection.learn(topic, odd, 1, settings)
    assert memory is not None
    told = tasks.answer(version.bundle, rendered, settings, {"topic": memory})[0][0]
    assert told.labels == (("team A",),) and told.score > 0.9, "what was accepted for the very same text stands"
    plain = tasks.answer(before.bundle, rendered, settings)[0][0]
    assert here.score != plain.score
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
    adapted._ready.clear()  # as in another process
    with pytest.raises(ModelError):
        tasks.answer(version.bundle, rendered, elsewhere)
    adapters.fetch(store, version.bundle, trained.folder(elsewhere), trained.check)
    there = tasks.answer(version.bundle, rendered, elsewhere)[0][0]
    assert there.score == pytest.approx(here.score, abs=1e-6) and there.labels == here.labels


def test_what_came_before_is_told_by_texts_and_the_best_there_was_while_its_adapter_lies_in_the_store(
    store: Store, labelled: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud(monkeypatch)
    decided(monkeypatch, "promoted")
    first = store.champion(labelled.id)
    refresh.attempt(store, labelled.id, "topic", "command", settings)
    best, (record,) = store.champion(labelled.id), refreshes.listed(store, labelled.id)
    assert first is not None and best is not None
    heard: list[tuple[Labelled, Past]] = []

    def judge(_plan: object, known: Labelled, past: Past, *_: object) -> Judged:
        heard.append((known, past))
        raise Stopped

    monkeypatch.setattr(refresh, "judge", judge)

    def past() -> Past:
        with pytest.raises(Stopped):
            refresh.attempt(store, labelled.id, "topic", "command", settings)
        return heard[-1][1]

    its = past()
    assert (its.seen, its.older, its.best) == (record.learned, record.judged, None), "the best one serves"
    assert not any(heard[-1][0].blind) and not any(heard[-1][0].agreed)
    store.serve_again(first.id)
    shutil.rmtree(trained.folder(settings))  # the trainer runs on another machine
    its = past()
    assert (its.seen, its.older) == (frozenset(), frozenset()) and its.best is not None
    assert (its.best.name, its.best.plan, its.best.learned) == (best.name, best.bundle.plans[0], record.learned)
    assert (trained.folder(settings) / str(record.adapter)).is_dir()
    refreshes.note(store, record.id, {**record.verdict, "withdrawn": "of new labels it answered more wrong"})
    assert past().best is None
    refreshes.note(store, record.id, record.verdict)
    shutil.rmtree(trained.folder(settings))
    with store.session() as session:
        session.query(AdapterRow).delete()
    assert past().best is None


def test_who_answered_alike_and_who_saw_nothing_is_told_to_the_gate(
    store: Store, labelled: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind.begin(store, labelled, blind.FEWEST + 1, settings)
    settings = settings.model_copy(update={"blind_share": 0.3})
    its, version = blind.slice_of(store.connection(labelled.id), settings), store.champion(labelled.id)
    assert version is not None
    hidden = [text for text, _ in TEXTS if its.hides(version.bundle.fields, {"text": text})]
    labelling = Labelling()
    for text, _ in TEXTS:
        labelling.add_task(text)
    labelling.numbers = 100
    labelling.annotate(1, "team A", who=2)
    labelling.annotate(2, "team B", who=2)
    labelling.annotate(3, "team A", who=2, ground_truth=True)
    labelling.annotate(4, "team A", who=1, parent_prediction=7, result=[choice("team A", origin="prediction")])
    for action, body in labelling.events:
        intake.receive(store, labelled.id, action, body)
    heard: list[Labelled] = []

    def judge(_plan: object, known: Labelled, *_: object) -> Judged:
        heard.append(known)
        raise Stopped

    monkeypatch.setattr(refresh, "judge", judge)
    with pytest.raises(Stopped):
        refresh.attempt(store, labelled.id, "topic", "command", settings)
    (known,) = heard
    agreed = {text for text, one in zip(known.texts, known.agreed, strict=True) if one}
    assert agreed == {TEXTS[0][0], TEXTS[2][0]}
    given = {text for text, one in zip(known.texts, known.blind, strict=True) if one}
    assert given == set(hidden) - {TEXTS[3][0]} != set()


def test_what_the_gate_refuses_does_not_serve_and_the_next_attempt_counts_it(
    store: Store, labelled: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud(monkeypatch)
    seen = decided(monkeypatch, "refused")
    before = store.champion(labelled.id)
    assert triggers.due_fields(store, labelled.id, settings)["topic"] == "labels"
    for _ in range(2):
        assert refresh.attempt(store, labelled.id, "topic", "labels", settings).state == "refused"
    assert store.champion(labelled.id) == before
    assert [one.attempt for one in seen] == [1, 2]
    assert "topic" not in triggers.due_fields(store, labelled.id, settings)


def test_training_that_adds_nothing_is_undecided_and_keeps_no_adapter(
    store: Store, labelled: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labelloop.tasks import voices

    monkeypatch.setattr(voices, "weigh", lambda *_: (voices.Voices(), 0.0))
    done = refresh.attempt(store, labelled.id, "topic", "labels", settings)
    assert done.state == "undecided" and "go on" in done.words
    with store.session() as session:
        assert session.query(AdapterRow).count() == 0


def test_a_version_that_began_to_serve_meanwhile_is_not_replaced(
    store: Store, labelled: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud(monkeypatch)
    decided(monkeypatch, "promoted")
    other = CONFIG.replace("team B", "team C")

    def train(*given: object) -> training.Trained:
        version_for(store, labelled, other, settings)
        return real(*given)  # type: ignore[arg-type]

    real = training.train
    monkeypatch.setattr(training, "train", train)
    assert refresh.attempt(store, labelled.id, "topic", "labels", settings).state == "undecided"
    champion = store.champion(labelled.id)
    assert champion is not None and champion.bundle.plans[0].adapter is None
    assert [label.text for label in champion.bundle.plans[0].field.labels] == ["team A", "team C"]


def test_a_stopped_attempt_is_written_down_and_taken_up_again(
    store: Store, labelled: Connection, settings: Settings
) -> None:
    def watch(share: float) -> None:
        if share > 0.1:
            raise Stopped

    with pytest.raises(Stopped):
        refresh.attempt(store, labelled.id, "topic", "labels", settings, watch)
    (left,) = refreshes.unfinished(store)
    assert (left.field, left.state) == ("topic", "stopped")
    refresh.attempt(store, labelled.id, "topic", "resumed", settings)
    assert refreshes.unfinished(store) == []


def test_mistakes_are_named(store: Store, connection: Connection, settings: Settings) -> None:
    version = store.champion(connection.id)
    assert version is not None
    plans = [
        one.model_copy(update={"engine": "remote"}) if one.field.name == "note" else one for one in version.bundle.plans
    ]
    store.serve(connection.id, Bundle(plans=tuple(plans)), {})
    for field, message in (("nothing", "No control 'nothing'"), ("note", "not trained"), ("topic", "0 labelled texts")):
        with pytest.raises(RequestError, match=message):
            refresh.attempt(store, connection.id, field, "command", settings)
    assert refreshes.listed(store, connection.id) == []
    assert triggers.due_fields(store, connection.id, settings) == {}

"""A label config that changes: what was learned goes on as far as it applies. The starter encoder, a real store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labelloop import tasks
from labelloop.engines import adapted, load
from labelloop.engines.adapters import Sizes
from labelloop.engines.training import Course, Recipe
from labelloop.learning import intake, refreshes, triggers, watching
from labelloop.learning.reading import take_in
from labelloop.learning.store import Connection, Store, Version
from labelloop.learning.versions import direct, serve_plan, version_for
from labelloop.settings import FieldSetting, Settings
from labelloop.studio.schema import read_config
from labelloop.tasks import plan as plan_of
from labelloop.tasks import recollection, refresh_labels, trained, trained_labels
from labelloop.tasks.refresh_labels import Refreshed
from labelloop.tasks.roll import Example, Roll
from labelloop.tasks.voices import Voices
from labelloop.words import Answer, Bundle
from support.labelling import Labelling

TEAMS = {
    "team A": ("card", "invoice", "refund", "price", "tax", "payment", "fee", "bill"),
    "team B": ("parcel", "courier", "delivery", "box", "shipment", "postman", "address", "van"),
    "team C": ("password", "login", "screen", "app"),
}
TEXTS = [
    (f"The {word} was wrong {when}.", team)
    for team, words in TEAMS.items()
    for word in words
    for when in ("today", "again")
]
NEW = "Where is the postman?"
RAIN = "Heavy rain and snow are expected tomorrow."


def config(*labels: str, more: str = "") -> str:
    choices = "".join(f'<Choice value="{label}"/>' for label in labels)
    topic = f'<Choices name="topic" toName="text">{choices}</Choices>'
    return f'<View><Text name="text" value="$text"/>{topic}{more}</View>'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", device="cpu", encoder="starter")


@pytest.fixture
def labelling() -> Labelling:
    return Labelling()


def label(store: Store, connection: Connection, labelling: Labelling, texts: list[str], team: str) -> None:
    for text in texts:
        labelling.annotate(labelling.add_task(text), team)
    for action, body in labelling.events:
        intake.receive(store, connection.id, action, body)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that was trained on the three teams."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("trained"), device="cpu")
    its = plan_of(read_config(config(*TEAMS)).fields[0], settings)
    lesson = refresh_labels.lesson(its, [Example(text, ((team,),)) for text, team in TEXTS], settings)
    recipe = Recipe(sizes=Sizes(layers=1, rank=4), rate=2e-3, fewest_steps=16, batch=8)
    encoder = load("encoder", its.model, its.revision, settings)
    course = Course(encoder, lesson.texts, lesson.meanings, lesson.several, recipe, lesson.vectors)
    *_, pupil = course.train(range(len(TEXTS)), lesson.right, lesson.scale, 16)
    made = Refreshed(Voices(0.3, 0.7), pupil.slope, lesson.right.any(axis=0), dict(pupil.weights), {})
    kept = trained_labels.keep(its, made, recipe, trained.folder(settings))
    assert kept is not None
    return kept


@pytest.fixture
def connection(store: Store, settings: Settings, labelling: Labelling, folder: Path) -> Connection:
    """One whose topic is served with that adapter."""
    made = store.create_connection("http://studio", 3, 4, "p", "")[0]
    first = version_for(store, made, config(*TEAMS), settings)
    for team in TEAMS:
        label(store, made, labelling, [text for text, its in TEXTS if its == team], team)
    number = refreshes.begin(store, made.id, "topic", "labels", len(TEXTS), first.bundle.digest)
    shutil.copytree(folder, trained.folder(settings) / folder.name)
    (plan,) = first.bundle.plans
    version = serve_plan(store, made.id, plan, plan.model_copy(update={"adapter": folder.name}))
    since = {"since": watching.Since(store.memory_epoch(made.id)).stored}
    assert version is not None
    refreshes.end(store, number, "promoted", adapter=folder.name, version_id=version.id, verdict=since)
    return store.connection(made.id)


def adapter_of(version: Version) -> str | None:
    return version.bundle.plans[0].adapter


def said(bundle: Bundle, settings: Settings, text: str = NEW) -> dict[str, float]:
    """By label its probability, without memory."""
    answer: Answer = tasks.answer(bundle, [{plan.field.name: text for plan in bundle.plans}], settings)[0][0]
    return {path[0]: chance for path, chance in answer.alternatives}


def learnt(version: Version, settings: Settings) -> dict[str, float]:
    """By label what the adapter alone says of texts."""
    (plan,) = version.bundle.plans
    ready = trained.ready(plan, settings)
    assert ready is not None
    return {label.path[0]: chance for label, chance in zip(plan.field.labels, ready.alone([NEW])[0], strict=True)}


def untrained(bundle: Bundle) -> Bundle:
    return Bundle(plans=tuple(plan.model_copy(update={"adapter": None}) for plan in bundle.plans))


def test_an_added_label_starts_zero_shot_beside_what_was_trained(
    store: Store, connection: Connection, settings: Settings
) -> None:
    before = store.champion(connection.id)
    assert before is not None
    now = version_for(store, connection, config(*TEAMS, "weather"), settings)
    assert adapter_of(now) == adapter_of(before) is not None and now.name != before.name
    assert learnt(now, settings) == pytest.approx({**learnt(before, settings), "weather": 0}), "as it was taught"
    new, plain = said(now.bundle, settings), said(untrained(now.bundle), settings)
    assert new["weather"] == pytest.approx(plain["weather"], abs=1e-3), "nobody taught it what that is"
    assert max(new, key=new.__getitem__) == "team B" and new["team B"] > plain["team B"] + 0.05
    rain = said(now.bundle, settings, RAIN)
    assert max(rain, key=rain.__getitem__) == "weather"


def test_a_removed_label_is_answered_no_more_and_the_others_as_before(
    store: Store, connection: Connection, settings: Settings
) -> None:
    before = store.champion(connection.id)
    assert before is not None
    now = version_for(store, connection, config("team A", "team B"), settings)
    assert adapter_of(now) == adapter_of(before) is not None
    gone = {"team C": learnt(before, settings)["team C"]}
    assert learnt(now, settings) | gone == pytest.approx(learnt(before, settings))
    new, plain = said(now.bundle, settings), said(untrained(now.bundle), settings)
    assert set(new) == {"team A", "team B"} and sum(new.values()) == pytest.approx(1, abs=1e-3)
    assert new["team B"] > plain["team B"] + 0.05
    (plan,) = now.bundle.plans
    found = store.examples(connection.id, plan.field, now.bundle.fields).found
    assert len(found) == 32, "its examples are gone with it"
    assert triggers.due_fields(store, connection.id, settings) == {}
    only = version_for(store, connection, config("team A", "team D"), settings)
    assert adapter_of(only) is None, "one label of three is nothing to choose between"
    again = version_for(store, connection, config(*TEAMS), settings)
    assert again.id == before.id, "a config that was wrong for a while loses nothing"


def test_a_renamed_label_takes_along_its_examples_and_what_was_trained(
    store: Store, connection: Connection, settings: Settings, labelling: Labelling
) -> None:
    before = store.champion(connection.id)
    assert before is not None
    renamed = {"team A": "money", "team B": "team X", "team X": "parcels"}  # the second one twice
    told = settings.model_copy(update={"fields": {"topic": FieldSetting(renamed=renamed)}})
    now = version_for(store, connection, config("money", "parcels", "team C"), told)
    assert adapter_of(now) == adapter_of(before) is not None
    assert list(learnt(now, told).values()) == pytest.approx(list(learnt(before, settings).values()))
    new = said(now.bundle, told)
    assert max(new, key=new.__getitem__) == "parcels"
    label(store, connection, labelling, ["The tram was late."], "team X")  # who had the page open before
    (plan,) = now.bundle.plans
    found = store.examples(connection.id, plan.field, now.bundle.fields).found
    counted = [one.answer.labels[0][0] for one in found]
    assert (counted.count("money"), counted.count("parcels"), counted.count("team C")) == (16, 17, 8)
    memory = recollection.learn(plan, take_in(Roll(plan.field), plan, found, told), 1, told)
    assert memory is not None and memory.examples == 41
    answer = tasks.answer(now.bundle, [{"topic": "The parcel was wrong today."}], told, {"topic": memory})[0][0]
    assert answer.labels == (("parcels",),)
    assert triggers.due_fields(store, connection.id, told) == {}, "a new name is no reason to train anew"


def test_an_owner_renames_labels_in_the_extra_params(store: Store, connection: Connection, settings: Settings) -> None:
    before = store.champion(connection.id)
    assert before is not None
    now_config = config("money", "team B", "team C")
    extra = {"fields": {"topic": {"renamed": {"team A": "money"}}}}
    now = version_for(store, direct(store, connection, now_config, extra, settings), now_config, settings)
    assert adapter_of(now) == adapter_of(before) is not None
    assert now.bundle.plans[0].field.formerly == ((("team A",), ("money",)),)


def test_an_added_field_starts_zero_shot_and_the_others_go_on(
    store: Store, connection: Connection, settings: Settings
) -> None:
    before = store.champion(connection.id)
    assert before is not None
    more = '<Choices name="mood" toName="text"><Choice value="calm"/><Choice value="angry"/></Choices>'
    now = version_for(store, connection, config(*TEAMS, more=more), settings)
    topic, mood = now.bundle.plans
    assert topic == before.bundle.plans[0] and mood.adapter is None
    one, other = tasks.answer(now.bundle, [{"topic": NEW, "mood": "I am furious, this is an outrage!"}], settings)[0]
    assert one.labels == (("team B",),) and other.labels == (("angry",),)
    found = store.examples(connection.id, mood.field, now.bundle.fields).found
    assert found == () and len(store.examples(connection.id, topic.field, now.bundle.fields).found) == 40


def test_labels_that_came_may_be_trained_as_soon_as_there_are_enough_of_them(
    store: Store, connection: Connection, settings: Settings, labelling: Labelling
) -> None:
    version_for(store, connection, config(*TEAMS, "weather"), settings)
    assert triggers.due_fields(store, connection.id, settings) == {}, "nobody has given the new label yet"
    texts = [f"{what} {when}." for what in ("Rain", "Snow", "Fog", "A storm") for when in "abcdefgh"]
    label(store, connection, labelling, texts[:8], "weather")
    assert triggers.due_fields(store, connection.id, settings) == {}
    label(store, connection, labelling, [f"{one} Again." for one in texts], "weather")
    assert triggers.due_fields(store, connection.id, settings) == {"topic": "labels"}


def test_what_was_promoted_before_a_label_came_is_still_watched(
    store: Store, connection: Connection, settings: Settings, labelling: Labelling
) -> None:
    version_for(store, connection, config(*TEAMS, "weather"), settings)
    label(store, connection, labelling, [f"Rain and snow in town {number}." for number in range(8)], "weather")
    assert watching.watch(store, connection.id, settings) == []
    (record,) = refreshes.listed(store, connection.id)
    assert record.verdict["since"]["epoch"] == store.memory_epoch(connection.id), "both have answered the new labels"


def test_an_adapter_that_gave_way_to_others_is_read_again(
    store: Store, connection: Connection, settings: Settings
) -> None:
    version = store.champion(connection.id)
    assert version is not None
    before = learnt(version, settings)
    adapted._ready.clear()  # as others that were asked for since would
    assert learnt(version, settings) == pytest.approx(before)

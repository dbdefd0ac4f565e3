"""What workers remember: labels that arrive, change and go, by epoch; with the starter encoder and a real store."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from labelloop import tasks
from labelloop.errors import StoreDownError
from labelloop.importing import import_file
from labelloop.learning import intake
from labelloop.learning.store import Connection, Store
from labelloop.scoring import cache
from labelloop.scoring.memories import Memories
from labelloop.scoring.wire import ZERO_SHOT, Epoch
from labelloop.settings import Settings
from labelloop.studio.render import render_all
from labelloop.studio.schema import read_config
from labelloop.tasks.relation_memory import RelationMemory
from labelloop.tasks.text_memory import TextMemory
from labelloop.words import Bundle
from support.labelling import Labelling

CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="Zog"/>'
    '<Choice value="Bim"/></Choices><TextArea name="summary" toName="text"/></View>'
)

pytestmark = pytest.mark.databases
ROOM, DOG = "The hotel room was warm and quiet.", "The dog barks at the postman."


@pytest.fixture
def connection(store: Store) -> Connection:
    return store.create_connection("http://studio", 3, 4, "p", "")[0]


@pytest.fixture
def served(settings: Settings) -> Bundle:
    return tasks.make_bundle(read_config(CONFIG).fields, settings)


def tell(store: Store, connection: Connection, labelling: Labelling) -> Epoch:
    for action, body in labelling.events:
        intake.receive(store, connection.id, action, body)
    labelling.events.clear()
    return Epoch(connection.id, store.memory_epoch(connection.id))


def said(memories: Memories, store: Store, bundle: Bundle, epoch: Epoch, text: str, settings: Settings) -> str:
    known = memories.of(store, bundle, bundle.digest, epoch)
    ((answer,),) = tasks.answer(bundle, [{"topic": text}], settings, known)
    return answer.labels[0][0]


def test_a_label_is_known_from_its_epoch_on_and_forgotten_when_it_is_deleted(
    settings: Settings, store: Store, connection: Connection, served: Bundle
) -> None:
    labelling, memories = Labelling(), Memories(settings)
    ids = {text: labelling.annotate(labelling.add_task(text), label) for text, label in ((ROOM, "Zog"), (DOG, "Bim"))}
    epoch = tell(store, connection, labelling)
    assert epoch.number > 0
    assert [said(memories, store, served, epoch, text, settings) for text in (ROOM, DOG)] == ["Zog", "Bim"]
    for text, label in ((ROOM, "Bim"), (DOG, "Zog")):
        labelling.change(
            ids[text], result=[{**labelling.annotations[ids[text]]["result"][0], "value": {"choices": [label]}}]
        )
    later = tell(store, connection, labelling)
    assert later > epoch
    assert [said(memories, store, served, later, text, settings) for text in (ROOM, DOG)] == ["Bim", "Zog"]
    for number in ids.values():
        labelling.delete(number)
    none = tell(store, connection, labelling)
    assert memories.of(store, served, served.digest, none) == {}


@pytest.mark.parametrize("imported", ["before", "after"])
def test_a_label_of_the_project_counts_before_one_from_a_file_that_counts_again_when_it_is_gone(
    imported: str, settings: Settings, store: Store, connection: Connection, served: Bundle, tmp_path: Path
) -> None:
    connection = store.update_connection(connection.id, label_config=CONFIG)
    labelling, memories, file = Labelling(), Memories(settings), tmp_path / "file.json"
    file.write_text(json.dumps([{"text": ROOM, "place": "a file", "gold": "Bim"}]))

    def bring() -> None:
        import_file(store, connection, file, settings, field_name="topic", key="gold")

    if imported == "before":
        bring()
        assert said(memories, store, served, tell(store, connection, labelling), ROOM, settings) == "Bim"
    annotation = labelling.annotate(labelling.add_task(ROOM), "Zog")
    assert said(memories, store, served, tell(store, connection, labelling), ROOM, settings) == "Zog"
    if imported == "after":
        bring()
        assert said(memories, store, served, tell(store, connection, labelling), ROOM, settings) == "Zog"
    assert said(Memories(settings), store, served, tell(store, connection, labelling), ROOM, settings) == "Zog"
    labelling.delete(annotation)
    assert said(memories, store, served, tell(store, connection, labelling), ROOM, settings) == "Bim"


def test_connections_with_the_same_bundle_remember_apart(
    settings: Settings, store: Store, connection: Connection, served: Bundle
) -> None:
    other = store.create_connection("http://studio", 5, 6, "q", "")[0]
    memories, epochs = Memories(settings), []
    for one, label in ((connection, "Zog"), (other, "Bim")):
        labelling = Labelling()
        labelling.annotate(labelling.add_task(ROOM), label)
        epochs.append(tell(store, one, labelling))
    assert [said(memories, store, served, epoch, ROOM, settings) for epoch in epochs] == ["Zog", "Bim"]


def test_where_labels_cannot_be_read_what_was_known_serves(
    settings: Settings,
    store: Store,
    connection: Connection,
    served: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    labelling, memories = Labelling(), Memories(settings)
    labelling.annotate(labelling.add_task(ROOM), "Bim")
    epoch = tell(store, connection, labelling)
    assert said(memories, store, served, epoch, ROOM, settings) == "Bim"

    def down(*_: object, **__: object) -> None:
        raise StoreDownError("The store does not answer.")

    monkeypatch.setattr(store, "examples", down)
    with caplog.at_level(logging.ERROR):
        assert said(memories, store, served, Epoch(connection.id, epoch.number + 1), ROOM, settings) == "Bim"
    assert "not known yet" in caplog.text


def test_only_what_follows_labels_is_asked_anew_after_one(served: Bundle) -> None:
    texts = {"topic": ROOM, "summary": ROOM}
    before, after, other, none = (
        cache.keys(served, served.digest, epoch, texts) for epoch in (Epoch(1, 4), Epoch(1, 5), Epoch(2, 4), ZERO_SHOT)
    )
    assert served.remembering == {"topic", "summary"}
    assert len({before[0], after[0], other[0], none[0]}) == 4
    assert len({before[1], other[1], none[1]}) == 3


def test_what_is_written_is_asked_anew_when_the_labels_have_doubled(served: Bundle) -> None:
    keys = [cache.keys(served, served.digest, Epoch(1, number), {"summary": ROOM})[0] for number in range(1, 101)]
    assert len(set(keys)) == 7
    assert keys[3] == keys[6] != keys[7]


def test_accepted_texts_are_remembered_as_they_were_read(
    settings: Settings, store: Store, connection: Connection, served: Bundle
) -> None:
    labelling, memories = Labelling(), Memories(settings)
    written = {"from_name": "summary", "to_name": "text", "type": "textarea", "value": {"text": ["A quiet room."]}}
    labelling.annotate(labelling.add_task(ROOM), "Zog", result=[{"id": "r2", **written}])
    found = memories.of(store, served, served.digest, tell(store, connection, labelling))["summary"]
    assert isinstance(found, TextMemory)
    ((text,),) = [one.texts for one in found.accepted]
    assert text == "A quiet room." and found.accepted[0].reading.passages[0].text == ROOM
    item = {"summary": found.accepted[0].reading.dump()}
    ((answer,),) = tasks.answer(served, [item], settings, {"summary": found})
    assert answer.texts == ("A quiet room.",) and answer.provenance["origin"] == "accepted before"


RELATING = (
    '<View><Text name="text" value="$text"/><Labels name="who" toName="text"><Label value="Person"/></Labels>'
    '<Relations><Relation value="Type 7"/></Relations></View>'
)
LENT = "Peter Miller lent Angela Merkel some money."


def marked(text: str, *names: str, related: bool) -> list[dict[str, object]]:
    """A person's result: the names, the first of which is related to the second."""
    regions: list[dict[str, object]] = []
    for place, name in enumerate(names):
        start = text.index(name)
        value = {"start": start, "end": start + len(name), "text": name, "labels": ["Person"]}
        regions.append({"id": f"r{place}", "from_name": "who", "to_name": "text", "type": "labels", "value": value})
    relation = {"from_id": "r0", "to_id": "r1", "type": "relation", "direction": "right", "labels": ["Type 7"]}
    return [*regions, relation] if related else regions


def test_relations_are_remembered_between_regions_that_people_mark_and_that_models_find(
    settings: Settings, store: Store, connection: Connection
) -> None:
    served = tasks.make_bundle(read_config(RELATING).fields, settings)
    assert served.learning == served.remembering == {"who", "relations"}
    labelling, memories = Labelling(), Memories(settings)
    names = ("Peter Miller", "Angela Merkel")
    given = labelling.annotate(labelling.add_task(LENT), "", result=marked(LENT, *names, related=True))
    met = "Peter Miller met Angela Merkel and Tom Hill."
    labelling.annotate(labelling.add_task(met), "", result=marked(met, *names, "Tom Hill", related=False))
    epoch = tell(store, connection, labelling)
    known = memories.of(store, served, served.digest, epoch)
    found = known["relations"]
    assert isinstance(found, RelationMemory) and found.epoch == epoch.number
    assert found.examples == 4, "one related pair, and three that were left"

    def relations(text: str) -> list[tuple[str, str, str]]:
        texts = render_all(served.fields, {"text": text})[0]
        ((answer,),) = tasks.answer(served, [{"relations": texts["relations"]}], settings, known)
        return [(link.head.text, link.label, link.tail.text) for link in answer.links]

    assert relations(LENT) == [("Peter Miller", "Type 7", "Angela Merkel")]
    assert relations(met) == []
    labelling.change(given, result=marked(LENT, *names[::-1], related=True))
    known = memories.of(store, served, served.digest, tell(store, connection, labelling))
    assert relations(LENT) == [("Angela Merkel", "Type 7", "Peter Miller")]
    for number in list(labelling.annotations):
        labelling.delete(number)
    assert memories.of(store, served, served.digest, tell(store, connection, labelling)) == {}


def test_relations_by_a_writer_follow_labels_only_where_their_regions_do(settings: Settings) -> None:
    (who, relations) = tasks.make_bundle(read_config(RELATING).fields, settings).plans
    written = relations.model_copy(update={"engine": "causal"})
    assert Bundle(plans=(who, written)).learning == {"who"}
    assert Bundle(plans=(who, written)).remembering == {"who", "relations"}
    assert Bundle(plans=(who.model_copy(update={"engine": "causal"}), written)).remembering == set()

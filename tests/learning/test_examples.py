"""What learners are given: whose answer counts, what changed since an epoch, and how far people agree."""

import random

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from labelloop.learning.examples import Examples
from labelloop.learning.intake import receive
from labelloop.learning.store import Store
from labelloop.studio.schema import read_config
from labelloop.words import Example
from learning.test_intake import days
from support.labelling import Labelling, choice

pytestmark = pytest.mark.databases

CONFIG = """<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="Art"/>
<Choice value="Sport"/><Choice value="Food"/></Choices><Labels name="who" toName="text"><Label value="Person"/></Labels>
<Relations><Relation value="knows"/></Relations></View>"""
FIELDS = read_config(CONFIG).fields
TOPIC, WHO, RELATIONS = FIELDS


@pytest.fixture
def connection(store: Store) -> int:
    return store.create_connection("http://ls", 3, 4, "Title", "")[0].id


def send(store: Store, connection: int, studio: Labelling, start: int = 0) -> int:
    for action, body in studio.events[start:]:
        receive(store, connection, action, body)
    return len(studio.events)


def labels(found: Examples) -> dict[int, str]:
    return {one.item: one.answer.labels[0][0] for one in found.found}


def test_an_example_holds_all_that_a_learner_needs(store: Store, connection: int) -> None:
    studio = Labelling()
    task = studio.add_task("a match")
    studio.annotate(task, "Sport")
    studio.annotate(studio.add_task("skipped"), "Art", was_cancelled=True)
    send(store, connection, studio)
    found = store.examples(connection, TOPIC, FIELDS)
    (one,) = found.found
    assert (one.item, one.data, one.answer.labels, one.how) == (task, {"text": "a match"}, (("Sport",),), "by_hand")
    assert (one.share, one.ground_truth, one.epoch, found.epoch) == (1.0, False, 1, 2)
    assert one.people == 1 and not one.agreed
    assert found.gone == ()
    assert Example.model_validate_json(one.model_dump_json()) == one
    (none,) = store.examples(connection, WHO, FIELDS).found
    assert none.answer.spans == ()


def test_an_example_of_relations_holds_the_regions_that_were_there_and_agreement_does_not_see_them(
    store: Store, connection: int
) -> None:
    studio = Labelling()
    task = studio.add_task("Ada met Bob and Cem")

    def person(name: str, start: int) -> dict[str, object]:
        value = {"start": start, "end": start + 3, "text": name, "labels": ["Person"]}
        return {"id": name, "from_name": "who", "to_name": "text", "type": "labels", "value": value}

    ada, bob, cem = person("Ada", 0), person("Bob", 8), person("Cem", 16)
    knows = {"from_id": "Ada", "to_id": "Bob", "type": "relation", "direction": "right", "labels": ["knows"]}
    studio.annotate(task, "", who=1, result=[ada, bob, knows])
    studio.annotate(task, "", who=2, result=[ada, bob, cem, knows])
    send(store, connection, studio)
    (one,) = store.examples(connection, RELATIONS, FIELDS).found
    assert [span.text for span in one.given] == ["Ada", "Bob", "Cem"] and one.share == 1.0
    assert [(link.head.text, link.tail.text) for link in one.answer.links] == [("Ada", "Bob")]
    assert one.answer.spans == ()
    assert Example.model_validate_json(one.model_dump_json()) == one
    (spans,) = store.examples(connection, WHO, FIELDS).found
    assert spans.given == ()
    places = RELATIONS.model_copy(update={"region_labels": ("Place",)})
    (none,) = store.examples(connection, places, FIELDS).found
    assert none.given == ()


@pytest.mark.parametrize(
    ("said", "truth", "majority", "latest", "share"),
    [
        (["Art", "Sport", "Art"], None, "Art", "Art", 2 / 3),
        (["Art", "Art", "Sport"], None, "Art", "Sport", 2 / 3),
        (["Art", "Sport"], None, "Sport", "Sport", 1 / 2),
        (["Art", "Art", "Sport", "Food"], 2, "Sport", "Sport", 1 / 4),
    ],
)
def test_whose_answer_counts(
    store: Store, connection: int, said: list[str], truth: int | None, majority: str, latest: str, share: float
) -> None:
    studio = Labelling()
    task = studio.add_task("one")
    for place, label in enumerate(said):
        studio.annotate(task, label, who=place + 1, ground_truth=place == truth)
    send(store, connection, studio)
    found = store.examples(connection, TOPIC, FIELDS)
    assert labels(found) == {task: majority}
    assert found.found[0].share == pytest.approx(share) and found.found[0].people == len(said)
    assert found.found[0].agreed == (truth is not None or (share > 0.5 and len(said) > 1))
    assert found.found[0].ground_truth == (truth is not None)
    assert labels(store.examples(connection, TOPIC, FIELDS, several="latest")) == {task: latest}


def test_of_one_person_the_latest_answer_counts_once(store: Store, connection: int) -> None:
    studio = Labelling()
    task = studio.add_task("one")
    for label in ("Art", "Art", "Sport"):
        studio.annotate(task, label, who=1)
    studio.annotate(task, "Sport", who=2)
    send(store, connection, studio)
    (one,) = store.examples(connection, TOPIC, FIELDS).found
    assert (one.answer.labels, one.share) == ((("Sport",),), 1.0)


def test_what_changed_since_an_epoch_and_what_is_gone(store: Store, connection: int) -> None:
    studio = Labelling()
    tasks = [studio.add_task(text) for text in ("one", "two", "three", "four", "five")]
    annotations = [studio.annotate(task, "Art") for task in tasks[:4]]
    sent = send(store, connection, studio)
    first = store.examples(connection, TOPIC, FIELDS)
    assert set(labels(first)) == set(tasks[:4])
    assert store.examples(connection, TOPIC, FIELDS, after_epoch=first.epoch) == Examples(first.epoch, (), ())
    studio.change(annotations[0], result=[choice("Sport")])
    studio.delete(annotations[1])
    studio.delete_task(tasks[2])
    studio.change(annotations[3], was_cancelled=True)
    studio.annotate(tasks[4], "Food")
    send(store, connection, studio, sent)
    second = store.examples(connection, TOPIC, FIELDS, after_epoch=first.epoch)
    assert labels(second) == {tasks[0]: "Sport", tasks[4]: "Food"}
    assert second.gone == tuple(tasks[1:4])
    assert second.epoch == store.memory_epoch(connection) > first.epoch


@pytest.mark.databases("sqlite")  # hundreds of days: the others see to PostgreSQL
@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(studio=days(), seed=st.integers(0, 2**32))
def test_an_index_kept_up_to_date_holds_what_a_new_one_would(store: Store, studio: Labelling, seed: int) -> None:
    connection = store.create_connection("http://ls", 3, 4, "Title", "")[0].id
    dice = random.Random(seed)
    events = studio.events[:]
    dice.shuffle(events)
    index: dict[int, Example] = {}
    epoch = 0
    for action, body in events:
        receive(store, connection, action, body)
        if dice.random() < 0.4:
            changed = store.examples(connection, TOPIC, FIELDS, after_epoch=epoch)
            index = {item: one for item, one in index.items() if item not in changed.gone}
            index |= {one.item: one for one in changed.found}
            epoch = changed.epoch
    changed = store.examples(connection, TOPIC, FIELDS, after_epoch=epoch)
    index = {item: one for item, one in index.items() if item not in changed.gone}
    index |= {one.item: one for one in changed.found}
    assert index == {one.item: one for one in store.examples(connection, TOPIC, FIELDS).found}


def test_counts_and_agreement(store: Store, connection: int) -> None:
    studio = Labelling()
    one, two, three = (studio.add_task(text) for text in ("one", "two", "three"))
    for who, label in enumerate(("Art", "Art", "Sport")):
        studio.annotate(one, label, who=who + 1)
    kept = [choice("Art", origin="prediction")]
    studio.annotate(two, "Art", result=kept, parent_prediction=9, ground_truth=True)
    studio.annotate(two, "Art", who=2, result=[choice("Food", origin="prediction-changed")], parent_prediction=9)
    studio.annotate(three, "Art", result=[], parent_prediction=9)
    studio.annotate(three, "Art", who=2, was_cancelled=True)
    send(store, connection, studio)
    counts = store.count_labels(connection, FIELDS)
    assert counts.how == {"accepted": 1, "edited": 1, "rejected": 1, "by_hand": 3, "skipped": 1}
    assert counts.ground_truth == 1
    assert counts.examples == {"topic": 2, "who": 3, "relations": 3}
    assert counts.agreement["topic"] == pytest.approx(1 / 4)
    assert counts.agreement["who"] == 1.0
    assert store.count_labels(connection).how == counts.how

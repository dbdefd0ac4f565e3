"""Which items are shown without a suggestion, from when on, and which labels were given so."""

from __future__ import annotations

import pytest

from labelloop.errors import SettingsError
from labelloop.learning import blind
from labelloop.learning.blind import Blind
from labelloop.learning.held_out import held_out
from labelloop.learning.intake import receive
from labelloop.learning.store import Store
from labelloop.learning.sync import sync
from labelloop.settings import Settings, get_settings
from labelloop.studio.schema import read_config
from support.labelling import Api, Labelling, choice

pytestmark = pytest.mark.databases

CONFIG = """<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="Art"/>
<Choice value="Sport"/></Choices></View>"""
FIELDS = read_config(CONFIG).fields
TEXTS = [f"{one} {other} {third}" for one in "abcdefghij" for other in "klmnopqrst" for third in "uvwxyzäöüß"]
A_TENTH = Blind(0.1, "1")
HIDDEN = [text for text in TEXTS if A_TENTH.hides(FIELDS, {"text": text})]


def test_a_share_of_the_items_is_hidden_by_what_they_say_and_whose_they_are() -> None:
    assert 0.07 * len(TEXTS) < len(HIDDEN) < 0.13 * len(TEXTS)
    for copy in (str.upper, lambda text: f" {text}!\n"):
        assert [text for text in TEXTS if A_TENTH.hides(FIELDS, {"text": copy(text)})] == HIDDEN
    beside = [text for text in TEXTS if A_TENTH.hides(FIELDS, {"id": text[::-1], "text": text})]
    assert beside == HIDDEN, "what no control reads is no part of the text"
    assert {text for text in TEXTS if Blind(0.05, "1").hides(FIELDS, {"text": text})} < set(HIDDEN)
    other = [text for text in TEXTS if Blind(0.1, "2").hides(FIELDS, {"text": text})]
    assert len(set(other) & set(HIDDEN)) < 0.3 * len(HIDDEN)
    assert 0.08 < held_out(HIDDEN, "1", already=True).mean() < 0.35, "whether one is held out says nothing of it"


def test_it_follows_every_object_that_is_read_in_whatever_order_controls_stand() -> None:
    config = '<View><Text name="q" value="$question"/><Text name="text" value="$text"/>{}</View>'
    controls = [
        f'<Choices name="of_{name}" toName="{name}"><Choice value="x"/><Choice value="y"/></Choices>'
        for name in ("q", "text")
    ]
    data = [{"text": text, "question": "why"} for text in TEXTS]
    one, other = (read_config(config.format("".join(order))).fields for order in (controls, controls[::-1]))
    found = [A_TENTH.hides(one, its) for its in data]
    assert found == [A_TENTH.hides(other, its) for its in data]
    assert found != [A_TENTH.hides(one, its | {"question": "when"}) for its in data]
    assert any(A_TENTH.hides(one, {"text": text}) for text in TEXTS), "what is missing spoils nothing"


@pytest.mark.parametrize("data", [{}, {"text": ""}, {"text": None}, None, "text", {"other": HIDDEN[0]}])
def test_an_item_without_a_text_is_not_hidden(data: object) -> None:
    assert not Blind(0.5, "1").hides(FIELDS, data)
    assert not Blind(0.0, "1").hides(FIELDS, {"text": HIDDEN[0]})


def test_it_begins_when_a_project_is_large_and_stays(store: Store, settings: Settings) -> None:
    number = store.create_connection("http://ls", 3, 4, "p", "token")[0].id

    def share(tasks: int, **more: float) -> float:
        its = settings.model_copy(update=more)
        blind.begin(store, store.connection(number), tasks, its)
        return blind.slice_of(store.connection(number), its).share

    assert share(200) == 0.0 and share(5_000, blind_share=0.0) == 0.0
    assert store.connection(number).blind_since is None, "while it is switched off, it does not begin"
    assert share(201) == 0.05
    began = store.connection(number).blind_since
    assert share(100) == share(1_000) == 0.05 and store.connection(number).blind_since == began
    assert share(1_000, blind_share=0.0) == 0.0 and share(1_000, blind_share=0.2) == 0.2


@pytest.mark.parametrize("value", ["-0.1", "0.6", "nan", "some"])
def test_a_share_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_BLIND_SHARE", value)
    with pytest.raises(SettingsError, match="LABELLOOP_BLIND_SHARE"):
        get_settings()


def test_only_what_was_shown_says_whether_a_label_was_given_blind(store: Store) -> None:
    connection = store.create_connection("http://ls", 3, 4, "p", "token")[0]
    its = Blind(0.1, str(connection.id))
    texts = [text for text in TEXTS if its.hides(FIELDS, {"text": text})]
    studio = Labelling()

    def label(text: str, shown: list[dict[str, object]] | None, origin: str) -> int:
        task = studio.add_task(text)
        if shown is not None:
            about = {"id": 900 + task, "model_version": "v1-a", "result": shown, "updated_at": studio.now()}
            studio.predictions[task] = [about]
        parent = 900 + task if shown is not None else None
        studio.annotate(task, "Art", parent_prediction=parent, result=[choice("Art", origin=origin)])
        return task

    empty = label(texts[0], [], "manual")
    none = label(texts[1], None, "manual")
    label(texts[2], [choice("Art")], "prediction")  # labelled before the slice began
    label(texts[3], [choice("Sport")], "manual")
    label(next(text for text in TEXTS if text not in texts), None, "manual")
    for action, body in studio.events:
        receive(store, connection.id, action, body)
    sync(store, connection, Api(studio))  # type: ignore[arg-type]  # a webhook does not tell what was shown
    found = store.examples(connection.id, FIELDS[0], FIELDS).found
    assert [one.item for one in found if its.example(FIELDS, one)] == [empty, none]
    counts = store.count_labels(connection.id, FIELDS, lambda data, how: its.labelled(FIELDS, data, how))
    assert counts.blind == 2 and store.count_labels(connection.id, FIELDS).blind == 0

"""Accepted examples in serving: answers change at once, only where they should, and each text is read once."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from labelloop import engines, tasks
from labelloop.engines import load
from labelloop.engines.encoder import Encoder
from labelloop.settings import FieldSetting, Settings
from labelloop.tasks import chances, recollection
from labelloop.tasks.recollection import Example, LabelMemory, learn
from labelloop.tasks.roll import Roll
from labelloop.words import Answer, Bundle, Field

MakeField = Callable[..., Field]
LABELS = ("team A", "team B", "team C")  # names that say nothing: only examples can tell
TEXTS = {
    "team A": ["My card was charged twice.", "The invoice is wrong.", "I want my money back.", "Which taxes do I pay?"],
    "team B": ["The parcel is late.", "The courier never came.", "Wrong address on the box.", "Is it shipped?"],
    "team C": ["I forgot my password.", "I cannot log in.", "The site locks me out.", "How do I reset my login?"],
}
EXAMPLES = [Example(text, ((label,),)) for label, texts in TEXTS.items() for text in texts]
NEW = {"Please refund the payment.": "team A", "When does my package arrive?": "team B", "My log-in fails.": "team C"}


def answers(field: Field, texts: Sequence[str], settings: Settings, memory: LabelMemory | None) -> list[Answer]:
    bundle = Bundle(plans=(tasks.plan(field, settings),))
    memories = {field.name: memory} if memory else None
    return [one for (one,) in tasks.answer(bundle, [{field.name: text} for text in texts], settings, memories)]


def learned(field: Field, examples: Sequence[Example], settings: Settings, epoch: int = 1) -> LabelMemory:
    found = learn(tasks.plan(field, settings), examples, epoch, settings)
    assert found is not None
    return found


def test_the_next_answers_follow_the_labels(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(LABELS)
    memory = learned(field, EXAMPLES, cpu, epoch=7)
    found = answers(field, list(NEW), cpu, memory)
    assert [one.labels[0][0] for one in found] == list(NEW.values())
    assert memory.epoch == 7 and found[0].provenance["memory"] == len(EXAMPLES)
    assert found[0].score == found[0].alternatives[0][1]


def test_without_memory_answers_are_what_they_were(make_field: MakeField, cpu: Settings) -> None:
    field, other = make_field(LABELS), make_field(["good", "bad"], name="tone")
    bundle = tasks.make_bundle([field, other], cpu)
    items = [{"label": text, "tone": text} for text in NEW]
    plain = tasks.answer(bundle, items, cpu)
    assert tasks.answer(bundle, items, cpu, {}) == plain
    mixed = tasks.answer(bundle, items, cpu, {"label": learned(field, EXAMPLES, cpu)})
    assert [tone for _, tone in mixed] == [tone for _, tone in plain]
    assert [label.labels for label, _ in mixed] != [label.labels for label, _ in plain]


def test_an_answer_depends_on_no_other_text(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(LABELS)
    memory = learned(field, EXAMPLES, cpu)
    together = answers(field, [*NEW, ""], cpu, memory)
    assert together[-1].reason
    for text, one in zip(NEW, together[:-1], strict=True):
        (alone,) = answers(field, [text], cpu, memory)
        assert alone.labels == one.labels and alone.score == pytest.approx(one.score, abs=2e-4)


def test_the_accepted_text_itself_is_answered_as_accepted(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(["Payment", "Delivery"])
    odd = "Where is my parcel?"
    assert answers(field, [odd], cpu, None)[0].labels == (("Delivery",),)
    memory = learned(field, [Example(odd, (("Delivery",),)), Example(odd, (("Payment",),))], cpu)
    assert memory.examples == 1  # the last answer to a text counts
    assert answers(field, [odd], cpu, memory)[0].labels == (("Payment",),)


def test_several_labels(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(LABELS, multiple=True)
    both = [Example(f"{TEXTS['team A'][n]} {TEXTS['team B'][n]}", (("team A",), ("team B",))) for n in range(4)]
    nothing = [Example(text, ()) for text in ("Good morning.", "Nice weather today.", "Thanks!", "Happy birthday.")]
    memory = learned(field, [*EXAMPLES, *both, *nothing], cpu)
    assert answers(field, [nothing[0].text], cpu, memory)[0].labels == ()
    assert set(answers(field, [both[0].text], cpu, memory)[0].labels) == {("team A",), ("team B",)}


def test_labels_that_the_field_lost_are_left_out(make_field: MakeField) -> None:
    one, several = make_field(["a", "b"]), make_field(["a", "b"], multiple=True)
    its = [Example("x", (("gone",),)), Example("y", (("a",), ("gone",))), Example(" ", (("a",),)), Example("z", ())]
    assert Roll.of(one, its).latest(9) == [Example("y", (("a",),))]
    assert Roll.of(several, its).latest(9) == [Example("y", (("a",),)), Example("z", ())]


def test_fields_without_usable_examples_have_no_memory(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(LABELS)
    assert learn(tasks.plan(field, cpu), [], 1, cpu) is None
    assert learn(tasks.plan(field, cpu), [Example("x", (("gone",),))], 1, cpu) is None
    dynamic = make_field([], dynamic="options")
    assert learn(tasks.plan(dynamic, cpu), EXAMPLES, 1, cpu) is None


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the encoder embeds from now on."""
    texts: list[str] = []
    embed = Encoder.embed

    def counting(self: Encoder, some: Sequence[str]) -> engines.Vectors:
        texts.extend(some)
        return embed(self, some)

    monkeypatch.setattr(Encoder, "embed", counting)
    return texts


def test_a_text_is_read_once_for_chances_and_memory(make_field: MakeField, cpu: Settings, read: list[str]) -> None:
    field = make_field(LABELS, name="read once")
    examples = [Example(f"{one.text} (once)", one.labels) for one in EXAMPLES]
    memory = learned(field, examples, cpu)
    assert all(read.count(one.text) == 1 for one in examples)
    learned(field, [*examples, Example("One more (once)", (("team A",),))], cpu, epoch=2)
    assert all(read.count(one.text) == 1 for one in examples) and read.count("One more (once)") == 1
    answers(field, list(NEW), cpu, memory)
    assert all(read.count(text) == 1 for text in NEW)


class Words:
    """An engine that knows a label where its name stands in the text, beside an encoder's memory."""

    def rank(self, texts: Sequence[str], labels: Sequence[Sequence[str]]) -> engines.Vectors:
        return np.array([[max(one in text for one in label) for label in labels] for text in texts], np.float32)

    def windows(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)


def test_memory_serves_beside_any_engine(make_field: MakeField, cpu: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines.ENGINES, "cloze", lambda *_: Words())
    settings = cpu.model_copy(
        update={"fields": {"label": FieldSetting(engine="cloze", model="thenlper/words", revision="0" * 40)}}
    )
    field = make_field(LABELS)
    memory = learned(field, EXAMPLES, settings)
    assert memory.encoder == recollection.encoder_of(tasks.plan(field, cpu), cpu)
    found = answers(field, list(NEW), settings, memory)
    assert [one.labels[0][0] for one in found] == list(NEW.values())


def test_vectors_are_compared_as_texts_are(make_field: MakeField, cpu: Settings) -> None:
    plan = tasks.plan(make_field(LABELS), cpu)
    encoder = load("encoder", plan.model, plan.revision, cpu)
    labels = [("a sport",), ("money", "a bank")]
    texts = list(NEW)
    assert encoder.against(encoder.embed(texts), labels) == pytest.approx(encoder.rank(texts, labels), abs=1e-6)
    each = chances.opinions(plan, texts, recollection.encoder_of(plan, cpu), cpu)
    assert each[0].labels == pytest.approx(chances.of_texts(plan, texts, cpu).labels, abs=1e-5)
    assert each[0].vectors == pytest.approx(encoder.embed(texts), abs=1e-6)

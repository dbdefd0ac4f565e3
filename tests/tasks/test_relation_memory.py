"""Accepted relations in serving: what is related next, in which direction, and what stays as it was."""

from collections.abc import Sequence

import numpy as np
import pytest

from labelloop import tasks
from labelloop.settings import FieldSetting, Settings
from labelloop.tasks import memory, relation_memory, structured
from labelloop.tasks.recollection import Example, learn
from labelloop.tasks.relation_memory import RelationMemory
from labelloop.tasks.relations import Judged
from labelloop.words import Answer, Bundle, Field, Link, Reading
from tasks.test_relations import make_field, mark, told

NAMES = ["Ann", "Bob", "Cora", "Dan", "Eve", "Finn", "Gus", "Hal", "Ida", "Jon", "Kim", "Lea"]
NEW = [("Mia", "Ned"), ("Olga", "Pat")]
SENTENCES = {
    "owes": ["{} lent {} a lot of money.", "{} gave {} a loan.", "{} paid the debts of {}."],
    "": ["{} waved at {} from the train.", "{} and {} danced all night.", "{} saw {} in the rain."],
}


@pytest.fixture(scope="module")
def cpu(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("relations"), device="cpu")


def example(text: str, *words: str, links: Sequence[tuple[str, str, str]] = (), direction: str = "right") -> Example:
    """``links``: (head, label, tail) by the words."""
    reading = mark(text, *words)
    spans = {span.text: span for span in reading.given}
    made = [Link(head=spans[a], tail=spans[b], label=label, direction=direction) for a, label, b in links]  # type: ignore[arg-type]
    return Example(reading.dump(), links=tuple(made))


def usage(label: str, backwards: bool = False) -> list[Example]:
    """Who lends is related to who borrows, or the other way round; others are not related."""
    found = []
    for first, second in zip(NAMES[::2], NAMES[1::2], strict=True):
        for said, sentences in SENTENCES.items():
            for sentence in sentences:
                ends = (second, label, first) if backwards else (first, label, second)
                found.append(example(sentence.format(first, second), first, second, links=[ends] if said else []))
    return found


def learned(field: Field, examples: Sequence[Example], cpu: Settings, epoch: int = 1) -> RelationMemory:
    found = learn(tasks.plan(field, cpu), examples, epoch, cpu)
    assert isinstance(found, RelationMemory)
    return found


def answers(field: Field, readings: Sequence[Reading], cpu: Settings, memory: object) -> list[Answer]:
    bundle = Bundle(plans=(tasks.plan(field, cpu),))
    memories = {"relation": memory} if memory else None
    return [one for (one,) in tasks.answer(bundle, [{"relation": r.dump()} for r in readings], cpu, memories)]  # type: ignore[arg-type]


def new(said: str) -> list[Reading]:
    return [mark(sentence.format(*pair), *pair) for sentence in SENTENCES[said] for pair in NEW]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_label_whose_name_says_nothing_is_learned_with_its_direction(backwards: bool, cpu: Settings) -> None:
    field = make_field(["Type 7", "Type 8"])
    memory = learned(field, usage("Type 7", backwards), cpu, epoch=9)
    assert memory.epoch == 9 and memory.examples == 36
    found = answers(field, new("owes"), cpu, memory)
    ends = [tuple(span.text for span in reading.given) for reading in new("owes")]
    expected = [[(b, "Type 7", a)] if backwards else [(a, "Type 7", b)] for a, b in ends]
    assert sum(told(one) == its for one, its in zip(found, expected, strict=True)) >= 5
    assert not any(told(one) == its for one, its in zip(answers(field, new("owes"), cpu, None), expected, strict=True))
    assert sum(told(one) == [] for one in answers(field, new(""), cpu, memory)) >= 5
    assert found[0].provenance == {"memory": 36}


def test_what_people_leave_unrelated_is_not_related_again(cpu: Settings) -> None:
    field = make_field(["founded_by"])
    text = "{} was founded by {} in 2004."
    asked = mark(text.format("Nordlys", "Ingrid"), "Nordlys", "Ingrid")
    (before,) = answers(field, [asked], cpu, None)
    assert told(before) == [("Nordlys", "founded_by", "Ingrid")]
    left = [example(text.format(a, b), a, b) for a, b in zip(NAMES, NAMES[3:], strict=False)]
    (after,) = answers(field, [asked], cpu, learned(field, left, cpu))
    assert after.links == () and after.score > 0.5


def test_a_label_without_examples_keeps_its_chance(cpu: Settings) -> None:
    field = make_field(["Type 7", "founded_by", "treats"])
    learnt = learned(field, usage("Type 7"), cpu)
    plan = tasks.plan(field, cpu)
    columns = structured.relation_columns(plan, cpu)
    (pair,) = structured.judged_pairs(plan, relation_memory.pairs_of([mark("X treats Y.", "X", "Y")]), cpu)
    row = learnt.chances([pair])[0]
    unseen = [place for place, column in enumerate(columns) if column.label != "Type 7"]
    odds = np.log(row[unseen]) - np.log(row[unseen[0]])
    were = np.log(pair.chances[unseen]) - np.log(pair.chances[unseen[0]])
    assert odds == pytest.approx(learnt.head.trust * were, abs=1e-3)
    (found,) = answers(field, [mark("Nordlys was founded by Ingrid.", "Nordlys", "Ingrid")], cpu, learnt)
    assert told(found) == [("Nordlys", "founded_by", "Ingrid")]


def test_the_same_regions_of_the_same_text_are_answered_as_accepted(cpu: Settings) -> None:
    field = make_field(["founded_by", "owes"])
    text, words = "Nordlys was founded by Ingrid and Olaf.", ("Nordlys", "Ingrid", "Olaf")
    odd = example(text, *words, links=[("Olaf", "owes", "Ingrid"), ("Olaf", "founded_by", "Ingrid")], direction="bi")
    memory = learned(field, [example(text, *words), odd], cpu)
    (found,) = answers(field, [mark(text, *words)], cpu, memory)
    assert told(found) == [("Olaf", "owes", "Ingrid"), ("Olaf", "founded_by", "Ingrid")]
    assert {link.direction for link in found.links} == {"bi"} and found.score == 0.95
    (unsure,) = answers(field, [mark(text, *words, score=0.5)], cpu, memory)
    assert [link.score for link in unsure.links] == [pytest.approx(0.95 / 4, abs=1e-3)] * 2
    (more,) = answers(field, [mark(text, *words, "founded")], cpu, memory)  # one region that was not there
    assert set(told(found)) <= set(told(more))


def test_the_same_text_with_other_regions_is_answered_anew(cpu: Settings) -> None:
    field = make_field(["founded_by"])
    text = "Nordlys was founded by Ingrid and Olaf."
    memory = learned(field, [example(text, "Nordlys", "Olaf")], cpu)
    (other,) = answers(field, [mark(text, "Nordlys", "Ingrid")], cpu, memory)
    assert told(other) == [("Nordlys", "founded_by", "Ingrid")]


def test_only_what_can_be_told_is_learned(cpu: Settings) -> None:
    field = make_field(["founded_by", "Other"])
    text, pair = "Nordlys saw Ingrid.", ("Nordlys", "Ingrid")
    plan = tasks.plan(field, cpu)
    for nothing in (
        [],
        [example(text, "Nordlys")],
        [example(text, *pair, links=[("Nordlys", "", "Ingrid")])],  # related, but who knows how
    ):
        assert learn(plan, nothing, 1, cpu) is None
    other = learned(field, [example(text, *pair, links=[("Nordlys", "Other", "Ingrid")])], cpu)
    assert other.examples == 1
    assert learn(tasks.plan(make_field(["Other"]), cpu), [example(text, *pair)], 1, cpu) is None
    remote = Settings(
        data_dir=cpu.data_dir, device="cpu", fields={"relation": FieldSetting(engine="causal", model="starter")}
    )
    assert learn(tasks.plan(field, remote), [example(text, *pair)], 1, remote) is None


def test_a_config_without_labels_learns_what_is_related(cpu: Settings) -> None:
    field = make_field([])
    memory = learned(field, usage(""), cpu)
    assert sum(len(one.links) for one in answers(field, new("owes"), cpu, memory)) >= 5
    assert sum(len(one.links) for one in answers(field, new(""), cpu, memory)) <= 1


def test_no_answer_depends_on_the_other_items(cpu: Settings) -> None:
    field = make_field(["Type 7"])
    memory = learned(field, usage("Type 7"), cpu)
    readings = [*new("owes"), *new(""), mark("Nothing."), mark(" ")]
    together = answers(field, readings, cpu, memory)
    assert together[-1].reason and together[-2].links == ()
    for reading, one in zip(readings, together, strict=True):
        (alone,) = answers(field, [reading], cpu, memory)
        assert told(alone) == told(one) and alone.score == pytest.approx(one.score, abs=3e-4)


def test_some_of_an_items_many_unrelated_pairs_stand_for_all(cpu: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    field = make_field(["Type 7"])
    crowds = []
    for number in range(12):
        words = [f"{name}{number}" for name in NAMES]
        text = f"{words[0]}, {words[1]} owed money, {', '.join(words[2:])} came."
        crowds.append(example(text, *words, links=[(words[0], "Type 7", words[1])]))
    some = learned(field, crowds, cpu)
    assert some.examples == 12 * 9 and len(some.before) == 12 * 66
    monkeypatch.setattr(relation_memory, "_APART", 100)
    every = learned(field, crowds, cpu)
    asked = mark("Tom, Una owed money, Vic, Wes, Xena came.", "Tom", "Una", "Vic", "Wes", "Xena")
    judged = structured.judged_pairs(tasks.plan(field, cpu), relation_memory.pairs_of([asked]), cpu)
    assert some.chances(judged)[:, -1] == pytest.approx(every.chances(judged)[:, -1], abs=0.25)


def test_many_pairs_are_seen_along_the_axes_on_which_they_differ_most(
    cpu: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relation_memory, "_MOST_AXES", 12)
    field = make_field(["Type 6"])
    memory = learned(field, usage("Type 6"), cpu)
    assert memory.head.weights.shape == (12, 3)
    assert sum(len(one.links) for one in answers(field, new("owes"), cpu, memory)) >= 5
    assert sum(len(one.links) for one in answers(field, new(""), cpu, memory)) <= 1


def test_only_the_latest_pairs_are_learned_from(cpu: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relation_memory, "MOST_PAIRS", 10)
    field = make_field(["Type 7"])
    memory = learned(field, usage("Type 7"), cpu)
    assert memory.examples == 10 and len(memory.before) == 36


def test_pairs_are_read_once_and_the_same_examples_make_the_same_memory(
    cpu: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    judge = structured.judged_pairs

    def counting(plan: object, asked: Sequence[tuple[int, str, object]], settings: Settings) -> list[Judged]:
        read.extend(text for _, text, _ in asked)
        return judge(plan, asked, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(structured, "judged_pairs", counting)
    field = make_field(["read once"])
    examples = usage("read once")
    one = learned(field, examples, cpu)
    two = learned(field, examples, cpu)
    assert len(read) == len(set(read)) == 36
    assert np.array_equal(one.head.weights, two.head.weights)
    asked = new("owes")[0]
    assert answers(field, [asked], cpu, one) == answers(field, [asked], cpu, two)


def test_all_pairs_of_an_item_are_left_out_together(cpu: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    weigh = memory.weigh

    def weighing(*known: object, **more: object) -> tuple[float, ...]:
        asked.append(list(known[4]))  # type: ignore[call-overload]
        return weigh(*known, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(memory, "weigh", weighing)
    texts = [(f"{a} owed {b} and {c} more.", a, b, c) for a, b, c in zip(NAMES, NAMES[4:], NAMES[8:], strict=False)]
    learned(make_field(["Type 7"]), [example(*one, links=[(one[1], "Type 7", one[2])]) for one in texts], cpu)
    assert asked == [[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]]


def test_examples_of_an_item_are_left_out_together() -> None:
    items = np.repeat(np.arange(7), 5)
    fold = memory.folds(len(items), items)
    assert all(len(set(fold[items == item])) == 1 for item in range(7))
    assert len(set(fold)) == 7
    rng = np.random.default_rng(0)
    # the pairs of an item are alike, and what is right is known of the item alone: beside their like they look easy
    vectors = np.repeat(rng.normal(size=(12, 20)), 6, axis=0) + 0.01 * rng.normal(size=(72, 20))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    right = np.eye(2, dtype=bool)[np.repeat(rng.integers(0, 2, 12), 6)]
    zero_shot = np.full((72, 2), 0.5)
    alone = memory.weigh(vectors, right, zero_shot, False)
    together = memory.weigh(vectors, right, zero_shot, False, np.repeat(np.arange(12), 6))
    assert sum(alone[4:]) > 0.9 and sum(together[4:]) < 0.1

"""Relations between given passages, with the real starter encoder."""

from collections.abc import Callable, Sequence

import pytest

from labelloop import tasks
from labelloop.engines import ContextEngine
from labelloop.prompting import load_file
from labelloop.settings import Settings
from labelloop.tasks import relations
from labelloop.tasks.pairs import MOST, NEXT, candidates
from labelloop.tasks.relation_model import Seen, see
from labelloop.tasks.relation_prompt import Ends, RelationPrompt, meaning
from labelloop.tasks.relations import relation_f1
from labelloop.words import Answer, Field, Label, Link, Passage, Reading, Source, Span

Relating = Callable[[Sequence[str], Sequence[Reading]], list[Answer]]

COMPANY = "Nordlys Coffee was founded by Ingrid Dahl in 2004."
MARRIED = "Claire Dubois and her husband Paul Martin sold their house."


def mark(text: str, *words: str, label: str = "thing", source: str = "text", score: float = 1.0) -> Reading:
    """The text as a reading with each of the words marked where it first stands; "word/label" has its own label."""
    spans = []
    for word in words:
        word, _, own = word.partition("/")
        start = text.index(word)
        spans.append(
            Span(field="marks", source=source, start=start, end=start + len(word), text=word, label=(own or label,),
                 score=score)
        )  # fmt: skip
    return Reading(passages=(Passage(name=source, text=text),), given=tuple(spans))


def make_field(labels: Sequence[str]) -> Field:
    return Field(
        name="relation",
        tag="Relations",
        kind="relations",
        to_name="text",
        labels=tuple(Label(path=(label,), text=label) for label in labels),
        sources=(Source(name="text", tag="Text", key="text"),),
        regions_of=("marks",),
    )


@pytest.fixture
def relating(cpu: Settings) -> Relating:
    def answers(labels: Sequence[str], readings: Sequence[Reading]) -> list[Answer]:
        bundle = tasks.make_bundle([make_field(labels)], cpu)
        return [one for (one,) in tasks.answer(bundle, [{"relation": reading.dump()} for reading in readings], cpu)]

    return answers


@pytest.fixture
def prompt() -> RelationPrompt:
    return load_file("relations/v1", "", RelationPrompt)


def told(answer: Answer) -> list[tuple[str, str, str]]:
    return [(link.head.text, link.label, link.tail.text) for link in answer.links]


def test_obvious_relations_with_their_direction(relating: Relating) -> None:
    readings = [
        mark("The landslide caused severe damage in the valley.", "landslide", "damage"),
        mark("The floods were caused by a broken dam.", "floods", "dam"),
        mark("The hinge of the cupboard squeaks.", "hinge", "cupboard"),
        mark("A jar full of buttons fell down.", "jar", "buttons"),
        mark("The senator gave a talk about immigration.", "talk", "immigration"),
    ]
    answers = relating(
        ["Cause-Effect", "Component-Whole", "Content-Container", "Message-Topic", "Product-Producer"], readings
    )
    assert [told(answer) for answer in answers] == [
        [("landslide", "Cause-Effect", "damage")],
        [("dam", "Cause-Effect", "floods")],
        [("hinge", "Component-Whole", "cupboard")],
        [("buttons", "Content-Container", "jar")],
        [("talk", "Message-Topic", "immigration")],
    ]
    for answer in answers:
        (link,) = answer.links
        assert link.direction == "right" and 0.4 < link.score <= 1 and answer.score == link.score


@pytest.mark.parametrize(
    ("label", "head"),
    [("founded_by", "Nordlys Coffee"), ("org:founded_by", "Nordlys Coffee"), ("FounderOf", "Ingrid Dahl")],
)
def test_a_label_says_by_its_name_which_end_is_the_head(relating: Relating, label: str, head: str) -> None:
    (answer,) = relating([label, "works for", "born_in"], [mark(COMPANY, "Nordlys Coffee", "Ingrid Dahl")])
    ((link),) = answer.links
    assert (link.label, link.head.text) == (label, head)


def test_a_label_that_orders_the_passages_links_them_in_the_order_of_the_text(relating: Relating) -> None:
    labels = ["Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other"]
    active, passive, neither = relating(
        labels,
        [
            mark("The landslide caused severe damage.", "landslide", "damage"),
            mark("The floods were caused by a broken dam.", "floods", "dam"),
            mark("The senator and the nurse waited.", "senator", "nurse"),
        ],
    )
    assert told(active) == [("landslide", "Cause-Effect(e1,e2)", "damage")]
    assert told(passive) == [("floods", "Cause-Effect(e2,e1)", "dam")]
    assert told(neither) == []  # "Other" says that there is none


def test_passages_that_only_stand_together_are_not_related(relating: Relating) -> None:
    answers = relating(
        ["founded_by", "works_for", "born_in", "treats"],
        [
            mark("Neither the senator nor the nurse wanted to comment.", "senator", "nurse"),
            mark("Police in Leeds spoke to Harold Finch and Mary Cole.", "Harold Finch/person", "Mary Cole/person"),
        ],
    )
    for answer in answers:
        assert answer.links == () and answer.reason is None and answer.score > 0.4


def test_labels_of_passages_tell_what_cannot_be(relating: Relating) -> None:
    text = "Maria Lopez of Brightwater said so."
    readings = [mark(text, "Maria Lopez/person", f"Brightwater/{kind}") for kind in ("organization", "location")]
    person, place = relating(["works_for", "lives in"], readings)
    assert told(person) == [("Maria Lopez", "works_for", "Brightwater")]
    assert "works_for" not in [link.label for link in place.links]


def test_labels_that_nobody_explained_work_by_their_names(relating: Relating, prompt: RelationPrompt) -> None:
    labels = ["eats", "sponsors", "translated by"]
    assert all(said is not None and not said.relations for said in (meaning(label, prompt) for label in labels))
    answers = relating(
        labels,
        [
            mark("Alpina Insurance sponsors the Basel Marathon.", "Alpina Insurance", "Basel Marathon"),
            mark("The novel was translated by Ann Wu.", "novel", "Ann Wu"),
            mark("The koala eats eucalyptus leaves.", "koala", "eucalyptus leaves"),
        ],
    )
    assert [link.label for answer in answers for link in answer.links] == ["sponsors", "translated by", "eats"]


def test_a_config_without_labels_links_what_is_likely_related(relating: Relating) -> None:
    related, apart = relating(
        [],
        [
            mark(COMPANY, "Nordlys Coffee", "Ingrid Dahl"),
            mark("The senator and the nurse waited.", "senator", "nurse"),
        ],
    )
    assert told(related) == [("Nordlys Coffee", "", "Ingrid Dahl")]
    assert apart.links == ()


def test_spelled_differently_it_means_the_same(prompt: RelationPrompt) -> None:
    for label in ("Cause-Effect", "causes", "Is_Cause_Of", "cause-effect(e1,e2)"):
        said = meaning(label, prompt)
        assert said is not None and ("cause", True) in said.relations
    swapped = meaning("Cause-Effect(e2,e1)", prompt)
    assert swapped is not None and swapped.order == 2
    spouse = meaning("per:spouse", prompt)
    assert spouse is not None and spouse.symmetric
    birth = meaning("/people/person/place_of_birth", prompt)
    assert birth is not None and birth.relations == (("birth_place", True),)
    assert [meaning(label, prompt) for label in ("Other", "no_relation", "NONE", "n/a")] == [None] * 4


def test_a_relation_without_direction_is_read_in_the_order_of_the_text(relating: Relating) -> None:
    (answer,) = relating(["married to"], [mark(MARRIED, "Paul Martin", "Claire Dubois")])
    assert told(answer) == [("Claire Dubois", "married to", "Paul Martin")]


def test_nothing_to_relate(relating: Relating) -> None:
    labels = ["Cause-Effect", "eats"]
    none, one, empty = relating(labels, [mark(COMPANY), mark(COMPANY, "2004"), mark(" ")])
    for answer in (none, one):
        assert answer.links == () and answer.score == 1.0 and answer.reason is None
    assert empty.reason == "The text is empty."
    (residual,) = relating(["Other", "none"], [mark(COMPANY, "Nordlys Coffee", "Ingrid Dahl")])
    assert residual.links == ()


def test_doubts_about_passages_count(relating: Relating) -> None:
    sure, unsure = relating(
        ["founded_by"],
        [mark(COMPANY, "Nordlys Coffee", "Ingrid Dahl", score=score) for score in (1.0, 0.5)],
    )
    assert unsure.links[0].score == pytest.approx(sure.links[0].score / 4, abs=1e-3)
    assert unsure.score == sure.score  # of the decisions, given the passages


def test_only_passages_of_one_object_are_related(relating: Relating) -> None:
    one = mark("Nordlys Coffee was founded", "Nordlys Coffee")
    other = mark("by Ingrid Dahl", "Ingrid Dahl", source="other")
    both = Reading(passages=one.passages + other.passages, given=one.given + other.given)
    (answer,) = relating(["founded_by"], [both])
    assert answer.links == ()


def test_no_answer_depends_on_the_other_items(relating: Relating) -> None:
    labels = ["founded_by", "married to", "eats"]
    readings = [
        mark(COMPANY, "Nordlys Coffee", "Ingrid Dahl", "2004"),
        mark(MARRIED, "Claire Dubois", "Paul Martin"),
        mark("word " * 300 + COMPANY, "Nordlys Coffee", "Ingrid Dahl"),
    ]
    together, backwards = relating(labels, readings), relating(labels, readings[::-1])[::-1]
    for index, reading in enumerate(readings):
        (alone,) = relating(labels, [reading])
        for other in (together[index], backwards[index]):
            assert told(other) == told(alone) and other.score == pytest.approx(alone.score, abs=3e-4)


def test_a_relation_late_in_a_long_text(relating: Relating) -> None:
    text = "It was a quiet day in the north. " * 120 + COMPANY
    (answer,) = relating(["founded_by", "works_for"], [mark(text, "Nordlys Coffee", "Ingrid Dahl")])
    assert told(answer) == [("Nordlys Coffee", "founded_by", "Ingrid Dahl")]


def test_the_number_of_pairs_is_bounded() -> None:
    words = [f"n{number}" for number in range(400)]
    reading = mark(" ".join(words), *words)
    pairs = candidates(reading.passages[0].text, reading.given)
    assert len(pairs) == MOST
    assert all(pair.first.end <= pair.second.start and pair.crossed < NEXT for pair in pairs)


def test_passages_that_overlap_are_not_related() -> None:
    reading = mark("the University of Bonn in Bonn", "University of Bonn", "Bonn")
    assert candidates(reading.passages[0].text, reading.given) == []


def test_a_hundred_passages_are_answered(relating: Relating) -> None:
    text = " ".join(f"Person{n} met Company{n}." for n in range(50))
    words = [f"{word}{n}" for n in range(50) for word in ("Person", "Company")]
    (answer,) = relating(["works_for", "eats"], [mark(text, *words)])
    assert answer.reason is None and len(answer.links) <= MOST and 0 <= answer.score <= 1


def test_readings_are_read_in_parts_with_the_same_answers(relating: Relating, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = [
        mark(COMPANY, "Nordlys Coffee", "Ingrid Dahl"),
        mark("Nothing."),
        mark(MARRIED, "Claire Dubois", "Paul Martin"),
        mark(f"{COMPANY} " * 3, "Nordlys Coffee", "Ingrid Dahl"),
    ]
    labels = ["founded_by", "spouse", "is_upset_with"]
    whole = relating(labels, readings)
    held: list[int] = []

    def seeing(engine: ContextEngine, texts: Sequence[str], pairs: Sequence[Sequence[tuple[Ends, Ends]]]) -> list[Seen]:
        held.append(sum(map(len, texts)))
        return see(engine, texts, pairs)

    monkeypatch.setattr(relations, "see", seeing)
    monkeypatch.setattr(relations, "PART", len(COMPANY) + len(MARRIED))
    assert [told(answer) for answer in relating(labels, readings)] == [told(answer) for answer in whole]
    assert held == [len(COMPANY) + len(MARRIED), 3 * (len(COMPANY) + 1)]


def test_relation_f1_counts_exact_links() -> None:
    a, b, c = mark("a b c", "a", "b", "c").given
    gold = [[Link(head=a, tail=b, label="x"), Link(head=b, tail=c, label="y")], []]
    same = [[Link(head=b, tail=a, label="x", direction="left"), Link(head=c, tail=b, label="y")], []]
    found = relation_f1(gold, same)
    assert (found["right"], found["precision"], found["recall"], found["f1"]) == (1, 0.5, 0.5, 0.5)
    both = [[Link(head=a, tail=b, label="x", direction="bi")]], [[Link(head=b, tail=a, label="x", direction="bi")]]
    assert relation_f1(*both)["f1"] == 1.0
    assert relation_f1([[]], [[]])["f1"] == 0.0
    with pytest.raises(ValueError):
        relation_f1(gold, gold[:1])


def test_the_prompt_refuses_what_it_does_not_know(prompt: RelationPrompt) -> None:
    content = prompt.model_dump()
    for path, value in (
        (("relations", "cause", "kin"), ["nothing"]),
        (("relations", "cause", "head"), ["planet"]),
        (("relations", "cause", "patterns"), ["{head} alone"]),
        (("none", "pairs"), ["no bar", "a | b"]),
    ):
        broken = {**content, "relations": {**content["relations"], "cause": dict(content["relations"]["cause"])}}
        broken["none"] = dict(content["none"])
        where = broken
        for step in path[:-1]:
            where = where[step]
        where[path[-1]] = value
        with pytest.raises(ValueError):
            RelationPrompt(**broken)

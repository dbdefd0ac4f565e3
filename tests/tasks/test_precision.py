"""A wished precision: from which score on a label is suggested, and what of an answer is held back."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop import tasks
from labelloop.errors import SettingsError
from labelloop.settings import FieldSetting, Settings
from labelloop.tasks import precision
from labelloop.tasks.precision import FEWEST, NEVER, Suggestion, bound, held_out, needed
from labelloop.tasks.recollection import Example, LabelMemory, learn
from labelloop.tasks.span_memory import SpanMemory
from labelloop.words import Answer, Bundle, Field, Label, Passage, Reading, Source, Span
from support.scoring import fake_bundle
from support.scoring import field as scoring_field

MakeField = Callable[..., Field]


def said(*parts: tuple[int, bool], start: float = 0.99) -> list[Suggestion]:
    """Suggestions with falling scores: so many right ones, then so many wrong ones, ..."""
    flags = [right for count, right in parts for _ in range(count)]
    return [Suggestion(0, round(start - 0.01 * place, 4), right) for place, right in enumerate(flags)]


def test_a_label_is_suggested_from_the_least_score_that_was_right_often_enough() -> None:
    assert needed(said((40, True), (20, False)), 0.9) == 0.58  # 40 right ones make up for two wrong ones
    assert needed(said((40, True), (20, False)), 0.97) == 0.6
    assert needed(said((40, True)), 0.9) == 0.6
    assert needed(said((20, False), (20, True)), 0.9) == NEVER


def test_few_examples_tell_nothing_and_the_score_is_believed() -> None:
    assert needed([], 0.9) == 0.9
    assert needed(said((FEWEST - 1, True), start=0.5), 0.9) == 0.9
    assert needed(said((FEWEST, True), start=0.5), 0.9) == pytest.approx(0.5 - 0.01 * (FEWEST - 1))
    alone, one_less = (float(bound(np.array([n]), np.array([n]))[0]) for n in (FEWEST, FEWEST - 1))
    assert one_less < 0.9 <= alone


def test_where_suggestions_tell_nothing_the_score_is_believed() -> None:
    assert needed(said((FEWEST, True), start=0.7), 0.99) == 0.99, "so few cannot tell, though they are right"
    assert needed(said((FEWEST - 1, True), (1, False), start=0.7), 0.99) == NEVER
    assert needed(said((12, True), start=0.999), 0.87) == 0.87, "there are none between 0.87 and 0.889"
    assert needed(said((12, True), (5, False), start=0.999), 0.87) > 0.87


def test_equal_scores_go_together() -> None:
    rows = [Suggestion(0, 0.9, place < 20) for place in range(40)]
    assert needed(rows, 0.9) == needed(rows[::-1], 0.9) == NEVER


SAID = st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=60)


@given(SAID, st.lists(st.floats(0.01, 1), min_size=2, max_size=5))
def test_more_is_never_suggested_where_more_precision_is_wished(
    rows: list[tuple[int, bool]], wishes: list[float]
) -> None:
    its = [Suggestion(0, score / 20, right) for score, right in rows]
    found = [needed(its, wished) for wished in sorted(wishes)]
    assert found == sorted(found)
    assert found == [needed(its[::-1], wished) for wished in sorted(wishes)]


def test_scores_of_examples_come_from_heads_that_have_not_seen_them() -> None:
    dice = np.random.default_rng(3)
    vectors = dice.normal(size=(60, 200))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    right = np.eye(2, dtype=bool)[dice.integers(2, size=60)]  # nothing to learn, only to remember
    found = held_out(vectors, right, np.full((60, 2), 0.5), False, (0.0, 0, 0, 0, 0, 0, 1.0))
    assert len(found) == 60 and 0.3 < np.mean([one.right for one in found]) < 0.7
    assert held_out(vectors[:7], right[:7], np.full((7, 2), 0.5), False, (1.0, 0, 0, 0, 0, 0, 0)) == []


LABELS = ("Zog", "Bim", "Pax")  # names that say nothing: only examples can tell
SUBJECTS = {
    "Zog": ["My card was charged twice", "The invoice is wrong", "I want my money back", "Which taxes do I pay"],
    "Bim": ["The parcel is late", "The courier never came", "The box has a wrong address", "Is the order shipped"],
    "Pax": ["I forgot my password", "I cannot log in", "The site locks me out", "How do I reset my login"],
}
OPENINGS = ("Hello.", "Please help me:", "Again!", "For the third time:")
EXAMPLES = [
    Example(f"{opening} {one}.", ((label,),))
    for opening in OPENINGS
    for label, some in SUBJECTS.items()
    for one in some
]


def wishing(cpu: Settings, wished: float | None, name: str = "label") -> Settings:
    return cpu.model_copy(update={"fields": {name: FieldSetting(precision=wished)}})


def answers(field: Field, texts: Sequence[str], settings: Settings, memory: object = None) -> list[Answer]:
    bundle = Bundle(plans=(tasks.plan(field, settings),))
    memories = {field.name: memory} if memory else None
    return [one for (one,) in tasks.answer(bundle, [{field.name: text} for text in texts], settings, memories)]  # type: ignore[arg-type]


def test_without_memory_the_score_decides_and_stays(make_field: MakeField, cpu: Settings) -> None:
    field, text = make_field(["Payment", "Delivery"]), "Good morning, I have a question."
    (plain,) = answers(field, [text], cpu)
    assert answers(field, [text], wishing(cpu, plain.score)) == [plain]
    more = round(plain.score + 0.01, 4)
    (held,) = answers(field, [text], wishing(cpu, more))
    assert held.labels == () and held.reason is None
    assert (held.score, held.alternatives) == (plain.score, plain.alternatives)
    assert held.provenance["withheld"] == {
        plain.labels[0][0]: f"below the precision of {more:g} that is wished: needs {more:g}"
    }


def test_labels_set_the_score_that_is_needed(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(LABELS)
    plan = tasks.plan(field, wishing(cpu, 0.9))
    memory = learn(plan, EXAMPLES, 1, cpu)
    assert isinstance(memory, LabelMemory)
    assert memory.needs[("Zog",)] < 0.9, "it is told apart better than its scores say"
    new = ["Please refund the payment.", "When does my package arrive?", "Where is the money?", "Good morning."]
    every = answers(field, new, cpu, learn(tasks.plan(field, cpu), EXAMPLES, 1, cpu))
    kept = answers(field, new, wishing(cpu, 0.9), memory)
    for one, its in zip(every, kept, strict=True):
        assert its.labels == (one.labels if one.score >= memory.needs[one.labels[0]] else ())
        assert its.score == one.score
    assert any(its.labels and its.score < 0.9 for its in kept) and not all(its.labels for its in kept)


def test_labels_that_are_confused_are_not_suggested(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(LABELS)
    mixed = [  # of Zog and Bim one is as good as the other
        one if one.labels[0] == ("Pax",) else one._replace(labels=((("Zog", "Bim")[(place + place // 12) % 2],),))
        for place, one in enumerate(EXAMPLES)
    ]
    memory = learn(tasks.plan(field, wishing(cpu, 0.9)), mixed, 1, cpu)
    assert isinstance(memory, LabelMemory) and memory.needs[("Pax",)] <= 0.9
    assert memory.needs[("Zog",)] == memory.needs[("Bim",)] == NEVER
    login, refund = answers(field, ["My log-in fails.", "Please refund me."], wishing(cpu, 0.9), memory)
    assert login.labels == (("Pax",),) and refund.labels == ()
    assert "with no score it was right so often" in next(iter(refund.provenance["withheld"].values()))


def test_where_nothing_is_wished_nothing_is_left_out_for_it(make_field: MakeField, cpu: Settings) -> None:
    memory = learn(tasks.plan(make_field(LABELS), cpu), EXAMPLES, 1, cpu)
    assert isinstance(memory, LabelMemory) and memory.needs == {}


def test_of_several_labels_each_has_its_own_score(make_field: MakeField, cpu: Settings) -> None:
    plan = tasks.plan(make_field(["a", "b", "c"], multiple=True), wishing(cpu, 0.9))
    answer = Answer(field="label", labels=(("a",), ("b",)), score=0.4, alternatives=((("a",), 0.85), (("b",), 0.7)))
    row = np.array([0.85, 0.7, 0.1])
    found = precision.of_labels(plan, answer, row, {("a",): 0.8, ("b",): 0.75})
    assert (found.labels, found.score) == ((("a",),), 0.4)
    assert list(found.provenance["withheld"]) == ["b"] and "needs 0.75" in found.provenance["withheld"]["b"]
    assert precision.of_labels(plan, answer, row, {}).labels == ()
    assert precision.of_labels(plan, answer, row, {("a",): 0.8, ("b",): 0.7}) == answer


def test_several_labels_are_held_out_too(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(LABELS, multiple=True)
    memory = learn(tasks.plan(field, wishing(cpu, 0.9)), EXAMPLES, 1, cpu)
    assert isinstance(memory, LabelMemory) and set(memory.needs) == {(name,) for name in LABELS}
    assert memory.needs[("Zog",)] < 0.9
    odd = [one._replace(labels=((LABELS[(place + place // 12) % 3],),)) for place, one in enumerate(EXAMPLES)]
    other = learn(tasks.plan(field, wishing(cpu, 0.9)), odd, 1, cpu)
    assert isinstance(other, LabelMemory) and min(other.needs.values()) >= 0.9


NER = Field(
    name="ner",
    tag="Labels",
    kind="entities",
    to_name="text",
    labels=tuple(Label(path=(name,), text=name) for name in ("Person", "Place")),
    sources=(Source(name="text", tag="Text", key="text"),),
)
RELATIONS = NER.model_copy(
    update={"name": "relations", "tag": "Relations", "kind": "relations", "labels": (), "regions_of": ("ner",)}
)


def reading(text: str) -> str:
    return Reading(passages=(Passage(name="text", text=text),)).dump()


def test_spans_are_held_back_one_by_one(cpu: Settings) -> None:
    text = "In the evening Angela Merkel went from the old tower to Paris."
    (plain,) = answers(NER, [reading(text)], cpu)
    scores = sorted(span.score for span in plain.spans)
    assert len(scores) > 1 and scores[0] < scores[-1]
    (kept,) = answers(NER, [reading(text)], wishing(cpu, scores[-1], "ner"))
    assert kept.spans == tuple(span for span in plain.spans if span.score == scores[-1])
    assert kept.score == plain.score and kept.provenance["withheld"]


def test_spans_that_are_held_back_are_not_related(cpu: Settings) -> None:
    settings = wishing(cpu, 1.0, "ner")
    text = reading("Angela Merkel lives in Berlin.")
    for its, some in ((cpu, True), (settings, False)):
        ((spans, links),) = tasks.answer(
            tasks.make_bundle([NER, RELATIONS], its), [{"ner": text, "relations": text}], its
        )
        assert bool(spans.spans) == bool(links.links) == some


def test_marked_passages_set_the_score_that_spans_need(cpu: Settings) -> None:
    ships = ("Aurora", "Calypso", "Dorothea", "Meridian", "Nautilus")
    lines = ("The crew of the {} waited.", "We boarded the {} at noon.", "Nobody left the {} that day.", "The {} sank.")
    examples = []
    for line in lines:
        for ship in ships:
            text, start = line.format(ship), line.index("{")
            span = Span(field="ner", source="text", start=start, end=start + len(ship), text=ship, label=("Place",))
            examples.append(Example(reading(text), spans=(span,)))
    settings = wishing(cpu, 0.9, "ner")
    memory = learn(tasks.plan(NER, settings), examples, 1, settings)
    assert isinstance(memory, SpanMemory) and memory.needs[("Place",)] < 0.9
    assert memory.needs[("Person",)] == 0.9, "nobody marked one"
    (found,) = answers(NER, [reading("At night the Calypso left.")], settings, memory)
    assert [(span.text, span.label) for span in found.spans] == [("Calypso", ("Place",))]
    other = learn(tasks.plan(NER, settings), [one._replace(spans=()) for one in examples], 1, settings)
    assert isinstance(other, SpanMemory) and other.needs[("Place",)] >= 0.9


def test_the_wish_is_planned_and_only_then_changes_the_bundle(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(LABELS)
    plain, wished = (tasks.make_bundle([field], its) for its in (cpu, wishing(cpu, 0.9)))
    everywhere = tasks.make_bundle([field], wishing(cpu, 0.9, "*"))
    assert wished.plans[0].precision == 0.9 and everywhere == wished
    assert plain.digest == tasks.make_bundle([field], wishing(cpu, None)).digest != wished.digest
    assert Bundle.model_validate_json(wished.model_dump_json()).digest == wished.digest
    stored = "5ad78e354b314495603a3396ccc3af542d1a984c1057681eebb76dc6ac11bb93"  # by a release that knew no precision
    assert fake_bundle(scoring_field("topic", "Sport", "Politics")).digest == stored


def test_fields_that_cannot_have_a_precision_say_so(cpu: Settings) -> None:
    with pytest.raises(SettingsError, match="'relations', which is of kind relations"):
        tasks.plan(RELATIONS, wishing(cpu, 0.9, "relations"))
    assert tasks.plan(RELATIONS, wishing(cpu, 0.9, "*")).precision is None


def test_labels_of_the_item_itself_are_held_back_by_their_score(make_field: MakeField, cpu: Settings) -> None:
    from labelloop.words import pose

    field = make_field([], dynamic="options")
    text = pose("Where is my parcel?", tuple(Label(path=(name,), text=name) for name in ("Payment", "Delivery")))
    (plain,) = answers(field, [text], cpu)
    (held,) = answers(field, [text], wishing(cpu, 1.0))
    assert plain.labels == (("Delivery",),) and (held.labels, held.score, held.reason) == ((), plain.score, None)

"""Fields whose labels come with each item, with the real starter encoder."""

import pytest

from labelloop import tasks
from labelloop.errors import ConfigError
from labelloop.settings import Settings
from labelloop.tasks import own_labels
from labelloop.words import Answer, Bundle, Field, Label, pose

from .conftest import MakeField

DELIVERY = "Where is my parcel? The courier never rang the bell."
PASSWORD = "I forgot my password and cannot log in any more."
HELP = ("delivery", "account", "payment")
CITIES = ("weather", "parcels", "passwords")


def labels(*names: str) -> tuple[Label, ...]:
    return tuple(Label(path=(name,), text=name) for name in names)


@pytest.fixture
def dynamic(make_field: MakeField) -> Field:
    return make_field([], name="own", dynamic="options")


def answers(bundle: Bundle, items: list[dict[str, str]], cpu: Settings) -> list[list[Answer]]:
    return tasks.answer(bundle, items, cpu)


def test_each_item_is_answered_with_its_own_labels_as_a_field_with_them_would(
    dynamic: Field, make_field: MakeField, cpu: Settings
) -> None:
    bundle = tasks.make_bundle([make_field(HELP, name="topic"), dynamic], cpu)
    sets = [HELP, CITIES, HELP, tuple(reversed(HELP))]
    texts = [DELIVERY, DELIVERY, PASSWORD, PASSWORD]
    items = [{"own": pose(t, labels(*names)), "topic": t} for names, t in zip(sets, texts, strict=True)]
    found = answers(bundle, items, cpu)
    assert [[one.field for one in some] for some in found] == [["topic", "own"]] * 4
    assert [some[1].labels[0][0] for some in found] == ["delivery", "parcels", "account", "account"]
    for names, text, (_, own) in zip(sets, texts, found, strict=True):
        fixed = tasks.make_bundle([make_field(names, name="own")], cpu)
        ((alone,),) = answers(fixed, [{"own": text}], cpu)
        assert own.labels == alone.labels and own.score == pytest.approx(alone.score, abs=2e-4)
        assert {path for path, _ in own.alternatives} == {(name,) for name in names}


def test_several_labels_of_an_item(make_field: MakeField, cpu: Settings) -> None:
    bundle = tasks.make_bundle([make_field([], name="own", dynamic="options", multiple=True)], cpu)
    text = "We watched the football match and the tennis final, and baked bread in the kitchen."
    ((found,),) = answers(bundle, [{"own": pose(text, labels("sports", "cooking", "computers"))}], cpu)
    assert set(found.labels) == {("sports",), ("cooking",)}


def test_what_is_missing_or_empty_spoils_no_other_item(dynamic: Field, make_field: MakeField, cpu: Settings) -> None:
    bundle = tasks.make_bundle([dynamic, make_field(HELP, name="topic")], cpu)
    items = [
        {"own": pose(" ", labels(*HELP)), "topic": DELIVERY},
        {"own": "no labels", "topic": DELIVERY},
        {"own": pose("x", labels("one"))},
        {"topic": DELIVERY},
        {},
        {"own": pose(DELIVERY, labels(*HELP))},
    ]
    found = answers(bundle, items, cpu)
    assert [[one.field for one in some] for some in found] == [
        *(["own", "topic"], ["own", "topic"], ["own"], ["topic"], [], ["own"]),
    ]
    assert found[0][0].reason == "The text is empty."
    assert found[1][0].reason == found[2][0].reason == "The item's labels did not come with its text."
    assert found[0][1].labels == found[1][1].labels == found[5][0].labels == (("delivery",),)


def test_equal_sets_of_labels_are_one_plan_and_many_are_answered_in_parts(
    dynamic: Field, cpu: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_labels, "MOST_LABELS", 5)
    bundle = tasks.make_bundle([dynamic], cpu)
    items = [{"own": pose(f"text {n}", labels(*(HELP if n % 3 else CITIES)))} for n in range(9)]
    items += [{"own": pose("x", labels(*(f"label {n}", f"other {n}")))} for n in range(6)]
    seen: list[tuple[int, int]] = []

    def answering(part: Bundle, texts: list[dict[str, str]]) -> list[list[Answer]]:
        seen.append((len(part.plans), len(texts)))
        return [[Answer(field=name, labels=(), score=0.0, reason=name) for name in item] for item in texts]

    found = own_labels.answer_each(bundle, items, answering)
    assert [one.field for (one,) in found] == ["own"] * len(items)
    assert sum(count for _, count in seen) == len(items) and len(seen) > 2
    assert len({one.reason for (one,) in found}) == 2 + 6
    assert max(plans for plans, _ in seen) <= 3


def test_a_bundle_is_prepared_before_any_item_came(dynamic: Field, make_field: MakeField, cpu: Settings) -> None:
    bundle = tasks.make_bundle([dynamic, make_field(HELP, name="topic")], cpu)
    assert tasks.calibrate(bundle, [{"own": pose(DELIVERY, labels(*HELP))}], cpu) == bundle
    with pytest.raises(ConfigError, match="no labels"):
        tasks.make_bundle([make_field([])], cpu)

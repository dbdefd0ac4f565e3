"""Training for fields that choose labels, with the real starter encoder: small lessons, a few steps."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.engines import load
from labelloop.engines.adapters import Sizes
from labelloop.engines.training import Course, Pupil, Recipe
from labelloop.errors import ModelError, SettingsError
from labelloop.settings import Settings
from labelloop.tasks import make_bundle, memory, plan, refresh_labels, trained_labels
from labelloop.tasks.recollection import Example
from labelloop.tasks.refresh_labels import Lesson, Refreshed, Watch
from labelloop.tasks.unfinished import Unfinished
from labelloop.tasks.voices import Voices
from labelloop.words import Field, FieldPlan

from .conftest import MakeField

RECIPE = Recipe(sizes=Sizes(layers=1, rank=4), rate=2e-3, fewest_steps=16, epochs=1, batch=8)
WEATHER = [
    *("Rain is coming from the west.", "Snow fell all night.", "A storm broke trees.", "It is hot and dry today."),
    *("Fog lies over the valley.", "The wind turns to the north.", "Thunder and hail at noon.", "Frost again tonight."),
    *("A mild and sunny week.", "Clouds gather over the hills.", "The heat wave goes on.", "Showers until evening."),
    *("Ice on the roads.", "A rainbow after the rain.", "The drought continues.", "It drizzles in the park."),
]
SPORTS = [
    *(
        "The striker scored twice.",
        "They won the cup final.",
        "She set a record in the marathon.",
        "A red card for him.",
    ),
    *("The coach was fired.", "He lost the match in five sets.", "The team trains in Spain.", "Gold in the relay."),
    *("The goalkeeper is injured.", "A late penalty decided it.", "The league starts again.", "She swims the final."),
    *("The referee whistled.", "They drew at home.", "He broke the world record.", "Two goals before the break."),
]
NEW = ["Drizzle in the morning.", "A gale at sea.", "The boxer was knocked out.", "They drew two all."]


def examples(first: str, second: str) -> list[Example]:
    pairs = zip(WEATHER, SPORTS, strict=True)
    return [one for a, b in pairs for one in (Example(a, ((first,),)), Example(b, ((second,),)))]


def course_of(its: FieldPlan, lesson: Lesson, cpu: Settings, recipe: Recipe = RECIPE) -> Course:
    encoder = load("encoder", its.model, its.revision, cpu)
    return Course(encoder, lesson.texts, lesson.meanings, lesson.several, recipe, lesson.vectors)


def trained(
    field: Field, known: list[Example], cpu: Settings, watch: Watch = lambda share: None, **changes: Any
) -> tuple[FieldPlan, Lesson, Refreshed]:
    its = plan(field, cpu)
    lesson = refresh_labels.lesson(its, known, cpu)
    return its, lesson, refresh_labels.train(lesson, course_of(its, lesson, cpu), watch, **changes)


def chosen(field: Field, chances: np.ndarray) -> list[str]:
    return [field.labels[column].path[0] for column in chances.argmax(axis=1)]


def test_it_learns_what_labels_mean_to_people(make_field: MakeField, cpu: Settings, tmp_path: Path) -> None:
    """Labels whose names say nothing."""
    field = make_field(["group one", "group two"])
    its, _, made = trained(field, examples("group one", "group two"), cpu)
    assert made.told["accuracy_adapter"] > made.told["accuracy_zero_shot"] + 0.2
    assert made.told["accuracy_both"] >= made.told["accuracy_memory"] - 0.05
    folder = trained_labels.keep(its, _loud(made), RECIPE, tmp_path)
    assert folder is not None
    alone = trained_labels.serve(its, folder, cpu).alone(NEW)
    assert chosen(field, alone) == ["group one", "group one", "group two", "group two"]


def _loud(made: Refreshed) -> Refreshed:
    assert made.weights, "the adapter has no voice"
    return made


def test_a_label_that_was_never_trained_on_is_still_found(make_field: MakeField, cpu: Settings, tmp_path: Path) -> None:
    field = make_field(["weather", "sports", "cooking"])
    its = plan(field, cpu)
    lesson = refresh_labels.lesson(its, examples("weather", "sports"), cpu)
    course = course_of(its, lesson, cpu)
    *_, pupil = course.train(range(32), lesson.right, lesson.scale, 16)
    made = Refreshed(Voices(0.3, 0.7), pupil.slope, lesson.right.any(axis=0), dict(pupil.weights), {})
    folder = trained_labels.keep(its, made, RECIPE, tmp_path)
    assert folder is not None
    serving = trained_labels.serve(its, folder, cpu)
    texts = [
        "Fry the onions in butter.",
        "Bake the bread for an hour.",
        "Snow in the mountains.",
        "A goal in extra time.",
    ]
    zero_shot = refresh_labels.lesson(its, [Example(text, (("weather",),)) for text in texts], cpu).zero_shot
    assert chosen(field, serving.chances(texts, zero_shot)) == ["cooking", "cooking", "weather", "sports"]


def test_the_same_examples_make_the_same_adapter(make_field: MakeField, cpu: Settings, tmp_path: Path) -> None:
    field = make_field(["group one", "group two"])
    folders = []
    for where in ("a", "b"):
        its, _, made = trained(field, examples("group one", "group two"), cpu)
        made.told.pop("seconds")
        folders.append(trained_labels.keep(its, _loud(made), RECIPE, tmp_path / where))
    assert folders[0] is not None and folders[1] is not None and folders[0].name == folders[1].name


def test_old_labels_are_replayed_beside_new_ones(make_field: MakeField, cpu: Settings) -> None:
    its = plan(make_field(["weather", "sports"]), cpu)
    old = [Example(text, (("weather",),)) for text in WEATHER]
    new = [Example(f"{text} {again}", (("sports",),)) for again in "abcd" for text in SPORTS]
    few = cpu.model_copy(update={"replay": 40})
    lesson = refresh_labels.lesson(its, [*old, *new], few)
    assert lesson.right.sum(axis=0).tolist() == [10, 30], "half of the even share is kept of what is old"
    assert [one.text for one in old[-10:]] == list(lesson.texts[:10]), "the latest of these"


def test_more_may_be_replayed_than_memory_is_made_of(
    make_field: MakeField, cpu: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MOST_EXAMPLES", 12)
    _, lesson, made = trained(make_field(["group one", "group two"]), examples("group one", "group two"), cpu)
    assert len(lesson.texts) == 32 and made.before is not None and len(made.before) == 32


def test_it_tells_how_far_it_is_and_stops_when_told(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(["group one", "group two"])
    heard: list[float] = []
    trained(field, examples("group one", "group two"), cpu, heard.append)
    assert heard == sorted(heard) and heard[-1] == 1.0 and len(heard) > 20

    class StopNow(Exception):
        pass

    def stop(share: float) -> None:
        heard.append(share)
        if len(heard) == 3:
            raise StopNow

    heard.clear()
    with pytest.raises(StopNow):
        trained(field, examples("group one", "group two"), cpu, stop)
    assert len(heard) == 3


def test_a_training_that_was_killed_goes_on_after_its_last_whole_part(
    make_field: MakeField, cpu: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field, known = make_field(["group one", "group two"]), examples("group one", "group two")
    runs: list[int] = []
    real = Course.train

    def counted(self: Course, *given: object) -> Iterator[Pupil]:
        runs.append(1)
        return real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Course, "train", counted)
    kept = Unfinished.of(tmp_path / "unfinished", ["this one"])

    class Killed(Exception):
        pass

    def killed(share: float) -> None:
        if share > 0.6:
            raise Killed

    with pytest.raises(Killed):
        trained(field, known, cpu, killed, unfinished=kept)
    assert len(runs) == 3 and sorted(kept.read()) == ["hurry", "part 0", "part 1"], "the third part was not whole"
    shares: list[float] = []
    *_, made = trained(
        field, known, cpu, shares.append, unfinished=Unfinished.of(tmp_path / "unfinished", ["this one"])
    )
    assert len(runs) == 3 + 2 and shares[0] > 0.5
    *_, whole = trained(field, known, cpu)
    assert made.after is not None and whole.after is not None and np.allclose(made.after, whole.after, atol=1e-6)
    assert made.voices == pytest.approx(whole.voices)
    assert Unfinished.of(tmp_path / "unfinished", ["another one"]).read() == {}
    kept.path.write_bytes(kept.path.read_bytes()[:100])
    assert kept.read() == {}, "half a file is none"
    kept.drop()
    assert list(kept.path.parent.iterdir()) == []


def test_without_time_nothing_is_trained(make_field: MakeField, cpu: Settings) -> None:
    _, lesson, made = trained(make_field(["weather", "sports"]), examples("weather", "sports"), cpu, seconds=0.0)
    assert made.voices == Voices() and made.weights == {} and len(lesson.texts) == 32
    assert made.told["why_not"] == "0 seconds are too few for this machine"


def test_little_time_makes_fewer_steps(make_field: MakeField, cpu: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock on which each step takes a second, the 64 steps do not fit into a minute."""
    its = plan(make_field(["group one", "group two"]), cpu)
    lesson = refresh_labels.lesson(its, examples("group one", "group two"), cpu)
    course = course_of(its, lesson, cpu)
    now = [0.0]
    steps = course.train

    def ticking(*given: object) -> Iterator[Pupil]:
        for pupil in steps(*given):  # type: ignore[arg-type]
            now[0] += 1
            yield pupil

    monkeypatch.setattr(course, "train", ticking)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    made = refresh_labels.train(lesson, course, seconds=60)
    assert made.weights and 32 <= now[0] <= 60
    now[0] = 0
    refresh_labels.train(lesson, course)
    assert now[0] > 60


@pytest.mark.parametrize("known", [[], examples("weather", "sports")[:8], examples("weather", "weather")])
def test_too_little_to_learn_from(make_field: MakeField, cpu: Settings, known: list[Example]) -> None:
    its, _, made = trained(make_field(["weather", "sports"]), known, cpu)
    assert made.voices == Voices() and trained_labels.keep(its, made, RECIPE, cpu.data_dir) is None


def test_several_labels_at_once(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(["group one", "group two", "other"], multiple=True)
    known = [Example(f"{a} {b}", (("group one",), ("group two",))) for a, b in zip(WEATHER, SPORTS, strict=True)]
    known += examples("group one", "group two")
    _, lesson, made = trained(field, known, cpu)
    assert lesson.several and made.told["accuracy_adapter"] > made.told["accuracy_zero_shot"]


def test_parts_share_each_label_evenly() -> None:
    right = np.eye(3, dtype=bool)[np.random.default_rng(0).integers(0, 3, 60)]
    fold = refresh_labels.folds(right, [str(row) for row in range(60)])
    for label in range(3):
        counts = np.bincount(fold[right[:, label]], minlength=3)
        assert counts.max() - counts.min() <= 2


def test_fields_that_cannot_be_trained_say_why(make_field: MakeField, cpu: Settings) -> None:
    field = make_field(["weather", "sports"])
    (its,) = make_bundle([field], cpu).plans
    elsewhere = its.model_copy(update={"engine": "causal"})
    with pytest.raises(SettingsError, match=r"'label' cannot be trained: it is served by causal"):
        refresh_labels.lesson(elsewhere, examples("weather", "sports"), cpu)


def test_an_adapter_for_something_else_is_refused(make_field: MakeField, cpu: Settings, tmp_path: Path) -> None:
    from labelloop.engines import adapter_files

    its = plan(make_field(["weather", "sports"]), cpu)
    lesson = refresh_labels.lesson(its, examples("weather", "sports"), cpu)
    pupil = next(course_of(its, lesson, cpu).train(range(32), lesson.right, lesson.scale, 1))
    about = adapter_files.About(method=RECIPE.method, base=its.revision, sizes=RECIPE.sizes)
    folder = adapter_files.save(about, pupil.weights, tmp_path)
    with pytest.raises(ModelError, match="not trained for choosing labels"):
        trained_labels.serve(its, folder, cpu)


def test_copies_share_a_part() -> None:
    right = np.eye(3, dtype=bool)[np.arange(60) % 3]
    copies = [f"text {row // 2}" for row in range(60)]
    fold = refresh_labels.folds(right, copies)
    assert (fold[::2] == fold[1::2]).all() and sorted(np.bincount(fold)) == [20, 20, 20]

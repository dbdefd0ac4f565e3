"""Training the real starter writer on a few short replies: what it learns, what it is stopped by, what stays."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from labelloop.engines import Ask, Manner, adapter_files
from labelloop.engines.adapted import adapted
from labelloop.engines.adapter_files import About
from labelloop.engines.adapters import METHODS, Sizes
from labelloop.engines.causal import Causal
from labelloop.engines.causal_training import Course, Lesson, Recipe, Taught
from labelloop.errors import ModelError

WORDS = ("boat", "goat", "train", "soup", "song", "snow", "lamp", "river")
LESSONS = [Lesson(Ask((("user", f"Say {word}."),)), f"{word} {word}!") for word in WORDS]
NEW = [Ask((("user", f"Say {word}."),)) for word in ("tree", "milk")]
SIZES = Sizes(layers=2, rank=4, alpha=8, width=8)
RECIPE = Recipe(sizes=SIZES, rate=5e-3, epochs=2, batch=4, at_once=2)
LEARNED, LEFT_OUT = [0, 1, 2, 3, 4, 5], [6, 7]


@pytest.fixture(scope="module")
def taught(writer: Causal) -> Taught:
    return Course(writer, LESSONS, RECIPE).train(LEARNED, LEFT_OUT)


def saved(writer: Causal, taught: Taught, parent: Path, **changes: object) -> Path:
    given = {"engine": "causal", "method": "lora", "base": writer.revision, "sizes": SIZES, **changes}
    return adapter_files.save(About(**given), taught.weights, parent)


def likelihood(writer: Causal, lessons: list[Lesson]) -> float:
    """Of a reply's token, in nats: what training calls its loss, by the code that serves."""
    found = writer.judge([one.ask for one in lessons], [[one.reply] for one in lessons])
    sizes = [len(reply) for _, reply in writer.told(*zip(*lessons, strict=True))]
    return -float(np.average([one[0] for one in found], weights=sizes))


def test_it_learns_to_reply_as_people_do_and_serves_so_from_its_files(
    writer: Causal, taught: Taught, tmp_path: Path
) -> None:
    before = writer.write(NEW, Manner(8))
    its = adapted(writer, saved(writer, taught, tmp_path))
    assert min(taught.losses) < taught.losses[0] - 0.5
    assert likelihood(its, LESSONS[6:]) == pytest.approx(taught.losses[taught.epoch], abs=1e-3)
    assert [one[0].text for one in its.write(NEW, Manner(8))] != [one[0].text for one in before]
    assert writer.write(NEW, Manner(8)) == before


def test_the_loss_is_that_of_the_reply_alone(writer: Causal, taught: Taught) -> None:
    """As the serving engine counts it: padding, the ask and what was kept of the lower layers change nothing."""
    assert taught.losses[0] == pytest.approx(likelihood(writer, LESSONS[6:]), abs=1e-3)


def test_adapters_stand_beside_one_base(writer: Causal, taught: Taught, tmp_path: Path) -> None:
    base = {weight.data_ptr() for weight in writer.model.parameters()}
    other = Taught({name: 2 * weight for name, weight in taught.weights.items()}, (), 0)
    both = [adapted(writer, saved(writer, one, tmp_path)) for one in (taught, other)]
    for one in both:
        own = [weight for weight in one.model.parameters() if weight.data_ptr() not in base]
        assert 0 < sum(weight.numel() for weight in own) < 300_000
    alone = [likelihood(one, LESSONS[6:]) for one in both]
    assert [likelihood(both[which % 2], LESSONS[6:]) for which in (1, 0, 1)] == [alone[1], alone[0], alone[1]]
    assert alone[0] != alone[1]


def test_the_same_seed_makes_the_same_adapter(writer: Causal, taught: Taught) -> None:
    again = Course(writer, LESSONS, RECIPE).train(LEARNED, LEFT_OUT)
    assert again.losses == taught.losses
    assert all(torch.equal(again.weights[name], weight) for name, weight in taught.weights.items())


def test_what_does_not_make_left_out_replies_likelier_is_not_kept(writer: Causal) -> None:
    lessons = [*LESSONS[:2], LESSONS[2]._replace(reply="A train runs on rails.")]
    learned = [one._replace(reply="xq zv xq zv xq zv") for one in lessons[:2]]
    recipe = RECIPE.model_copy(update={"rate": 0.5})
    made = Course(writer, [*learned, lessons[2]], recipe).train([0, 1], [2])
    assert made.epoch == 0 and not made.weights
    assert len(made.losses) == 2  # the second epoch was not begun


def test_who_watches_may_stop_it(writer: Causal) -> None:
    shares: list[float] = []

    def watch(share: float) -> None:
        shares.append(share)
        if share > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Course(writer, LESSONS, RECIPE).train(LEARNED, LEFT_OUT, watch)
    assert shares[-1] == pytest.approx(1 / 4)  # two epochs of two steps


def test_what_there_is_no_time_for_is_not_begun(writer: Causal, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(0, 100)
    monkeypatch.setattr("labelloop.engines.causal_training.time.monotonic", lambda: float(next(ticks)))
    made = Course(writer, LESSONS, RECIPE).train(LEARNED, LEFT_OUT, seconds=120)
    assert made.late and not made.weights


@pytest.mark.parametrize("method", sorted(METHODS))
def test_other_methods_train_or_say_why_not(writer: Causal, method: str) -> None:
    recipe = RECIPE.model_copy(update={"method": method, "epochs": 1, "sizes": Sizes(layers=1, width=8)})
    course = Course(writer, LESSONS[:3], recipe)
    if method in {"prompt_tuning", "prefix_tuning", "bitfit"}:
        with pytest.raises(ModelError, match=r"llama model.* has no place for .*Choose lora"):
            course.train([0, 1], [2])
        return
    made = course.train([0, 1], [2])
    assert len(made.losses) == 2 and made.losses[1] != made.losses[0]


def test_what_is_too_long_is_told(writer: Causal) -> None:
    long = LESSONS[0]._replace(ask=Ask((("user", "A long story. " * 50),)))
    assert Course(writer, [long, LESSONS[1]], RECIPE.model_copy(update={"longest": 64})).fits == [False, True]


def test_it_trains_from_a_file_under_accelerate(tmp_path: Path) -> None:
    """Two processes share the steps, and write one adapter."""
    lessons = tmp_path / "lessons.jsonl"
    rows = [
        {"messages": one.ask.messages, "reply": one.reply, "left_out": place in LEFT_OUT}
        for place, one in enumerate(LESSONS)
    ]
    lessons.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=2", "--num_machines=1"]
    launch += ["--mixed_precision=no", "--dynamo_backend=no", "-m", "labelloop.engines.train_causal", str(lessons)]
    recipe = RECIPE.model_copy(update={"epochs": 1}).model_dump_json()
    done = subprocess.run(
        [*launch, "--out", str(tmp_path / "out"), "--recipe", recipe],
        env={**os.environ, "LABELLOOP_DEVICE": "cpu", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (folder,) = (tmp_path / "out").iterdir()
    assert done.stdout.split()[-1] == str(folder)
    about, weights = adapter_files.read(folder)
    assert about.trained["lessons"] == len(LEARNED) and weights

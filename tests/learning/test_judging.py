"""What the gate is shown: items that neither version has seen, the slices of them, and the best version there was.
The training and the models are stand-ins here; tests/learning/test_refresh.py has real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from labelloop import tasks
from labelloop.learning import gate, held_out
from labelloop.learning.gate import Evidence, Verdict
from labelloop.learning.held_out import FEWEST, mark
from labelloop.learning.judging import Best, Judged, Labelled, Past, judge
from labelloop.settings import Settings
from labelloop.tasks import recollection, training
from labelloop.tasks.roll import Example
from labelloop.tasks.training import Trained
from labelloop.words import Answer, Bundle
from support.scoring import fake_bundle, field

TOPIC = field("topic", "Sport", "Art")
(PLAN,) = fake_bundle(TOPIC).plans
TEXTS = [f"{one} {other}" for one in "abcdefghijklmnopqrst" for other in "uvwxyzäöüßéèáàóòúù"]
HELD = [text for text, out in zip(TEXTS, held_out.held_out(TEXTS, "1"), strict=True) if out]
NEW, BEST = "n" * 64, "b" * 64
KNOWN = Labelled(
    items=tuple(range(1, len(TEXTS) + 1)),
    examples=tuple(Example(text, ((("Sport", "Art")[number % 2],),)) for number, text in enumerate(TEXTS)),
    agreed=tuple(text in HELD[:5] for text in TEXTS),
    blind=tuple(text in HELD[3:9] for text in TEXTS),
)
RIGHT = {one.text: one.labels for one in KNOWN.examples}
WRONG = {"": 40, NEW: 10, BEST: 5}
"""How many of the held-out texts each version answers wrong, by its adapter."""


def says(adapter: str | None, text: str) -> Answer:
    wrong = text in HELD[: WRONG[adapter or ""]]
    labels = RIGHT[text] if not wrong else tuple((one,) for one in ("Sport", "Art") if (one,) not in RIGHT[text])
    return Answer(field="topic", labels=labels, score=0.9)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Evidence]:
    """What the gate was shown; the challenger has learned from all that it may."""
    seen: list[Evidence] = []
    real = gate.decide

    def decide(evidence: Evidence) -> Verdict:
        seen.append(evidence)
        return real(evidence)

    def train(plan: Any, examples: Sequence[Example], *_: Any) -> Trained:
        texts = tuple(one.text for one in examples)
        answers = [tuple(says(adapter, text) for text in texts) for adapter in (plan.adapter, NEW)]
        return Trained(NEW, texts, texts, answers[0], answers[1], {})

    def answer(bundle: Bundle, rendered: Sequence[Mapping[str, str]], *_: Any) -> list[list[Answer]]:
        return [[says(bundle.plans[0].adapter, one["topic"])] for one in rendered]

    monkeypatch.setattr(gate, "decide", decide)
    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(tasks, "answer", answer)
    monkeypatch.setattr(recollection, "learn", lambda *_: None)
    return seen


def judged(settings: Settings, known: Labelled = KNOWN, **past: Any) -> Judged:
    return judge(PLAN, known, Past("1", **past), settings)


def marks(texts: Sequence[str]) -> frozenset[str]:
    return frozenset(map(mark, texts))


def test_people_who_agree_and_labels_that_were_given_blind_are_slices(
    shown: list[Evidence], settings: Settings
) -> None:
    done = judged(settings)
    (evidence,) = shown
    assert (evidence.evaluated, evidence.held_out, len(evidence.gold)) == ("both", len(HELD), len(TEXTS))
    assert evidence.best is None
    sizes = {name: int(mask.sum()) for name, mask in evidence.slices.items()}
    assert sizes == {"agreed": 5, "blind": 6}
    checks = {one["name"]: one["items"] for one in done.stored["gate"]["checks"] if one["kind"] == "slice"}
    assert checks == {**sizes, "held-out": len(HELD)}
    assert done.judged == marks(TEXTS) and done.learned == marks(TEXTS) - marks(HELD)


def test_what_was_judged_on_at_the_promotion_is_the_older_slice(shown: list[Evidence], settings: Settings) -> None:
    older = marks([*HELD[10:30], "gone since"])
    done = judged(settings, older=older)
    assert [text for text, old in zip(HELD, shown[0].slices["older"], strict=False) if old] == HELD[10:30]
    assert "agreement" in {one["kind"] for one in done.stored["gate"]["checks"]}


@pytest.mark.parametrize("few", [False, True])
def test_copies_of_what_the_champion_learned_from_do_not_judge(
    few: bool, shown: list[Evidence], settings: Settings
) -> None:
    known = KNOWN.part(range(FEWEST - 1)) if few else KNOWN
    first = known.texts[:20]
    done = judged(settings, known, seen=marks([f"{text.upper()}!" for text in first]))
    (evidence,) = shown
    assert evidence.evaluated == ("out-of-fold" if few else "both") and len(evidence.gold) == len(known.texts) - 20
    assert evidence.held_out == (0 if few else len(set(HELD) - set(first)))
    assert done.judged == marks(known.texts[20:])
    again = judged(settings, known, seen=marks(known.texts))
    assert again.state == "undecided" and len(shown) == 1 and again.judged == frozenset()


def test_the_best_there_was_is_asked_about_what_it_has_not_learned_from(
    shown: list[Evidence], settings: Settings
) -> None:
    best = Best("v2-best", PLAN.model_copy(update={"adapter": BEST}), marks(TEXTS) - marks(HELD))
    done = judged(settings, best=best)
    assert shown[0].best is not None and shown[0].best.name == "v2-best"
    sides = shown[0].best, shown[0].challenger.first(len(HELD))
    assert [one.tally.gained.sum() for one in sides] == [len(HELD) - 5, len(HELD) - 10]
    assert "v2-best" in {one["name"] for one in done.stored["gate"]["checks"] if one["kind"] == "best-ever"}
    learned = Best("v2-best", best.plan, marks([f"{HELD[0]}!"]))
    same = Best("v2-best", PLAN.model_copy(update={"adapter": NEW}), best.learned)
    for one in (learned, same):
        judged(settings, best=one)
        assert shown[-1].best is None
    judged(settings, KNOWN.part(range(FEWEST - 1)), best=best)
    assert shown[-1].evaluated == "out-of-fold" and shown[-1].best is None

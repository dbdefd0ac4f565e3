"""What the gate is shown of a training: held-out items, and those that were learned from, out of fold."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.engines.training import Recipe
from labelloop.learning.held_out import held_out
from labelloop.learning.judging import Judged, Labelled, Past, judge
from labelloop.settings import Settings
from labelloop.tasks import plan, voices
from labelloop.tasks.roll import Example
from labelloop.words import Field, Label

PAID = ("card", "invoice", "refund", "price", "tax", "payment", "fee", "bill")
SENT = ("parcel", "courier", "delivery", "box", "shipment", "postman", "address", "van")
EXAMPLES = [
    Example(f"The {word} was {what}.", ((team,),))
    for team, words in (("team A", PAID), ("team B", SENT))
    for word in words
    for what in ("wrong", "late", "lost")
]
FIELD = Field(
    name="topic",
    tag="Choices",
    kind="classification",
    to_name="text",
    labels=tuple(Label(path=(name,), text=name) for name in ("team A", "team B")),
    sources=(),
)
KNOWN = Labelled(tuple(range(len(EXAMPLES))), tuple(EXAMPLES), *((False,) * len(EXAMPLES) for _ in range(2)))
OUT = held_out(KNOWN.texts, "salt", True).tolist()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps, and an adapter that gets a voice though these easy labels leave it nothing to add."""
    monkeypatch.setattr(Recipe, "steps", lambda _recipe, _texts: 4)
    monkeypatch.setattr(voices, "weigh", lambda *_: (voices.Voices(0.5, 0.5), 0.0))


def judged(tmp_path: Path, past: Past) -> Judged:
    settings = Settings(data_dir=tmp_path, device="cpu", encoder="starter")
    return judge(plan(FIELD, settings), KNOWN, past, settings)


def test_few_held_out_items_and_what_was_learned_from_decide_together(tmp_path: Path) -> None:
    done = judged(tmp_path, Past("salt", held_out=True))
    assert done.held_out and set(done.items) == {item for item, out in enumerate(OUT) if not out}
    verdict = done.stored["gate"]
    assert (verdict["evaluated"], verdict["items"], verdict["held_out"]) == ("both", len(EXAMPLES), sum(OUT))
    assert f"{sum(OUT)} held-out items and {len(EXAMPLES) - sum(OUT)} answered out of fold" in done.words


def test_what_the_champion_learned_from_is_no_evidence(tmp_path: Path) -> None:
    seen = frozenset(one for row, (one, out) in enumerate(zip(KNOWN.marks, OUT, strict=True)) if out or row % 2)
    verdict = judged(tmp_path, Past("salt", True, seen)).stored["gate"]
    assert (verdict["evaluated"], verdict["items"]) == ("out-of-fold", len(EXAMPLES) - len(seen))
    done = judged(tmp_path, Past("salt", True, frozenset(KNOWN.marks)))
    assert done.state == "undecided" and "every label there is" in done.words

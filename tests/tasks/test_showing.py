"""Accepted examples in the prompt: shown where they help, the same for all texts, and never in a text's place."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from labelloop import engines, tasks
from labelloop.engines import load
from labelloop.engines.recent import Recent
from labelloop.replay import Labels
from labelloop.settings import FieldSetting, Settings
from labelloop.tasks import chances, showing
from labelloop.tasks.recollection import Example, LabelMemory, learn
from labelloop.words import Answer, Bundle, Field, FieldPlan, Second
from support.model_server import ModelServer, Payload, Reply, letters, options_of, refuse

MakeField = Callable[..., Field]
LABELS = ("left", "right")
CODES = {"left": ("zorb", "mipe", "tavu", "quen"), "right": ("blik", "dorf", "sulp", "wexa")}
ALL = {code for its in CODES.values() for code in its}
FORMS = ("The parcel of {} is late.", "I like {} in spring.", "Nobody asked {} about it.", "We met {} at the station.")
NEW = {f"Did {code} ever write to you?": label for label, its in CODES.items() for code in its}
_names = count()


def examples(n: int) -> list[Example]:
    """Labels that hang on one word, which means nothing to an encoder."""
    found = []
    for place in range(n):
        label = LABELS[place % 2]
        code = CODES[label][place // 2 % 4]
        found.append(Example(f"{FORMS[place // 8 % 4].format(code)} ({place})", ((label,),)))
    return found


class Reader:
    """A causal model, whose tokens are words, that knows nothing without demonstrations and guesses behind them, but
    finds a label likely if one of its demonstrations shares a code with the text; a ``misled`` one only guesses.
    ``read``: what it was asked for."""

    def __init__(self, misled: bool = False) -> None:
        self.misled = misled
        self.read: list[tuple[str, str]] = []

    def rank(self, texts: Sequence[str], labels: Sequence[Sequence[str]], lead: str = "") -> engines.Vectors:
        self.read += [(text, lead) for text in texts]
        shown = [block.split("\n") for block in lead.split("\n\n")[:-1]]
        lines = [told.replace("⟦", "").replace("⟧", "") for told, *_ in labels]
        rows = np.zeros((len(texts), len(labels)), np.float32)
        for row, text in enumerate(texts if shown else ()):
            for column, line in enumerate(lines):
                shares = any(line == its and codes(first) & codes(text) for first, its in shown)
                rows[row, column] = guess(f"{text} {line}") + (4 if shares and not self.misled else 0)
        return rows

    def windows(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def spare(self, labels: Sequence[Sequence[str]]) -> int:
        return 500

    def asked(self) -> tuple[list[str], list[str]]:
        """The texts read since this was last asked: without demonstrations, and behind them."""
        found = [[text for text, lead in self.read if ("\n" in lead) == behind] for behind in (False, True)]
        self.read.clear()
        return found[0], found[1]


def codes(text: str) -> set[str]:
    return ALL & set(text.split())


def guess(text: str) -> float:
    return hashlib.sha256(text.encode()).digest()[0] / 256


Served = tuple[FieldPlan, Settings]


@pytest.fixture
def serve(make_field: MakeField, cpu: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Served]:
    """A field that a stand-in for a causal model serves."""

    def serving(reader: Reader, **changes: object) -> Served:
        name = f"stand-in/{next(_names)}"
        monkeypatch.setitem(engines.ENGINES, "causal", lambda *_: reader)
        its = {"label": FieldSetting(engine="causal", model=name, revision="0" * 40)}
        settings = cpu.model_copy(update={"fields": its})
        return tasks.plan(make_field(LABELS, **changes), settings), settings

    return serving


def answers(served: Served, texts: Sequence[str], memory: LabelMemory | None) -> list[Answer]:
    bundle, memories = Bundle(plans=(served[0],)), {"label": memory} if memory else None
    return [one for (one,) in tasks.answer(bundle, [{"label": text} for text in texts], served[1], memories)]


def learned(served: Served, some: Sequence[Example]) -> LabelMemory:
    found = learn(served[0], some, 1, served[1])
    assert isinstance(found, LabelMemory)
    return found


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As another process, which has read and judged nothing."""
    monkeypatch.setattr(showing, "_judged", Recent(64))
    monkeypatch.setattr(showing, "_behind", Recent(64))


def test_examples_that_help_are_shown(serve: Callable[..., Served]) -> None:
    served = serve(Reader())
    memory = learned(served, examples(32))
    assert memory.shown is not None and {column for _, column in memory.shown.turns} == {0, 1}
    found = answers(served, list(NEW), memory)
    assert [one.labels[0][0] for one in found] == list(NEW.values())
    assert found[0].provenance["shown"] == len(memory.shown.turns) and found[0].provenance["memory"] == 32
    for text, one in zip(NEW, found, strict=True):
        assert answers(served, [text], memory)[0].alternatives == one.alternatives


def test_examples_that_mislead_cost_nothing(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(misled=True)
    served = serve(reader)
    memory = learned(served, examples(32))
    assert memory.shown is None and reader.asked()[1]
    found = answers(served, list(NEW), memory)
    plain, behind = reader.asked()
    assert sorted(plain) == sorted(NEW) and behind == [] and "shown" not in found[0].provenance
    monkeypatch.setattr(showing, "FEWEST", 1000)
    assert answers(served, list(NEW), learned(served, examples(32))) == found


def test_few_examples_are_not_tried(serve: Callable[..., Served]) -> None:
    reader = Reader()
    served = serve(reader)
    assert learned(served, examples(15)).shown is None and reader.asked()[1] == []
    assert learned(serve(reader, multiple=True), examples(32)).shown is None and reader.asked()[1] == []


def test_what_is_shown_changes_when_labels_double(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader()
    served = serve(reader)
    shown = learned(served, examples(32)).shown
    reader.asked()
    for n in (33, 40, 63):
        memory = learned(served, examples(n))
        assert memory.shown == shown
    plain, behind = reader.asked()
    assert len(plain) == len(set(plain)) == len(behind) == 63 - 32  # each new example once, and nothing of the old
    forget(monkeypatch)
    again = learned(served, examples(63))
    assert again.shown == shown and np.array_equal(again.head.weights, memory.head.weights)
    assert learned(served, examples(64)).shown != shown


def test_a_shown_example_never_stands_before_itself_in_learning(serve: Callable[..., Served]) -> None:
    reader = Reader()
    memory = learned(serve(reader), examples(32))
    assert memory.shown is not None
    shown = {text for text, _ in memory.shown.turns}
    assert shown and not shown & set(reader.asked()[1])


def test_reading_examples_again_is_bounded(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "MOST_JUDGING", 12)
    monkeypatch.setattr(showing, "MOST_READ", 20)
    reader = Reader()
    memory = learned(serve(reader), examples(70))
    behind = [text for text in reader.asked()[1] if codes(text)]
    assert memory.shown is not None and memory.examples == 70
    assert len(behind) == len(set(behind)) <= 12 + 20 + (70 - 64)


def test_at_full_weight_a_text_is_read_once(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(showing._WEIGHTS, "causal", (1.0,))
    reader = Reader()
    served = serve(reader)
    memory = learned(served, examples(32))
    assert memory.shown is not None and memory.shown.weight == 1
    reader.asked()
    answers(served, list(NEW), memory)
    assert [sorted(texts) for texts in reader.asked()] == [[], sorted(NEW)]


def test_a_replay_answers_as_serving_does(serve: Callable[..., Served]) -> None:
    served = serve(Reader())
    replayed = Labels(*served)
    replayed.read([*(one.text for one in examples(32)), *NEW])
    memory = replayed.learn(examples(32))
    assert memory is not None and memory.shown == learned(served, examples(32)).shown is not None
    pairs = zip(replayed.answers(list(NEW), memory), answers(served, list(NEW), memory), strict=True)
    assert all(one.alternatives == other.alternatives for one, other in pairs)


def test_beside_another_engine_the_mix_of_both_is_answered(make_field: MakeField, serve: Callable[..., Served]) -> None:
    plan, settings = serve(Reader())
    other = tasks.plan(make_field(LABELS), settings.model_copy(update={"fields": {}}))
    second = Second(**plan.model_dump(include=set(Second.model_fields)) | {"weight": 0.5})
    both = other.model_copy(update={"beside": second})
    memory = learned((both, settings), examples(32))
    assert memory.shown is not None and memory.shown.number == 1
    found = answers((both, settings), list(NEW), memory)
    assert [one.labels[0][0] for one in found] == list(NEW.values())


def test_the_starter_reads_texts_behind_accepted_ones(make_field: MakeField, cpu: Settings) -> None:
    its = {"label": FieldSetting(engine="causal", model="starter")}
    plan = tasks.plan(make_field(["sports", "cooking"]), cpu.model_copy(update={"fields": its}))
    turns = (("We won the cup by\n\ntwo goals.", 0), ("Boil the rice with salt.", 1))
    texts = ["She scored in the last minute.", "Fry the onions in butter."]
    plain, behind = chances.of_texts(plan, texts, cpu), chances.behind(plan, turns, texts, cpu)
    assert behind.labels.argmax(axis=1).tolist() == [0, 1] and np.abs(behind.labels - plain.labels).max() > 0.01
    alone = np.concatenate([chances.behind(plan, turns, [text], cpu).labels for text in texts])
    assert alone == pytest.approx(behind.labels, abs=1e-3)
    engine = load("causal", plan.model, plan.revision, cpu)
    sizes = engine.token_counts(["word " * 300, "few words"])
    vectors = np.eye(4, dtype=np.float32)
    long = ["word " * 600, "few words", "word " * 600, "other words"]
    assert sizes[0] > 200 and chances.demonstrations(plan, long, [0, 0, 1, 1], vectors, 9, cpu) == [1, 3]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A model that goes by the turns before its question, and refuses a text with "forbidden" in them."""

    def answer(_path: str, payload: Payload) -> Reply:
        *before, last = (one["content"] for one in payload["messages"])
        if any("forbidden" in one for one in before):
            return refuse("This content is not allowed.")
        likely = {letter: -2.0 for letter, _ in options_of(payload)}
        for asked, letter in zip(before[::2], before[1::2], strict=True):
            if codes(asked) & codes(last):
                likely[letter] = -0.1
        return letters(likely)

    with ModelServer(answer) as made:
        yield made


def remotely(make_field: MakeField, server: ModelServer, tmp_path: Path) -> Served:
    its = {"label": FieldSetting(engine="remote")}
    settings = Settings(data_dir=tmp_path, device="cpu", remote_url=server.url, fields=its, remote_retries=0)
    return tasks.plan(make_field(LABELS), settings), settings


def test_a_remote_model_is_shown_them_as_turns(make_field: MakeField, server: ModelServer, tmp_path: Path) -> None:
    served = remotely(make_field, server, tmp_path)
    some = examples(32)
    memory = learned(served, some)
    assert memory.shown is not None and memory.shown.weight == 1
    server.asked.clear()
    found = answers(served, list(NEW), memory)
    assert [one.labels[0][0] for one in found] == list(NEW.values()) and len(server.asked) == len(NEW)
    *before, _ = server.asked[0][1]["messages"]
    assert [one["role"] for one in before] == ["user", "assistant"] * len(memory.shown.turns)
    assert before[1]["content"] == "AB"[memory.shown.turns[0][1]] and memory.shown.turns[0][0] in before[0]["content"]
    engine = load("remote", served[0].model, served[0].revision, served[1])
    long = " ".join(f"word {number}" for number in range(2000))
    told = [["left"], ["right"]]
    sizes = engine.shown_sizes(told, memory.shown.turns)
    assert sum(sizes) <= engine.spare(told)
    server.asked.clear()
    engine.rank([long], told)
    plainly = len(server.asked)
    engine.rank([long], told, shown=memory.shown.turns)
    assert len(server.asked) == 2 * plainly  # the text is cut into no more windows


def test_what_a_server_refuses_is_shown_to_no_text(make_field: MakeField, server: ModelServer, tmp_path: Path) -> None:
    served = remotely(make_field, server, tmp_path)
    some = [one._replace(text=f"{one.text} forbidden") for one in examples(32)]
    memory = learned(served, some)
    assert memory.shown is None
    assert all(one.labels for one in answers(served, list(NEW), memory))

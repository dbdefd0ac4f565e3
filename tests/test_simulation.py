"""Replaying a labelled file: the curve, what it costs, what is told to whom, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from labelloop import curves, replay_whole
from labelloop.cli import app
from labelloop.engines.causal import Causal
from labelloop.engines.encoder import Encoder
from labelloop.engines.training import Recipe
from labelloop.errors import LabelLoopError, RequestError
from labelloop.learning import gate
from labelloop.offline import field_named, read_schema
from labelloop.replay import Labels
from labelloop.settings import Settings, get_settings
from labelloop.simulation import Row, Simulation, rows_of
from labelloop.tasks import voices
from labelloop.words import Field

CONFIG = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="team" toName="text"><Choice value="North"/><Choice value="South"/><Choice value="West"/></Choices>
  <Labels name="spans" toName="text"><Label value="Person"/><Label value="Vessel"/></Labels>
  <Choices name="each" toName="text" perRegion="true"><Choice value="good"/><Choice value="bad"/></Choices>
  <Relations><Relation value="sails on"/></Relations>
</View>
"""  # names that say nothing of the texts: only labels can tell
SUBJECTS = {
    "North": ["the invoice is wrong", "I was charged twice", "my refund is missing", "the card was declined"],
    "South": ["the parcel is late", "the courier got lost", "the box arrived broken", "the address was wrong"],
    "West": ["I forgot my password", "the login page fails", "my account is locked", "the code never came"],
}
OPENINGS = ["Hello,", "Please help:", "Again", "Since Monday", "For the third time", "It seems that"]
ROWS = [
    {"text": f"{opening} {subject}.", "right": team}
    for opening in OPENINGS
    for team, subjects in SUBJECTS.items()
    for subject in subjects
]
TRAIN, TEST = ROWS[:48], ROWS[48:]


@pytest.fixture
def files(terminal: Path) -> Path:
    (terminal / "train.jsonl").write_text("\n".join(json.dumps(row) for row in TRAIN))
    (terminal / "test.jsonl").write_text("\n".join(json.dumps(row) for row in TEST))
    (terminal / "config.xml").write_text(CONFIG)
    return terminal


@pytest.fixture
def field(files: Path) -> Field:
    return field_named(read_schema(files / "config.xml"), "team")


def rows(some: list[dict[str, str]]) -> list[Row]:
    return [Row(row["text"], ((row["right"],),)) for row in some]


def simulation(field: Field, budgets: list[int], **changes: object) -> Simulation:
    made = Simulation(
        field, rows(TRAIN), rows(TEST), budgets, settings=Settings(device="cpu"), **{"seeds": 1, **changes}
    )  # type: ignore[arg-type]
    made.read()
    return made


def values(field: Field, budgets: list[int], **changes: object) -> list[float]:
    return [point.value for point in simulation(field, budgets, **changes).run()]


def test_more_labels_give_better_answers(field: Field) -> None:
    none, some, many = values(field, [0, 12, 48])
    assert none < 0.6 and some > none + 0.15 and many > 0.9


@pytest.mark.parametrize("strategy", ["random", "uncertain"])
def test_a_curve_is_the_same_each_time_and_each_seed_has_its_own(field: Field, strategy: str) -> None:
    one, again = (values(field, [0, 6, 18], seeds=2, strategy=strategy) for _ in range(2))
    assert one == again and len(one) == 6 and one[0] == one[3]
    if strategy == "random":
        assert one[1:3] != one[4:6]


def test_the_least_sure_rows_are_labelled_first(field: Field) -> None:
    made = simulation(field, [4], strategy="uncertain")
    scores = {
        row.text: one.score
        for row, one in zip(made.train, made.replay.answers([r.text for r in made.train], None), strict=True)
    }
    asked: list[str] = []
    learn = made.replay.learn
    made.replay.learn = lambda revealed: (asked.extend(one.text for one in revealed), learn(revealed))[1]  # type: ignore[method-assign]
    list(made.run())
    assert sorted(asked) == sorted(sorted(scores, key=lambda text: scores[text])[:4])


def test_wrong_labels_harm(field: Field) -> None:
    assert values(field, [48], noise=0.9)[0] < values(field, [48])[0] - 0.3


def test_wrong_labels_of_a_field_with_several_add_or_remove_one(field: Field) -> None:
    several = field.model_copy(update={"multiple": True})
    made = simulation(several, [40], noise=0.5, seeds=1)
    seen: list[tuple[tuple[str, ...], ...]] = []
    learn = made.replay.learn
    made.replay.learn = lambda revealed: (seen.extend(one.labels for one in revealed), learn(revealed))[1]  # type: ignore[method-assign]
    list(made.run())
    assert {len(labels) for labels in seen} == {0, 1, 2}


def test_each_text_is_read_once(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    embed = Encoder.embed
    monkeypatch.setattr(Encoder, "embed", lambda self, texts: (read.extend(texts), embed(self, texts))[1])
    list(simulation(field, [0, 4, 8], seeds=2).run())
    known = [text for text in read if text in {row["text"] for row in ROWS}]
    assert len(known) == len(set(known)) and {row["text"] for row in TEST} <= set(known)
    assert len(known) <= len(TEST) + 16  # rows that no order draws are not read


def test_a_row_without_text_is_answered_wrong_and_never_labelled(field: Field) -> None:
    settings = Settings(device="cpu")
    made = Simulation(field, [*rows(TRAIN), Row("", (("North",),))], [Row("", (("North",),))], [0, 48], 1, settings)
    made.read()
    assert [point.value for point in made.run()] == [0.0, 0.0]
    with pytest.raises(RequestError, match="48 rows have a text"):
        Simulation(field, [*rows(TRAIN), Row("", (("North",),))], rows(TEST), [49], 1, settings)


def run(*more: str) -> tuple[str, str, int, BaseException | None]:
    its = ("train.jsonl", "--test", "test.jsonl", "--config", "config.xml", "--gold", "right", "--field", "team")
    done = CliRunner().invoke(app, ["simulate", *its, *more])
    return done.stdout, done.stderr, done.exit_code, done.exception


def test_the_command_shows_and_writes_the_curve(files: Path) -> None:
    said, warned, code, error = run("--budgets", "0,8", "--seeds", "2", "--json", "out.json", "--plot", "out.html")
    assert (code, error) == (0, None)
    assert "mean accuracy" in said and "training" in warned
    report = json.loads((files / "out.json").read_text())
    assert report["complete"] and [(one["budget"], one["seed"]) for one in report["points"]] == [
        (0, 0),
        (8, 0),
        (0, 1),
        (8, 1),
    ]
    assert set(report["points"][0]) == {
        "budget",
        "seed",
        "metric",
        "value",
        "seconds",
        "promoted",
        "refused",
        "undecided",
        "coverage",
        "precision",
    }
    assert all(one["coverage"] is None and one["precision"] is None for one in report["points"])
    assert "coverage" not in said and report["wished_precision"] is None
    page = (files / "out.html").read_text()
    assert "<svg" in page and "src=" not in page and "href=" not in page
    assert f"8 labels: {report['points'][1]['value']:.3f}" in page


def test_without_refresh_there_is_nothing_to_warn_of(files: Path) -> None:
    _, warned, code, _ = run("--budgets", "0", "--seeds", "1", "--no-refresh")
    assert code == 0 and "Only memory" not in warned and "!" not in warned.split("reading")[0]


def test_a_wished_precision_shows_how_much_is_left_and_how_right_it_is(files: Path) -> None:
    def points(*more: str) -> list[dict[str, float]]:
        said, _, code, error = run("--budgets", "0,12", "--seeds", "1", "--json", "out.json", *more)
        assert (code, error) == (0, None) and ("coverage" in said) == bool(more)
        return json.loads((files / "out.json").read_text())["points"]

    plain, wished = points(), points("--precision", "0.9")
    assert [one["value"] for one in wished] == [one["value"] for one in plain], "the metric is that of all answers"
    none, some = wished
    assert none["coverage"] < some["coverage"] < 1 and some["precision"] >= 0.9 > some["value"]
    all_of_it = points("--precision", "0.01")
    assert [(one["coverage"], one["precision"]) for one in all_of_it] == [(1.0, one["value"]) for one in all_of_it]
    (files / "labelloop.toml").write_text("[fields.team]\nprecision = 0.9\n")
    get_settings.cache_clear()
    said, _, code, _ = run("--budgets", "12", "--seeds", "1", "--json", "out.json")
    assert code == 0 and "coverage" in said
    report = json.loads((files / "out.json").read_text())
    assert report["wished_precision"] == 0.9
    assert [one["coverage"] for one in report["points"]] == [some["coverage"]]


def test_texts_that_are_tested_are_not_learned_from(files: Path) -> None:
    (files / "train.jsonl").write_text("\n".join(json.dumps(row) for row in [*TRAIN[:8], *TEST[:5]]))
    _, warned, code, _ = run("--budgets", "8", "--seeds", "1")
    assert code == 0 and "5 rows" in warned
    error = run("--budgets", "9")[3]
    assert isinstance(error, RequestError) and "8 rows" in error.message


def test_what_was_measured_until_it_was_stopped_is_kept(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn, calls = Labels.learn, []

    def stop(self: Labels, revealed: list[object]) -> object:
        calls.append(len(revealed))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return learn(self, revealed)  # type: ignore[arg-type]

    monkeypatch.setattr(Labels, "learn", stop)
    said, _, code, _ = run("--budgets", "0,4,8", "--json", "out.json")
    assert code == 130
    report = json.loads((files / "out.json").read_text())
    assert not report["complete"] and [one["budget"] for one in report["points"]] == [0, 4] and "labels" in said


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("--budgets", "many"), "--budgets is 'many'", 2),
        (("--budgets", "-4"), "not numbers of labels", 2),
        (("--budgets", "500"), "fewer than the budget 500", 2),
        (("--gold", "wrong"), "No task has the column 'wrong'", 2),
        (("--field", "each"), "describes single regions", 2),
        (("--field", "nothing"), "no control 'nothing'", 2),
        (("--test", "missing.jsonl"), "cannot be read", 2),
        (("--json", "no/such/folder.json"), "no folder", 2),
        (("--precision", "1.5"), "--precision is 1.5", 2),
    ],
)
def test_mistakes_are_named(files: Path, arguments: tuple[str, ...], message: str, code: int) -> None:
    error = run(*arguments)[3]
    assert isinstance(error, LabelLoopError) and message in error.message and error.exit_code == code


SHIPS = ["Aurora", "Calypso", "Dorothea", "Meridian"]
SAILED = ["The crew of the {} waited.", "We boarded the {} at noon.", "Nobody left the {} that day.", "The {} sank."]


def test_marked_spans_are_replayed_too(files: Path) -> None:
    told = [(line, ship) for line in SAILED for ship in SHIPS]
    for name, some in (("train.jsonl", told[:8]), ("test.jsonl", told[8:])):
        rows = []
        for line, ship in some:
            text, start = line.format(ship), line.index("{")
            rows.append({"text": text, "right": [{"start": start, "end": start + len(ship), "label": "Vessel"}]})
        (files / name).write_text("\n".join(map(json.dumps, rows)))
    said, _, code, error = run("--field", "spans", "--budgets", "0,8", "--seeds", "1", "--json", "out.json")
    assert (code, error) == (0, None) and "F1" in said
    none, some = (one["value"] for one in json.loads((files / "out.json").read_text())["points"])
    assert none < 0.5 and some > none + 0.3
    _, _, code, error = run(
        *("--field", "spans", "--budgets", "0,8", "--seeds", "1", "--json", "out.json", "--precision", "1.0")
    )
    assert (code, error) == (0, None)
    held = json.loads((files / "out.json").read_text())["points"]
    assert [one["value"] for one in held] == [none, some]
    assert all(one["coverage"] < 1 and one["precision"] in (None, 1.0) for one in held)


LENT = ["{} lent {} money.", "{} gave {} a loan.", "{} paid {} in advance.", "{} funded {}."]
WAVED = ["{} waved at {}.", "{} danced with {}.", "{} saw {} in the rain.", "{} ran past {}."]


def test_relations_are_replayed_between_the_passages_that_the_column_names(files: Path) -> None:
    (files / "config.xml").write_text(
        '<View><Text name="text" value="$text"/><Labels name="who" toName="text"><Label value="Person"/></Labels>'
        '<Relations><Relation value="Type 7"/></Relations></View>'
    )
    rows = []
    for number, label in ((number, label) for number in range(8) for label in ("Type 7", "Other")):
        first, second = SHIPS[number % 4], SHIPS[(number + 1 + number // 4) % 4]
        text = (LENT if label == "Type 7" else WAVED)[number % 4].format(first, second)
        ends = [{"start": text.index(name), "end": text.index(name) + len(name)} for name in (second, first)]
        rows.append({"text": text, "right": [{"head": ends[0], "tail": ends[1], "label": label}]})
    for name, some in (("train.jsonl", rows[:8]), ("test.jsonl", rows[8:])):
        (files / name).write_text("\n".join(map(json.dumps, some)))
    said, _, code, error = run("--field", "relations", "--budgets", "0,8", "--seeds", "1", "--json", "out.json")
    assert (code, error) == (0, None) and "F1" in said
    none, some = (one["value"] for one in json.loads((files / "out.json").read_text())["points"])
    assert none < 0.5 and some > none + 0.3
    noisy = ("--field", "relations", "--budgets", "8", "--seeds", "1", "--noise", "0.99", "--json", "out.json")
    _, _, code, error = run(*noisy)
    assert (code, error) == (0, None)
    assert json.loads((files / "out.json").read_text())["points"][0]["value"] < some, "no relation was drawn"


WRITES = """
<View><Text name="text" value="$text"/><TextArea name="topic" toName="text" maxSubmissions="1"/></View>
"""
DIRECTED = """
[fields.topic]
task = "generation"
options = {instruction = "What is it about?"}
"""
ABOUT = [
    ("My card was charged twice.", "TOPIC: card"),
    ("The parcel is late.", "TOPIC: parcel"),
    ("I forgot my password.", "TOPIC: password"),
    ("The invoice is wrong.", "TOPIC: invoice"),
    ("The courier lost my parcel.", "TOPIC: parcel"),
    ("Where is my invoice?", "TOPIC: invoice"),
]


@pytest.fixture
def topics(files: Path) -> Field:
    (files / "labelloop.toml").write_text(DIRECTED)
    get_settings.cache_clear()
    (files / "config.xml").write_text(WRITES)
    told = [json.dumps({"text": text, "right": topic}) for text, topic in ABOUT]
    (files / "train.jsonl").write_text("\n".join(told[:4]))
    (files / "test.jsonl").write_text("\n".join(told[4:]))
    return field_named(read_schema(files / "config.xml"), "topic")


def about(field: Field, some: list[tuple[str, str]]) -> list[Row]:
    return rows_of([{"data": {"text": text, "right": topic}} for text, topic in some], field, "right")


def test_written_texts_are_replayed_and_what_no_label_changes_is_asked_once(
    topics: Field, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    write = Causal.write
    monkeypatch.setattr(
        Causal,
        "write",
        lambda self, asks, manner: (asked.extend(str(one.messages) for one in asks), write(self, asks, manner))[1],
    )
    said, warned, code, error = run("--field", "topic", "--budgets", "0,4", "--seeds", "2", "--json", "out.json")
    assert (code, error) == (0, None) and "mean F1" in said and "no memory" not in warned
    none, some, again, _ = json.loads((files / "out.json").read_text())["points"]
    assert some["value"] > none["value"] + 0.3 and again["value"] == none["value"]
    plain = [one for one in asked if "TOPIC" not in one and "Where is my invoice?" in one]
    shown = [one for one in asked if "TOPIC" in one and "Where is my invoice?" in one]
    assert len(plain) == 1 and len(shown) == 2, "zero-shot for both seeds, with labels for each"


def test_a_writers_least_sure_row_is_labelled_next_and_each_answer_is_heard_of(topics: Field) -> None:
    made = Simulation(topics, about(topics, ABOUT[:5]), [], [5], 1, get_settings(), strategy="uncertain")
    revealed: list[str] = []
    learn = made.replay.learn
    made.replay.learn = lambda some: (revealed.extend(one.text for one in some[len(revealed) :]), learn(some))[1]  # type: ignore[method-assign]
    read: list[tuple[int, int]] = []
    made.read(lambda done, of: read.append((done, of)))
    heard: list[tuple[int, int]] = []
    list(made.run(lambda done, of: heard.append((done, of))))
    assert read == [(done, 5) for done in range(6)], "one by one, without a label"
    assert heard == [(0, 1), (1, 1)], "the one that is left, with four"
    texts = [row.text for row in made.train]
    scores = {text: one.score for text, one in zip(texts, made.replay.answers(texts, None), strict=True)}
    assert sorted(scores[text] for text in revealed[:4]) == sorted(scores.values())[:4]


def test_a_wrong_text_is_that_of_another_row_that_is_labelled(topics: Field) -> None:
    rows = about(topics, ABOUT)
    made = Simulation(topics, rows, [], [4], 1, get_settings(), noise=0.99)
    seen: dict[str, tuple[str, ...]] = {}
    learn = made.replay.learn
    made.replay.learn = lambda some: (seen.update((one.text, one.texts) for one in some), learn(some))[1]  # type: ignore[method-assign]
    list(made.run())
    right = {row.text: row.texts for row in rows}
    assert len(seen) == 4 and all(texts != right[text] for text, texts in seen.items())
    assert set(seen.values()) <= {right[text] for text in seen}


KINDS = {
    "extraction": (
        '<Text name="q" value="$q"/><Text name="text" value="$text"/>'
        '<Labels name="out" toName="text"><Label value="Answer"/></Labels>',
        [
            {"q": "Who built the bridge?", "text": f"{name} built the bridge in 1844.", "right": [name]}
            for name in ("Rudolf Gatschet", "Ann Weber", "Mary Stone", "Tom Hill")
        ],
        "f1",
    ),
    "ranking": (
        '<Header value="Which is the more polite?"/><List name="l" value="$list"/><Ranker name="out" toName="l"/>',
        [
            {
                "list": [
                    {"id": "a", "title": "Shut", "body": f"Shut up about {what}."},
                    {"id": "b", "title": "Could", "body": f"Could you please tell me about {what}?"},
                ],
                "right": ["b", "a"],
            }
            for what in ("it", "the bill", "the boat", "the trip")
        ],
        "pair accuracy",
    ),
    "comparison": (
        '<Header value="Which is the more polite?"/><Text name="l" value="$l"/><Text name="r" value="$r"/>'
        '<Pairwise name="out" toName="l,r"/>',
        [
            {"l": f"Could you please tell me about {what}?", "r": f"Shut up about {what}.", "right": "left"}
            for what in ("it", "the bill", "the boat", "the trip")
        ],
        "accuracy",
    ),
    "labels of each item": (
        '<Text name="text" value="$text"/><Choices name="out" toName="text" value="$options"/>',
        [
            {"text": text, "options": [{"value": right}, {"value": "weather"}], "right": right}
            for text, right in (
                ("The striker scored twice.", "football"),
                ("The bank raised its rates.", "finance"),
                ("The soup needs more salt.", "cooking"),
                ("The senate passed the law.", "politics"),
            )
        ],
        "accuracy",
    ),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_kind_without_memory_is_asked_once_and_its_curve_is_flat(
    kind: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, told, metric = KINDS[kind]
    (files / "config.xml").write_text(f"<View>{config}</View>")
    (files / "train.jsonl").write_text("\n".join(map(json.dumps, told[:2])))
    (files / "test.jsonl").write_text("\n".join(map(json.dumps, told[2:])))
    asked: list[object] = []
    answer = replay_whole.answer
    monkeypatch.setattr(
        replay_whole, "answer", lambda bundle, texts, *more: (asked.extend(texts), answer(bundle, texts, *more))[1]
    )
    _, warned, code, error = run(
        "--field", "out", "--budgets", "0,2", "--seeds", "2", "--noise", "0.5", "--json", "out.json"
    )
    assert (code, error) == (0, None) and "'out' has no memory of labels" in " ".join(warned.split())
    points = json.loads((files / "out.json").read_text())["points"]
    assert [one["metric"] for one in points] == [metric] * 4
    assert len({one["value"] for one in points}) == 1 and points[0]["value"] > 0.6
    assert len(asked) == 2


def test_a_chart_of_one_point_and_of_names_in_need_of_escape() -> None:
    page = curves.page("a < b", "note", "F1", {"<script>": {0: [1.0]}, "other": {0: [0.25], 4: [0.5, 0.7]}})
    assert "a &lt; b" in page and "<script>" not in page and "&lt;script&gt;" in page
    assert page.count("<circle") == 4 and page.count("<polyline") == 2
    assert ">0.600<" in page and "nan" not in page


def test_several_charts_stand_on_one_page_each_under_its_name() -> None:
    lines = {f"way {number}": {16: [0.5], 64: [0.75]} for number in range(6)}
    page = curves.pages("title", "note", "F1", {"a < b": lines, "other": {"way 0": {16: [0.25]}}})
    assert page.count("<svg") == page.count("<table") == page.count("<h2>") == 2 and "<h2>a &lt; b</h2>" in page
    colours = [part.split('"')[0] for part in page.split("<svg")[1].split('stroke="')[1:]]
    assert len(set(colours)) == 6, "each line can be told from the others"
    assert page.index("0.750") < page.index("<h2>other</h2>") < page.index("0.250")


def test_challengers_are_trained_and_serve_if_the_gate_promotes_them(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recipe, "steps", lambda _recipe, _texts: 6)
    monkeypatch.setattr(voices, "weigh", lambda *_: (voices.Voices(0.4, 0.6), 0.0))
    decide = gate.decide

    def points(decision: str, *more: str) -> list[dict[str, Any]]:
        monkeypatch.setattr(gate, "decide", lambda evidence: decide(evidence).model_copy(update={"decision": decision}))
        _, _, code, error = run("--budgets", "12,36", "--seeds", "1", "--json", "out.json", *more)
        assert (code, error) == (0, None)
        return list(json.loads((files / "out.json").read_text())["points"])

    rows = [{**row, "text": f"{row['text']} {word}"} for row in TRAIN for word in ("Really.", "Again.")]
    (files / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    memory, refused, promoted = points("promoted", "--no-refresh"), points("refused"), points("promoted")
    counted = [[(one["promoted"], one["refused"]) for one in its] for its in (memory, refused, promoted)]
    assert counted == [[(0, 0), (0, 0)], [(0, 0), (0, 1)], [(0, 0), (1, 0)]], "nothing is trained on 12"
    assert [one["value"] for one in refused] == [one["value"] for one in memory]
    assert promoted[0]["value"] == memory[0]["value"]

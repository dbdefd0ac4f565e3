"""The remote engine against a server of the protocol: what it asks, and what it makes of the answers."""

import json
import math
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from labelloop.engines import Ask, Manner, load
from labelloop.engines.identity import identify
from labelloop.engines.remote_rank import LETTERS, by_choice, options, rounds
from labelloop.engines.remote_text import estimate, pieces, plain, unmasked, windows
from labelloop.errors import ItemError, ModelError
from labelloop.settings import Settings
from support.model_server import Payload, Reply, chat, letters, options_of, refuse, serving

HELLO = Ask((("system", "Be brief."), ("user", "Say hello.")))
TOPICS = [["sports"], ["music"], ["politics"]]


def chooser(payload: Payload) -> Reply:
    """A model that likes the options that share a word with the text."""
    text = payload["messages"][-1]["content"].split('"""')[1].lower()
    return letters({letter: -0.1 if told.lower() in text else -5.0 for letter, told in options_of(payload)})


def test_labels_are_options_with_letters(tmp_path: Path) -> None:
    with serving(lambda _path, payload: chooser(payload), tmp_path) as (engine, server):
        scores = engine.rank(["The music was loud.", "Sports all day"], TOPICS)
        assert scores.argmax(axis=1).tolist() == [1, 0]
        assert np.allclose(np.exp(scores).sum(axis=1), 1)
        path, payload = server.asked[0]
    assert path == "/chat/completions" and payload["model"] == "small"
    assert payload["max_tokens"] == 1 and payload["top_logprobs"] == 20 and payload["temperature"] == 0
    assert dict(options_of(payload)) == {"A": "sports", "B": "music", "C": "politics"}


def test_spellings_of_a_letter_are_summed_and_missing_ones_stand_below_all(tmp_path: Path) -> None:
    told = {"B": math.log(0.3), " B": math.log(0.2), "b": math.log(0.1), "A": math.log(0.35), "The": math.log(0.05)}
    with serving(lambda *_: chat("A", [("A", told["A"], told)]), tmp_path) as (engine, _):
        chances = np.exp(engine.rank(["text"], TOPICS)[0])
    assert chances[1] / chances[0] == pytest.approx(0.6 / 0.35, rel=1e-4)
    assert chances[2] / chances[0] == pytest.approx(0.05 / math.e / 0.35, rel=1e-4)


def test_hints_and_the_question_are_told() -> None:
    told = options([["Which topic? ⟦sports⟧", "sports", "Games."], ["Which topic? ⟦music⟧", "music"]])
    assert told == ("Which topic?", ("sports; Games.", "music"))
    assert options([["a"], ["What? ⟦b⟧"]]).question != "What?"


def test_a_single_label_is_asked_against_nothing(tmp_path: Path) -> None:
    with serving(lambda _path, payload: chooser(payload), tmp_path) as (engine, server):
        scores = engine.rank(["music", "rain"], [["music"]])
        assert dict(options_of(server.asked[0][1])) == {"A": "music", "B": "none of these"}
    assert scores.shape == (2, 1) and scores[0, 0] > 1 > scores[1, 0]


def test_more_labels_than_letters_are_asked_in_rounds(tmp_path: Path) -> None:
    labels = [[f"number {index}."] for index in range(77)]
    with serving(lambda _path, payload: chooser(payload), tmp_path) as (engine, server):
        scores = engine.rank([f"It is number {index}." for index in (0, 41, 76)], labels)
        assert scores.argmax(axis=1).tolist() == [0, 41, 76]
        assert len(server.asked) == 3 * 5
        assert all(len(dict(options_of(payload))) <= len(LETTERS) for _, payload in server.asked)


@pytest.mark.parametrize("count", [3, 20, 21, 77, 150, 401, 1000])
def test_rounds_keep_the_order_of_one_round_where_scores_are_consistent(count: int) -> None:
    worth = np.random.default_rng(count).permutation(count).astype(np.float32)
    most = 20
    found = rounds(count, lambda chosen: worth[list(chosen)], most)
    assert found.argmax() == worth.argmax()
    assert np.allclose(found, worth)


def test_a_server_without_log_probabilities_chooses(tmp_path: Path) -> None:
    def answer(_path: str, payload: Payload) -> Reply:
        if payload.get("logprobs"):
            return refuse("This model does not support logprobs", 500)
        return chat(" B.", None)

    with serving(answer, tmp_path) as (engine, server):
        assert engine.rank(["one", "two"], TOPICS).tolist() == [[0, 1, 0], [0, 1, 0]]
        assert sum("logprobs" in payload for _, payload in server.asked) <= 2
        engine.rank(["three"], TOPICS)
        last = server.asked[-1][1]
        assert "logprobs" not in last and last["guided_choice"] == ["A", "B", "C"]


def test_letters_are_read_from_replies() -> None:
    from labelloop.engines.remote_dialect import Choice

    for text, chosen in (("B", 1), ("**b**", 1), ("(C) politics", 2), ("Certainly!", None), ("", None), ("D", None)):
        found = by_choice(Choice(text, None, True, 1), "ABC")
        assert found.tolist() == [float(index == chosen) for index in range(3)]


def test_a_long_text_is_read_in_windows_and_none_of_it_is_lost(tmp_path: Path) -> None:
    text = " ".join(f"word{index}" for index in range(3000))
    with serving(lambda *_: letters({"A": -1.0, "B": -0.5}), tmp_path) as (engine, server):
        assert engine.windows([text, "short"])[0] > 3 and engine.windows(["short"]) == [1]
        engine.rank([text], TOPICS[:2])
        read = [payload["messages"][0]["content"].split('"""\n')[1] for _, payload in server.asked]
        assert len(read) == engine.windows([text])[0]
        assert {f"word{index}" for index in range(3000)} <= {word for part in read for word in part.split()}
        assert all(
            engine.sizes([Ask((("user", payload["messages"][0]["content"]),))])[0] < engine.room
            for _, payload in server.asked
        )


@pytest.mark.parametrize("alphabet", ["abcdefghij", "日本語漢字仮名", "ab cd e ", "0123456789 \n", "éàü-.!? x"])
def test_windows_cover_every_character(alphabet: str) -> None:
    chosen = np.random.default_rng(0).integers(len(alphabet), size=5000)
    text = "".join(alphabet[index] for index in chosen)
    covered = 0
    for window in windows(text, 200):
        start = text.index(window.text)
        assert window.tokens <= 200 and start <= covered
        covered = start + len(window.text)
    assert covered == len(text) and estimate(text) == sum(piece.tokens for piece in pieces(text))


def test_a_reply_with_its_confidence(tmp_path: Path) -> None:
    said = [("Hel", -0.1, {}), ("lo", -0.3, {})]
    with serving(lambda *_: chat("Hello", said), tmp_path) as (engine, server):
        manner = Manner(max_tokens=9, stop=("\n", "a", "b", "c", "!"))
        ((written,),) = engine.write([HELLO], manner)
        assert written == ("Hello", pytest.approx(-0.2), 2, True)
        payload = server.asked[0][1]
    assert payload["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say hello."},
    ]
    assert (payload["max_tokens"], payload["temperature"], payload["stop"]) == (9, 0, ["\n", "a", "b", "c"])


def test_stop_strings_that_the_server_does_not_know_end_a_reply_too(tmp_path: Path) -> None:
    with serving(lambda *_: chat("One! Two", finish="length"), tmp_path) as (engine, _):
        assert engine.write([HELLO], Manner(stop=("!",)))[0][0][::3] == ("One", True)
        assert engine.write([HELLO], Manner(stop=("?",)))[0][0][::3] == ("One! Two", False)


def test_without_log_probabilities_the_confidence_is_not_a_number(tmp_path: Path) -> None:
    with serving(lambda *_: chat("Hello", None), tmp_path) as (engine, _):
        assert math.isnan(engine.write([HELLO], Manner())[0][0].logprob)


def test_candidates_are_the_greedy_one_and_drawn_ones(tmp_path: Path) -> None:
    def answer(_path: str, payload: Payload) -> Reply:
        reply = chat("x")
        choices = [
            {**reply.body["choices"][0], "index": place, "message": {"content": f"{payload['temperature']} {place}"}}
            for place in range(payload.get("n", 1))
        ]
        return Reply(body={**reply.body, "choices": choices})

    with serving(answer, tmp_path) as (engine, server):
        found = [one.text for one in engine.write([HELLO], Manner(samples=4, temperature=0.9))[0]]
        assert found == ["0.0 0", "0.9 0", "0.9 1", "0.9 2"] and len(server.asked) == 2


@pytest.mark.parametrize("refuses", [True, False])
def test_a_server_that_makes_one_candidate_at_a_time_is_asked_for_each(tmp_path: Path, refuses: bool) -> None:
    def answer(_path: str, payload: Payload) -> Reply:
        if "n" in payload and refuses:
            return refuse("n > 1 is not possible", 422)
        return chat(f"{payload['temperature']} {payload['seed']}")

    with serving(answer, tmp_path) as (engine, server):
        found = [one.text for one in engine.write([HELLO], Manner(samples=4))[0]]
        assert len(set(found)) == 4 and sum(text.startswith("0.7") for text in found) == 3
        assert [one.text for one in engine.write([HELLO], Manner(samples=4))[0]] == found
        asked = len(server.asked)
        engine.write([Ask((("user", "Other"),))], Manner(samples=3))
        assert len(server.asked) == asked + 3


def test_what_a_server_does_not_know_is_left_out_from_then_on(tmp_path: Path) -> None:
    def answer(_path: str, payload: Payload) -> Reply:
        if "max_tokens" in payload:
            return refuse("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "temperature" in payload or "seed" in payload:
            return refuse("bad request")
        return chat("Hello")

    with serving(answer, tmp_path) as (engine, server):
        assert engine.write([HELLO], Manner())[0][0].text == "Hello"
        asked = len(server.asked)
        engine.write([Ask((("user", "Other"),))], Manner(max_tokens=7))
        assert len(server.asked) == asked + 1 and server.asked[-1][1]["max_completion_tokens"] == 7


def test_a_server_without_chat_gets_a_plain_prompt(tmp_path: Path) -> None:
    def answer(path: str, payload: Payload) -> Reply:
        if path != "/completions":
            return Reply(404, {"detail": "Not Found"})
        logprobs = {"tokens": [" hi"], "token_logprobs": [-0.5], "top_logprobs": [{" hi": -0.5, " A": -1.5}]}
        return Reply(body={"choices": [{"text": " hi", "finish_reason": "stop", "logprobs": logprobs}]})

    with serving(answer, tmp_path) as (engine, server):
        written = engine.write([HELLO._replace(begun="Well,")], Manner(stop=("\n",)))[0][0]
        assert (written.text, written.logprob) == (" hi", -0.5)
        prompt = server.asked[-1][1]["prompt"]
        assert prompt == "Be brief.\n\nUser: Say hello.\n\nAssistant: Well,"
        assert "\n\nUser:" in server.asked[-1][1]["stop"]
        assert engine.rank(["x"], TOPICS)[0].argmax() == 0


@pytest.mark.parametrize("reply", ["Dear all, hello", " hello"])
def test_a_begun_reply_is_gone_on_with(tmp_path: Path, reply: str) -> None:
    with serving(lambda *_: chat(reply), tmp_path) as (engine, server):
        written = engine.write([HELLO._replace(begun="Dear all,")], Manner())[0][0]
        assert written.text == " hello"
        payload = server.asked[0][1]
        assert payload["messages"][-1] == {"role": "assistant", "content": "Dear all,"}
        assert payload["continue_final_message"] and not payload["add_generation_prompt"]


SCHEMA = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


@pytest.mark.parametrize("knows", ["json_schema", "json_object", "guided_json", "words"])
def test_a_schema_is_kept_with_every_kind_of_server(tmp_path: Path, knows: str) -> None:
    def answer(_path: str, payload: Payload) -> Reply:
        form = payload.get("response_format", {}).get("type") or (
            "guided_json" if "guided_json" in payload else "words"
        )
        if form != knows and form != "words":
            return refuse(f"{'response_format' if form[0] == 'j' else form} is unknown")
        told = "schema" in payload["messages"][-1]["content"] or "That is wrong" in payload["messages"][-1]["content"]
        return chat('```json\n{"n": 3}\n```' if knows != "words" or told else "Sure! n is 3.")

    with serving(answer, tmp_path) as (engine, _):
        for ask in (HELLO, Ask((("user", "Another."),))):
            assert json.loads(engine.write([ask], Manner(schema=SCHEMA))[0][0].text) == {"n": 3}


def test_a_reply_that_misses_the_schema_twice_is_an_error_of_its_item(tmp_path: Path) -> None:
    with serving(lambda *_: chat('{"n": "three"}'), tmp_path) as (engine, server):
        with pytest.raises(ItemError, match=r"'three' is not of type 'integer'"):
            engine.write([HELLO], Manner(schema=SCHEMA))
        assert "That is wrong" in server.asked[-1][1]["messages"][-1]["content"] and len(server.asked) == 2
        with pytest.raises(ModelError, match="schema"):
            engine.write([HELLO], Manner(schema='{"type": 5}'))


def test_special_tokens_in_a_text_are_only_characters(tmp_path: Path) -> None:
    text = "A<|im_end|>\n<|im_start|>system</s>[/INST] <｜User｜> [TOOL_CALLS] x < y <b> \ud800"
    for hidden in ("<|im_end|>", "</s>", "[/INST]", "<｜User｜>", "[TOOL_CALLS]"):
        assert hidden not in plain(text)
    assert unmasked(plain(text)) == text.replace("\ud800", "\ufffd") and plain("x < y <b> [1]") == "x < y <b> [1]"
    with serving(lambda _path, payload: chat(payload["messages"][0]["content"]), tmp_path) as (engine, _):
        assert engine.write([Ask((("user", text),))], Manner())[0][0].text == unmasked(plain(text))


def test_several_requests_run_at_once_but_no_more_than_allowed(tmp_path: Path) -> None:
    together = threading.Barrier(3)

    def answer(*_: object) -> Reply:
        together.wait(timeout=20)
        return chat("Hello")

    with serving(answer, tmp_path, remote_concurrency=3) as (engine, server):
        asks = [Ask((("user", str(index)),)) for index in range(6)]
        assert len(engine.write(asks, Manner())) == 6
        assert server.most_at_once == 3


def test_the_first_listed_model_serves_where_none_is_named(tmp_path: Path) -> None:
    listed = {"data": [{"id": "big", "meta": {"n_ctx": 4096}}, {"id": "small"}]}
    with serving(lambda *_: chat("Hi"), tmp_path, model="default", models=listed) as (engine, server):
        engine.write([HELLO], Manner())
        assert server.asked[0][1]["model"] == "big" and engine.room == 4096
    with serving(lambda *_: chat("Hi"), tmp_path, models=listed, remote_context=1000) as (engine, _):
        assert engine.room == 1000
    with serving(lambda *_: chat("Hi"), tmp_path, models=None) as (engine, _):
        assert engine.room == 8192
    with (
        serving(lambda *_: chat("Hi"), tmp_path, model="default", models=None) as (engine, _),
        pytest.raises(ModelError, match="REMOTE_MODEL"),
    ):
        engine.write([HELLO], Manner())


def test_nothing_is_cut_silently(tmp_path: Path) -> None:
    with serving(lambda *_: chat("Hi"), tmp_path) as (engine, server):
        with pytest.raises(ModelError, match="2048"):
            engine.write([HELLO], Manner(max_tokens=2048))
        assert not server.asked


def test_the_version_names_server_and_model(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, remote_url="http://localhost:1/v1/")
    revision = identify("big", "", "remote", settings)
    assert revision == "http://localhost:1/v1 big"
    moved = settings.model_copy(update={"remote_url": "http://localhost:2/v1"})
    with pytest.raises(ModelError, match="localhost:2"):
        load("remote", "big", revision, moved)
    with pytest.raises(ModelError, match="LABELLOOP_REMOTE_URL"):
        load("remote", "big", "", Settings(data_dir=tmp_path))


def test_a_worker_for_remote_models_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from labelloop import tasks; from labelloop.engines import load; from labelloop.settings import "
        "Settings; load('remote', 'm', '', Settings(remote_url='http://localhost:1')); "
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "set()"

"""A remote model's server at its worst: what is asked again, what is told, and what never leaves us."""

import logging
import multiprocessing
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from labelloop.engines import Ask, Manner
from labelloop.engines.remote_budget import FILE, Budget
from labelloop.engines.remote_client import Client
from labelloop.errors import ItemError, ModelError
from labelloop.settings import Settings
from support.model_server import KEY, Payload, Reply, chat, letters, refuse, serving

HELLO = Ask((("user", "Say hello."),))
OTHER = Ask((("user", "Say something else."),))


def in_turn(*replies: Reply) -> Callable[[str, Payload], Reply]:
    """These, then the last again and again."""
    left = list(replies)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]


FAULTS = {
    "busy": refuse("slow down", 429),
    "broken": Reply(500, b"oops"),
    "starting": Reply(503, {"detail": "loading"}),
    "garbage": Reply(200, b"<html>Welcome</html>"),
    "gone": Reply(hang=True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_by_itself_is_asked_again(tmp_path: Path, fault: str) -> None:
    naps: list[float] = []
    with serving(in_turn(FAULTS[fault], FAULTS[fault], chat("Hello")), tmp_path, naps) as (engine, server):
        assert engine.write([HELLO], Manner())[0][0].text == "Hello"
        assert len(server.asked) == 3 and len(naps) == 2
        assert naps[0] <= 0.5 and naps[1] <= 1.0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_stays_away_is_an_error_that_says_what_to_do(tmp_path: Path, fault: str) -> None:
    with serving(in_turn(FAULTS[fault]), tmp_path, remote_retries=2) as (engine, server):
        with pytest.raises(ModelError, match=r"asked 3 times.*LABELLOOP_REMOTE_URL"):
            engine.write([HELLO], Manner())
        assert len(server.asked) == 3


def test_waits_grow_and_differ(tmp_path: Path) -> None:
    naps: list[float] = []
    with serving(in_turn(FAULTS["busy"]), tmp_path, naps, remote_retries=12) as (engine, _), pytest.raises(ModelError):
        engine.write([HELLO], Manner())
    assert len(naps) == len(set(naps)) == 12 and max(naps) > 1
    assert all(nap <= min(30, 0.5 * 2**attempt) for attempt, nap in enumerate(naps))


@pytest.mark.parametrize("dated", [False, True])
def test_the_wait_that_the_server_wants_is_kept(tmp_path: Path, dated: bool) -> None:
    naps: list[float] = []
    wanted = format_datetime(datetime.now(UTC) + timedelta(seconds=20)) if dated else "20"
    busy = Reply(429, {}, {"Retry-After": wanted})
    with serving(in_turn(busy, chat("Hello")), tmp_path, naps) as (engine, _):
        engine.write([HELLO], Manner())
    assert 15 < naps[0] <= 20
    busy = Reply(429, {}, {"Retry-After": "3600"})
    with serving(in_turn(busy), tmp_path, naps) as (engine, server):
        with pytest.raises(ModelError, match="3600 s"):
            engine.write([HELLO], Manner())
        assert len(server.asked) == 1


def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    import threading

    over = threading.Event()

    def answer(*_: object) -> Reply:
        over.wait(20)
        return chat("Hello")

    with serving(answer, tmp_path, remote_timeout_s=0.2, remote_retries=1, models=None) as (engine, server):
        with pytest.raises(ModelError, match=r"0\.2 s; it was asked 2 times.*REMOTE_TIMEOUT_S"):
            engine.write([HELLO], Manner())
        assert len(server.asked) == 2
        over.set()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (refuse("Incorrect API key", 401), "LABELLOOP_REMOTE_KEY"),
        (refuse("No", 403), "LABELLOOP_REMOTE_KEY"),
        (refuse("You exceeded your current quota", 429, "insufficient_quota"), "spent"),
        (refuse("The model `small` does not exist", 404, "model_not_found"), "REMOTE_MODEL"),
        (Reply(404, {"detail": "Not Found"}), "/v1"),
        (Reply(307, b"", {"Location": "https://elsewhere/v1"}), "https://elsewhere/v1"),
    ],
)
def test_what_is_wrong_for_all_is_said_at_once(tmp_path: Path, reply: Reply, said: str) -> None:
    with serving(in_turn(reply), tmp_path) as (engine, server):
        with pytest.raises(ModelError, match=said):
            engine.write([HELLO], Manner())
        assert len(server.asked) <= 2


def only_hello(_path: str, payload: Payload) -> Reply:
    content = payload["messages"][-1]["content"]
    return chat("Hello") if content == "Say hello." else refuse("content policy violation: no")


def test_one_refused_ask_costs_the_others_nothing(tmp_path: Path) -> None:
    with serving(only_hello, tmp_path) as (engine, server):
        with pytest.raises(ItemError, match="content policy"):
            engine.write([OTHER, HELLO], Manner())
        asked = len(server.asked)
        assert engine.write([HELLO], Manner())[0][0].text == "Hello"
        assert len(server.asked) == asked
        with pytest.raises(ItemError, match="content policy"):
            engine.write([OTHER], Manner())
        assert len(server.asked) == asked + 1  # all that it asks for is known to be understood


def test_a_refusal_does_not_make_the_server_poorer(tmp_path: Path) -> None:
    with serving(only_hello, tmp_path) as (engine, server):
        with pytest.raises(ItemError):
            engine.write([OTHER], Manner())
        engine.write([HELLO], Manner())
        assert {"logprobs", "seed", "temperature", "max_tokens"} <= set(server.asked[-1][1])


def test_a_text_that_is_too_long_for_the_server_is_its_own_fault(tmp_path: Path) -> None:
    too_long = refuse("This model's maximum context length is 512 tokens; reduce max_tokens", 400)
    with serving(in_turn(too_long), tmp_path) as (engine, server):
        with pytest.raises(ItemError, match="LABELLOOP_REMOTE_CONTEXT"):
            engine.rank(["text"], [["a"], ["b"]])
        assert len(server.asked) == 1


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [{"message": {}}]}, [], "text", {"choices": None}])
def test_an_answer_of_another_protocol_is_told(tmp_path: Path, body: object) -> None:
    with serving(in_turn(Reply(body=body)), tmp_path) as (engine, _), pytest.raises(ItemError, match="completion"):
        engine.write([HELLO], Manner())


def test_a_model_that_answers_without_letters_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(in_turn(letters({"Sure": -0.1, "Well": -3.0})), tmp_path) as (engine, _):
        assert len(set(engine.rank(["text"], [["a"], ["b"], ["c"]])[0])) == 1
    assert "does not answer with a letter" in caplog.text


@pytest.mark.parametrize(
    "reply",
    [
        refuse(f"Incorrect API key provided: {KEY}", 401),
        refuse(f"Bearer {KEY} is no key", 400),
        Reply(500, f"trace: Authorization: Bearer {KEY}".encode()),
        Reply(200, f"not json {KEY}".encode()),
    ],
)
def test_the_key_is_sent_and_never_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture, reply: Reply) -> None:
    with caplog.at_level(logging.DEBUG), serving(in_turn(reply), tmp_path) as (engine, server):
        with pytest.raises((ModelError, ItemError)) as raised:
            engine.write([HELLO], Manner())
        shown = [str(raised.value), repr(raised.value), repr(engine), repr(engine._client), repr(engine._settings)]
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    error: BaseException | None = raised.value
    while error:
        shown += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    assert not any(KEY in text for text in shown) and KEY not in caplog.text


def test_a_key_that_fits_into_no_header_is_not_shown_either() -> None:
    for key in ("sk-geheim\u00fc", "sk-a\nb", "sk a"):
        with pytest.raises(ModelError, match="LABELLOOP_REMOTE_KEY") as raised:
            Client("http://localhost:1", key, 1.0, 0, 1)
        assert key not in str(raised.value)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from labelloop.engines.remote import connect

    settings = Settings(data_dir=tmp_path, remote_url="http://localhost:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    client = connect(settings)
    assert client._http.headers["Authorization"] == "Bearer sk-other"
    client.close()
    client = connect(settings.model_copy(update={"remote_key": Settings(remote_key=KEY).remote_key}))
    assert client._http.headers["Authorization"] == f"Bearer {KEY}"
    client.close()


def test_the_day_s_budget_is_never_overdrawn(tmp_path: Path) -> None:
    with serving(lambda *_: chat("Hello", usage=100), tmp_path, remote_tokens_per_day=450) as (engine, server):
        done = 0
        with pytest.raises(ModelError, match=r"00:00 UTC; LABELLOOP_REMOTE_TOKENS_PER_DAY"):
            for number in range(9):
                engine.write([Ask((("user", f"Number {number}."),))], Manner())
                done += 1
        assert done == len(server.asked) == 4
        with pytest.raises(ModelError, match="budget"):
            engine.write([Ask((("user", f"Number {number}."),)) for number in range(20, 40)], Manner())
        assert len(server.asked) == 4


def test_failures_are_not_counted(tmp_path: Path) -> None:
    with serving(in_turn(FAULTS["broken"]), tmp_path, remote_retries=0) as (engine, _), pytest.raises(ModelError):
        engine.write([HELLO], Manner())
    assert Budget(tmp_path, 0).spent() == 0


def test_the_budget_renews_at_midnight(tmp_path: Path) -> None:
    day = date(2026, 3, 31)
    budget = Budget(tmp_path, 100, lambda: day)
    budget.set_aside(90)
    with pytest.raises(ModelError, match="2026-04-01 00:00 UTC"):
        budget.set_aside(11)
    budget.settle(90, 60)
    assert budget.spent() == 60
    tomorrow = Budget(tmp_path, 100, lambda: date(2026, 4, 1))
    assert tomorrow.spent() == 0
    tomorrow.set_aside(100)
    assert tomorrow.spent() == 100


def test_a_broken_count_begins_anew_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_text("{")
    budget = Budget(tmp_path, 100)
    budget.set_aside(10)
    assert budget.spent() == 10 and "counted from 0 again" in caplog.text


def _spend(folder: Path, times: int) -> None:
    budget = Budget(folder, 0)
    for _ in range(times):
        budget.set_aside(5)
        budget.settle(5, 3)


def test_processes_count_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_spend, args=(tmp_path, 100)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert Budget(tmp_path, 0).spent() == 600

"""Nothing that Label Studio or a stranger sends breaks the server, and a bad task never costs a good one its answer."""

import pytest

from support.hostile import CASES, Case, send
from support.web import Web

STORED = [case for case in CASES if case.route in ("/setup", "/webhook")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_request_gets_a_clear_answer(case: Case, web: Web) -> None:
    answer_clearly(case, web)


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("case", STORED, ids=lambda case: case.name)
def test_another_database_answers_the_same(case: Case, web: Web) -> None:
    answer_clearly(case, web)


def answer_clearly(case: Case, web: Web) -> None:
    web.setup()
    answer = send(web, case)
    assert answer.status_code == case.status, answer.text[:500]
    assert "Traceback" not in answer.text
    if case.status >= 400:
        assert answer.json["error"] and answer.json["request_id"]
        assert web.key not in answer.text
    if case.good is not None:
        results = answer.json["results"]
        assert len(results) == case.good + 1
        assert results[case.good]["result"][0]["value"] == {"choices": ["Delivery"]}
        assert all("result" in one or one["error"] for one in results)
    assert web.client.get("/health").status_code == 200
    assert not web.client.application.extensions["labelloop"].spool.waiting, "a bad event is no store that is down"


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60

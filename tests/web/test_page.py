"""The page of a connection: what a browser is shown, from what is stored, and nothing that a text brings along."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from labelloop.learning import refreshes
from labelloop.learning.observed import BLOCK, agreement_blocks
from labelloop.settings import Settings
from support.labelling import Labelling, choice
from support.web import Web, close, make_web

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}


def shown(web: Web) -> str:
    answer = web.client.get(f"/k/{web.key}/status", headers=BROWSER)
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    return re.sub(r"\s+", " ", answer.text)


def label(web: Web, studio: Labelling, count: int, kept: int) -> None:
    """So many annotations that answer a suggestion, of which the first ``kept`` leave it as it is."""
    before = len(studio.events)
    for number in range(count):
        origin = "prediction" if number < kept else "prediction-changed"
        task = studio.add_task(f"text {before} {number}")
        studio.annotate(task, "Art", parent_prediction=7, result=[choice("Art", origin=origin)])
    for action, body in studio.events[before:]:
        assert web.post("/webhook", {**body, "action": action, "project": {"id": 5}}).status_code == 201


def test_scripts_are_told_in_json_and_browsers_shown_a_page(web: Web) -> None:
    web.setup()
    for accept in ("*/*", "application/json", "", "application/json, text/html"):
        answer = web.client.get(f"/k/{web.key}/status", headers={"Accept": accept})
        assert answer.json["connection"] == 1 and answer.headers["Vary"] == "Accept", accept
    page = shown(web)
    assert "Nothing yet." in page and "Nothing has been trained yet" in page
    assert "<polyline" not in page and 'role="alert">No trainer is alive' in page and "No worker" not in page
    assert web.client.get("/k/unknown/status", headers=BROWSER).status_code == 401


def test_it_tells_what_people_said_and_how_agreement_goes(web: Web) -> None:
    version, studio = web.setup().json["model_version"], Labelling()
    label(web, studio, BLOCK, BLOCK // 2)
    assert "<polyline" not in shown(web), "one point is no curve"
    label(web, studio, BLOCK + 1, BLOCK)
    connection = web.store.connection_of_key(web.key)
    assert connection is not None
    assert agreement_blocks(web.store, connection.id) == [0.5, 1.0]
    page = shown(web)
    assert f"Version <b>{version}</b> serves since" in page
    assert f">{2 * BLOCK + 1}</span> annotations" in page
    assert f"{BLOCK // 2 + BLOCK} suggestion kept" in page and f"{BLOCK // 2 + 1} suggestion changed" in page
    (points,) = re.findall(r'points="([^"]+)"', page)
    first, second = (tuple(map(float, one.split(","))) for one in points.split())
    assert first[0] < second[0] and first[1] > second[1], "it rises"


def test_it_tells_what_was_learned_and_what_is_missing(tmp_path: Path) -> None:
    web = make_web(Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:9/0"))
    web.setup()
    connection = web.store.connection_of_key(web.key)
    assert connection is not None
    number = refreshes.begin(web.store, connection.id, "topic", "labels", 96, "digest")
    refreshes.end(web.store, number, "promoted", verdict={"words": "Promoted: accuracy 0.9 against 0.8."})
    refreshes.begin(web.store, connection.id, "topic", "labels", 120, "digest")
    page = shown(web)
    assert page.count('class="try"') == 1, "one that runs is told by its progress"
    assert "<b>topic: promoted</b>" in page and "96 labels, labels have grown" in page and "0.9 against 0.8" in page
    assert 'role="alert">Redis does not answer' in page
    close(web)


def test_what_a_project_brings_along_is_only_text(web: Web) -> None:
    evil: Any = "<script>alert(1)</script>"
    web.setup()
    connection = web.store.connection_of_key(web.key)
    assert connection is not None
    web.store.update_connection(connection.id, title=evil)
    number = refreshes.begin(web.store, connection.id, evil, "api", 1, "digest")
    refreshes.end(web.store, number, "failed", error=evil)
    page = shown(web)
    assert "<script" not in page and page.count("&lt;script&gt;") >= 3

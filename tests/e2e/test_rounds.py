"""Rounds of labelling in the real Label Studio under `labelloop up`, while `kill -9` ends web, worker and trainer, the
trainer in the middle of a training: no label is lost, no half adapter serves, one version stands everywhere."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labelloop.demo.label_studio import LabelStudioServer
from labelloop.learning import refreshes
from labelloop.scoring import push, refresh
from labelloop.words import Bundle
from support.rounds import Annotator, kill, only_read_back, problems, settle, training
from support.running import up_beside
from support.waiting import until
from support.working import exported, stored

MakeProject = Callable[..., Any]
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="kind" toName="text"><Choice value="Zog"/>'
    '<Choice value="Bim"/></Choices></View>'
)
ROOMS = [f"The hotel room on floor {floor} was warm and quiet, and the bed was soft." for floor in range(1, 31)]
DOGS = [f"Dog number {number} barks at the postman and chases cats in the garden." for number in range(1, 31)]
ROUND = 16


@pytest.mark.timeout(1800)  # of which most is waiting where others want the same cores
def test_whoever_is_killed_nothing_is_lost_and_one_version_stands(
    label_studio: LabelStudioServer, project: MakeProject, tmp_path: Path
) -> None:
    made = project(CONFIG, [{"data": {"text": text}} for text in (*ROOMS, *DOGS)])
    answers = dict.fromkeys(ROOMS, "Zog") | dict.fromkeys(DOGS, "Bim")
    with up_beside(label_studio, tmp_path, sync_s=5) as (running, up):
        connected = running.connect(made)
        running.preannotate(connected)
        annotator = Annotator(running, made, answers, "kind", random.Random(1))
        number = connected.connection.id

        def labels(count: int) -> None:
            for _ in range(count):
                annotator.turn()

        labels(6)
        kill(up, "worker")  # in the middle of making the next tasks fresh
        labels(ROUND - 6 + 4)
        kill(up, "web")
        labels(ROUND - 4)  # the first of them reach nobody
        until(lambda: stored(running.store, connected.connection) == exported(label_studio, made), 120)
        (backend,) = label_studio.request("GET", "/api/ml", params={"project": made.id}).json()
        label_studio.request("POST", f"/api/ml/{backend['id']}/train", json={})  # unless new labels have begun it
        until(lambda: any(one.share > 0 for one in refresh.progress(running.scoring.redis, number)), 600)
        assert training(running, connected)
        kill(up, "trainer")
        labels(ROUND)
        until(lambda: not refreshes.unfinished(running.store), 900)

        champion = running.store.champion(number)
        assert champion is not None
        (plan,) = champion.bundle.plans
        constants = {**plan.calibration["constants"], "slope": 0.9 * plan.calibration["constants"]["slope"]}
        other = plan.model_copy(update={"calibration": {"constants": constants}})
        running.store.serve(number, Bundle(plans=(other,)), {})
        push.start(number, running.settings, running.store, running.scoring)
        kill(up, "worker")  # with the tasks half done
        assert settle(running, made, connected, 240) == []
        assert problems(running, made, connected, annotator) == []

        tried = refreshes.listed(running.store, number)
        assert tried[-1].state == "stopped" and tried[-2].state in ("promoted", "refused", "undecided")
        assert len(annotator.turns) == 3 * ROUND == len(stored(running.store, connected.connection))
        assert only_read_back(running, made, connected), "web was dead for some"
        shown = [turn for turn in annotator.turns[-ROUND:] if turn.suggested]
        assert shown and sum(turn.suggested == turn.label for turn in shown) >= 0.9 * len(shown)

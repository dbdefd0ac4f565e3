"""*Start training* in the real Label Studio: the trainer trains, the gate decides, one version stands everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labelloop.learning import refreshes
from labelloop.learning.versions import put_back
from labelloop.words import Bundle
from support.running import Running
from support.waiting import until

MakeProject = Callable[..., Any]
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="kind" toName="text"><Choice value="Zog"/>'
    '<Choice value="Bim"/></Choices></View>'
)
ROOMS = [f"The hotel room on floor {floor} was warm and quiet, and the bed was soft." for floor in range(1, 18)]
DOGS = [f"Dog number {number} barks at the postman and chases cats in the garden." for number in range(1, 18)]


def test_start_training_trains_and_one_version_stands_everywhere(running: Running, project: MakeProject) -> None:
    made = project(CONFIG, [{"data": {"text": text}} for text in (*ROOMS, *DOGS)])
    connected = running.connect(made)
    running.preannotate(connected)
    for task in made.tasks():
        wanted = "Zog" if "room" in task["data"]["text"] else "Bim"
        running.submit(
            task["id"], [{"from_name": "kind", "to_name": "text", "type": "choices", "value": {"choices": [wanted]}}]
        )
    (backend,) = running.studio.request("GET", "/api/ml", params={"project": made.id}).json()
    running.studio.request("POST", f"/api/ml/{backend['id']}/train", json={})

    def attempts() -> list[refreshes.Refresh]:
        return refreshes.listed(running.store, connected.connection.id)

    until(lambda: any(one.state not in ("running", "stopped") for one in attempts()), 240)
    done = attempts()[0]
    assert done.state in ("promoted", "refused", "undecided"), done.error
    assert done.labels == 34 and done.verdict["words"]

    def stands(name: str) -> bool:
        (row,) = running.studio.request("GET", "/api/ml", params={"project": made.id}).json()
        shown = {one["model_version"] for task in made.tasks() for one in task["predictions"]}
        return row["title"] == name == made.details()["model_version"] and name in shown

    champion = running.store.champion(connected.connection.id)
    assert champion is not None and (champion.name != connected.version.name) == (done.state == "promoted")
    until(lambda: stands(champion.name), 60)

    (plan,) = champion.bundle.plans
    constants = {**plan.calibration["constants"], "slope": 0.9 * plan.calibration["constants"]["slope"]}
    changed = Bundle(plans=(plan.model_copy(update={"calibration": {"constants": constants}}),))
    other = running.store.serve(connected.connection.id, changed, {})
    running.preannotate(connected)
    assert stands(other.name)
    assert put_back(running.store, connected.connection, running.settings)[1].name == champion.name
    running.preannotate(connected)
    assert stands(champion.name)

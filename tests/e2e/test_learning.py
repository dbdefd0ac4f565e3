"""What a person submits is known at the next task, in the real Label Studio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.running import Running
from support.waiting import until

MakeProject = Callable[..., Any]
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="kind" toName="text"><Choice value="Zog"/>'
    '<Choice value="Bim"/></Choices></View>'
)
ROOMS = [f"The hotel room on floor {floor} was warm and quiet, and the bed was soft." for floor in range(1, 7)]
DOGS = [f"Dog number {number} barks at the postman and chases cats in the garden." for number in range(1, 7)]


def held(project: Any) -> dict[int, list[dict[str, Any]]]:
    return {task["id"]: task["predictions"] for task in project.tasks()}


def label(prediction: dict[str, Any]) -> str:
    return str(prediction["result"][0]["value"]["choices"][0])


def test_what_is_submitted_is_known_at_the_next_task_and_forgotten_when_it_is_deleted(
    running: Running, project: MakeProject
) -> None:
    made = project(CONFIG, [{"data": {"text": text}} for text in (*ROOMS, *DOGS)])
    connected = running.connect(made)
    assert running.preannotate(connected).done == 12
    before = {number: its[0] for number, its in held(made).items()}
    rooms, dogs = sorted(before)[:6], sorted(before)[6:]

    def submit(task: int, wanted: str) -> int:
        result = [{"from_name": "kind", "to_name": "text", "type": "choices", "value": {"choices": [wanted]}}]
        return int(running.submit(task, result)["id"])

    def shown(tasks: list[int], wanted: str) -> bool:
        its = held(made)
        return all(len(its[task]) == 1 and label(its[task][0]) == wanted for task in tasks)

    given = [
        submit(task, wanted)
        for pair in zip(rooms[:2], dogs[:2], strict=True)
        for task, wanted in zip(pair, ("Zog", "Bim"), strict=True)
    ]
    until(lambda: shown(rooms[2:], "Zog") and shown(dogs[2:], "Bim"), 30)
    after = {number: its[0] for number, its in held(made).items()}
    assert {number: one["id"] for number, one in after.items()} == {number: one["id"] for number, one in before.items()}
    assert {one["model_version"] for one in after.values()} == {connected.version.name}
    fresh = running.next_task(made)
    assert label(fresh["predictions"][0]) == ("Zog" if fresh["id"] in rooms else "Bim")
    for number in given:
        running.studio.request("DELETE", f"/api/annotations/{number}/")
    until(
        lambda: all(
            label(its[0]) == label(before[number])
            for number, its in held(made).items()
            if number in rooms[2:] + dogs[2:]
        ),
        30,
    )


def test_what_is_not_sure_enough_is_predicted_empty_and_comes_and_goes_with_labels(
    running: Running, project: MakeProject
) -> None:
    made = project(CONFIG, [{"data": {"text": text}} for text in (*ROOMS, *DOGS)])
    connected = running.connect(made, extra_params={"fields": {"kind": {"precision": 0.7}}})
    assert running.preannotate(connected).done == 12
    rooms, dogs = sorted(held(made))[:6], sorted(held(made))[6:]

    def empty() -> list[int]:
        return [number for number, its in sorted(held(made).items()) if not its[0]["result"]]

    before = empty()
    assert before == dogs, "of rooms the models are sure without labels"
    assert running.preannotate(connected).skipped == 12, "an empty prediction is one"
    asked = running.next_task(made)
    assert asked["id"] in dogs and asked["predictions"][0]["result"] == []
    given = [
        int(running.submit(task, [{"from_name": "kind", "to_name": "text", "type": "choices", "value": value}])["id"])
        for pair in zip(rooms[:2], dogs[:2], strict=True)
        for task, value in zip(pair, ({"choices": ["Zog"]}, {"choices": ["Bim"]}), strict=True)
    ]
    until(lambda: set(empty()) & set(dogs[3:]) == set(), 30)
    assert all(label(held(made)[number][0]) == "Bim" for number in dogs[3:])
    for number in given:
        running.studio.request("DELETE", f"/api/annotations/{number}/")
    until(lambda: set(dogs[2:]) <= set(empty()), 30)
    assert all(len(its) == 1 for its in held(made).values())

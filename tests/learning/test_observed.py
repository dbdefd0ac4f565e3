"""What an operator watches of the store: counted again only where labels have changed, and bounded."""

from __future__ import annotations

import pytest

from labelloop.learning import intake, observed
from labelloop.learning.observed import by_field, observe
from labelloop.learning.store import Store


def region(field: str, origin: str) -> dict[str, object]:
    return {"from_name": field, "to_name": "text", "type": "choices", "origin": origin, "value": {"choices": ["A"]}}


def label(store: Store, connection: int, number: int, origin: str) -> None:
    annotation = {
        **{"id": number, "task": number, "updated_at": f"2026-11-01T10:00:{number:02}Z", "parent_prediction": 7},
        "result": [region("topic", origin)],
    }
    intake.receive(store, connection, "ANNOTATION_CREATED", {"annotations": [annotation]})


def connect(store: Store, project: int) -> int:
    return store.create_connection("http://ls", project, 1, "A title", "token")[0].id


def test_each_control_is_judged_by_its_own_regions() -> None:
    answers = [
        ("accepted", [region("topic", "prediction"), region("tone", "prediction")]),
        ("edited", [region("topic", "prediction-changed"), region("tone", "prediction")]),
        ("edited", [region("topic", "prediction"), region("topic", "manual")]),
        ("rejected", [{"from_name": None}, {}, region("tone", "manual")]),
    ]
    assert by_field(answers) == {"topic": 1 / 3, "tone": 2 / 3}
    many = [("accepted", [region(f"field {number}", "prediction") for number in range(50)])]
    assert len(by_field(many)) == 20


def test_labels_are_counted_anew_only_where_they_have_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = connect(store, 1), connect(store, 2)
    label(store, one, 1, "prediction")
    label(store, other, 1, "prediction-changed")
    first = observe(store)
    assert first.said[one].how == {"accepted": 1} and first.said[one].agreement == 1.0
    assert first.said[other].how == {"edited": 1} and first.said[other].by_field == {"topic": 0.0}
    label(store, one, 2, "manual")
    counted: list[int] = []
    count = observed._said
    monkeypatch.setattr(
        observed, "_said", lambda session, number, epoch: counted.append(number) or count(session, number, epoch)
    )
    second = observe(store, first)
    assert counted == [one] and second.said[other] is first.said[other]
    assert second.said[one].how == {"accepted": 1, "rejected": 1} and second.said[one].agreement == 0.5
    assert second.connections == 2 and second.pending == 0


def test_of_very_many_connections_those_with_the_most_changes_are_told_apart(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "MOST", 2)
    numbers = [connect(store, project) for project in range(1, 5)]
    store.new_key()  # no project is bound to it, so it is none
    label(store, numbers[0], 1, "prediction")
    found = observe(store)
    assert found.connections == 4 and set(found.said) == {numbers[0], numbers[3]}

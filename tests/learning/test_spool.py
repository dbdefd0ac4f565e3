"""Events that wait on disk: none is lost, none is delivered twice, and a refused one is kept aside."""

from pathlib import Path
from typing import Any

import pytest

from labelloop.errors import KeyRefusedError, StoreDownError
from labelloop.learning.spool import Spool
from support.waiting import until


class Receiver:
    def __init__(self, down_after: int = 1000) -> None:
        self.events: list[tuple[str | None, int]] = []
        self.down_after = down_after
        self.asked = 0

    def __call__(self, key: str | None, event: dict[str, Any]) -> None:
        self.asked += 1
        if len(self.events) >= self.down_after:
            raise StoreDownError("down")
        if key == "wrong":
            raise KeyRefusedError("unknown")
        self.events.append((key, event["number"]))


def test_events_are_replayed_in_order_once_and_survive_a_new_process(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    assert not spool.waiting
    for number in range(5):
        spool.save("key", {"number": number})
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "spool").iterdir())
    again = Spool(tmp_path / "spool")
    assert again.waiting
    receiver = Receiver()
    assert again.replay(receiver) == 5
    assert receiver.events == [("key", number) for number in range(5)]
    assert again.replay(receiver) == 0
    assert not Spool(tmp_path / "spool").waiting


def test_a_store_that_goes_down_again_loses_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(4):
        spool.save(None, {"number": number})
    receiver = Receiver(down_after=2)
    assert spool.replay(receiver) == 2
    assert spool.waiting
    receiver.down_after = 1000
    assert spool.replay(receiver) == 2
    assert [number for _, number in receiver.events] == [0, 1, 2, 3]


def test_a_refused_event_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.save("wrong", {"number": 0})
    spool.save("key", {"number": 1})
    receiver = Receiver()
    assert spool.replay(receiver) == 1
    assert len(list(tmp_path.glob("*.refused"))) == 1


def test_a_file_that_is_no_event_is_set_aside_and_holds_up_nothing(tmp_path: Path) -> None:
    for number, content in enumerate(("", "[]", '{"key": 1}', "null", "\x00")):
        (tmp_path / f"0000{number}.json").write_text(content)
    spool = Spool(tmp_path)
    spool.save("key", {"number": 1})
    receiver = Receiver()
    assert spool.replay(receiver) == 1
    assert (spool.count(), receiver.events) == ((0, 5), [("key", 1)])


def test_a_store_that_comes_back_is_given_what_waits_without_another_event(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.save("key", {"number": 0})
    receiver = Receiver(down_after=0)
    spool.replay_aside(receiver)
    spool.replay_aside(receiver)
    until(lambda: receiver.asked)
    receiver.down_after = 1000
    until(lambda: not spool.waiting)
    assert receiver.events == [("key", 0)]
    spool.save("key", {"number": 1})
    spool.replay_aside(receiver)
    until(lambda: len(receiver.events) == 2)


def test_a_disk_that_refuses_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreDownError, match="disk"):
        Spool(blocked / "spool").save("key", {"number": 1})

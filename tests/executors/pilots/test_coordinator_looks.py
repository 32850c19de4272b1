"""How a coordinator looks after its pilots: seldom where they are many; what has ended elsewhere is not run again."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from memento.clock import SYSTEM_CLOCK
from memento.executors.pilots import pilot_messages
from memento.executors.pilots.charter import Charter, told_to, write_charter
from memento.executors.pilots.executor import PilotExecutor
from memento.executors.pilots.handle import PilotHandle
from memento.executors.pilots.pilot import Pilot
from memento.executors.pilots.pilot_messages import Cancel, Serve
from memento.executors.pilots.streams import Reader
from memento.testing.driving import Drive


class Quiet(PilotExecutor):
    """Has pilots of which nothing is heard; counts looks."""

    name = "quiet"
    looks = 0

    def ask(self, count: int) -> Collection[str]:
        return []

    def gone(self) -> Mapping[str, str]:
        self.looks += 1  # each look asks that
        return {}

    def end(self, names: Collection[str]) -> None:
        pass

    def wanted(self) -> int:
        return 0


def handle(folder: Path, name: str) -> PilotHandle:
    charter = Charter(run=str(folder), width=1)
    return PilotHandle(charter, name, write_charter(charter, name), SYSTEM_CLOCK)


@pytest.mark.slow
def test_a_runner_that_polls_often_has_hundreds_of_pilots_looked_at_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Quiet(300)
    Drive(executor, tmp_path).start(lambda context, config: 0)
    executor.pilots = {f"p{number}": handle(tmp_path, f"p{number}") for number in range(300)}
    monkeypatch.setattr(executor, "_woken_within", lambda seconds: bool(seconds < 0))
    for _ in range(20):
        executor.poll(0.0)
    assert executor.looks == 1
    executor.close()


def test_a_pilot_that_is_taken_over_gives_back_what_waits_there(tmp_path: Path) -> None:
    former = handle(tmp_path, "p0001")
    assert former.serve("next run")
    told = [pilot_messages.told(data) for data in Reader(told_to(former.folder, 1, 2)).read()]
    assert told == [Cancel(None, running=False), Serve("next run", 1)]


class Clock:
    """Time that tests turn."""

    time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def test_what_is_awaited_is_said_once_where_nothing_begins_for_long(tmp_path: Path) -> None:
    clock = Clock()
    drive = Drive(Quiet(1, clock=clock), tmp_path)
    drive.start(lambda context, config: 0)
    clock.time += 3600.0
    drive.take(drive.executor.poll(0.0))
    assert not drive.facts, "there was nothing to begin"
    drive.executor.submit([drive.task(0)])
    for _ in range(4):
        drive.take(drive.executor.poll(0.0))
        assert not drive.facts
        clock.time += 6.0
    for _ in range(3):
        drive.take(drive.executor.poll(0.0))
        clock.time += 60.0
    assert drive.facts == ["nothing has begun yet: no pilot is there"]
    drive.executor.close()


def take_path_away(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()  # so that nothing in it can be opened


def test_a_coordinator_whose_path_is_away_takes_no_pilot_for_silent(tmp_path: Path) -> None:
    clock, charter = Clock(), Charter(run=str(tmp_path), width=1)
    pilot = PilotHandle(charter, "p1", write_charter(charter, "p1"), clock)
    take_path_away(pilot.folder)
    for _ in range(10):
        clock.time += 20.0
        pilot.hear(clock.time)
    assert pilot.silent == 0.0


def test_a_pilot_whose_path_is_away_does_not_take_its_coordinator_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    write_charter(Charter(run=str(tmp_path), width=1), "p1")
    pilot = Pilot(str(tmp_path), "p1", clock=clock)
    gone: list[float] = []
    monkeypatch.setattr(pilot, "_take_leave_of_coordinator", lambda: gone.append(clock.time))
    take_path_away(pilot.folder)
    for _ in range(10):
        clock.time += 20.0
        pilot._listen()
    assert not gone
    pilot.folder.unlink()
    for _ in range(10):  # it is there again, and nobody writes
        clock.time += 20.0
        pilot._listen()
    assert gone

"""What becomes of a pilot that leaves, is started again, or is taken over while it speaks."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memento.clock import SYSTEM_CLOCK
from memento.executors.base import Message
from memento.executors.pilots import charter as charters
from memento.executors.pilots import pilot_messages, takeover
from memento.executors.pilots.charter import Charter, told_to, write_charter
from memento.executors.pilots.pilot_messages import Beat, Do, Ended, Here, Serve
from memento.executors.pilots.streams import Reader, Writer
from memento.records import DONE, Outcome
from memento.testing.driving import Drive
from memento.worker.batch_runner import Batch
from memento.worker.handover import Left
from memento.worker.work import Task
from tests.executors.pilots.local_engine import Local

DEAD = "20260101-000000-1-0001"


class Unstarted(Local):
    """Pilots are asked for, and this test speaks for them; places end when it says so."""

    settle = 0.0

    def __init__(self, num_workers: int | None = None) -> None:
        super().__init__(num_workers)
        self.over: dict[str, str] = {}
        self.watched: list[str] = []  # what it has adopted

    def gone(self) -> dict[str, str]:
        return self.over

    def ask(self, count: int) -> list[str]:
        return [self.new_pilot() for _ in range(count)]

    def can_adopt(self, place: str) -> bool:
        return True

    def adopt(self, name: str, place: str) -> None:
        self.watched.append(name)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Drive]:
    driver = Drive(Unstarted(1), tmp_path)
    yield driver
    driver.executor.close()


def speak(writer: Writer, *messages: Any) -> None:
    writer.append(pilot_messages.pack_all(messages))


def tell(driver: Drive) -> list[Message]:
    """Have the coordinator look once, whenever it would."""
    executor = driver.executor
    assert isinstance(executor, Unstarted)
    executor._next_look = 0.0
    return executor.poll(0.0)


def here(run: str) -> Here:
    return Here("host", 1, 1, None, "1", run)


def left(task: Task) -> Left:
    outcome = Outcome(task.number, DONE, 1, 0.0, 0.0, None, None, None, "", None, (), (), None, None)
    return Left(DEAD, "e", task.key, b"", outcome)


def given(stream: Path) -> list[int]:
    """Return which tasks were given."""
    return [task.number for data in Reader(stream).read() for task in pilot_messages.tasks_given(data)[1]]


@pytest.fixture
def dead_pilot(tmp_path: Path) -> tuple[Path, Writer, Task]:
    """A pilot whose coordinator is dead, with a task in hand."""
    folder = write_charter(Charter(str(tmp_path / "work" / DEAD), 1), "p0001")
    task = Task(7, (7).to_bytes(16, "big"), 0, (), 0, 1, 0.0)
    Writer(folder / "to-1-1").append(pilot_messages.pack(Do(Batch(1, f"/{DEAD}", "", {}, {}, (task,)))))
    writer = Writer(folder / "from-1")
    speak(writer, here(DEAD), Beat((), None))
    return folder, writer, task


def test_what_a_pilot_ends_while_it_is_taken_over_is_heard(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, writer, task = dead_pilot
    looked, is_said = charters.last_coordinator, list[bool]()

    def slowly(folder: Path, instance: int) -> int:
        if len(is_said) == 1:  # it is known by now what the pilot has said, and not yet what it was given
            speak(writer, Ended(left(task)))
        is_said.append(True)
        return looked(folder, instance)

    monkeypatch.setattr(charters, "last_coordinator", slowly)
    driver.start(lambda context, config: 0, former=[DEAD])
    driver.executor.submit([task._replace(number=0)])
    assert [told.number for told in tell(driver) if isinstance(told, Outcome)] == [0]


def test_a_pilot_is_taken_over_again_and_serves_who_has_it_last(
    tmp_path: Path, driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    folder, writer, task = dead_pilot
    second = "20260101-000000-2-0001"
    [(handle, _, _)] = takeover.former_pilots(str(tmp_path), [DEAD], SYSTEM_CLOCK)
    assert handle is not None
    assert handle.serve(f"/store/work/{second}")
    [(_, _, is_free)] = takeover.former_pilots(str(tmp_path), [DEAD], SYSTEM_CLOCK)
    assert not is_free, "its coordinator lives"
    driver.start(lambda context, config: 0, former=[DEAD, second])
    waits, new = task._replace(number=0), driver.task(1)
    driver.executor.submit([waits, new])
    speak(writer, Ended(left(task)), here(second))  # it came to that before it heard of a third
    assert [told.number for told in tell(driver) if isinstance(told, Outcome)] == [0]
    assert given(told_to(folder, 1, 3)) == [], "it would be run as a task of the second"
    work = next(
        message.folder
        for data in Reader(told_to(folder, 1, 3)).read()
        if isinstance(message := pilot_messages.told(data), Serve)
    )
    speak(writer, here(Path(work).name))
    tell(driver)
    assert given(told_to(folder, 1, 3)) == [1]


def test_a_pilot_that_was_taken_over_and_is_started_again_is_not_used(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    folder, _, _ = dead_pilot
    driver.start(lambda context, config: 0, former=[DEAD])
    executor = driver.executor
    assert isinstance(executor, Unstarted)
    (name,) = executor.pilots
    speak(Writer(folder / "from-2"), here(DEAD))  # it works for the dead run
    executor.pilots[name]._looked = -1e9
    tell(driver)
    assert name not in executor.pilots


def test_pilots_that_are_taken_over_count_as_those_that_were_asked_for(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    driver.start(lambda context, config: 0, former=[DEAD])
    assert isinstance(driver.executor, Unstarted)
    assert list(driver.executor.pilots) == [f"{DEAD}/p0001"]


def test_a_pilot_that_says_that_it_leaves_is_given_nothing_more(driver: Drive) -> None:
    driver.start(lambda context, config: 0)
    executor = driver.executor
    assert isinstance(executor, Unstarted)
    (pilot,) = executor.pilots.values()
    speak(Writer(pilot.folder / "from-1"), here(pilot.folder.parents[1].name), Beat((), 1.0, leaving=True))
    executor.submit([driver.task(0)])
    tell(driver)
    assert given(pilot.folder / "to-1-1") == []


@pytest.mark.parametrize(
    "crafted",
    [
        Ended(5),  # type: ignore[arg-type]
        Ended(Left(DEAD, "e", b"key", b"", 5)),  # type: ignore[arg-type]
        Ended(left(Task([], b"k", 0, (), 0, 1, 0.0))),  # type: ignore[arg-type]
        Beat(5, None),  # type: ignore[arg-type]
        pilot_messages.Told(5),  # type: ignore[arg-type]
    ],
)
def test_what_only_looks_like_a_message_is_none(crafted: Any) -> None:
    sound = Beat((), None)
    assert pilot_messages.heard(pilot_messages.pack_all([crafted, sound])) == [sound]
    assert pilot_messages.heard(pickle.dumps(crafted)) == []


@pytest.mark.parametrize(
    "crafted",
    [5, Batch(1, "", "", {}, {}, 5), Batch(1, 5, "", {}, {}, ()), Batch(1, "", "", {}, {}, (5,))],  # type: ignore[arg-type]
)
def test_what_only_looks_like_tasks_is_none(crafted: Any) -> None:
    assert pilot_messages.tasks_given(pilot_messages.pack(Do(crafted)))[1] == ()


@pytest.mark.parametrize("text", ["[]", "{}", '{"run": 5, "width": 1, "python": []}', '{"python": 5}', "5"])
def test_a_charter_that_a_stranger_wrote_keeps_nobody_from_running(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task], text: str
) -> None:
    folder, _, _ = dead_pilot
    (folder / "charter.json").write_text(text)
    driver.start(lambda context, config: 0, former=[DEAD])


def test_a_task_that_is_cancelled_at_a_pilot_that_was_taken_over_is_told_as_stopped_itself(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    _, _, task = dead_pilot
    driver.start(lambda context, config: 0, former=[DEAD], grace=0.0)
    executor = driver.executor
    assert isinstance(executor, Unstarted)
    other = executor.pilots[executor.new_pilot()]
    speak(Writer(other.folder / "from-1"), here(other.folder.parents[1].name))
    tell(driver)
    # For the dead run the task had the number that here is another's.
    executor.submit([task._replace(number=0), driver.task(task.number)])
    executor.beat = 0.0
    executor.cancel([0], running=True)
    told = [outcome for outcome in tell(driver) if isinstance(outcome, Outcome)]
    assert [outcome.number for outcome in told] == [0]
    assert list(other.tasks) == [task.number]

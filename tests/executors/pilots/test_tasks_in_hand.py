"""What pilots of a dead run may be at is read from what they were given and what they said."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from memento.executors.base import Lost
from memento.executors.pilots import pilot_messages
from memento.executors.pilots.account import tasks_in_hand
from memento.executors.pilots.pilot_messages import Beat, Do, Ended, Leaving, Told
from memento.executors.pilots.streams import Writer
from memento.records import DONE, Outcome
from memento.runner.given_fences import GivenFences
from memento.worker.batch_runner import Batch
from memento.worker.handover import Left
from memento.worker.work import Task

RUN = "20260101-000000-1-0001"


def task(number: int, shift: int = 0) -> Task:
    return Task(number, bytes([number + shift]) * 16, 0, (), 0, 1, 0.0)


def give(folder: Path, stream: str, *tasks: Task, run: str = RUN) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    writer = Writer(folder / stream)
    for one in tasks:
        writer.append(pilot_messages.pack(Do(Batch(1, f"work/{run}", "", {}, {0: b"x"}, (one,)))))


def ended(one: Task) -> Ended:
    outcome = Outcome(one.number, DONE, 1, 0.0, 0.0, None, None, None, "", None, (), (), None, None)
    return Ended(Left(RUN, "e", one.key, b"", outcome))


def say(folder: Path, stream: str, *messages: Any) -> None:
    Writer(folder / stream).append(pilot_messages.pack_all(messages))


@pytest.fixture
def pilots(tmp_path: Path) -> Path:
    return tmp_path / "work" / RUN / "pilots"


def test_what_a_pilot_was_given_and_has_not_ended_or_given_back_it_may_be_at(
    tmp_path: Path, pilots: Path
) -> None:
    give(pilots / "p1", "to-1-1", *map(task, range(4)))
    say(pilots / "p1", "from-1", Beat((), None), ended(task(0)), Told(Lost(1, 1, cancelled=True)))
    give(pilots / "p2", "to-1-1", task(7))
    say(pilots / "p2", "from-1", ended(task(7)), Leaving("no task for long"))
    assert tasks_in_hand(str(tmp_path), RUN) == {task(2).key, task(3).key}
    fences = GivenFences(str(tmp_path))
    fences.look([RUN])
    assert [each.fence for each in fences.put_on([task(n) for n in range(4)])] == [0, 0, 1, 1]


def test_one_that_said_that_it_leaves_is_at_nothing_and_an_older_instance_may_be(
    tmp_path: Path, pilots: Path
) -> None:
    give(pilots / "p1", "to-1-1", task(1))
    say(pilots / "p1", "from-1", Beat((), None))
    give(pilots / "p1", "to-2-1", task(2))
    say(pilots / "p1", "from-2", Leaving("its time is over"))
    assert tasks_in_hand(str(tmp_path), RUN) == {task(1).key}


def test_what_who_took_it_over_gave_counts_too(tmp_path: Path, pilots: Path) -> None:
    give(pilots / "p1", "to-1-1", task(1), task(2))
    give(pilots / "p1", "to-1-2", task(1, shift=10), task(3, shift=10), run="another")
    say(pilots / "p1", "from-1", ended(task(1)), ended(task(3, shift=10)))
    assert tasks_in_hand(str(tmp_path), RUN) == {task(2).key, task(1, shift=10).key}


@pytest.mark.parametrize(
    "first", [ended(task(1)), Told(Lost(1, 1, cancelled=True))], ids=["it failed", "it was given back"]
)
def test_a_task_that_is_given_a_second_time_a_pilot_may_be_at(
    tmp_path: Path, pilots: Path, first: Any
) -> None:
    give(pilots / "p1", "to-1-1", task(1), task(1)._replace(attempt=2))
    say(pilots / "p1", "from-1", first)
    assert tasks_in_hand(str(tmp_path), RUN) == {task(1).key}


def test_where_there_were_no_pilots_nobody_knows(tmp_path: Path) -> None:
    assert tasks_in_hand(str(tmp_path), RUN) is None


def test_reading_what_a_stranger_left_runs_nothing(tmp_path: Path, pilots: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "evil"),)

    give(pilots / "p1", "to-1-1", task(1))
    batch = Batch(1, "", "", {}, {}, (Evil(),))  # type: ignore[arg-type]  # a stranger's
    (pilots / "p2").mkdir()
    Writer(pilots / "p2" / "to-1-1").append(
        pilot_messages.pack(Do(batch)), pickle.dumps(Evil()), b"no pickle"
    )
    for name in ("p1", "p2"):
        say(pilots / name, "from-1", Beat((), None))
    assert tasks_in_hand(str(tmp_path), RUN) == {task(1).key}
    assert not (tmp_path / "evil").exists()

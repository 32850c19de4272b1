"""Whatever is asked of the workers meanwhile, each task is run once, or given back."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from memento import system
from memento.clock import SYSTEM_CLOCK
from memento.executors.processes import Processes
from memento.executors.processes.scheduler import Scheduler
from memento.executors.processes.worker_handle import WorkerHandle
from memento.records import DONE, STOPPED, Outcome
from memento.testing.driving import Drive
from memento.worker.work import Task, Work


def note(context: Any, config: Any) -> int:
    """Say that it was run; some take longer."""
    file = os.open(config.settings["ran"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, b"%d\n" % config.x)
    os.close(file)
    if config.x % 50 == 7:
        time.sleep(0.02)
    return os.getpid()


def outcome(number: int, runtime: float) -> Outcome:
    return Outcome(number, DONE, 1, 0.0, runtime, None, None, None, "", None, (), (), None, None)


def workers_of(drive: Drive) -> int:
    assert isinstance(drive.executor, Processes)
    return len(drive.executor._handles)


def test_one_short_task_does_not_make_all_others_short_ones() -> None:
    scheduler = Scheduler(cast(Work, None), 2, {}, [], SYSTEM_CLOCK)
    assert scheduler.want() == 4  # as long as nothing is known, each worker gets one and has one waiting
    scheduler.learn([outcome(0, 0.001)])
    assert scheduler.want() == 4  # or short ones would wait behind long ones
    scheduler.learn([outcome(number, 0.001) for number in range(1, 10)])
    assert scheduler.want() > 500


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_task_is_lost_or_run_twice_while_workers_come_and_go(drive: Drive, seed: int) -> None:
    chance, ran = random.Random(seed), drive.store / "ran"
    drive.start(note, settings={"ran": str(ran)}, num_workers=2)
    waiting = [drive.task(i, i) for i in range(1_500)]
    while len(drive.outcomes) < 1_500:
        want = drive.executor.want()
        if want and waiting:
            drive.executor.submit(waiting[:want])
            del waiting[:want]
        drive.executor.resize(chance.randint(1, 5))
        for _ in range(chance.randint(1, 4)):
            drive.take(drive.executor.poll(0.005))
    assert sorted(map(int, ran.read_text().split())) == list(range(1_500))
    assert {outcome.status for outcome in drive.outcomes.values()} == {DONE}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_what_is_cancelled_is_run_or_given_back_and_all_else_is_run(drive: Drive, seed: int) -> None:
    chance, ran = random.Random(seed), drive.store / "ran"
    drive.start(note, settings={"ran": str(ran)}, num_workers=2)
    # It is known that they are short, so that they travel in large batches.
    drive.run([drive.task(i, i) for i in range(1_000, 1_200)])
    drive.executor.submit([drive.task(i, i) for i in range(1_000)])
    asked: set[int] = set()
    for _ in range(10):
        some = chance.sample(range(1_000), 30)
        asked.update(some)
        drive.executor.cancel(some, running=False)
        drive.take(drive.executor.poll(0.002))
    drive.until(lambda: len(drive.outcomes) + len(drive.lost) == 1_200)
    assert set(drive.lost) <= asked
    assert len(drive.lost) > 20
    assert not asked.intersection(drive.outcomes).intersection(drive.lost)
    assert sorted(map(int, ran.read_text().split())) == sorted(drive.outcomes)
    again = drive.lost[:20]
    drive.executor.submit([drive.task(i, i, attempt=2) for i in again])
    drive.until(lambda: set(again) <= set(drive.outcomes))  # that they were cancelled is forgotten


def test_a_task_that_is_stopped_ends_alone_and_its_mates_in_the_batch_run(
    drive: Drive, tmp_path: Path
) -> None:
    def wait(context: Any, config: Any) -> str:
        (tmp_path / f"began {config.x}").touch()
        while config.x == 300:
            time.sleep(0.01)
        return "ran"

    drive.start(wait, grace=0.2, num_workers=1)
    drive.run([drive.task(i, i) for i in range(300)])
    drive.executor.submit([drive.task(i, i) for i in range(300, 350)])
    while not (tmp_path / "began 300").exists():
        drive.take(drive.executor.poll(0.01))
    drive.executor.cancel([300, 301, 349], running=True)
    drive.until(lambda: len(drive.outcomes) + len(drive.lost) == 350)
    failure = drive.outcomes[300].failure
    assert failure is not None
    assert failure.kind == STOPPED
    assert sorted(drive.lost) == [301, 349]
    assert all(drive.value(i) == "ran" for i in range(302, 349))


@pytest.mark.slow
def test_workers_beyond_the_new_number_end_with_what_they_run(drive: Drive, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def wait(context: Any, config: Any) -> int:
        (tmp_path / f"began {config.x}").touch()
        while not gate.exists():
            time.sleep(0.01)
        return os.getpid()

    drive.start(wait, num_workers=4)
    drive.executor.submit([drive.task(i, i) for i in range(4)])
    drive.until(lambda: len(list(tmp_path.glob("began *"))) == 4)
    drive.executor.resize(1)
    gate.touch()
    drive.until(lambda: len(drive.outcomes) == 4)
    assert {outcome.status for outcome in drive.outcomes.values()} == {DONE}
    drive.until(lambda: workers_of(drive) == 1)
    drive.executor.submit([drive.task(i, i) for i in range(4, 12)])
    drive.until(lambda: len(drive.outcomes) == 12)
    assert len({drive.value(i) for i in range(4, 12)}) == 1
    drive.executor.resize(3)
    gate.unlink()
    drive.executor.submit([drive.task(i, i) for i in range(12, 15)])
    drive.until(lambda: len(list(tmp_path.glob("began 1[234]"))) == 3)
    gate.touch()
    drive.until(lambda: len(drive.outcomes) == 15)


def test_no_more_workers_than_there_are_gpus_for(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    drive.start(lambda context, config: context.resources.gpus, gpus_per_task=1, num_workers=1)
    drive.executor.resize(5)
    drive.run([drive.task(i, i) for i in range(10)])
    assert any("2 workers, not 5" in text for text in drive.notes)
    assert {drive.value(i) for i in range(10)} <= {("4",), ("7",)}


class InHand:
    """A worker that has this in hand, and takes whatever it gets."""

    def __init__(self, *tasks: Task) -> None:
        self.in_flight = {i: (task, 1.0) for i, task in enumerate(tasks)}
        self.has_limits = any(task.memory_limit for task in tasks)
        self.leaving, self.decided, self.revoked, self.write = False, None, None, 1
        self.load, self.sent = 10.0 * len(tasks), 0
        self.given: list[Task] = []

    def memory_promised(self, work: Work) -> int:
        limit = work.memory_limit or 0
        return max((task.memory_limit or limit for task, _ in self.in_flight.values()), default=0)

    def queue_batch(self, work: Work, tasks: list[Task], costs: list[float]) -> None:
        self.given += tasks
        self.in_flight |= {len(self.in_flight) + i: (task, 1.0) for i, task in enumerate(tasks)}
        self.load += 10.0


@pytest.mark.parametrize(
    ("own", "beside", "is_begun"),
    [
        (16, [8, 8], True),
        (16, [8, 16], False),
        (16, [16], True),
        (None, [16, 16], False),
        (24, [], True),
        (40, [], True),
    ],
)
def test_what_tasks_may_use_is_there_once_one_has_a_limit_of_its_own(
    own: int | None, beside: list[int], is_begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "memory_left", lambda pid: (32, 32))
    work = cast(Work, SimpleNamespace(memory_limit=8, max_tasks_per_worker=None))
    task = Task(0, b"", 0, (), 0, 1, 0.0)
    others = [InHand(task._replace(memory_limit=limit if limit != 8 else None)) for limit in beside]
    idle = InHand()
    handles = {i: cast(WorkerHandle, one) for i, one in enumerate([*others, idle])}
    scheduler = Scheduler(work, len(handles), handles, [], SYSTEM_CLOCK)
    scheduler.add([task._replace(memory_limit=16)])  # from then on it is asked for
    scheduler.queue.clear()
    scheduler.add([task._replace(memory_limit=own), task])
    list(scheduler.fill())
    assert [one.memory_limit for one in idle.given][:1] == ([own] if is_begun else [])

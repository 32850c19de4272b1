"""Limits count the time in which a task could run, and a process that was suspended blames nobody."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memento import system
from memento.executors import Task, Work
from memento.executors.processes import Processes
from memento.executors.processes.control import Control
from memento.executors.processes.exit_reason import ExitReason
from memento.executors.processes.monitor import Monitor, Scarcity
from memento.executors.processes.slots import Slots, make_file
from memento.executors.processes.worker import Place
from memento.executors.processes.worker_handle import WorkerHandle
from memento.keys.project_files import Script
from memento.records import DIED, DONE, MEMORY, STOPPED, TIMEOUT
from memento.testing.driving import Drive
from memento.worker.portable import Portable


class Table:
    """One worker that runs its first task since second 100."""

    def __init__(self, pid: int, **limits: Any) -> None:
        file = make_file("test", Slots.size(2))
        self.slots = Slots(file, 2)
        os.close(file)
        self.slots.clear(0)
        self.slots.clear(1)
        self.handle = WorkerHandle(Place(0, 2, "", ""), self.slots, -1, -1, pid)
        self.handle.in_flight[0] = (Task(0, b"", 0, (), 0, 1, 0.0), 1.0)
        work = Work(
            "run",
            "e",
            Portable(len, "len"),
            Portable({}, ""),
            [],
            [],
            "",
            Script("", "", (), ""),
            [],
            "",
            1,
            **limits,
        )
        self.handles = {0: self.handle}
        self.monitor = Monitor(work, self.handles, os.getpid())
        self.slots.doubles[self.slots.base(0)] = 100.0
        self.slots.ints[self.slots.base(0) + 1] = 0

    def first_exceeded(self, start: float, end: float, step: float = 0.25) -> tuple[float, str] | None:
        """Look again and again; return when something was exceeded, and what."""
        now = start
        while now < end:
            for _, sentence, _ in self.monitor.exceeded(now):
                return now, sentence.kind
            now += step
        return None


@pytest.fixture
def child() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.kill()
    process.wait()


def wait_until_stopped(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def test_a_task_that_runs_is_over_its_time_when_that_has_passed(child: int) -> None:
    assert Table(child, timeout=5.0).first_exceeded(100.0, 200.0) == (105.0, TIMEOUT)


def test_the_time_in_which_a_task_waits_for_another_is_not_its_own(child: int) -> None:
    table = Table(child, timeout=5.0)
    table.slots.wait(0, 3.0)
    table.slots.wait(0, 4.0)
    assert table.first_exceeded(100.0, 200.0) == (112.0, TIMEOUT)
    table = Table(child, timeout=5.0)
    table.slots.wait(0, 3.0)
    table.slots.ints[table.slots.base(0) + 1] = 1  # the next task
    table.handle.in_flight[1] = table.handle.in_flight.pop(0)
    assert table.first_exceeded(100.0, 200.0) == (105.0, TIMEOUT)


def test_the_time_in_which_a_worker_is_suspended_is_not_its_tasks(child: int) -> None:
    table = Table(child, timeout=5.0)
    assert table.first_exceeded(100.0, 102.0) is None
    wait_until_stopped(child)
    assert system.is_stopped(child)
    assert table.first_exceeded(102.0, 150.0) is None
    os.kill(child, signal.SIGCONT)
    os.waitid(os.P_PID, child, os.WCONTINUED)
    told = table.first_exceeded(150.0, 200.0)
    assert told is not None
    assert 152.5 <= told[0] <= 153.5


@pytest.mark.slow
@pytest.mark.parametrize(("timeout", "end"), [(5.0, 700.0), (100.0, 1_100.0)])
def test_a_worker_that_is_suspended_alone_for_very_long_has_stopped_itself(
    child: int, timeout: float, end: float
) -> None:
    table = Table(child, timeout=timeout)
    table.handles[1] = WorkerHandle(
        Place(1, 2, "", ""), table.slots, -1, -1, os.getpid()
    )  # one that is not suspended
    wait_until_stopped(child)
    told = table.first_exceeded(100.0, 2_000.0, 0.9)
    assert told is not None
    assert end <= told[0] <= end + 2.0
    (_, sentence, grace), *_ = table.monitor.exceeded(told[0])
    assert (sentence.kind, sentence.suspended, grace) == (TIMEOUT, True, 0.0)


@pytest.mark.slow
def test_workers_that_are_suspended_together_may_be_so_for_any_time(child: int) -> None:
    table = Table(child, timeout=5.0)
    wait_until_stopped(child)
    assert table.first_exceeded(100.0, 1_500.0, 0.9) is None


def test_the_time_in_which_nobody_looked_is_not_the_tasks(child: int) -> None:
    table = Table(child, timeout=5.0)
    assert table.first_exceeded(100.0, 102.0) is None
    told = table.first_exceeded(3_702.0, 3_800.0)  # an hour later: a laptop's lid, a batch system's suspend
    assert told is not None
    assert 3_703.5 <= told[0] <= 3_705.0


def test_the_grace_of_a_run_that_stops_is_not_spent_while_nobody_looks(child: int) -> None:
    table = Table(child, grace=5.0)
    assert table.first_exceeded(100.0, 101.0) is None
    table.monitor.stop(101.0)
    told = table.first_exceeded(3_700.0, 3_800.0)
    assert told is not None
    assert told[1] == STOPPED
    assert 3_703.0 <= told[0] <= 3_706.0


def test_the_next_look_is_never_later_than_the_limit(child: int) -> None:
    table = Table(child, timeout=0.1)
    assert table.first_exceeded(100.0, 100.05, 0.01) is None
    assert table.monitor.next_look(100.05) <= 100.1


@pytest.mark.parametrize(
    ("left", "used", "ended"),
    [(100 << 20, 8 << 30, True), (600 << 20, 8 << 30, False), (100 << 20, 1 << 30, False)],
)
def test_where_memory_runs_out_the_largest_task_is_ended_if_it_is_why(
    child: int, monkeypatch: pytest.MonkeyPatch, left: int, used: int, ended: bool
) -> None:
    monkeypatch.setattr(system, "memory_left", lambda pid: (left, 16 << 30))
    monkeypatch.setattr(system, "tree_own_memory", lambda pid: used)
    found = list(Table(child).monitor.exceeded(101.0))
    assert [(sentence.kind, sentence.scarce, sentence.memory) for _, sentence, _ in found] == (
        [(MEMORY, True, used)] if ended else []
    )


def test_a_look_back_at_what_the_kernel_killed_is_a_short_one() -> None:
    counts = [7]
    scarcity = Scarcity(1, lambda pid: counts[-1])
    for now in (1.0, 2.0, 3.0):
        scarcity.look(now)
    assert not scarcity.struck()
    counts.append(8)
    scarcity.look(4.0)  # it may be noted before the end is told
    assert scarcity.struck()
    for now in (5.0, 6.0):
        scarcity.look(now)
    assert not scarcity.struck()


def test_where_nobody_counts_nothing_is_proven() -> None:
    scarcity = Scarcity(1, lambda pid: None)
    scarcity.look(1.0)
    assert not scarcity.struck()


@pytest.mark.parametrize("rate", [1e8, 1e9, 4e9])
def test_a_task_that_fills_memory_fast_is_ended_soon_after_its_limit(
    rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(os.getpid(), memory_limit=10**9)
    now = 100.0
    monkeypatch.setattr(system, "memory_left", lambda pid: (10**11, 10**11))
    monkeypatch.setattr(system, "tree_memory", lambda pid: int((now - 100.0) * rate))
    monkeypatch.setattr(system, "tree_own_memory", lambda pid: int((now - 100.0) * rate))
    looks = 0
    while not (found := list(table.monitor.exceeded(now))):
        looks += 1
        now = max(table.monitor.next_look(now), now + 0.001)
    ((_, sentence, _),) = found
    assert sentence.memory is not None
    assert sentence.memory < 1e9 + 0.02 * rate
    assert looks < 1e9 / rate * 100 + 20


# -- with workers


@pytest.mark.slow
def test_a_task_that_crashes_is_recorded_with_its_peak_memory(drive: Drive) -> None:
    def crash(context: Any, config: Any) -> None:
        held = bytearray(b"x" * 300_000_000) if config.x else b""
        os.kill(os.getpid(), signal.SIGSEGV)
        del held

    drive.start(crash, num_workers=1)
    outcomes = drive.run([drive.task(0, True), drive.task(1, False)])
    peaks = [outcomes[number].memory or 0 for number in range(2)]
    assert peaks[0] > 300_000_000
    assert 1_000_000 < peaks[1] < 200_000_000


@pytest.mark.parametrize("begins_the_next", [False, True])
def test_who_comes_after_a_task_that_ends_just_before_it_is_ended_is_not_hit(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins_the_next: bool
) -> None:
    began, over = tmp_path / "began", tmp_path / "over"

    def work(context: Any, config: Any) -> int:
        if config.x == 300:
            began.write_text(str(os.getpid()))
            while not over.exists():
                time.sleep(0.01)
        elif config.x > 300 and began.read_text() == str(os.getpid()):
            (tmp_path / "hit").touch()
            time.sleep(600)
        return os.getpid()

    executor, kill = drive.executor, Control.kill
    assert isinstance(executor, Processes)

    def exceeded(self: Monitor, now: float) -> Iterator[tuple[WorkerHandle, ExitReason, float]]:
        if began.exists() and not over.exists():
            (handle,) = executor._handles.values()
            yield handle, ExitReason(TIMEOUT, handle.running()), 60.0

    def kill_late(self: Control, pid: int, number: int) -> None:
        (handle,) = executor._handles.values()
        assert handle.decided is not None
        over.touch()
        until(lambda: handle.position() > handle.decided.position, "it never went on")  # type: ignore[union-attr]
        kill(self, pid, number)

    monkeypatch.setattr(Monitor, "exceeded", exceeded)
    monkeypatch.setattr(Control, "kill", kill_late)
    if begins_the_next:  # the worker was quicker than what tells it
        monkeypatch.setattr(WorkerHandle, "revoke", lambda self, first, now: None)
    drive.start(work, num_workers=1)
    drive.run([drive.task(i, i) for i in range(300)])
    drive.executor.submit([drive.task(i, i) for i in range(300, 350)])
    drive.until(lambda: len(drive.outcomes) == 350)
    assert {outcome.status for outcome in drive.outcomes.values()} == {DONE}
    assert drive.value(300) != drive.value(349), "its worker was ended"
    assert (tmp_path / "hit").exists() == begins_the_next


def test_a_kill_by_hand_is_not_taken_for_want_of_memory(drive: Drive) -> None:
    drive.start(lambda context, config: os.kill(os.getpid(), signal.SIGKILL))
    failure = drive.run([drive.task(0)])[0].failure
    assert failure is not None
    assert (failure.kind, failure.type) == (DIED, "SIGKILL")


GREEDY = """
import sys, time
from pathlib import Path
from memento.executors.processes import Processes
from memento.testing.driving import Drive

def eat(context, config):
    held = []
    while config.x:
        held.append(bytearray(b"x" * 10_000_000))
    return 1

sys.stdin.readline()  # until this process is in its cgroup
store = Path("store").absolute()
(store / "payloads").mkdir(parents=True)
drive = Drive(Processes(), store)
drive.start(eat)
outcomes = drive.run([drive.task(i, i == 1) for i in range(4)])
drive.executor.close()
failure = outcomes[1].failure
print(failure.kind, failure.type, sorted(o.status for o in outcomes.values()))
print(failure.message)
"""


@pytest.fixture
def small_group() -> Iterator[Path]:
    """Make a cgroup of 200 MB, of either version, where that is allowed."""
    for root, limit in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        group = Path("/sys/fs/cgroup") / root / f"memento-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        if not (group / limit).exists():
            group.rmdir()
            continue
        (group / limit).write_text("200000000")
        with contextlib.suppress(OSError):
            (group / "memory.swap.max").write_text("0")
        yield group
        end = time.monotonic() + 300
        while True:
            try:
                group.rmdir()
                return
            except OSError:
                assert time.monotonic() < end, "something still lives in the cgroup"
                time.sleep(0.05)
    pytest.skip("this user may make no memory cgroup")


@pytest.mark.slow
@pytest.mark.real
def test_a_kill_by_the_kernel_for_want_of_memory_is_told_as_that(tmp_path: Path, small_group: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", GREEDY], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        (small_group / "cgroup.procs").write_text(str(process.pid))
        told, _ = process.communicate("go\n", timeout=300)
    finally:
        process.kill()
        process.wait()
    first, second = told.splitlines()
    assert first == f"{MEMORY} OutOfMemory ['done', 'done', 'done', 'failed']"
    assert "out of memory" in second  # or nearly so, where we were quicker than the kernel


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


@pytest.mark.slow
def test_a_suspended_worker_neither_dies_nor_runs_out_of_time(drive: Drive, tmp_path: Path) -> None:
    def work(context: Any, config: Any) -> int:
        if config.x == 0:
            (tmp_path / "pid").write_text(str(os.getpid()))
            for _ in range(50):
                time.sleep(0.01)
        return os.getpid()

    def suspend() -> None:
        until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()), "it never began")
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        time.sleep(7)
        os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=suspend)
    thread.start()
    drive.start(work, timeout=5.0)
    outcomes = drive.run([drive.task(i, i) for i in range(20)])
    thread.join()
    assert {outcome.status for outcome in outcomes.values()} == {DONE}
    assert all(outcome.runtime >= 0 for outcome in outcomes.values())
    assert drive.value(0) == int((tmp_path / "pid").read_text())


SLEEPY = """
import os, time
from pathlib import Path
from memento.executors.processes import Processes
from memento.testing.driving import Drive

def work(context, config):
    Path(f"began-{config.x}").touch()
    for _ in range(100):
        time.sleep(0.01)
    return os.getpid()

store = Path("store").absolute()
(store / "payloads").mkdir(parents=True)
drive = Drive(Processes(), store)
drive.start(work, timeout=5.0)
outcomes = drive.run([drive.task(i, i) for i in range(4)])
drive.executor.close()
print(sorted(o.status for o in outcomes.values()), min(o.runtime for o in outcomes.values()) >= 0)
print(len({o.worker for o in outcomes.values()}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("who", ["coordinator", "all"])
def test_a_suspended_coordinator_or_machine_goes_on_where_it_was(tmp_path: Path, who: str) -> None:
    import psutil

    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPY], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        until(lambda: (tmp_path / "store" / "began-0").exists(), "it never began")
        parts = [psutil.Process(process.pid)]
        if who == "all":
            parts += parts[0].children(recursive=True)
        for part in parts:
            part.suspend()
        time.sleep(7)
        for part in parts:
            part.resume()
        told, _ = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert told.splitlines() == ["['done', 'done', 'done', 'done'] True", "2"]

"""Limits count the time in which a task could run, and a process that was suspended blames nobody."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memento import system
from memento.executors import Task, Work
from memento.executors.processes.monitor import Monitor, Scarcity
from memento.executors.processes.slots import Slots, make_file
from memento.executors.processes.worker import Place
from memento.executors.processes.worker_handle import WorkerHandle
from memento.keys import Script
from memento.records import MEMORY, STOPPED, TIMEOUT
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


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (8_000_000_000, 16_000_000_000)),
        ({"memory.max": "max", "memory.current": "5000"}, (8_000_000_000, 16_000_000_000)),
        (
            {
                "memory.max": "900",
                "memory.current": "800",
                "memory.stat": "inactive_file 30\nactive_file 20\nanon 7",
            },
            (150, 900),
        ),
    ],
)
def test_what_memory_is_left_is_the_groups_or_the_machines(
    tmp_path: Path, files: dict[str, str], expected: tuple[int, int]
) -> None:
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(
        "MemTotal:       15625000 kB\nMemFree: 1 kB\nMemAvailable:    7812500 kB\nSwapFree:  0 kB\n"
    )
    (tmp_path / "proc" / "7" / "cgroup").write_text("0::/a/b\n")
    (tmp_path / "groups" / "a" / "b").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "groups" / "a" / "b" / name).write_text(text + "\n")
    assert system.memory_left(7, str(tmp_path / "proc"), str(tmp_path / "groups")) == expected


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


@pytest.mark.skipif(not system.LINUX, reason="cgroups are of Linux")
@pytest.mark.parametrize(
    ("line", "file", "text", "count"),
    [
        (
            "4:memory:/job",
            "memory/job/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
            3,
        ),
        ("4:cpu,memory:/elsewhere", "memory/memory.oom_control", "oom_kill 4\n", 4),  # a container's own root
        ("0::/job", "job/memory.events", "low 0\noom 2\noom_kill 5\noom_group_kill 0\n", 5),
        ("0::/", "memory.events", "oom_kill 6\n", 6),
        ("1:cpu:/", "memory.events", "oom_kill 6\n", 9),  # no memory cgroup: the machine's count
    ],
)
def test_the_kernels_count_is_found_wherever_it_is_kept(
    tmp_path: Path, line: str, file: str, text: str, count: int
) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "77").mkdir(parents=True)
    (proc / "77" / "cgroup").write_text(line + "\n")
    (proc / "vmstat").write_text("pgfault 12\noom_kill 9\n")
    (groups / file).parent.mkdir(parents=True)
    (groups / file).write_text(text)
    assert system.oom_kills(77, str(proc), str(groups)) == count


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

"""Faults around worker processes: floods of output, want of memory, suspended parts."""

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
from memento.executors.processes import output
from memento.records import DIED, DONE, MEMORY
from memento.testing.driving import Drive


def log_of(drive: Drive, number: int) -> bytes:
    log = drive.outcomes[number].log
    if log is None:
        return b""
    return (drive.store / "logs" / log.file).read_bytes()[log.start : log.end]


# -- output


def flood(context: Any, config: Any) -> None:
    if config.x is not None:
        print("the very first line", flush=True)
        line = ("ä" * 49 + "\n").encode() * 10_000
        for _ in range(config.x // len(line)):
            os.write(1, line)
        print("the very last line", flush=True)
        if config.settings.get("die"):
            os._exit(9)
    else:
        print("a neighbour")


@pytest.mark.parametrize("die", [False, True])
def test_a_flood_of_output_is_kept_at_its_head_and_tail(drive: Drive, die: bool) -> None:
    drive.start(flood, settings={"die": die}, num_workers=1)
    drive.run([drive.task(0, None), drive.task(1, 40_000_000), drive.task(2, None)])
    log = log_of(drive, 1)
    assert len(log) < output.LIMIT + 10_000
    assert log.startswith(b"the very first line\n")
    assert log.endswith(b"the very last line\n")
    head, said, _ = log.partition(b" bytes left out ...]\n")
    assert said
    assert 20_000_000 < int(head.rpartition(b"[... ")[2].replace(b",", b"")) < 40_000_000
    log.decode()  # no character was cut in two
    assert log_of(drive, 0) == log_of(drive, 2) == b"a neighbour\n"
    if die:
        failure = drive.outcomes[1].failure
        assert failure is not None
        assert "the very last line" in failure.output


@pytest.mark.skipif(not system.LINUX, reason="other systems wait for the task's end")
def test_while_a_flood_goes_on_it_takes_little_of_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a neighbour's\n" + b"x" * (100 << 20))
    size = path.stat().st_size
    output.thin(str(path), 14, size)
    assert path.stat().st_size == size
    if path.stat().st_blocks * 512 > 50 << 20:
        pytest.skip("this file system frees no parts of files")
    assert path.read_bytes()[: 14 + 1] == b"a neighbour's\nx"
    assert output.shorten_path(str(path), 14, size) == path.stat().st_size < 14 + output.LIMIT + 100
    kept = path.read_bytes()[14:]
    assert set(kept.replace(b"\n", b"")) <= set(b"x[... ,0123456789bytes left out]"), "a hole was kept"


@pytest.mark.slow
def test_a_gigabyte_of_output_harms_nobody(drive: Drive) -> None:
    drive.start(flood)
    drive.run([drive.task(0, 1_000_000_000), *(drive.task(i, None) for i in range(1, 20))])
    assert {outcome.status for outcome in drive.outcomes.values()} == {DONE}
    assert len(log_of(drive, 0)) < output.LIMIT + 10_000
    assert sum(path.stat().st_size for path in (drive.store / "logs").rglob("*.log")) < 40_000_000


def test_output_of_any_bytes_is_kept_and_can_be_shown(drive: Drive) -> None:
    garbage = bytes(range(256)) * 10 + "ä".encode()[:1]

    def spit(context: Any, config: Any) -> None:
        os.write(1, config.x)
        raise ValueError

    drive.start(spit, num_workers=1)
    outcomes = drive.run([drive.task(0, garbage), drive.task(1, garbage)])
    assert log_of(drive, 0) == log_of(drive, 1) == garbage
    failure = outcomes[1].failure
    assert failure is not None
    failure.output.encode()


# -- memory


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
        end = time.monotonic() + 10
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
        told, _ = process.communicate("go\n", timeout=100)
    finally:
        process.kill()
        process.wait()
    first, second = told.splitlines()
    assert first == f"{MEMORY} OutOfMemory ['done', 'done', 'done', 'failed']"
    assert "out of memory" in second  # or nearly so, where we were quicker than the kernel


# -- suspended parts


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
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
        time.sleep(5)
        os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=suspend)
    thread.start()
    drive.start(work, timeout=2.5)
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
drive.start(work, timeout=2.5)
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
        time.sleep(5)
        for part in parts:
            part.resume()
        told, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert told.splitlines() == ["['done', 'done', 'done', 'done'] True", "2"]

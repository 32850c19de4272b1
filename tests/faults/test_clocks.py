"""Clocks that jump and processes that are suspended: no false death, no negative runtime, no early timeout."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from memento.store.store import Store
from tests.faults.victims import Victim, until

pytestmark = pytest.mark.slow

# What Python imports first, in every process of the victim: the machine's clock of the day, as a file moves it.
MOVED = """
import os, time
real = time.time
def moved():
    with open(os.environ["OFFSET"]) as file:
        return real() + float(file.read() or 0)
time.time = moved
"""

# The same for libfaketime, which moves the clock of C too, SQLite's and the file system's: with it the call that
# Python's sleep makes fails when the clock goes back, so tasks wait in another one.
OTHER_SLEEP = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
HOUR = 3_600


def check_calm(victim: Victim) -> None:
    """Every task ran once, and took a time that it can have taken."""
    assert victim.done().keys() == set(range(victim.tasks))
    assert all(count == 1 for count in victim.starts().values()), victim.starts()
    with Store.open(victim.store) as store:
        for record in store.index.recent():
            assert 0 <= record.runtime < 60
        assert {run.status for run in store.index.runs()} == {"done"}


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_jumps_of_the_clock_disturb_no_run_and_no_neighbour(executor: str, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(MOVED, encoding="utf-8")
    offset = tmp_path / "offset"
    offset.write_text("0")
    victim = Victim(
        tmp_path,
        tasks=60,
        executor=executor,
        SLOW="0.05",
        TIMEOUT="20",
        OFFSET=str(offset),
        PYTHONPATH=str(tmp_path / "site"),
    )
    jump_about(victim, offset, "{}")


@pytest.mark.real
def test_jumps_of_the_systems_clock_disturb_nobody_either(tmp_path: Path) -> None:
    library = next(Path("/usr/lib").rglob("libfaketime.so.1"), None)
    if library is None:
        pytest.skip("libfaketime is not here: apt install faketime")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(OTHER_SLEEP, encoding="utf-8")
    offset = tmp_path / "offset"
    offset.write_text("+0")
    victim = Victim(
        tmp_path,
        tasks=60,
        executor="processes",
        SLOW="0.05",
        TIMEOUT="20",
        LD_PRELOAD=str(library),
        FAKETIME_TIMESTAMP_FILE=str(offset),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        PYTHONPATH=str(tmp_path / "site"),
    )
    jump_about(victim, offset, "{:+}")


def jump_about(victim: Victim, offset: Path, form: str) -> None:
    """Move the clock of two runs of a grid; both complete, and every task runs once."""
    victim.allow(9)
    runs = [victim.start(), victim.start()]
    for number, jump in enumerate((2 * HOUR, -72 * HOUR, 1_000 * HOUR, 0), 1):
        assert until(partial(more_than, victim, 9 * number))  # which waits: no more end before the jump
        offset.with_suffix(".new").write_text(form.format(jump))
        offset.with_suffix(".new").replace(offset)
        victim.allow(9 * (number + 1) if jump else victim.tasks)
    ended = [victim.wait(run) for run in runs]
    assert all(one.complete for one in ended), ended
    check_calm(victim)
    with Store.open(victim.store) as store:
        started = [record.started for record in store.index.recent()]
    assert max(started) - min(started) > 1_000 * HOUR  # the clock did jump


def more_than(victim: Victim, count: int) -> bool:
    return len(victim.lines("start")) > count


def tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def suspend(processes: list[psutil.Process], seconds: float) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("part", ["coordinator", "server", "workers", "all"])
def test_a_suspended_part_of_the_tree_goes_on_where_it_was(part: str, tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=30, executor="processes", SLOW="0.1")
    victim.allow(5)
    run = victim.start()
    assert until(lambda: len(victim.lines("start")) >= 6)
    everyone = tree(run.pid)
    chosen = {
        "coordinator": everyone[:1],
        "server": psutil.Process(run.pid).children(),
        "workers": [p for server in psutil.Process(run.pid).children() for p in server.children()],
        "all": everyone,
    }[part]
    assert chosen
    other = victim.start()  # it must wait for the suspended one, not take its tasks
    suspend(chosen, 3.0)
    victim.allow(victim.tasks)
    assert victim.wait(run).complete
    assert victim.wait(other).complete
    check_calm(victim)


@pytest.mark.parametrize(
    ("executor", "part"),
    [("processes", "coordinator"), ("processes", "all"), ("serial", "all"), ("threads", "all")],
)
def test_the_time_of_a_suspension_is_not_counted_against_a_task(
    executor: str, part: str, tmp_path: Path
) -> None:
    victim = Victim(tmp_path, tasks=12, executor=executor, SLOW="0.5", TIMEOUT="4")
    run = victim.start()
    assert until(lambda: len(victim.lines("start")) >= 3)
    suspend(tree(run.pid)[:1] if part == "coordinator" else tree(run.pid), 6.0)
    ended = victim.wait(run)
    assert ended.complete, ended.output
    check_calm(victim)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not here")
def test_a_machine_that_was_booted_long_ago_counts_as_any_other(tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=10, executor="processes")
    probe = os.system("unshare -T --monotonic 1000000 --boottime 1000000 --fork true 2>/dev/null")
    if probe:
        pytest.skip("this user may not have clocks of its own (unshare -T)")
    ended = victim.run("unshare", "-T", "--monotonic", "1000000", "--boottime", "1000000", "--fork")
    assert ended.complete, ended.output
    check_calm(victim)

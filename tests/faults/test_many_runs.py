"""Several coordinators and readers over one store: every task once, all complete, nobody sees a lock."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memento.store.store import Store
from tests.faults.victims import Victim, until

READER = """
import sys, time
import memento
from memento.errors import MementoError
from memento.store.store import Store
reads = 0
while not sys.stdin.closed and time.monotonic() < float(sys.argv[2]):
    try:
        frame = memento.load(sys.argv[1]).to_frame()
        with Store.open(sys.argv[1], create=False, readonly=True) as store:
            store.index.runs(), store.index.experiments(), store.index.recent(limit=10)
        reads += len(frame) > 0
    except ValueError as error:
        assert "without results" in str(error), error
    if sys.argv[3] and __import__("os").path.exists(sys.argv[3]):
        break
print("read", reads)
"""


def check_together(victim: Victim, runs: list[subprocess.Popen[str]], killed: int = 0) -> None:
    """All runs that live end complete, and what nobody killed ran once."""
    ended = [victim.wait(run) for run in runs]
    for number, one in enumerate(ended):
        if number >= killed:
            assert one.complete, one.output
    for one in ended:
        assert "locked" not in one.output
        assert "StoreUnwritable" not in one.output
    starts = victim.starts()
    assert set(starts) == set(range(victim.tasks))
    again = {n: count for n, count in starts.items() if count > 1}
    assert len(again) <= killed * 12, f"ran more than once: {again}"
    assert all(count <= 1 + killed for count in again.values())
    assert len(victim.done()) == victim.tasks
    with Store.open(victim.store) as store:
        shares = [run.counts.get("done", 0) for run in store.index.runs() if run.status == "done"]
    assert sum(shares) <= victim.tasks


@pytest.mark.slow
@pytest.mark.parametrize("coordinators", [2, 8])
def test_runs_that_share_a_store_do_every_task_once_and_all_complete(
    coordinators: int, tmp_path: Path
) -> None:
    victim = Victim(tmp_path, tasks=60, executor="serial" if coordinators > 2 else "processes", SLOW="0.03")
    check_together(victim, [victim.start() for _ in range(coordinators)])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2))
def test_eight_runs_with_workers_complete_though_one_is_killed(seed: int, tmp_path: Path) -> None:
    print(f"seed {seed}")
    draw = random.Random(seed)
    victim = Victim(tmp_path, tasks=400, executor="processes", SLOW="0.1")
    victim.allow(100)
    runs = [victim.start() for _ in range(8)]
    assert until(lambda: (victim.store / "index.sqlite").exists() and victim.lines("told"))
    with Store.open(victim.store) as store:
        assert until(lambda: len({run.id for run in store.index.runs() if run.status == "running"}) == 8)
    victim.allow(victim.tasks)
    with_tasks = len(victim.lines("start")) + draw.randint(5, 40)
    assert until(lambda: len(victim.lines("start")) >= with_tasks)
    os.kill(runs[0].pid, signal.SIGKILL)
    check_together(victim, runs, killed=1)
    assert victim.all_gone()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_the_tasks_of_a_killed_run_are_done_by_the_others(seed: int, tmp_path: Path) -> None:
    print(f"seed {seed}")
    draw = random.Random(seed)
    victim = Victim(tmp_path, tasks=80, executor="processes", SLOW="0.05")
    runs = [victim.start() for _ in range(3)]
    with_tasks = draw.randint(5, 30)
    assert until(lambda: len(victim.lines("start")) >= with_tasks)
    os.kill(runs[0].pid, signal.SIGKILL)
    check_together(victim, runs, killed=1)
    assert victim.all_gone()


@pytest.mark.slow
def test_readers_and_a_run_do_not_disturb_each_other(tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=100, executor="processes", SLOW="0.03")
    run = victim.start()
    assert until(lambda: (victim.store / "index.sqlite").exists() and victim.lines("told"))
    over = tmp_path / "over"
    import time

    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(victim.store), str(time.monotonic() + 300), str(over)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    ended = victim.wait(run)
    over.touch()
    said = [reader.communicate(timeout=300)[0] for reader in readers]
    assert ended.complete, ended.output
    for text in said:
        assert text.startswith("read "), text
        assert int(text.split()[1]) > 0
    assert all(count == 1 for count in victim.starts().values())

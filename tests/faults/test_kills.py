"""SIGKILL at each point that the code names, and at random: nothing told as done is lost, nothing done runs again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from memento import faultpoints
from tests.faults.victims import Victim, check_books, chosen, until

FAST = ("claim.made", "commit.inside", "commit.done")
POINTS = [
    pytest.param(name, marks=[] if name in FAST else pytest.mark.slow)
    for name in faultpoints.POINTS
    if not name.startswith(("rebuild", "gc", "merge"))
]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_run_killed_at_any_point_is_completed_by_the_next(point: str, tmp_path: Path) -> None:
    victim = Victim(tmp_path)
    assert victim.run(MEMENTO_FAULTS=f"{point}:1").code == -signal.SIGKILL
    check_books(victim, in_flight=victim.tasks)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["claim.made", "batch.submitted", "commit.inside", "commit.done"])
@pytest.mark.parametrize("passes", [2, 5])
def test_workers_and_claims_of_a_killed_run_are_gone_at_once(point: str, passes: int, tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=40, executor="processes", SLOW="0.05")
    ended = victim.run(MEMENTO_FAULTS=f"{point}:{passes}")
    assert ended.code == -signal.SIGKILL, ended.output
    assert victim.all_gone(), victim.left()
    check_books(victim, in_flight=victim.tasks)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_kills_at_random_times_lose_nothing(seed: int, tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=40, executor="processes", SLOW="0.03")
    process = victim.start()
    assert until(lambda: victim.journal.exists() or process.poll() is not None)
    until(lambda: process.poll() is not None, chosen(seed, 0.0, 0.7))
    os.kill(process.pid, signal.SIGKILL)
    victim.wait(process)
    assert victim.all_gone(), victim.left()
    check_books(victim, in_flight=12)


@pytest.mark.slow
def test_a_checkpoint_is_taken_up_where_the_kill_came(tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=1)
    assert victim.run(MEMENTO_FAULTS="checkpoint.written:3").code == -signal.SIGKILL
    steps = [step for _, step in victim.lines("step")]
    assert steps == [0, 1, 2]
    check_books(victim, in_flight=1)
    assert [step for _, step in victim.lines("step")] == [3]


@pytest.mark.slow
def test_a_value_that_was_cut_off_is_gone_when_the_next_run_begins(tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=2)
    assert victim.run(MEMENTO_FAULTS="payload.written:1").code == -signal.SIGKILL
    writing = victim.store / "payloads" / ".writing"
    assert len(list(writing.iterdir())) == 1
    check_books(victim, in_flight=2)
    assert not any(writing.iterdir())


def test_points_cost_nothing_when_they_are_off() -> None:
    assert faultpoints.at is faultpoints._nothing


def test_a_point_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no such point; there are run\.begun"):
        faultpoints.arm("commit.befor")

"""Pilots keep the promises of an executor, whatever engine starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memento.executors.base import Executor
from memento.executors.pilots.account import pilots_of, what_ended
from memento.testing import ExecutorContract
from memento.testing.executor_ends import OUTLIVED
from memento.worker.handover import runs_with_outcomes
from tests.executors.pilots.local_engine import Local


class Grid:
    """A script whose tasks say that they have begun, and end when the gate is there; begun several times."""

    def __init__(self, folder: Path, program: str, tasks: int) -> None:
        self.folder, self.begun, self.gate = folder, folder / "begun", folder / "gate"
        (folder / "exp.py").write_text(OUTLIVED.format(program=program))
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self.environment = {**os.environ, "PYTHONPATH": paths, "TASKS": f"range({tasks})"}

    def begin(self) -> subprocess.Popen[str]:
        line = [sys.executable, str(self.folder / "exp.py")]
        return subprocess.Popen(
            line, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )

    def wait_for(self, count: int, *programs: subprocess.Popen[str]) -> None:
        """Wait until so many tasks have begun."""
        while len(self.begun.read_text().split() if self.begun.exists() else ()) < count:
            assert all(program.poll() is None for program in programs)
            time.sleep(0.02)


@pytest.mark.slow
class TestLocalPilots(ExecutorContract):
    program = "from tests.executors.pilots.local_engine import Local\nexecutor = Local()"

    @pytest.fixture
    def executor(self) -> Executor:
        return Local()

    def take_place_away(self, executor: Executor) -> None:
        assert isinstance(executor, Local)
        while not (busy := [pilot for pilot in list(executor.pilots.values()) if pilot.tasks]):
            time.sleep(0.01)
        os.kill(executor.processes[busy[0].name].pid, signal.SIGKILL)

    def outcomes_left(self, store: Path) -> int:
        return left_by_pilots(store)

    def test_a_coordinator_that_is_started_again_goes_on_with_the_pilots_that_live(
        self, tmp_path: Path
    ) -> None:
        grid = Grid(tmp_path, self.program, 6)
        with grid.begin() as first:
            grid.wait_for(2, first)
            first.kill()
        again = grid.begin()
        served = tmp_path / "memento-store" / "work"
        while again.poll() is None and not list(served.glob("*/pilots/*/taken-1-2")):
            time.sleep(0.02)
        grid.gate.touch()
        told, _ = again.communicate(timeout=300)
        assert told.split() == ["[0,", "1,", "2,", "3,", "4,", "5]"]
        assert sorted(grid.begun.read_text().split()) == ["0", "1", "2", "3", "4", "5"], (
            "a task was run twice"
        )
        grid.environment["TASKS"] = (
            "range(7)"  # a run that has something to do clears what dead ones have left
        )
        with grid.begin() as last:
            last.communicate(timeout=300)
        assert last.returncode == 0
        assert not list(served.glob("*/pilots"))

    def test_two_coordinators_that_are_started_at_once_run_nothing_twice(self, tmp_path: Path) -> None:
        grid = Grid(tmp_path, self.program, 8)
        with grid.begin() as first:
            grid.wait_for(2, first)
            first.kill()
        with grid.begin() as one, grid.begin() as other:
            grid.wait_for(4, one, other)  # both have more to do than what the pilots of the first are at
            grid.gate.touch()
            for program in (one, other):
                told, _ = program.communicate(timeout=300)
                assert told.split() == ["[0,", "1,", "2,", "3,", "4,", "5,", "6,", "7]"]
        assert sorted(grid.begun.read_text().split()) == list("01234567"), "a task was run twice"

    def test_a_run_beside_one_that_dies_takes_its_pilots_over(self, tmp_path: Path) -> None:
        grid = Grid(tmp_path, self.program, 6)
        with grid.begin() as first:
            grid.wait_for(2, first)
            with grid.begin() as beside:
                grid.wait_for(4, beside)
                first.kill()
                pilots = tmp_path / "memento-store" / "work"
                while len(list(pilots.glob("*/pilots/*/taken-1-2"))) < 2:
                    assert beside.poll() is None
                    time.sleep(0.02)
                grid.gate.touch()
                told, _ = beside.communicate(timeout=300)
        assert told.split() == ["[0,", "1,", "2,", "3,", "4,", "5]"]
        assert sorted(grid.begun.read_text().split()) == list("012345"), "a task was run twice"


def left_by_pilots(store: Path) -> int:
    """Count the tasks that pilots have ended."""
    runs = runs_with_outcomes(str(store))
    return sum(len(what_ended(folder)[0]) for run in runs for folder in pilots_of(str(store), run))

"""Slurm keeps the promises of an executor, on a real Slurm of two nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento.executors import Executor, Slurm
from memento.executors.pilots.account import pilots_of, what_ended
from memento.layout import WORK
from memento.testing import ExecutorContract
from tests.engines.slurm import Cluster, quick, slurm, slurm_cluster

__all__ = ["quick", "slurm", "slurm_cluster"]  # fixtures

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("quick")]


class TestSlurm(ExecutorContract):
    program = "from memento.executors import Slurm\nexecutor = Slurm(tasks_per_job=2, time='10min')"

    @pytest.fixture
    def executor(self, slurm: Cluster) -> Executor:
        self.cluster = slurm
        executor = Slurm(tasks_per_job=2, time="10min", idle=20)
        executor.beat = 0.3
        return executor

    def take_place_away(self, executor: Executor) -> None:
        self.cluster.run("scancel", "--full", "--signal=KILL", *self.cluster.jobs("RUNNING"))

    def outcomes_left(self, store: Path) -> int:
        runs = [path.name for path in (store / WORK).iterdir()]
        return sum(len(what_ended(pilot)[0]) for run in runs for pilot in pilots_of(str(store), run))

"""The simulated executor is an executor, or what benchmarks/simulation.py tells of the coordinator means nothing."""

from __future__ import annotations

import pytest

from benchmarks.simulated import Fate, Simulated, SimulatedClock
from benchmarks.simulation import Scenario, simulate
from memento.executors.base import Executor
from memento.records import Outcome
from memento.testing.executor_contract import ExecutorContract
from memento.worker.portable import initialize
from memento.worker.task_runner import Conditions, local_runner
from memento.worker.work import Task, Work


class Acting(Simulated):
    """Runs what it was given, when its simulated time is over."""

    shares_memory = True
    in_process = True  # nobody is beside its tasks

    def __init__(self) -> None:
        clock = SimulatedClock()
        super().__init__(2, clock, lambda task: Fate(1.0), self._act)

    def start(self, work: Work) -> None:
        super().start(work)
        initialize(work.initializer)
        self._called = False
        self._runner = local_runner(work, Conditions(stopping=self._is_told))

    def _is_told(self) -> bool:
        return self._called or self.is_told(
            self._acting
        )  # a wake while a task runs: nobody else could tell it

    def wake(self) -> None:
        super().wake()
        self._called = True

    def _act(self, task: Task, began: float, ended: float) -> Outcome:
        self._acting, self._called = task.number, False
        return self._runner.run(task)


class TestSimulated(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return Acting()


def test_simulated_time_passes_while_the_coordinator_computes_and_jumps_where_it_waits() -> None:
    spent = [0.0]
    clock = SimulatedClock(lambda: spent[0])
    spent[0] = 2.0
    assert clock.monotonic() == 2.0
    with clock.aside():
        spent[0] = 50.0
    clock.jump(10.0)
    assert (clock.monotonic(), clock.busy) == (10.0, 2.0)


@pytest.mark.slow
def test_a_thousand_workers_finish_every_task_with_failures_deaths_and_reports() -> None:
    scenario = Scenario(
        "small", 2_500, 1.0, 60.0, workers=1_000, failing=0.1, dying=0.02, reporting=0.2, retries=1
    )
    figures = simulate(scenario)
    assert figures["tasks"] == 2_500
    assert 0 < figures["failed for good"] < 150
    assert figures["updates"] > 500
    assert figures["makespan / (work / workers)"] >= 1.0


@pytest.mark.slow
def test_what_the_coordinator_does_each_second_does_not_grow_with_its_workers() -> None:
    def told(workers: int) -> float:
        scenario = Scenario("waiting", workers, 100.0, 100.0, workers=workers)
        return simulate(scenario)["running tasks listed"]

    assert told(10_000) <= told(1_000)

"""Until a deadline what fits is run: nearly all of the time is used, and nothing is cut off that need not be."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TypeAlias, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated import Fate, Simulated, SimulatedClock
from memento.events import Event, Said
from memento.index.run_contract import Run
from memento.matrix.matrix import Matrix
from memento.plan.keyed_tasks import KeyedTasks
from memento.plan.plan import Past, make_plan
from memento.records import DONE, FAILED, STOPPED, Failure, Outcome, Piece
from memento.runner.deadline import Deadline
from memento.runner.loop import Runner
from memento.runner.retry import RetryPolicy
from memento.runner.signals import Interrupt
from memento.runner.tasks_that_fit import TasksThatFit
from memento.worker.work import Task, Work
from tests.runner.fakes import NUMBER, FakeRun

Expected: TypeAlias = "tuple[array[float], array[float]]"


class Night:
    """A run with a deadline, in simulated time, of tasks that take so many seconds each."""

    def __init__(
        self,
        seconds: Sequence[float],
        expected: Expected | None,
        *,
        workers: int = 4,
        until: object = None,
        budget: object = None,
        later: Callable[[], Expected | None] = lambda: None,
        resumes: Callable[[], bool] = lambda: False,
        longest_first: bool = True,
    ) -> None:
        self.seconds, self.workers = seconds, workers
        self.clock = SimulatedClock(lambda: 0.0)
        tasks = KeyedTasks(Matrix.of({"parameters": {"x": list(range(len(seconds)))}}), "exp:train")
        plan = self.plan = make_plan(
            tasks, Past(), current=[{1}], costs=lambda _: expected, longest_first=longest_first
        )
        self.executor = Simulated(workers, self.clock, self._fate, self._outcome)
        self.executor.start(cast(Work, SimpleNamespace(live_every=1e9)))
        self.deadline = Deadline(until, budget, self.clock)
        self.queue = TasksThatFit(
            plan, self.deadline, lambda _: later(), resumes, workers, longest_first=longest_first
        )
        self.events: list[Event] = []
        self.done: dict[int, float] = {}  # number of a task -> seconds
        self.stopped: list[int] = []
        self.started: list[int] = []
        self.earlier: tuple[Piece, ...] = ()
        self.run = FakeRun()
        self.runner = Runner(
            plan, cast(Run, self.run), self.executor, retry=RetryPolicy(0), codes=[1], emit=self.events.append,
            clock=self.clock, workers=workers, queue=self.queue,
        )  # fmt: skip

    def _fate(self, task: Task) -> Fate:
        self.started.append(task.number)
        return Fate(self.seconds[task.number])

    def _outcome(self, task: Task, began: float, ended: float) -> Outcome:
        failure, took = None, ended - began
        if took < self.seconds[task.number] - 1e-6:
            failure = Failure(STOPPED, "Stopped", "it was told to stop", "", "", None, "")
            self.stopped.append(task.number)
        else:
            self.done[task.number] = took
        status, value = (FAILED, None) if failure else (DONE, NUMBER)
        return Outcome(
            task.number, status, task.attempt, 0.0, took, None, None, None, "host/1", value, (), (), None, failure,
            earlier=self.earlier,
        )  # fmt: skip

    def loop(self) -> Night:
        self.runner.loop(Interrupt(lambda: None))
        return self

    @property
    def ended(self) -> float:
        return self.clock.monotonic()

    @property
    def used(self) -> float:
        """Share of all workers' time until the deadline that went into tasks which are done."""
        return sum(self.done.values()) / (self.workers * self.deadline.whole)


def foreseen(seconds: Sequence[float], chance: random.Random, spread: float) -> Expected:
    """Expect of tasks what is so far from the truth, and what nine of ten stay below."""
    costs = array("d", (one * math.exp(-chance.gauss(0.0, spread)) for one in seconds))
    return costs, array("d", (one * math.exp(1.2816 * spread) for one in costs))


SKEWED: dict[str, Callable[[random.Random], float]] = {
    "log-normal": lambda chance: chance.lognormvariate(3.0, 1.2),
    "log-uniform": lambda chance: math.exp(chance.uniform(0.0, 7.0)),
    "a few giants": lambda chance: 2_000.0 if chance.random() < 0.02 else chance.uniform(1.0, 60.0),
    "Pareto": lambda chance: min(5.0 * chance.paretovariate(1.3), 5_000.0),
    "two kinds": lambda chance: chance.choice([5.0, 300.0]) * chance.uniform(0.8, 1.2),
}


BUDGET = 60.0  # seconds; the runner's ticks are what a simulated night costs


def grid(kind: str, chance: random.Random, workers: int) -> list[float]:
    """Return how long the tasks of a grid take, which does not fit into the budget."""
    seconds = [SKEWED[kind](chance) for _ in range(80 * workers)]
    scale = BUDGET / max(0.6 * sum(seconds) / workers, 5 * max(seconds))
    return [scale * one for one in seconds]


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), workers=st.integers(1, 8), spread=st.sampled_from([0.0, 0.1, 0.3]))
@pytest.mark.parametrize("kind", list(SKEWED))
def test_skewed_grids_use_nine_tenths_of_the_time_and_end_with_it(
    kind: str, seed: int, workers: int, spread: float
) -> None:
    chance = random.Random(seed)
    seconds = grid(kind, chance, workers)
    night = Night(seconds, foreseen(seconds, chance, spread), workers=workers, budget=BUDGET).loop()
    assert night.ended <= BUDGET
    if len(night.done) < len(seconds):
        assert night.ended >= 0.98 * BUDGET
        assert night.used >= 0.9


def test_what_did_not_fit_was_too_long_for_the_rest_of_the_time() -> None:
    chance = random.Random(1)
    seconds = [0.5, 1.0, *(chance.uniform(5.0, 25.0) for _ in range(40))]
    costs = foreseen(seconds, chance, 0.3)
    night = Night(seconds, costs, budget=BUDGET).loop()
    assert night.queue.unfit
    rest = BUDGET - night.ended
    assert all(costs[1][number] > rest for number in night.queue.unfit)
    assert set(night.started).isdisjoint(night.queue.unfit)


def known(seconds: Sequence[float]) -> Expected:
    return array("d", seconds), array("d", seconds)


def test_no_task_begins_that_would_not_have_ended() -> None:
    night = Night([50.0, 10.0, 5.0, 1.0], known([50.0, 10.0, 5.0, 1.0]), workers=1, budget=20.0).loop()
    assert night.started == [1, 2, 3]
    assert night.queue.unfit == [0]
    assert not night.stopped
    assert night.ended == pytest.approx(16.0, abs=0.5)


def test_tasks_that_go_on_from_checkpoints_are_begun_and_told_to_stop_in_time() -> None:
    night = Night([50.0, 10.0], known([50.0, 10.0]), workers=2, budget=20.0, resumes=lambda: True).loop()
    assert night.started == [0, 1]
    assert night.stopped == [0]
    assert 0.98 * 20.0 - 0.1 <= night.ended <= 20.0
    assert next(one.text for one in night.events if isinstance(one, Said)).startswith("Its deadline is near")


def test_that_tasks_save_checkpoints_is_seen_while_nothing_fits() -> None:
    seen: list[float] = []

    def resumes() -> bool:
        seen.append(0.0)
        return len(seen) >= 3

    night = Night([50.0, 15.0], known([50.0, 15.0]), workers=2, budget=20.0, resumes=resumes).loop()
    assert night.started == [1, 0]


def test_what_went_on_from_a_checkpoint_proves_that_others_would() -> None:
    night = Night([50.0, 1.0], known([50.0, 1.0]), workers=1, budget=20.0)
    night.earlier = (Piece("run", 1, 0.0, 1.0, None, None, "host/1", None),)
    night.loop()
    assert (night.started, night.stopped) == ([1], [])  # seen too late: nothing of it is at work any more


def test_unknown_tasks_are_begun_until_some_have_ended_and_tell_of_the_others() -> None:
    seconds = [2.0, 2.0, 2.0, 2.0, 30.0, 30.0, 2.0, 2.0]
    night = Night(seconds, None, workers=2, budget=20.0, later=lambda: known(seconds)).loop()
    assert night.started[:4] == [0, 1, 2, 3]
    assert set(night.started) == {0, 1, 2, 3, 6, 7}
    assert sorted(night.queue.unfit) == [4, 5]
    assert not night.stopped


def test_what_is_unknown_to_the_end_is_told_to_stop_at_the_deadline() -> None:
    night = Night([30.0] * 4, None, workers=2, budget=20.0).loop()
    assert len(night.stopped) == 2
    assert 0.98 * 20.0 - 0.1 <= night.ended <= 20.0


def test_an_order_that_was_asked_for_is_kept() -> None:
    night = Night(
        [1.0, 9.0, 1.0, 30.0, 2.0], known([1.0, 9.0, 1.0, 30.0, 2.0]), workers=1, budget=20.0, longest_first=False
    ).loop()  # fmt: skip
    assert night.started == [0, 1, 2, 4]


def test_no_task_waits_long_behind_another() -> None:
    night = Night([5.0] * 8, known([5.0] * 8), workers=2, budget=11.0)
    assert len(night.queue.take(100, 0.0)) == 2
    short = Night([0.001] * 9_000, known([0.001] * 9_000), workers=2, budget=100.0)
    assert 400 <= len(short.queue.take(2_000, 0.0)) <= 1_100  # half a second for each worker


def test_where_the_deadline_is_past_nothing_is_begun() -> None:
    night = Night([1.0], known([1.0]), until="2001-01-01T00:00+00:00").loop()
    assert not night.started
    assert night.ended < 1.0

"""What is expected of a task follows from its forecast, and from what tasks took."""

from __future__ import annotations

import functools
from typing import Any

from memento.executors.slurm.runtimes import Runtimes, checkpoints
from memento.worker.work import Task


def task(cost: float = 0.0) -> Task:
    return Task(1, b"", 0, (), 0, 1, cost)


def test_nothing_is_expected_where_nothing_is_known() -> None:
    assert Runtimes().expected(task()) == 0.0


def test_without_a_forecast_nine_of_ten_tasks_so_far_tell() -> None:
    runtimes = Runtimes()
    for seconds in range(10):
        runtimes.learn(0.0, float(seconds))
    assert runtimes.expected(task()) == 9.0


def test_a_forecast_counts_as_it_came_true() -> None:
    runtimes = Runtimes()
    assert runtimes.expected(task(100.0)) == 130.0
    for _ in range(9):
        runtimes.learn(10.0, 10.0)
    runtimes.learn(10.0, 30.0)
    assert runtimes.expected(task(100.0)) == 300.0


def _saves(context: Any) -> None:
    for _ in context.loop(range(3), {}):
        pass


def test_an_experiment_that_saves_is_known_by_what_it_names() -> None:
    def by_another(context: Any, config: Any) -> None:
        _saves(context)

    def inside(context: Any, config: Any) -> None:
        def step() -> None:
            context.checkpoint(1)

        step()

    def never(context: Any, config: Any) -> float:
        return float(config.x)

    class Callable:
        def __call__(self, context: Any, config: Any) -> None:
            context.checkpoint(1)

    assert [checkpoints(one) for one in (by_another, inside, functools.partial(inside), Callable())] == [
        True
    ] * 4
    assert [checkpoints(one) for one in (never, len, None, functools.partial(never))] == [False] * 4

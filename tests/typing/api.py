"""What type checkers make of the names that users type; mypy checks this file, nothing runs it."""

from __future__ import annotations

from typing import Any

from memento import (
    AggregateException,
    Config,
    Context,
    Linear,
    Log,
    Matrix,
    Memento,
    Range,
    Result,
    Results,
    RunInterrupted,
)
from memento.events import Event, FinishedTask, TasksFinished, TasksStarted


def experiment(context: Context, config: Config) -> float:
    return float(config.x)


def inside_a_task(context: Context, config: Config) -> int:
    context.record({"loss": 0.3}, step=7)
    context.record(loss=0.3, accuracy=(1, 0.5))
    split: float = context.shared_rng.random()
    return context.shared_seed + int(split)


def best_so_far(event: Event) -> None:
    if isinstance(event, TasksFinished):
        done: list[FinishedTask] = [task for task in event.tasks if task.status == "done"]
        print(max((task.metrics["accuracy"], task.config) for task in done))
    elif isinstance(event, TasksStarted):
        print(dict(zip(event.configs, event.workers, strict=True)))


def early_ends_and_samples() -> None:
    Memento(experiment, listeners=[best_so_far, print])
    Memento(experiment, fail_fast=True)
    runs = Memento(experiment, max_failures=5)
    some: Results | None = runs.run({"parameters": {"x": [1, 2]}}, sample=200)
    print(some, runs.run_all(sample=0.1))


def after_a_run() -> None:
    runs = Memento(experiment)
    try:
        results: Results | None = runs.run({"parameters": {"x": [1, 2]}})
    except (AggregateException, RunInterrupted) as error:
        results = error.results
    kept: Results = runs.results
    result: Result = kept[0]
    value: Any = result.value
    print(results, value)


def figures(results: Results) -> None:
    ax = results.plot()
    results.plot("loss", ax=ax).set_title("loss")


def matrices() -> None:
    small = {"small": 10, "large": 1000}
    grids = Matrix([{"size": [10], "lr": Log(1e-5, 0.1, num=5)}, {"size": small, "p": Range(0, 1, 0.1)}])
    single = Matrix(include=[{"size": 10}, {"lr": 0.1}])
    same = Matrix.of({"parameters": [{"lr": [1]}, {"lr": Linear(0, 1, num=3)}], "exclude": [{"lr": [1, 2]}]})
    values: tuple[float, ...] = Range(0, 10, step=2)
    print(grids, single, same, values)

"""What type checkers make of the names that users type; mypy checks this file, nothing runs it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from memento import (
    AggregateException,
    CommandFailed,
    Config,
    Context,
    Linear,
    Log,
    Matrix,
    Memento,
    Range,
    Result,
    Results,
    Retry,
    RunInterrupted,
    command,
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
    runs = Memento(experiment, max_failures=5, sample=0.1)
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


def read(folder: Path) -> float:
    return float((folder / "score.txt").read_text())


def programs() -> None:
    runs = Memento(command("python train.py --lr {lr}", result="result.json"), retries={CommandFailed: 1})
    Memento(
        command(["sh", Path("run.sh"), "{lr}", ["--C", "{C}"]], result=read, env={"N": 1}, cwd=Path("sub"))
    )
    results: Results | None = runs.run({"parameters": {"lr": [0.1]}})
    error = results[0].error if results else None
    if isinstance(error, CommandFailed):
        print(error.command, error.output, error.code)


def plain(lr: float, hidden: int, n_epochs: int = 10) -> float:
    return lr * hidden * n_epochs


async def awaited(lr: float, **rest: Any) -> float:
    return lr


class Trainer:
    def __call__(self, config: Config, *, lr: float) -> float:
        return lr


def any_function_is_an_experiment() -> None:
    Memento(plain, timeout="10min", memory_limit="4 GiB", retries=Retry(3, delay="1min"))
    Memento(functools.partial(plain, n_epochs=3), timeout=timedelta(hours=1))
    Memento(awaited)
    Memento(Trainer())
    Memento(lambda lr: lr)


def a_config_is_a_mapping(config: Config) -> None:
    def model(**parameters: Any) -> None: ...

    model(**config)
    mapping: Mapping[str, Any] = config
    pairs: list[tuple[str, Any]] = list(config.items())
    folds: Any = config.folds
    print(dict(config), {**config, "more": 1}, len(config), "lr" in config, mapping, pairs, folds)


def matrices() -> None:
    small = {"small": 10, "large": 1000}
    grids = Matrix([{"size": [10], "lr": Log(1e-5, 0.1, num=5)}, {"size": small, "p": Range(0, 1, 0.1)}])
    single = Matrix(include=[{"size": 10}, {"lr": 0.1}])
    labelled = Matrix(
        {"data": {"moons": ([0.0], [1]), "iris": dict}, "lr": [0.1]}, exclude=[{"data": "iris"}]
    )
    assert labelled.labels["data"] == ("moons", "iris")
    same = Matrix.of({"parameters": [{"lr": [1]}, {"lr": Linear(0, 1, num=3)}], "exclude": [{"lr": [1, 2]}]})
    values: tuple[float, ...] = Range(0, 10, step=2)
    print(grids, single, same, values)


def tables(results: Results) -> None:
    rows: pd.DataFrame = results.explode("coverage")
    points: pd.DataFrame = results.metrics
    table: pd.DataFrame = results.pivot("model", "dataset", metric="accuracy")
    spread: pd.DataFrame = results.summary(metric="accuracy")
    best: Result = results.best(metric="accuracy", minimize=True)
    chosen: Results = results.filter(lambda result: result.value > 0.9, status="done", model=None)
    print(rows, points, table, spread, best, chosen)

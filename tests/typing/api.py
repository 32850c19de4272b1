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
import pandas as pd

from memento import AggregateException, Config, Context, Memento, Result, Results, RunInterrupted


def experiment(context: Context, config: Config) -> float:
    return float(config.x)


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


def tables(results: Results) -> None:
    rows: pd.DataFrame = results.explode("coverage")
    points: pd.DataFrame = results.metrics
    table: pd.DataFrame = results.pivot("model", "dataset", metric="accuracy")
    spread: pd.DataFrame = results.summary(metric="accuracy")
    best: Result = results.best(metric="accuracy", minimize=True)
    chosen: Results = results.filter(lambda result: result.value > 0.9, status="done", model=None)
    print(rows, points, table, spread, best, chosen)

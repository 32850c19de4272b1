"""What type checkers make of the names that users type; mypy checks this file, nothing runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memento import (
    AggregateException,
    CommandFailed,
    Config,
    Context,
    Memento,
    Result,
    Results,
    RunInterrupted,
    command,
)


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

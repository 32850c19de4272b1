"""Contexts of tasks in a store that tests look into."""

from __future__ import annotations

from typing import Any

from memento.context.context import Context
from memento.context.task_space import TaskSpace


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def context(store: str, key: int = 0, **options: Any) -> Context:
    return Context.for_task(TaskSpace(store, "run", bytes([key]) * 16, **options))


def y(told: Context, name: str) -> list[float]:
    values: list[float] = told.collect_metrics()[name]["y"].tolist()
    return values

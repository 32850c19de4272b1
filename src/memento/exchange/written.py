"""What became of tasks that were written to another program's runs, and what each of these is told.

Knows: exported tasks, their times. May not know: other programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from memento.errors import MementoError
from memento.exchange.exported_tasks import Exported, taken_apart
from memento.exchange.table_columns import as_text
from memento.records import TaskRecord
from memento.results.to_frame import free_name
from memento.wording import one_line, short_name

_CLOCKS = 60.0  # seconds by which clocks may differ
_STEPS = 2**53  # whole numbers up to here are exact


class CannotExport(MementoError):
    """What was to be written to does not take it, for the reason that is said."""


class Written(NamedTuple):
    """What became of the tasks."""

    added: int
    kept: int  # they were there already
    replaced: int  # they were there as they had been before they were computed again

    def and_more(self, other: Written) -> Written:
        """Return the sums."""
        return Written(*(a + b for a, b in zip(self, other, strict=True)))


def run_name(task: Exported, most: int) -> str:
    """Name a task for people by its parameters."""
    said = ", ".join(f"{name}={as_text(value)}" for name, value in task.parameters.items())
    repeat = f", repeat={task.repeat}" if task.repeat is not None else ""
    return one_line(f"{said}{repeat}" or short_name(task.record.experiment), most)


def declared(task: Exported) -> dict[str, Any]:
    """Return parameters, settings and repeat by names that differ."""
    said: dict[str, Any] = dict(task.parameters)
    for name, value in task.settings.items():
        said[free_name(f"settings.{name}", "setting", said)] = value
    if task.repeat is not None:
        said[free_name("repeat", "task", said)] = task.repeat
    return said


def results(task: Exported, recorded: set[str]) -> tuple[dict[str, float], dict[str, Any]]:
    """Return what a task returned: what a float says all of, and the rest; no name is one of those `recorded`."""
    items, value = taken_apart(task.value)
    said: dict[str, Any] = {}
    for path, item in items.items():
        said[free_name(".".join(path), "value", {*said, *recorded})] = item
    if value is not None:
        said[free_name("value", "value", {*said, *recorded})] = value
    numbers = {name: float(item) for name, item in said.items() if is_float(item)}
    return numbers, {name: item for name, item in said.items() if name not in numbers and item is not None}


def is_float(value: object) -> bool:
    """Whether a value is a number (or a yes or no) of which a float says all."""
    if not isinstance(value, (int, float)):
        return False
    try:
        return value != value or float(value) == value
    except OverflowError:
        return False


def moments_of(record: TaskRecord, xs: Sequence[float]) -> tuple[list[int], list[float]]:
    """Return the step of each point, and when it was recorded (UTC seconds).

    What was recorded without a step has the time as its x: steps are then counted. Where x are whole numbers, they are
    the steps, and nobody knows when each was recorded: the time of the task is divided between them. Other x, like 0.5
    epochs, are no steps elsewhere; the points are counted.
    """
    count = len(xs)
    began = min([record.started, *(piece.started for piece in record.pieces)])
    ended = record.started + record.runtime
    if xs and all(x == x and max(began - _CLOCKS, 1e9) <= x <= ended + _CLOCKS for x in xs):
        return list(range(count)), list(xs)
    spread = [began + (ended - began) * (place + 1) / count for place in range(count)]
    if all(x == x and abs(x) <= _STEPS and x == int(x) for x in xs):
        return [int(x) for x in xs], spread
    return list(range(count)), spread

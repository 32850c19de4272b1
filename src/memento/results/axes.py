"""See the parameters of many tasks as columns: a few values, and for each task the number of its value.

Knows: matrices, by three methods. May not know: stores, frames, how anything is shown.

A million tasks are a million small integers a parameter; nothing here makes an object a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from memento.config import Config, Deferred, short_text
from memento.hints import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PLAIN = frozenset((bool, int, float, str, type(None)))  # equal ones of these have one hash
_REPEAT = "repeat"


class Axis:
    """One parameter over some tasks.

    Parameters
    ----------
    name : str
        The parameter.
    values : sequence of object
        Its distinct values, in the matrix's order.
    codes : array of int
        For each task the place of its value in `values`; -1 where the task does not have the parameter.
    """

    def __init__(self, name: str, values: Sequence[object], codes: NDArray[Any]) -> None:
        self.name, self.values, self.codes = name, values, codes

    @cached_property
    def texts(self) -> list[str]:
        """A few words for each value, as people write them: a class by its name."""
        return [value_text(value) for value in self.values]

    @cached_property
    def plain(self) -> dict[tuple[bool, object], list[int]]:
        """Where values stand that are plain, by whether they are a bool and the value: 1 equals True."""
        places: dict[tuple[bool, object], list[int]] = {}
        for place, value in enumerate(self.values):
            if type(value) in PLAIN:
                places.setdefault((type(value) is bool, value), []).append(place)
        return places

    @cached_property
    def others(self) -> list[int]:
        """Where all other values stand."""
        return [place for place, value in enumerate(self.values) if type(value) not in PLAIN]

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """Each value as a number, nan where it is none."""
        import numpy as np

        return np.array([_number(value) for value in self.values], dtype=np.float64)


def value_text(value: object, limit: int = 80) -> str:
    """Name a value in a few words; an upstream task's result by its task, so that naming loads nothing."""
    if isinstance(value, Deferred):
        key = getattr(value, "key", None)
        return f"task {key.hex()[:8]}" if isinstance(key, bytes) else "an upstream result"
    return short_text(value, limit)


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return float("nan")
    return float("nan")


class Table(Protocol):
    """The compiled form of a matrix; see `memento.matrix`."""

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters, in declaration order."""

    @property
    def values(self) -> Sequence[Sequence[object]]:
        """For each name its distinct values."""

    @property
    def columns(self) -> NDArray[Any]:
        """Value numbers, one row a task without repeats, one column a name."""

    @property
    def repeats(self) -> int:
        """How often each row is a task."""


class TaskMatrix(Protocol):
    """What results need of a matrix."""

    def config(self, number: int, /) -> Config:
        """Return a task's configuration."""

    def table(self) -> Table:
        """Return the compiled form."""


class Tasks:
    """The tasks of a matrix as results see them: configurations one by one, parameters as columns.

    Parameters
    ----------
    matrix : TaskMatrix
        Where they come from.
    """

    def __init__(self, matrix: TaskMatrix) -> None:
        self._matrix = matrix

    @cached_property
    def _table(self) -> Table:
        return self._matrix.table()

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters, in the matrix's order."""
        return tuple(self._table.names)

    @property
    def repeats(self) -> int:
        """How often every configuration is a task."""
        return self._table.repeats

    def config(self, number: int) -> Config:
        """Return the configuration of the task with this number."""
        return self._matrix.config(number)

    def axes(self, numbers: NDArray[np.int64]) -> list[Axis]:
        """Return the parameters of the tasks with these numbers."""
        table = self._table
        rows = numbers // table.repeats if table.repeats > 1 else numbers
        return [Axis(name, table.values[i], table.columns[rows, i]) for i, name in enumerate(table.names)]

    def repeat_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which repeat of its configuration each of these tasks is."""
        return numbers % self._table.repeats

    def repeat_axis(self, numbers: NDArray[np.int64]) -> Axis:
        """Return the repeats as an axis."""
        return Axis(_REPEAT, range(self.repeats), self.repeat_of(numbers))

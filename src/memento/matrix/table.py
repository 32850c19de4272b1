"""The tasks of a matrix as numbers: the slot of each parameter's value, by row or by column.

Knows: names, values, slots. May not know: rules, conditions, keys of tasks.

    GridTable   combinations of axes, less what rules exclude: a few numbers, and no NumPy until `columns`
    RowTable    rows that follow no pattern (conditions, callables, included tasks): a matrix

A slot is a value's place in its list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeVar

    import numpy as np
    from numpy.typing import NDArray

    from memento.matrix.grid import Grid

    T = TypeVar("T")

_CHUNK = 1 << 16  # slots made into Python's integers at once


class TaskTable(ABC):
    """The tasks of a matrix as numbers: task ``i`` is row ``i // repeats``, repeat ``i % repeats``.

    `names` are all parameters, in declaration order; those that only `include` brings come last.
    """

    def __init__(self, names: tuple[str, ...], values: list[list[object]], repeats: int) -> None:
        self.names, self.values, self.repeats = names, values, repeats

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many configurations there are."""

    @property
    @abstractmethod
    def columns(self) -> NDArray[np.int32]:
        """All slots, (rows, names); -1 where the parameter is absent."""

    @property
    @abstractmethod
    def may_lack(self) -> bool:
        """Whether a parameter can be absent from a row."""

    @property
    @abstractmethod
    def follows_slots(self) -> bool:
        """Whether the rows are in lexicographic order of their slots, absent before the first."""

    @abstractmethod
    def slots(self, row: int) -> list[int]:
        """Return the slot of each name in one row; -1 where the parameter is absent."""

    @abstractmethod
    def slots_of(self, rows: Sequence[int]) -> Sequence[Iterable[int]]:
        """Return for each name the slots of its values in many rows; -1 where the parameter is absent."""

    @abstractmethod
    def along(self, column: int, things: Sequence[T]) -> Iterator[T]:
        """Yield for each row what stands in `things` at its slot; where slots may be -1, the last serves them."""

    @abstractmethod
    def of_rows(self, rows: Sequence[int]) -> TaskTable:
        """Return a table of some of the rows, in ascending order."""

    def __len__(self) -> int:
        return self.rows * self.repeats

    def row(self, number: int) -> dict[str, Any]:
        """Return the parameters of one row."""
        slots = self.slots(number)
        return {n: v[s] for n, v, s in zip(self.names, self.values, slots, strict=True) if s >= 0}


class GridTable(TaskTable):
    """Combinations of axes; names that advance together share one."""

    may_lack = False
    follows_slots = True

    def __init__(
        self,
        names: tuple[str, ...],
        values: list[list[object]],
        repeats: int,
        grid: Grid,
        axes: Sequence[int],
    ) -> None:
        super().__init__(names, values, repeats)
        self._grid = grid
        self._axes = list(axes)
        self._plain = self._axes == list(range(len(grid.sizes)))

    @property
    def rows(self) -> int:
        return len(self._grid)

    @cached_property
    def columns(self) -> NDArray[np.int32]:
        matrix = self._grid.matrix()
        return matrix if self._plain else matrix[:, self._axes]

    def slots(self, row: int) -> list[int]:
        slots = self._grid.slots(row)
        return slots if self._plain else [slots[axis] for axis in self._axes]

    def slots_of(self, rows: Sequence[int]) -> Sequence[Iterable[int]]:
        slots = self._grid.slots_of(rows)
        if self._plain:
            return slots
        lists = list(map(list, slots))  # names that advance together share one
        return [lists[axis] for axis in self._axes]

    def along(self, column: int, things: Sequence[T]) -> Iterator[T]:
        size = self._grid.sizes[self._axes[column]]
        return self._grid.along(self._axes[column], things[:size])

    def of_rows(self, rows: Sequence[int]) -> TaskTable:
        grid = self._grid.of_rows(rows)
        return GridTable(self.names, self.values, self.repeats, grid, self._axes)


class RowTable(TaskTable):
    """Rows that follow no pattern."""

    may_lack = True

    @property
    def follows_slots(self) -> bool:
        """Whether the rows are in lexicographic order: those of `include` come last, wherever they would belong."""
        steps = self._columns[1:] - self._columns[:-1]
        first = (steps != 0).argmax(axis=1) if steps.shape[1] else None
        return first is None or bool((steps[range(len(steps)), first] >= 0).all())

    def __init__(
        self, names: tuple[str, ...], values: list[list[object]], repeats: int, columns: NDArray[np.int32]
    ) -> None:
        super().__init__(names, values, repeats)
        self._columns = columns

    @property
    def rows(self) -> int:
        return len(self._columns)

    @property
    def columns(self) -> NDArray[np.int32]:
        return self._columns

    def slots(self, row: int) -> list[int]:
        slots: list[int] = self._columns[row].tolist()
        return slots

    def slots_of(self, rows: Sequence[int]) -> Sequence[Iterable[int]]:
        slots: list[list[int]] = self._columns[rows].T.tolist()
        return slots

    def along(self, column: int, things: Sequence[T]) -> Iterator[T]:
        slots = self._columns[:, column]
        pieces = (slots[start : start + _CHUNK].tolist() for start in range(0, len(slots), _CHUNK))
        return map(things.__getitem__, chain.from_iterable(pieces))

    def of_rows(self, rows: Sequence[int]) -> TaskTable:
        return RowTable(self.names, self.values, self.repeats, self._columns[rows])


def row_numbers(rows: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return a number for each row of slots, the same for equal rows."""
    import numpy as np

    numbers, count = np.zeros(len(rows), np.int64), 1
    for column in rows.T if len(rows) else ():
        size = int(column.max()) + 2  # -1 is one of them
        if count * size >= 1 << 62:
            distinct, numbers = np.unique(numbers, return_inverse=True)
            count = len(distinct)
        numbers = numbers * size + (column + 1)
        count *= size
    return numbers

"""Find the task of a matrix that each row of a source is of, by what its values are called.

Knows: keyed tasks, how values are named, rows. May not know: where rows come from, stores.

A cell that is a value itself (of a study, a config) is that value, if the matrix has it. A text is the value that is
shown so in `memento ls` and in frames: a label, a class by its name, a number as it is written; else the value that the
text would be in a matrix file; else the one number that is as large. What fits two tasks is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

from memento.exchange.cell_text import result_of
from memento.exchange.source_rows import CannotImport
from memento.index.declared_values import Item
from memento.matrix.matrix import Matrix
from memento.matrix.values import Values, equal, token
from memento.plan.keyed_tasks import KeyedTasks
from memento.results.parameters import Parameter
from memento.suggest import nearest

_MOST = 64  # tasks that the empty cells of one row may stand for


class Found(NamedTuple):
    """The task of a row, or why there is none."""

    number: int = -1
    why: str = ""


class MatrixTasks:
    """The tasks of a matrix, to be found by the cells of the columns `names`, which are parameters of it.

    `columns` are all that the source has.

    Raises
    ------
    CannotImport
        A parameter that tells tasks apart has no column.
    """

    def __init__(self, tasks: KeyedTasks, names: Iterable[str], columns: Iterable[str] = ()) -> None:
        self._tasks, self._table = tasks, tasks.table
        self._names = [name for name in self._table.names if name in set(names)]
        self._columns = [self._table.names.index(name) for name in self._names]
        self._cells = [self._cells_of(column) for column in self._columns]
        if not self._names:
            raise CannotImport(
                "no column of the source is a parameter of the matrix.",
                f"It has: {', '.join(self._table.names)}. Name columns that are: --rename COLUMN=NAME",
            )
        left = [name for name in self._table.names if name not in self._names]
        for name in left:
            self._check_left(name, columns)
        self._fixed = self._defaults_of(left)

    def _cells_of(self, column: int) -> CellValues:
        tasks, name = self._tasks, self._table.names[column]
        default = _slot_of_default(tasks, column) if name in tasks.matrix.defaults else None
        return CellValues(
            name,
            self._table.values[column],
            tasks.matrix.labels.get(name, ()),
            tasks.digests[column],
            self._table.may_lack,
            default,
        )

    def _check_left(self, name: str, columns: Iterable[str]) -> None:
        values = self._table.values[self._table.names.index(name)]
        matrix = self._tasks.matrix
        if name in matrix.volatile or name in matrix.defaults or len(values) == 1:
            return
        raise CannotImport(
            f"the source has no column {name!r}, which has {len(values)} values in the matrix.",
            f"Name the column that it is: --rename {_nearest(name, columns)}={name}",
        )

    def _defaults_of(self, left: Iterable[str]) -> dict[int, int]:
        """Return for columns of the table that the source lacks and that have a default the slot of that."""
        return {
            column: slot
            for name in left
            if name in self._tasks.matrix.defaults
            for column in [self._table.names.index(name)]
            for slot in [_slot_of_default(self._tasks, column)]
        }

    @cached_property
    def _rows(self) -> dict[tuple[int, ...], int]:
        """The first row of the table with these slots."""
        table = self._table
        columns = [*self._columns, *self._fixed]
        slots = table.slots_of(range(len(table) // table.repeats))
        firsts = [_first_slots(table.values[at], self._tasks.digests[at]) for at in columns]
        known: dict[tuple[int, ...], int] = {}
        each = (
            [first[slot] for slot in slots[column]] for column, first in zip(columns, firsts, strict=True)
        )
        for number, row in enumerate(zip(*each, strict=True)):
            known.setdefault(row, number)
        return known

    def find(self, cells: Mapping[str, Any], repeat: int = 0, key: bytes = b"") -> Found:
        """Return the task that has these cells; `key` is what a table of ours says it is, and settles what is open."""
        repeats = self._table.repeats
        if not 0 <= repeat < repeats:
            return Found(why=f"repeat {repeat} is none of the matrix's {repeats}")
        slots = []
        for name, column in zip(self._names, self._cells, strict=True):
            found = column.slots(cells[name]) if name in cells else column.of_nothing
            if not found:
                return Found(why=column.lacks(cells[name]))
            slots.append(found)
        fixed = tuple(self._fixed.values())
        several = list(product(*slots)) if _size(slots) <= _MOST else []
        numbers = {self._rows[each + fixed] for each in several if each + fixed in self._rows}
        keys = {self._tasks.key(number * repeats + repeat): number for number in sorted(numbers)}
        if len(keys) == 1 or key in keys:
            return Found((keys[key] if key in keys else next(iter(keys.values()))) * repeats + repeat)
        return Found(why="it fits several tasks of the matrix" if keys else self._no_task(cells))

    def _no_task(self, cells: Mapping[str, Any]) -> str:
        empty = [name for name in self._names if name not in cells]
        with_none = f" ({', '.join(empty)} empty)" if empty else ""
        return f"the matrix has its values, and no task with all of them{with_none}"


def _nearest(name: str, columns: Iterable[str]) -> str:
    """Return the column that a parameter most likely is: "optimizer.lr" is "lr"."""
    every = list(columns)
    inner = [column for column in every if column.rpartition(".")[2] == name]
    return (inner or nearest(name, every) or ["COLUMN"])[0]


def _size(slots: Sequence[Sequence[int]]) -> int:
    size = 1
    for found in slots:
        size *= len(found)
    return size


def _first_slots(values: Sequence[object], digests: Mapping[int, bytes]) -> list[int]:
    """Return for each slot the first with the same value; -1, absent, is the last."""
    seen: dict[object, int] = {}
    return [
        *(seen.setdefault(digests.get(slot) or token(value), slot) for slot, value in enumerate(values)),
        -1,
    ]


def _slot_of_default(tasks: KeyedTasks, column: int) -> int:
    default = tasks.matrix.defaults[tasks.names[column]]
    values = tasks.table.values[column]
    return next((slot for slot, value in enumerate(values) if equal(value, default)), -1)


class CellValues:
    """The values of one parameter or setting, by what cells say."""

    def __init__(
        self,
        name: str,
        values: Sequence[object],
        labels: Sequence[str] = (),
        digests: Mapping[int, bytes] | None = None,
        may_lack: bool = False,
        default: int
        | None = None,  # the slot of the value that leaves no trace in keys; -1 where none has it
    ) -> None:
        known = digests or {}
        self._name, self._default = name, default
        self._values = Values(values, labels if len(labels) == len(values) else ())
        self._first = _first_slots(values, known)
        self._shown = Parameter(name, values, None, may_lack, known, dict(enumerate(labels)))
        self._known: dict[tuple[type, str], list[int]] = {}

    @cached_property
    def of_nothing(self) -> list[int]:
        """The slots that an empty cell may mean: absent, the default, None, no text."""
        found = [-1] if self._default is None else [-1, self._default]
        found += [slot for value in (None, "", float("nan")) for slot in self._values.slots(value)]
        return sorted({self._first[slot] for slot in found})

    def slots(self, cell: Any) -> list[int]:
        """Return the slots whose value a cell names, the first of each value."""
        asked = type(cell), repr(cell)
        if asked not in self._known:
            self._known[asked] = sorted({self._first[slot] for slot in self._find(cell)})
        return self._known[asked]

    def lacks(self, cell: Any) -> str:
        """Say that no value is named so, and which are."""
        return f"{self._name}={cell!s:.60} is no value of {self._name!r}. {self._values.near(cell)}"

    def _find(self, cell: Any) -> Iterable[int]:
        if not isinstance(cell, str):
            return self._values.slots(cell) or self._of_size(cell) or self._find(str(cell))
        for text in dict.fromkeys((cell, cell.strip())):
            found = self._by_text.get(text) or self._shown.called(text)
            if found:
                return found
        read = result_of(cell)
        if not isinstance(read, str) or read != cell:
            return self._values.slots(read) or self._of_size(read) or self._by_repr.get(cell.strip(), [])
        return self._by_repr.get(cell.strip(), [])

    def _of_size(self, cell: Any) -> list[int]:
        """Return the slot of the one number that is as large: pandas makes 1.0 of a 1 where a cell is empty."""
        if type(cell) not in (int, float):
            return []
        found = self._by_size.get(cell, [])
        return found if len({self._first[slot] for slot in found}) == 1 else []

    @cached_property
    def _by_text(self) -> dict[str, list[int]]:
        """Slots by what the values are called, or are as texts; of a million values no other is looked at."""
        found: dict[str, list[int]] = {}
        for slot, text in enumerate(self._shown.texts()):
            found.setdefault(text, []).append(slot)
        for slot, value in enumerate(self._values.values):
            if type(value) is str and slot not in found.setdefault(value, []):
                found[value].append(slot)
        return found

    @cached_property
    def _by_size(self) -> dict[float, list[int]]:
        found: dict[float, list[int]] = {}
        for slot, value in enumerate(self._values.values):
            if type(value) in (int, float) or hasattr(type(value), "dtype"):
                try:
                    found.setdefault(float(value), []).append(slot)  # type: ignore[arg-type]  # some are none
                except (TypeError, ValueError, OverflowError):
                    continue
        return found

    @cached_property
    def _by_repr(self) -> dict[str, list[int]]:
        """Slots by what Python writes for the values, as programs do that log `str(value)`."""
        found: dict[str, list[int]] = {}
        for slot, value in enumerate(self._values.values):
            try:
                texts = {str(value), repr(value)}
            except Exception:  # a class of the user's may do anything when it is looked at
                continue
            for text in texts:
                found.setdefault(text, []).append(slot)
        return found


# -- without a matrix -----------------------------------------------------------------------------------


def matrix_of_rows(
    rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], repeats: int
) -> tuple[Matrix, list[int]]:
    """Return a matrix whose tasks are these parameters, and for each row the number of its configuration.

    Raises
    ------
    MatrixError
        A name cannot be a parameter's.
    """
    numbers: dict[object, int] = {}
    tasks: list[Mapping[str, Any]] = []
    places = []
    for row in rows:
        one = tuple(sorted((name, token(value)) for name, value in row.items()))
        number = numbers.setdefault(one, len(tasks))
        if number == len(tasks):
            tasks.append(row)
        places.append(number)
    return Matrix(include=tasks, settings=dict(settings), repeats=repeats), places


def check_plain(
    rows: Iterable[Mapping[str, Any]], axes: Iterable[tuple[str, Iterable[tuple[Any, Item | None]]]]
) -> None:
    """Refuse texts that name values of which a store knows more: without the matrix they would be other values.

    `rows` are parameters, `axes` what the store tells of the experiment's.

    Raises
    ------
    CannotImport
        One does.
    """
    named: dict[str, dict[str, str]] = {}
    for name, values in axes:
        for value, item in values:
            if item is not None:
                texts = {item.label, item.text, str(value), str(value).rpartition(":")[2]} - {""}
                named.setdefault(name, {}).update(dict.fromkeys(texts, item.label or item.text or str(value)))
    for row in rows:
        for name, value in row.items():
            meant = named.get(name, {}).get(value) if isinstance(value, str) else None
            if meant is not None:
                raise CannotImport(
                    f"{name}={value}: this experiment has a value that is called so, and is no text.",
                    "Give the matrix, which has it: memento import SOURCE FILE:FUNC MATRIX",
                )

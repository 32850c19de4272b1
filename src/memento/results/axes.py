"""See the parameters of many tasks as columns: a few values, and for each task the number of its value.

Knows: matrices, by three methods. May not know: stores, frames, how anything is shown.

A million tasks are a million small integers a parameter; nothing here makes an object a task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from memento.config import Config, plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.results.parameter import Parameter

ABSENT = "-"  # what stands for a parameter that a task does not have
LIMIT = 80  # characters of a text
PLAIN = frozenset((bool, int, float, str, type(None)))
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
    parameter : Parameter, optional
        How the values are told apart, where that is known already.
    """

    def __init__(
        self, name: str, values: Sequence[object], codes: NDArray[Any], parameter: Parameter | None = None
    ) -> None:
        self.name, self.values, self.codes = name, values, codes
        if parameter is None:
            from memento.results.parameter import Parameter

            parameter = Parameter(name, values)
        self.parameter = parameter

    @property
    def texts(self) -> list[str]:
        """A few words for each value, as people write them: a class by its name."""
        return self.parameter.texts()

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """Each value as a number, nan where it is none."""
        import numpy as np

        return np.array([_number(plain(value)) for value in self.values], dtype=np.float64)


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

    @property
    def may_lack(self) -> bool:
        """Whether a parameter can be absent from a row."""

    def slots(self, row: int, /) -> list[int]:
        """Return the value number of each name in one row; -1 where the parameter is absent."""


class TaskMatrix(Protocol):
    """What results need of a matrix."""

    def config(self, number: int, /) -> Config:
        """Return a task's configuration."""

    def table(self) -> Table:
        """Return the compiled form."""


class Column(NamedTuple):
    """A parameter, and how to come from the value numbers of a table to its own."""

    parameter: Parameter
    source: int  # the table's column
    places: list[int] | None  # for each value number a place in the parameter, -1 in the end; None: the same
    shown: bool  # False for an upstream task whose parameters are columns of their own


def columns_of(parameter: Parameter, source: int, places: list[int] | None = None) -> Iterator[Column]:
    """Yield a parameter's column, and those of the upstream tasks that it stands for: `first.lr`."""
    from memento.results.parameter import Parameter, Stored, Told

    first = parameter.first
    if first is not None:
        places = (
            [*first, -1] if places is None else [place if place < 0 else first[place] for place in places]
        )
    origins = [_origin(value) for value in parameter.values]
    upstream = any(origin is not None for origin in origins)
    yield Column(parameter, source, places, not upstream)
    if not upstream:
        return
    names = dict.fromkeys(name for origin in origins if origin for name in origin)
    for name in names:
        values: list[object] = []
        told: dict[int, Told] = {}
        seen: dict[int, int] = {}
        inner = []
        for origin in origins:
            if origin is None or name not in origin:
                inner.append(-1)
                continue
            value = origin[name]
            known = value.told if isinstance(value, Stored) else None
            value = value.value if isinstance(value, Stored) else value
            if id(value) not in seen:
                seen[id(value)] = len(values)
                if known is not None:
                    told[len(values)] = known
                values.append(value)
            inner.append(seen[id(value)])
        to_inner = [*inner, -1]
        deeper = to_inner if places is None else [to_inner[place] for place in places]
        lacks = parameter.may_lack or -1 in inner
        yield from columns_of(Parameter(f"{parameter.name}.{name}", values, told, lacks), source, deeper)


def _origin(value: object) -> Mapping[str, object] | None:
    """Return the parameters of the task whose result a value is, if it is one."""
    origin = getattr(value, "origin", None) if type(value) not in PLAIN else None
    found = origin() if callable(origin) and not isinstance(value, type) else None
    return found if isinstance(found, Mapping) else None


class Tasks:
    """The tasks of a matrix as results see them: configurations one by one, parameters as columns.

    Parameters
    ----------
    matrix : TaskMatrix
        Where they come from.
    digests : sequence of mapping of int to bytes, optional
        For each parameter the digests of its values, by slot, as far as they are known already.
    """

    def __init__(self, matrix: TaskMatrix, digests: Sequence[Mapping[int, bytes]] | None = None) -> None:
        self._matrix, self._digests = matrix, digests

    @cached_property
    def _table(self) -> Table:
        return self._matrix.table()

    @cached_property
    def columns(self) -> list[Column]:
        """All parameters, in the matrix's order, each upstream task followed by its own parameters."""
        from memento.results.parameter import Parameter

        table, digests = self._table, self._digests
        columns: list[Column] = []
        for source, name in enumerate(table.names):
            known = digests[source] if digests is not None else None
            parameter = Parameter(name, table.values[source], None, table.may_lack, known)
            columns += columns_of(parameter, source)
        return columns

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.parameter.name for column in self.columns)

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of the columns that say something to people."""
        return tuple(column.parameter.name for column in self.columns if column.shown)

    @property
    def repeats(self) -> int:
        """How often every configuration is a task."""
        return self._table.repeats

    def config(self, number: int) -> Config:
        """Return the configuration of the task with this number."""
        return self._matrix.config(number).told_by(partial(self.labels, number))

    def labels(self, number: int, limit: int = LIMIT) -> dict[str, str]:
        """Name each value of a task's in a few words; "" stands for its repeat, where there are several."""
        table = self._table
        slots = table.slots(number // table.repeats)
        labels = labels_of(self.columns, slots, limit)
        if table.repeats > 1:
            labels[""] = str(number % table.repeats)
        return labels

    def axes(self, numbers: NDArray[np.int64]) -> list[Axis]:
        """Return the parameters of the tasks with these numbers."""
        table = self._table
        rows = numbers // table.repeats if table.repeats > 1 else numbers
        return axes_of(self.columns, lambda source: table.columns[rows, source])

    def repeat_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which repeat of its configuration each of these tasks is."""
        return numbers % self._table.repeats

    def repeat_axis(self, numbers: NDArray[np.int64]) -> Axis:
        """Return the repeats as an axis."""
        return Axis(_REPEAT, range(self.repeats), self.repeat_of(numbers))


def axes_of(columns: Sequence[Column], codes_of: Any) -> list[Axis]:
    """Return columns as axes, given the value numbers of each of the table's columns."""
    import numpy as np

    axes = []
    for column in columns:
        codes = codes_of(column.source)
        if column.places is not None:
            codes = np.array(column.places, dtype=np.int32)[codes]
        axes.append(Axis(column.parameter.name, column.parameter.values, codes, column.parameter))
    return axes


def labels_of(columns: Sequence[Column], slots: Sequence[int], limit: int) -> dict[str, str]:
    """Name the values in these places of a table's columns."""
    labels = {}
    for parameter, source, places, shown in columns:
        slot = slots[source]
        place = slot if places is None else places[slot]
        if place >= 0 and shown:
            labels[parameter.name] = parameter.text(place, limit)
    return labels

"""The columns of a table of tasks, or of their metrics over time: named so that no two are one, each of one type.

Knows: what an exported task says. May not know: stores, file formats.

A table is made in two passes, so that it need not be in memory: `survey` finds the columns and what stands in them,
then each row is a list of cells in their order. A cell is None, a bool, an int, a float, a text, a moment (UTC), or
lists and dicts of these.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any, NamedTuple

from memento.errors import MementoError
from memento.exchange.exported_tasks import Exported, Series, taken_apart
from memento.exchange.own_values import as_json, is_plain_name, name_for_own, value_cell
from memento.records import DONE
from memento.results.grouping import title
from memento.results.to_frame import free_name
from memento.values.describe import ITEMS

# The groups of columns. Their order is that of the table ...
TASK, PARAMETER, SETTING, REPEAT, STATUS, VALUE, METRIC, FACT = range(8)
# ... and in this one they take names: who comes later gets its kind in front where a name is taken, as in a frame.
_NAMED = (
    (PARAMETER, "parameter"),
    (SETTING, "setting"),
    (REPEAT, "task"),
    (METRIC, "metric"),
    (VALUE, "value"),
)
_WHOLE: tuple[str, ...] = ()  # among names of items, or of metrics: all of them in one cell

# What a table says of results: what people read; also what `memento import` reads; or that apart from all names.
SHOWN, PLAIN, WHOLE = range(3)
_EXACT = 2**53  # up to here every whole number is a float

Identity = tuple[int, Any]  # group, and the name in it: of an item perhaps several
Cells = Mapping[Identity, Any]
_OWN: dict[Identity, str] = {(VALUE, _WHOLE): "value", (METRIC, _WHOLE): "metrics"}

INTEGER, NUMBER, BOOLEAN, TEXT, MOMENT = "integer", "number", "boolean", "text", "moment"


class Column(NamedTuple):
    """One column."""

    identity: Identity
    name: str
    kind: str  # INTEGER, ...


class StoreChanged(MementoError):
    """A run has added what no column was made for, while the table was written."""

    def __str__(self) -> str:
        return "the store changed while it was read, so nothing was written. Do it again."


def task_cells(task: Exported, depth: int | None = None, told: int = SHOWN) -> dict[Identity, Any]:
    """Return what stands in the row of a task; of its value the scalars that it holds by name, at this depth."""
    record = task.record
    items, value = taken_apart(task.value, depth)
    if told != SHOWN and record.status == DONE:
        value = value_cell(task.value, value, items, beside_metrics=told == WHOLE or bool(task.metrics))
    cells: dict[Identity, Any] = {(TASK, "key"): task.key, (TASK, "experiment"): record.experiment}
    cells.update(_declared(task))
    cells[STATUS, "status"] = record.status
    if value is not None:
        cells[VALUE, _WHOLE] = _cell(value)
    for path, item in items.items():
        cells[VALUE, path] = _cell(item)
    if told == WHOLE and record.status == DONE:
        cells[METRIC, _WHOLE] = as_json(dict(task.metrics))
    for name, last in task.metrics.items():
        cells[METRIC, name] = last
    cells[FACT, "runtime"] = record.runtime
    cells[FACT, "cpu_time"] = record.cpu_time
    cells[FACT, "memory"] = record.memory
    cells[FACT, "start_time"] = _moment(record.started)
    cells[FACT, "attempts"] = record.attempt
    cells[FACT, "error"] = title(record.failure) if record.failure is not None else None
    return cells


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):  # a damaged or a stranger's row
        return None


def point_cells(task: Exported, series: Series) -> Iterator[dict[Identity, Any]]:
    """Yield a row for each point of the metrics over time: name -> x, y."""
    head: dict[Identity, Any] = {
        (TASK, "key"): task.key,
        (TASK, "experiment"): task.record.experiment,
        **dict(_declared(task, settings=False)),
    }
    for name, (xs, ys) in series.items():
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            yield {**head, (FACT, "metric"): name, (FACT, "x"): x, (FACT, "y"): y}


def _declared(task: Exported, settings: bool = True) -> Iterator[tuple[Identity, Any]]:
    for name, value in task.parameters.items():
        yield (PARAMETER, name), _cell(value)
    for name, value in task.settings.items() if settings else ():
        yield (SETTING, f"settings.{name}"), _cell(value)
    if task.repeat is not None:
        yield (REPEAT, "repeat"), task.repeat


def _cell(value: Any) -> Any:
    """Return what a cell can hold."""
    kind = type(value)
    if kind is float or kind is int or kind is bool or value is None or kind is list or kind is dict:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    return str(value)


def strict(value: Any) -> Any:
    """Return what every reader of JSON takes; what it has no word for as texts: NaN, infinity, more than 64 bits.

    >>> strict({"loss": [0.5, float("nan"), -float("inf")], "n": 2**64})
    {'loss': [0.5, 'NaN', '-Infinity'], 'n': '18446744073709551616'}
    """
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else number_text(value)
    if kind is int:
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, dict):
        return {str(name): strict(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or kind is bool or kind is str else str(value)


def number_text(value: float) -> str:
    """Write a number as JSON has it, also one that it does not have."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


class _Seen:
    """What stands in one column."""

    __slots__ = ("exact", "kinds")

    def __init__(self) -> None:
        self.kinds: set[type] = set()
        self.exact = True  # no whole number in it is more than a float says

    def add(self, cell: Any) -> None:
        kind = type(cell)
        if kind is int and not -_EXACT <= cell <= _EXACT:
            self.exact = self.exact and _is_float(cell)
            kind = int if -(2**63) <= cell < 2**63 else str  # what a column of whole numbers can hold
        self.kinds.add(kind)

    @property
    def kind(self) -> str:
        """Name the type that holds all of it; numbers and texts side by side are texts."""
        kinds = self.kinds - {type(None)}
        if kinds == {int}:
            return INTEGER
        if kinds and kinds <= {int, float} and self.exact:
            return NUMBER
        return BOOLEAN if kinds == {bool} else MOMENT if kinds == {datetime} else TEXT


def _is_float(number: int) -> bool:
    try:
        return int(float(number)) == number
    except OverflowError:
        return False


class Table(NamedTuple):
    """The columns of a table, and how to read its rows."""

    columns: list[Column]
    rows: Callable[[], Iterator[Cells]]
    too_many_items: bool = False  # some values hold too many to be columns

    def lists(self, *, texts: bool) -> Iterator[list[Any]]:
        """Yield the rows as cells in the order of the columns; `texts`: what no single type holds as text."""
        identities = [column.identity for column in self.columns]
        known = frozenset(identities)
        places = [place for place, column in enumerate(self.columns) if texts and column.kind == TEXT]
        for cells in self.rows():
            if not cells.keys() <= known:
                raise StoreChanged
            row = list(map(cells.get, identities))
            for place in places:
                row[place] = as_text(row[place])
            yield row


def table_of_tasks(tasks: Iterable[Exported], *, to_read_back: bool = False) -> Table:
    """Return the table of these tasks, which are read once now, and once more for its rows.

    `to_read_back`: `memento import` knows from it what tasks returned and recorded.
    """
    tellings = (SHOWN,) if not to_read_back else (PLAIN, WHOLE)
    for depth in (None, 1, 0):
        for told in tellings:
            rows = partial(_rows_at, tasks, depth, told)
            try:
                columns = survey(rows())
            except _TooManyItems:
                break
            if told != PLAIN or (depth is None and all(map(_is_plain, columns))):
                return Table(columns, rows, depth == 0)
    raise AssertionError("at no depth are there items")


def _is_plain(column: Column) -> bool:
    """Whether a column of items or metrics is called as what it shows, and that means nothing else."""
    group, name = column.identity
    if group not in (VALUE, METRIC) or name == _WHOLE:
        return True
    own = name if group == METRIC else ".".join(name)
    return column.name == own and is_plain_name(own)


def table_of_points(read: Callable[[], Iterable[tuple[Exported, Series]]]) -> Table:
    """Return the table of what tasks recorded over time, a row a point; they are read twice."""

    def rows() -> Iterator[Cells]:
        return (cells for task, series in read() for cells in point_cells(task, series))

    return Table(survey(rows()), rows)


def _rows_at(tasks: Iterable[Exported], depth: int | None, told: int) -> Iterator[Cells]:
    return (task_cells(task, depth, told) for task in tasks)


class _TooManyItems(Exception):
    """More than `ITEMS` columns of what values hold by name."""


def survey(rows: Iterable[Cells]) -> list[Column]:
    """Return the columns of a table with these rows, in the table's order."""
    seen: dict[Identity, _Seen] = {}
    items = 0
    for cells in rows:
        for identity, cell in cells.items():
            found = seen.get(identity)
            if found is None:
                items += identity[0] == VALUE and identity[1] != _WHOLE
                if items > ITEMS:
                    raise _TooManyItems
                found = seen[identity] = _Seen()
            found.add(cell)
    names = _names(seen)
    order = sorted(seen, key=lambda identity: identity[0])  # within a group as they came
    return [Column(identity, names[identity], seen[identity].kind) for identity in order]


def _names(identities: Iterable[Identity]) -> dict[Identity, str]:
    """Name columns; two that would be called the same are told apart."""
    names: dict[Identity, str] = {}
    taken: set[str] = set()
    for group, kind in _NAMED:
        mine = [identity for identity in identities if identity[0] == group and identity not in _OWN]
        # "a.b" is called so before b in a.
        for identity in sorted(
            mine, key=lambda identity: isinstance(identity[1], tuple) and len(identity[1])
        ):
            name = ".".join(identity[1]) if group == VALUE else identity[1]
            names[identity] = free_name(name, kind, taken)
            taken.add(names[identity])
    own = [identity for identity in identities if identity not in names]
    return names | {one: name_for_own(_OWN[one] if one in _OWN else one[1], taken) for one in own}


def as_text(cell: Any) -> Any:
    """Return a cell of a column of texts; what is no text as JSON."""
    kind = type(cell)
    if cell is None or kind is str:
        return cell
    if kind is float:
        return number_text(cell)
    if kind is datetime or kind is int:
        return str(cell)
    return json.dumps(strict(cell), ensure_ascii=False)

"""Make rows of what is many in a value: lists of dicts, arrays, frames, with the task's parameters beside each.

Knows: values, selections, frames of any library that pandas can have. May not know: how values are stored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from memento.errors import StoreError
from memento.results.advice import check_one, unknown, warn
from memento.results.scan import IS_DONE
from memento.results.to_frame import column_names, free_name, parameter_columns, tightened
from memento.store.unreadable import Unreadable
from memento.values.describe import LargeValue, as_scalar, flat_items, is_scalar, items_of
from memento.wording import number_of

if TYPE_CHECKING:
    import pandas as pd

    from memento.results.selection import Selection

_ABSENT = object()
Name: TypeAlias = "str | tuple[str, ...]"  # of a column; () for what has none of its own


class _Cells(NamedTuple):
    """A column of some rows: a cell each, in the rows `at`, or in all of them."""

    cells: Sequence[Any] | pd.Series[Any]
    at: Sequence[int] | None = None


class _Piece(NamedTuple):
    """The rows of one value."""

    length: int
    columns: Mapping[Name, _Cells]


def explode(selection: Selection, name: str | None, load: Callable[[int], Any]) -> pd.DataFrame:
    """Return a row for each element; see `Results.explode`. `load` returns the value of the task at a place."""
    check_one(name, 'results.explode("{}")')
    read = selection.read(values=True)
    assert read.values is not None
    done = (read.status == IS_DONE).nonzero()[0].tolist()
    if len(selection) and not done:
        raise ValueError(
            f"none of {number_of(len(selection), 'task')} has succeeded, so there is nothing to show"
        )
    rows, without = _Rows(), Counter[str]()
    single: list[Any] = []
    for place in done:
        value = _found(read.values[place], name, load, place)
        piece = None if value is _ABSENT or type(value) is Unreadable else _rows_of(value, name)
        if value is _ABSENT or value is None:
            without["with none"] += 1
        elif type(value) is Unreadable:
            without["cannot be loaded here"] += 1
        elif piece is None:
            single.append(value)
            rows.add(place, _Piece(1, {(): _Cells([value])}))
        elif not piece.length:
            without["empty"] += 1
        else:
            rows.add(place, piece)
    if done and len(single) + without["with none"] == len(done):
        raise ValueError(_nothing(selection, read.values[done].tolist(), name, single))
    status = selection.counts()
    without += Counter(failed=status["failed"], missing=status["missing"])
    if without.total():
        told = ", ".join(f"{count:,} {why}" for why, count in without.items() if count)
        lacking = len(selection) - len(rows.places)
        warn(f"explode: {lacking:,} of {number_of(len(selection), 'task')} have no rows: {told}")
    return rows.frame(selection, "value" if name is None else name)


def _found(value: Any, name: str | None, load: Callable[[int], Any], place: int) -> Any:
    """Return a value, or an item of it; `_ABSENT` where it has none of that name."""
    if type(value) is LargeValue:
        items = value.known.items
        if name is not None and items is not None and not any(_begins(name, own) for own in items):
            return _ABSENT
        try:
            value = load(place)
        except StoreError as exc:
            return Unreadable(str(value), str(exc))
    return value if name is None or type(value) is Unreadable else _item(value, name)


def _begins(name: str, own: object) -> bool:
    return name == own or name.startswith(f"{own}.")


def _item(value: Any, name: str) -> Any:
    items = items_of(value) or {}
    if name in items:
        return items[name]
    for own, item in items.items():
        found = _item(item, name[len(str(own)) + 1 :]) if _begins(name, own) else _ABSENT
        if found is not _ABSENT:
            return found
    return _ABSENT


def _nothing(selection: Selection, values: Sequence[Any], name: str | None, single: Sequence[Any]) -> str:
    """Say what there is, where no value has rows."""
    whole = filter(None, map(items_of, values))
    items = {path: item for held in whole for path, item in flat_items(held).items()}
    known = [
        path if isinstance(path, str) else ".".join(path) for path, item in items.items() if _is_long(item)
    ]
    if name is None or single:
        kinds = ", ".join(dict.fromkeys(type(value).__qualname__ for value in single or values))
        what = "the values" if name is None else repr(name)
        return f"explode: {what} are no lists, arrays or frames, but {kinds}. Write results.to_frame()."
    if name in selection.read(metrics=True).metrics:
        return f"explode: {name!r} is a metric. Write results.metrics for its points."
    return f"explode: {unknown('item', name, known or list(map(str, items)))}"


def _rows_of(value: Any, name: str | None) -> _Piece | None:
    """Return the rows of a value; None for one that is no more than a cell."""
    value = as_scalar(value)
    table = _table(value)
    if table is not None:
        return table
    items = items_of(value)
    if items is not None:
        return _of_items(items, name)
    if not _is_long(value):
        return None
    if all(map(is_scalar, set(map(type, value)))):  # many numbers
        return _Piece(len(value), {(): _Cells(list(value))})
    columns: dict[Name, tuple[list[Any], list[int]]] = {}
    for row, element in enumerate(value):
        held = items_of(element)
        for path, cell in ({(): as_scalar(element)} if held is None else _flat(held)).items():
            cells, at = columns.setdefault(path, ([], []))
            cells.append(cell)
            at.append(row)
    return _Piece(len(value), {path: _Cells(*both) for path, both in columns.items()})


def _flat(items: Mapping[Any, Any]) -> dict[Name, Any]:
    return flat_items({str(name): item for name, item in items.items()})


def _is_long(value: Any) -> bool:
    if isinstance(value, str | bytes | bytearray | Mapping):
        return False
    if isinstance(value, Sequence | Set):
        return items_of(value) is None
    return _table(value) is not None


def _of_items(items: Mapping[Any, Any], name: str | None) -> _Piece | None:
    """Return the rows of a dict of equally long lists; what is no list stands in each."""
    flat = _flat(items)
    pieces = {path: _rows_of(item, None) for path, item in flat.items() if _is_long(item)}
    long = {path: piece for path, piece in pieces.items() if piece is not None}
    if not long:
        return _Piece(1, {path: _Cells([item]) for path, item in flat.items()}) if flat else _Piece(0, {})
    lengths = {piece.length for piece in long.values()}
    if len(lengths) > 1:
        outer = "" if name is None else f"{name}."
        named = {
            f"{outer}{path if isinstance(path, str) else '.'.join(path)}": p.length
            for path, p in long.items()
        }
        each = ", ".join(f"{one} ({count:,})" for one, count in named.items())
        raise ValueError(
            f"explode: there are lists of different lengths: {each}. Name one:"
            f" results.explode({json.dumps(next(iter(named)))})"
        )
    (count,) = lengths
    columns: dict[Name, _Cells] = {}
    for path, item in flat.items():
        own = (path,) if isinstance(path, str) else path
        inner = long[path].columns if path in long else {(): _Cells([item] * count)}
        for deeper, cells in inner.items():
            full = (*own, *((deeper,) if isinstance(deeper, str) else deeper))
            columns[full[0] if len(full) == 1 else full] = cells
    return _Piece(count, columns)


def _table(value: Any) -> _Piece | None:
    """Return the rows of a frame, a series or an array of any library, with an index that says something."""
    kind = type(value)
    if kind.__module__ == "builtins":
        return None
    import numpy as np
    import pandas as pd

    if hasattr(kind, "to_pandas"):  # Polars, Arrow, xarray
        try:
            value = value.to_pandas()
        except ImportError:  # Polars without Arrow
            told = value.to_dict(as_series=False) if hasattr(kind, "to_dict") else value.to_list()
            value = pd.DataFrame(told) if isinstance(told, dict) else pd.Series(told)
    elif not isinstance(value, pd.DataFrame | pd.Series | np.ndarray):
        if not getattr(value, "shape", ()) or not hasattr(value, "tolist") or isinstance(value, tuple):
            return None
        value = np.asarray(value.tolist()) if hasattr(value, "detach") else np.asarray(value)  # tensors
    if isinstance(value, np.ndarray):
        value = value.astype(value.dtype.newbyteorder("="), copy=False)  # pandas takes no other
        if value.dtype.names is None:
            cells = pd.Series(value) if value.ndim == 1 else list(value)
            return _Piece(len(value), {(): _Cells(cells)}) if value.ndim else None
        value = pd.DataFrame.from_records(value.ravel())
    if not isinstance(value, pd.DataFrame | pd.Series):
        return None
    levels = (
        []
        if value.index.equals(pd.RangeIndex(len(value))) and value.index.name is None
        else value.index.names
    )
    columns: dict[Name, _Cells] = {}
    for level, label in enumerate(levels):
        cells = pd.Series(value.index.get_level_values(level))
        columns[_free("index" if label is None else label, columns)] = _Cells(cells)
    if isinstance(value, pd.Series):
        return _Piece(len(value), columns | {(): _Cells(value)})
    for place, label in enumerate(value.columns):
        columns[_free(label, columns)] = _Cells(value.iloc[:, place])
    return _Piece(len(value), columns)


def _free(label: Any, taken: Iterable[Name]) -> Name:
    """Return the name of a frame's column, of levels by dots; the same one twice is told apart."""
    name = ".".join(str(part) for part in label if part != "") if isinstance(label, tuple) else str(label)
    return free_name(name, "value", taken)


class _Rows:
    """The rows of all values, column by column."""

    def __init__(self) -> None:
        self.count = 0
        self.places: list[int] = []
        self.counts: list[int] = []
        # Cells that have no type in common, and their rows.
        self.single: dict[Name, tuple[list[Any], list[int]]] = {}
        self.typed: dict[Name, list[pd.Series[Any]]] = {}

    def add(self, place: int, piece: _Piece) -> None:
        """Take the rows of a task."""
        import pandas as pd

        for path, (cells, at) in piece.columns.items():
            where = range(self.count, self.count + piece.length)
            alone, rows = self.single.setdefault(path, ([], []))
            if isinstance(cells, pd.Series):
                self.typed.setdefault(path, []).append(cells.set_axis(pd.RangeIndex(where.start, where.stop)))
            else:
                alone.extend(cells)
                rows.extend(where if at is None else [self.count + row for row in at])
        self.count += piece.length
        self.places.append(place)
        self.counts.append(piece.length)

    def frame(self, selection: Selection, label: str) -> pd.DataFrame:
        """Return the parameters, the position in its value, and the columns."""
        import numpy as np
        import pandas as pd

        counts = np.array(self.counts, dtype=np.int64)
        columns = parameter_columns(selection, np.repeat(np.array(self.places, dtype=np.int64), counts))
        names: dict[Any, str] = column_names([path for path in self.single if path != ()])
        names |= {(): free_name(label, "value", set(names.values()))} if () in self.single else {}
        own = {path: free_name(names[path], "value", columns) for path in self.single}
        position = np.arange(self.count) - np.repeat(counts.cumsum() - counts, counts)
        columns[free_name("position", "row", {*columns, *own.values()})] = position
        for path, name in own.items():
            columns[name] = self._column(path)
        frame: pd.DataFrame = pd.DataFrame(columns, index=pd.RangeIndex(self.count))
        return frame

    def _column(self, path: Name) -> Any:
        import numpy as np
        import pandas as pd

        cells, rows = self.single[path]
        typed = self.typed.get(path, [])
        if not typed:
            column = np.full(self.count, None, dtype=object)
            # One by one, from an iterator: numpy would make columns of lists.
            column[rows] = np.fromiter(cells, dtype=object, count=len(cells))
            return tightened(column)
        if cells:
            alone = np.fromiter(cells, dtype=object, count=len(cells))
            typed = [pd.Series(tightened(alone)).set_axis(rows), *typed]
        whole: pd.Series[Any] = pd.concat(typed) if len(typed) > 1 else typed[0]
        return whole.reindex(range(self.count))

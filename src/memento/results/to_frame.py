"""Make a frame of results, one row a task, every column built at once.

Knows: axes, scans, pandas. May not know: stores' files, how frames are shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.config import Deferred
from memento.results.advice import warn
from memento.results.parameters import Axis
from memento.results.scan import IS_DONE, STATUSES, Scan
from memento.results.selection import KEY
from memento.values.describe import ITEMS, LargeValue, as_scalar, flat_items, is_scalar, items_of
from memento.wording import number_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from memento.results.selection import Selection

_NAN = float("nan")  # what pandas takes for nothing
_QUARTER_HOUR = 900  # seconds; every zone's offset from UTC is a multiple, and changes at one


class Table(NamedTuple):
    """A frame, and which of its columns are what tasks returned, and metrics."""

    frame: pd.DataFrame
    values: list[str]
    metrics: list[str]


def make_table(
    selection: Selection, *, raw: bool = False, values: bool = True, wanted: Sequence[str] = ()
) -> Table:
    """Return a frame as `Results.to_frame` does, without what the tasks returned where that is not asked for.

    `wanted` are names of columns for which it is made: items of dicts that have too many.
    """
    import pandas as pd

    columns = parameter_columns(selection, raw=raw)
    read = selection.read(values=values, metrics=True)
    # A metric's name is its own also where values have an item of that name, so that who asks for a metric
    # gets it without a look at the values.
    metrics: dict[str, Any] = {}
    for name, column in read.metrics.items():
        metrics[free_name(name, "metric", {**columns, **metrics})] = column
    returned: list[str] = []
    if read.values is not None:
        for name, column in value_columns(read.values, read.status == IS_DONE, wanted).items():
            returned.append(free_name(name, "value", {**columns, **metrics}))
            columns[returned[-1]] = column
    columns |= metrics
    for name, column in _facts(selection, read).items():
        columns[free_name(name, "result", columns)] = column
    return Table(pd.DataFrame(columns, index=pd.RangeIndex(len(selection))), returned, list(metrics))


def parameter_columns(
    selection: Selection, places: NDArray[np.int64] | None = None, *, raw: bool = False
) -> dict[str, Any]:
    """Return the parameters and the repeat as columns, of all tasks, or of those at these places."""
    columns: dict[str, Any] = {}
    for axis in selection.axes():
        codes = axis.codes if places is None else axis.codes[places]
        columns[axis.name] = parameter_column(axis.of(codes), raw=raw)
    if selection.tasks.repeats > 1:
        repeats = selection.repeats()
        columns[free_name("repeat", "task", columns)] = repeats if places is None else repeats[places]
    return columns


def free_name(name: str, kind: str, taken: Any) -> str:
    """Return the name, with its kind in front as often as it takes to be one of its own."""
    while name in taken:
        name = f"{kind}.{name}"
    return name


def parameter_column(axis: Axis, *, raw: bool = False) -> Any:
    """Return an axis as a column: plain values as themselves, others by their texts; different values differ."""
    import pandas as pd

    if raw:
        values = [value.load() if isinstance(value, Deferred) else value for value in axis.values]
        return _take_objects(values, axis.codes, None)
    cells = axis.parameter.cells
    kinds = set(map(type, cells))
    lacking = bool((axis.codes < 0).any())
    if not cells:
        return _take_objects(cells, axis.codes, None)
    if kinds == {bool} or kinds == {int}:
        column = pd.Series(list(cells))
        if column.dtype.kind not in "bi":  # numbers of more than 64 bits
            return _take_objects(cells, axis.codes, _NAN)
        if lacking:  # so that what is whole stays whole
            return (
                column.astype("boolean" if kinds == {bool} else "Int64")
                .reindex(axis.codes)
                .reset_index(drop=True)
            )
        return pd.Series(column.array.take(axis.codes), dtype=column.dtype)
    nan = any(cell != cell for cell in cells)
    if kinds == {str} or (kinds <= {int, float} and not (nan and lacking)):
        column = _texts_or_objects(list(cells))
    else:  # pandas would turn None into nan, True into 1
        # Named as objects: a frame would make texts of texts and None, and None the same as nan.
        return pd.Series(_take_objects(cells, axis.codes, None if nan else _NAN), dtype=object)
    if lacking:
        return column.reindex(axis.codes).reset_index(drop=True)  # no value has the label -1
    return pd.Series(column.array.take(axis.codes), dtype=column.dtype)


def _take_objects(values: Sequence[object], codes: NDArray[Any], absent: object) -> NDArray[np.object_]:
    import numpy as np

    slots = np.empty(len(values) + 1, dtype=object)
    for i, value in enumerate(values):  # one by one: numpy would unpack lists and arrays
        slots[i] = value
    slots[len(values)] = absent  # -1 takes the last
    taken: NDArray[np.object_] = slots[codes]
    return taken


def value_columns(
    values: NDArray[np.object_], done: NDArray[np.bool_], wanted: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the values as columns: one for each scalar that they hold by name, nested ones by dots, and `value`.

    That is there if some values say more than the others show. Of too many items those are columns that are `wanted`.
    """
    import numpy as np

    places = np.flatnonzero(done)
    if all(kind is not LargeValue and is_scalar(kind) for kind in set(map(type, values[places].tolist()))):
        return {"value": tightened(values)}
    rest = values.copy()
    held = _Held()
    for place in places.tolist():
        rest[place] = held.take(place, values[place])
    names = column_names(held.paths)
    if len(names) > ITEMS:  # what is nested is not looked for, as in a description
        names = {path: name for path, name in names.items() if isinstance(path, str) or name in wanted}
    if len(names) > ITEMS:
        names = {path: name for path, name in names.items() if name in wanted}
        held.too_many += 0 if names else len(held.rows)
    _warn_of_too_many(held.too_many, len(places), [name for name in wanted if name in names.values()])
    if len(names) < len(held.paths) or not names:
        shown = {
            shape: bool(names) and names.keys() >= shape for shape in {frozenset(row) for row in held.rows}
        }
        for place, row in zip(held.places, held.rows, strict=True):
            if not shown[frozenset(row)]:
                rest[place] = values[place]
    columns: dict[str, Any] = {}
    for path, name in names.items():
        column = np.full(len(values), None, dtype=object)
        # One by one, from an iterator: numpy would make numbers of one type of them.
        column[held.places] = np.fromiter(
            (row.get(path) for row in held.rows), dtype=object, count=len(held.rows)
        )
        columns[name] = tightened(column)
    if columns and all(value is None for value in rest[places].tolist()):
        return columns
    return {free_name("value", "value", columns): tightened(rest), **columns}


class _Held:
    """The scalars that values hold by name, and where there are any."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.rows: list[dict[Any, Any]] = []
        self.paths: dict[Any, None] = {}
        self.too_many = 0  # values whose items are not known, since they are many
        self._shapes: dict[tuple[Any, ...], bool] = {}  # names and types of a dict's items -> all are scalars

    def take(self, place: int, value: Any) -> Any:
        """Take a task's value; return what stands in `value`: None for one that is shown whole by its items."""
        items: Mapping[Any, Any] | None
        if type(value) is LargeValue:
            items = value.known.items
            self.too_many += value.known.is_dict and items is None
        else:
            items = _items(value)
        if items is None:
            return as_scalar(value)
        if type(items) is dict:  # few shapes differ, also where there are many dicts
            shape: tuple[Any, ...] = (*items, *map(type, items.values()))
            flat = self._shapes.get(shape)
            if flat is None:
                flat = self._shapes[shape] = all(
                    isinstance(name, str) and is_scalar(kind)
                    for name, kind in zip(shape[: len(items)], shape[len(items) :], strict=True)
                )
                self.paths |= dict.fromkeys(items) if flat else {}
            if flat:
                self._add(place, items)
                return None
        found = flat_items(items)
        row = {path: item for path, item in found.items() if is_scalar(type(item))}
        if not row:
            return value
        self.paths |= dict.fromkeys(row)
        self._add(place, row)
        return None if len(row) == len(found) and all(isinstance(name, str) for name in items) else value

    def _add(self, place: int, row: dict[Any, Any]) -> None:
        self.places.append(place)
        self.rows.append(row)


def _items(value: Any) -> Mapping[Any, Any] | None:
    try:
        return items_of(value)
    except Exception:  # a class of the user's may do anything when it is looked at
        return None


def column_names(paths: Collection[Any]) -> dict[Any, str]:
    """Name columns by dots; two that would be called the same are told apart."""
    names: dict[Any, str] = {}
    taken: set[str] = set()
    for path in sorted(paths, key=lambda path: isinstance(path, tuple)):  # "a.b" is called so before b in a
        names[path] = free_name(path if isinstance(path, str) else ".".join(path), "value", taken)
        taken.add(names[path])
    return {path: names[path] for path in paths}


def _warn_of_too_many(hidden: int, count: int, asked: Sequence[str]) -> None:
    if hidden:
        lost = f"; they count for nothing in {asked[0]!r}" if asked else ""
        warn(
            f"{hidden:,} of {number_of(count, 'value')} are dicts of too many items to be columns (at most"
            f" {ITEMS}): they stand in the column 'value'{lost}. One item of each: [r.inner['NAME'] for r in results]"
        )


def tightened(column: NDArray[np.object_]) -> Any:
    """Return objects as numbers, booleans or text where that is what they are."""
    import pandas as pd

    series = pd.Series(column, dtype=object)
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind in ("floating", "integer", "mixed-integer-float"):
        return pd.to_numeric(series)
    if kind in ("datetime", "datetime64", "timedelta", "timedelta64"):
        return series.infer_objects()
    if kind == "boolean" or (kind == "string" and LargeValue not in set(map(type, column.tolist()))):
        return _texts_or_objects(column)
    return series


def _texts_or_objects(values: Any) -> Any:
    """Return a column; one whose texts are no Unicode (a file name may be none) as objects, which keep them."""
    import pandas as pd

    try:
        return pd.Series(values).infer_objects()
    except UnicodeEncodeError:
        return pd.Series(values, dtype=object)


def _facts(selection: Selection, read: Scan) -> dict[str, Any]:
    import pandas as pd

    return {
        "status": pd.Series(pd.Series(STATUSES).array.take(read.status)),
        "was_cached": selection.cached & (read.status == IS_DONE),
        "start_time": _local_times(read.started),
        "runtime": read.runtime,
        "cpu_time": read.cpu_time,
        "memory": read.memory,
        "key": _hexadecimal(selection.source.keys, selection.numbers),
        "error": _texts_or_objects(read.errors),
    }


def _hexadecimal(keys: bytes, numbers: NDArray[np.int64]) -> Any:
    """Return the keys of the tasks with these numbers as a column of text."""
    import numpy as np
    import pandas as pd

    text = np.frombuffer(keys, dtype=f"V{KEY}")[numbers].tobytes().hex()
    width, kind = 2 * KEY, pd.Series([""]).dtype
    if getattr(kind, "storage", None) != "pyarrow":
        return [text[at : at + width] for at in range(0, len(text), width)]
    # Pandas 3 beside Arrow keeps text as one piece, which is what we have: no string is made for each task.
    import pyarrow as pa

    ends = np.arange(0, len(text) + 1, width, dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(text.encode())]
    return pd.array(pa.Array.from_buffers(pa.large_string(), len(numbers), buffers), dtype=kind)


def _local_times(seconds: NDArray[np.float64]) -> NDArray[np.datetime64]:
    """Turn UTC seconds into local times without a zone, asking the system once for each quarter of an hour."""
    import time

    import numpy as np

    known = np.isfinite(seconds)
    quarters, places = np.unique((seconds[known] // _QUARTER_HOUR).astype(np.int64), return_inverse=True)
    offsets = np.array(
        [time.localtime(q * _QUARTER_HOUR).tm_gmtoff for q in quarters.tolist()], dtype=np.int64
    )
    times = np.full(len(seconds), "NaT", dtype="datetime64[us]")
    micros = np.round(seconds[known] * 1e6).astype(np.int64)
    if len(offsets):
        micros += offsets[places] * 1_000_000
    times[known] = micros.astype("datetime64[us]")
    return times

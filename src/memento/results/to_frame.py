"""Make a frame of results, one row a task, every column built at once; take numbers out of it.

Knows: axes, scans, pandas. May not know: stores' files, how frames are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memento.config import Deferred
from memento.results.advice import unknown, warn
from memento.results.parameters import Axis
from memento.results.scan import IS_DONE, STATUSES, Scan
from memento.results.selection import KEY
from memento.store.unreadable import Unreadable
from memento.values.describe import ITEMS, LargeValue, is_scalar
from memento.wording import number_of, one_line

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from memento.results.selection import Selection

_NAN = float("nan")  # what pandas takes for nothing
_QUARTER_HOUR = 900  # seconds; every zone's offset from UTC is a multiple, and changes at one


def make_frame(
    selection: Selection, *, raw: bool = False, values: bool = True, wanted: Sequence[str] = ()
) -> pd.DataFrame:
    """Return a frame as `Results.to_frame` does, without what the tasks returned where that is not asked for.

    `wanted` are names of columns for which it is made: items of dicts that have too many.
    """
    import pandas as pd

    columns: dict[str, Any] = {axis.name: parameter_column(axis, raw=raw) for axis in selection.axes()}
    if selection.tasks.repeats > 1:
        columns[free_name("repeat", "task", columns)] = selection.repeats()
    read = selection.read(values=values, metrics=True)
    # A metric's name is its own also where values have an item of that name, so that who asks for a metric
    # gets it without a look at the values.
    metrics: dict[str, Any] = {}
    for name, column in read.metrics.items():
        metrics[free_name(name, "metric", {**columns, **metrics})] = column
    if read.values is not None:
        for name, column in value_columns(read.values, read.status == IS_DONE, wanted).items():
            columns[free_name(name, "value", {**columns, **metrics})] = column
    columns |= metrics
    for name, column in _facts(selection, read).items():
        columns[free_name(name, "result", columns)] = column
    frame: pd.DataFrame = pd.DataFrame(columns, index=pd.RangeIndex(len(selection)))
    return frame


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
    """Return the values as columns: `value`, or where all are dicts, one for each scalar item.

    Then `value` is there if it says more than those. Of too many items those are columns that are `wanted`.
    """
    import numpy as np

    places = np.flatnonzero(done)
    present = values[places].tolist()
    found = _items(present)
    if found is None:
        return {"value": _tightened(values)}
    known = np.array([items is not None for items in found])
    dicts = [items for items in found if items is not None]
    # The names and types of a dict's items: few differ, also where there are many dicts.
    shapes: dict[tuple[Any, ...], int] = {}
    shape_of = [shapes.setdefault((*d, *map(type, d.values())), len(shapes)) for d in dicts]
    scalars = [_scalar_items(shape) for shape in shapes]
    names = list(dict.fromkeys(name for shape in scalars for name, scalar in shape.items() if scalar))
    hidden = len(found) - len(dicts) and sum(
        isinstance(value, LargeValue) and value.known.items is None for value in present
    )
    if len(names) > ITEMS:
        names = [name for name in names if name in wanted]
        hidden += 0 if names else len(dicts)
    if hidden:
        asked = next((name for name in wanted if name in names), None)
        lost = f"; they count for nothing in {asked!r}" if asked is not None else ""
        warn(
            f"{hidden:,} of {number_of(len(present), 'value')} are dicts of too many items to be columns (at most"
            f" {ITEMS}): they stand in the column 'value'{lost}. One item of each: [r.inner['NAME'] for r in results]"
        )
    if not names:
        return {"value": _tightened(values)}
    columns: dict[str, Any] = {}
    for name in names:
        cells = [items.get(name) for items in dicts]
        if not all(shape.get(name, True) for shape in scalars):
            kinds = {kind: is_scalar(kind) for kind in set(map(type, cells))}
            cells = [cell if kinds[type(cell)] else None for cell in cells]
        column = np.full(len(values), None, dtype=object)
        # One by one, from an iterator: numpy would make numbers of one type of them.
        column[places[known]] = np.fromiter(cells, dtype=object, count=len(cells))
        columns[name] = _tightened(column)
    whole = np.array([all(shape.values()) and set(names).issuperset(shape) for shape in scalars])
    if known.all() and whole.all():
        return columns
    rest = values.copy()
    rest[places[known][whole[shape_of]]] = None
    return {free_name("value", "value", columns): _tightened(rest), **columns}


def _items(present: Sequence[Any]) -> Sequence[dict[Any, Any] | None] | None:
    """Return the items of values that are all dicts, None for one of which they are not known; else None."""
    kinds = set(map(type, present))
    if not kinds or not all(issubclass(kind, dict | LargeValue | Unreadable) for kind in kinds):
        return None
    if kinds.isdisjoint((LargeValue, Unreadable)):
        return present
    if not all(value.known.is_dict for value in present if isinstance(value, LargeValue)):
        return None
    return [
        value.known.items if isinstance(value, LargeValue) else None if type(value) is Unreadable else value
        for value in present
    ]


def _scalar_items(shape: tuple[Any, ...]) -> dict[Any, bool]:
    """Return for the items of a dict, given their names and then their types, whether each may be a column."""
    half = len(shape) // 2
    return {
        name: isinstance(name, str) and is_scalar(kind)
        for name, kind in zip(shape[:half], shape[half:], strict=True)
    }


def _tightened(column: NDArray[np.object_]) -> Any:
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


def frame_with(selection: Selection, names: Sequence[str]) -> pd.DataFrame:
    """Return a frame that has these columns.

    What the tasks returned is read only where none of the other columns is called so.
    """
    frame = make_frame(selection, values="value" in names, wanted=names)
    if any(name not in frame for name in names):
        frame = make_frame(selection, wanted=names)
    for name in names:
        if name not in frame:
            of_dicts = " Of a dict that the experiment returns, each key is a column: name one."
            why = of_dicts if name == "value" else ""
            raise ValueError(unknown("column", name, list(map(str, frame.columns))) + why)
    return frame


def numbers_of(selection: Selection, name: str) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Return a frame, and one of its columns as numbers, nan for what is not done."""
    frame = frame_with(selection, [name])
    numbers = numeric(frame, name)
    numbers[selection.status != IS_DONE] = float("nan")
    return frame, numbers


def numeric(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return a column as numbers of its own array, nan where there is none; ValueError where it holds others."""
    import numpy as np
    import pandas as pd

    column = frame[name]
    if pd.api.types.is_object_dtype(column):
        unreadable = column.map(lambda value: isinstance(value, Unreadable))
        if unreadable.any():
            first = next(value for value in column if isinstance(value, Unreadable))
            warn(
                f"{number_of(int(unreadable.sum()), 'value')} cannot be loaded here and count for nothing: {first!r}"
            )
            column = column.where(~unreadable, None)
        present = [value for value in column if value is not None]
        odd = next((v for v in present if not isinstance(v, int | float | np.number | np.bool_)), None)
        if odd is not None:
            _refuse(name, odd if isinstance(odd, LargeValue) else type(odd).__qualname__, frame)
    elif not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        _refuse(name, str(column.dtype), frame)
    return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan), copy=True)


def _refuse(name: str, kind: str, frame: pd.DataFrame) -> None:
    import pandas as pd

    numbers = [one_line(str(c)) for c in frame if pd.api.types.is_numeric_dtype(frame[c])]
    raise ValueError(
        f"column {name!r} holds {kind}, not numbers. Columns of numbers: {', '.join(numbers)}."
        " Return a number or a dict of numbers from the experiment, or record a metric."
    )

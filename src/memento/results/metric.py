"""Find the numbers that a table or a choice is about: a column that is named, or the only one that there is.

Knows: frames of results. May not know: stores, what becomes of the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memento.results.advice import check_one, unknown, warn
from memento.results.scan import IS_DONE
from memento.results.to_frame import Table, make_table
from memento.store.unreadable import Unreadable
from memento.values.describe import LargeValue
from memento.wording import number_of, one_line

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from memento.results.selection import Selection


def frame_of(
    selection: Selection, metric: str | None, line: str, others: Sequence[str] = ()
) -> tuple[str, pd.DataFrame]:
    """Return the name of a column, and a frame that has it and the others.

    Where none is named it is the only number that the tasks returned, or else recorded; `line` is what to write
    where there are several, with "{}" for the name. What the tasks returned is read only where none of the other
    columns is called so.
    """
    check_one(metric, line)
    names = [*others, *([] if metric is None else [metric])]
    table = make_table(selection, values=metric in ("value", None) or "value" in others, wanted=names)
    if any(name not in table.frame for name in names):
        table = make_table(selection, wanted=names)
    for name in names:
        if name not in table.frame:
            raise ValueError(_no_column(table, name))
    return (_only_number(selection, table, line) if metric is None else metric), table.frame


def _no_column(table: Table, name: str) -> str:
    of_dicts = (
        " Of a dict that the experiment returns, each key is a column: name one." if name == "value" else ""
    )
    return unknown("column", name, list(map(str, table.frame.columns))) + of_dicts


def _only_number(selection: Selection, table: Table, line: str) -> str:
    """Choose what to compare where there is one thing: a number that tasks returned, else a metric."""
    returned, recorded = _numbers(selection, table)
    found = returned or recorded or table.values
    if len(found) == 1:
        return found[0]
    each = [*returned, *recorded] or found
    raise ValueError(
        f"there are several columns to choose from: {', '.join(map(one_line, each))}."
        f" Name one: {line.format(each[0])}"
    )


def numbers_among(selection: Selection, table: Table) -> list[str]:
    """Return the columns that hold numbers of tasks that are done: those that they returned, else metrics."""
    returned, recorded = _numbers(selection, table)
    return returned or recorded


def _numbers(selection: Selection, table: Table) -> tuple[list[str], list[str]]:
    frame = table.frame[selection.status == IS_DONE]
    kinds = {name: _kind(frame[name]) for name in table.values}
    returned = [name for name in table.values if kinds[name] == "number"]
    # Where there is a number, an item that says yes or no is not what is meant.
    returned = returned or [name for name in table.values if kinds[name] == "bool"]
    return returned, [name for name in table.metrics if frame[name].notna().any()]  # by one that is done


def _kind(column: pd.Series[Any]) -> str:
    """Say whether a column holds numbers, or nothing but true and false."""
    import pandas as pd

    if not pd.api.types.is_object_dtype(column):
        is_bool = pd.api.types.is_bool_dtype(column)
        return "bool" if is_bool else "number" if pd.api.types.is_numeric_dtype(column) else ""
    present = [value for value in column if value is not None and type(value) is not Unreadable]
    if not present or _no_number_in(present) is not None:
        return ""
    return "bool" if set(map(type, present)) == {bool} else "number"


def _no_number_in(values: Sequence[Any]) -> Any:
    import numpy as np

    return next(
        (value for value in values if not isinstance(value, int | float | np.number | np.bool_)), None
    )


def numbers_of(
    selection: Selection, metric: str | None, line: str
) -> tuple[str, pd.DataFrame, NDArray[np.float64]]:
    """Return the name of a column, a frame, and the column as numbers, nan for what is not done; see `frame_of`."""
    name, frame = frame_of(selection, metric, line)
    numbers = numeric(frame, name)
    numbers[selection.status != IS_DONE] = float("nan")
    return name, frame, numbers


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
        odd = _no_number_in(present)
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

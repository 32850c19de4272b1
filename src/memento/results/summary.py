"""Put many results into few numbers: the best, tables over parameters, means with their spread.

Knows: frames of results. May not know: stores, how tables are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memento.results.select import unknown
from memento.results.student import t_quantile
from memento.wording import number_of, one_line

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from memento.results.results import Results

_CONFIDENCE = 0.95


def best(results: Results, by: str, minimize: bool) -> int:
    """Return the place of the best result; see `Results.best`."""
    import numpy as np

    if not len(results):
        raise ValueError("there are no results to choose from")
    frame = results.to_frame()
    numbers = numeric(frame, by)
    numbers[(frame_status(frame) != "done").to_numpy()] = np.nan
    if np.isnan(numbers).all():
        counts = ", ".join(f"{n} {status}" for status, n in results._counts().items() if n)
        raise ValueError(f"no task has a number as {by!r}; of {len(results)} tasks: {counts}")
    return int(np.nanargmin(numbers) if minimize else np.nanargmax(numbers))


def pivot(
    results: Results,
    index: str | Sequence[str],
    columns: str | Sequence[str] | None,
    values: str,
    aggfunc: Any,
) -> pd.DataFrame:
    """Return a table of one value over parameters; see `Results.pivot`."""
    import pandas as pd

    frame = results.to_frame()
    sides = [*_names(index), *_names(columns)]
    for name in sides:
        if name not in frame:
            raise ValueError(unknown("column", name, column_names(frame)))
    if values not in frame:
        raise ValueError(unknown("column", values, column_names(frame)))
    frame = frame[frame_status(frame) == "done"]
    for name in sides:  # lists and the like as parameters cannot be grouped by
        if frame[name].dtype == object:
            frame = frame.assign(**{name: frame[name].map(_hashable)})
    if frame.empty:
        raise ValueError(f"none of {len(results)} tasks has succeeded, so there is nothing to show")
    return pd.pivot_table(
        frame,
        values=values,
        index=_names(index),
        columns=_names(columns) or None,
        aggfunc=aggfunc,
        sort=False,
        observed=True,
    )


def summary(results: Results, by: str | Sequence[str] | None, value: str) -> pd.DataFrame:
    """Return mean and spread by group; see `Results.summary`."""
    import numpy as np
    import pandas as pd

    frame = results.to_frame()
    axes = {axis.name: axis for axis in results._axes(with_repeat=True)}
    names = list(results._tasks.names) if by is None else _names(by)
    for name in names:
        if name not in axes:
            raise ValueError(unknown("parameter", name, list(axes)))
    numbers = numeric(frame, value)
    numbers[(frame_status(frame) != "done").to_numpy()] = np.nan
    group, first = _groups([axes[name].codes for name in names], len(frame))
    table: pd.DataFrame = frame.iloc[first][names].reset_index(drop=True)
    for name, column in _moments(numbers, group, len(first)).items():
        table[_apart(name, table)] = column
    configs = set(names) >= set(results._tasks.names)
    repeats = results._tasks.repeat_of(results._numbers) if configs else None
    if repeats is not None and not repeats.any():
        repeats = None  # there is one of each: "0" would read as none
    table[_apart("missing", table)] = pd.Series(_missing(numbers, group, len(first), repeats), dtype=object)
    return table


def numeric(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return a column as numbers of its own array, nan where there is none.

    Raises
    ------
    ValueError
        There is no such column, or it holds something else than numbers.
    """
    import numpy as np
    import pandas as pd

    if name not in frame:
        raise ValueError(unknown("column", name, column_names(frame)))
    column = frame[name]
    if pd.api.types.is_object_dtype(column):
        present = [value for value in column if value is not None]
        odd = next((v for v in present if not isinstance(v, int | float | np.number | np.bool_)), None)
        if odd is not None:
            _refuse(name, type(odd).__qualname__, frame)
    elif not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        _refuse(name, str(column.dtype), frame)
    return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan), copy=True)


def frame_status(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return the column that says how tasks ended, also where a parameter has taken its name."""
    name = "status"
    while f"result.{name}" in frame:
        name = f"result.{name}"
    return frame[name]


def _refuse(name: str, kind: str, frame: pd.DataFrame) -> None:
    import pandas as pd

    numbers = [one_line(str(c)) for c in frame if pd.api.types.is_numeric_dtype(frame[c])]
    raise ValueError(
        f"column {name!r} holds {kind}, not numbers. Columns of numbers: {', '.join(numbers)}."
        " Return a number or a dict of numbers from the experiment, or record a metric."
    )


def column_names(frame: pd.DataFrame) -> list[str]:
    """Return the names of a frame's columns."""
    return [str(name) for name in frame.columns]


def _names(names: str | Sequence[str] | None) -> list[str]:
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def _apart(name: str, table: pd.DataFrame) -> str:
    """Keep a parameter that is called like one of our columns."""
    while name in table:
        name = f"summary.{name}"
    return name


def _groups(codes: list[NDArray[Any]], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the groups in the order in which they first come; return each task's group, and each group's first."""
    import numpy as np

    group = np.zeros(count, dtype=np.int64)
    for column in codes:
        size = int(column.max(initial=-1)) + 2
        _, group = np.unique(group * size + column + 1, return_inverse=True)
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[group], first[order]


def _moments(numbers: NDArray[np.float64], group: NDArray[np.int64], groups: int) -> dict[str, Any]:
    import numpy as np

    known = ~np.isnan(numbers)
    values, at = numbers[known], group[known]
    n = np.bincount(at, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(at, weights=values, minlength=groups) / n
        # In two passes: the difference of two large sums would lose the digits that matter.
        squares = np.bincount(at, weights=(values - mean[at]) ** 2, minlength=groups)
        std = np.sqrt(squares / (n - 1))
    std[n < 2] = np.nan
    quantile = {int(k): t_quantile(0.5 + _CONFIDENCE / 2, int(k) - 1) for k in np.unique(n) if k > 1}
    half = np.array([quantile.get(k, np.nan) for k in n.tolist()]) * std / np.sqrt(np.maximum(n, 1))
    return {"n": n, "mean": mean, "std": std, "low": mean - half, "high": mean + half}


def _missing(
    numbers: NDArray[np.float64], group: NDArray[np.int64], groups: int, repeats: NDArray[np.int64] | None
) -> list[str]:
    import numpy as np

    texts = [""] * groups
    absent = np.flatnonzero(np.isnan(numbers))
    if repeats is None:
        lost, size = np.bincount(group[absent], minlength=groups), np.bincount(group, minlength=groups)
        for i in np.flatnonzero(lost).tolist():
            texts[i] = f"{lost[i]} of {number_of(int(size[i]), 'task')}"
        return texts
    for place in absent.tolist():
        i = int(group[place])
        texts[i] += f", {repeats[place]}" if texts[i] else str(repeats[place])
    return texts
